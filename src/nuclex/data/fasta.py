"""FASTA: a strict parser that goes line by line, and a fast one that takes many lines at a look.

The strict one is the reference: it says which line is wrong. The fast one accepts what is plainly right and gives the
rest, with its place, to the strict one; so both find the same records and the same errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nuclex.core.errors import InputError, at, shown
from nuclex.data.compression import Text, pieces
from nuclex.data.parser import one_by_one
from nuclex.data.record import (
    BLANKS,
    LETTERS,
    LONGEST_HEADER,
    LONGEST_SEQUENCE,
    Batch,
    Found,
    batch_of,
    header_text,
    only_letters,
    plain_headers,
    strange_letter,
    too_long,
)

_SHORT = 1000
"""Bytes, up to which each is looked up as quickly as all are compared."""


class Fasta:
    """The strict parser, fed line by line. ``header`` is that of the open sequence, ``parts`` are its letters."""

    def __init__(self, label: str) -> None:
        self.label, self.line = label, 1
        self.header: bytes | None = None
        self.start, self.length, self.parts = 0, 0, list[bytes]()
        self._inside = False  # a line whose first part has been fed already

    @property
    def ready(self) -> bool:
        """At the start of a line."""
        return not self._inside

    def feed(self, piece: bytes) -> Found | None:
        """One line, or a part of a long line."""
        inside, line = self._inside, self.line
        self._inside = not piece.endswith(b"\n")
        self.line += not self._inside
        if piece.startswith(b">") and not inside:
            found, head = self._take(), header_text(piece[1:], self.label, line)
            self.header, self.start, self.length, self.parts = head, line, 0, []
            return found
        letters = piece.rstrip(b"\n").translate(None, BLANKS)
        if letters.translate(None, LETTERS):
            raise self._strange(letters, line)
        if self.header is None and letters:
            raise _no_header(letters, self.label, line)
        self.add(letters)
        return None

    def add(self, letters: bytes) -> None:
        """Letters of the open sequence."""
        self.length += len(letters)
        if self.length > LONGEST_SEQUENCE:
            raise too_long(self.label, self.start)
        self.parts.append(letters)

    def end(self) -> Found | None:
        """The last sequence; None where the file holds none."""
        return self._take()

    def _take(self) -> Found | None:
        if self.header is None:
            return None
        if not self.length:
            name = shown(self.header.decode().split(maxsplit=1)[0])
            raise InputError(f"{at(self.label, self.start)}: {name} has no sequence; every header needs one below it")
        return self.header, b"".join(self.parts), self.start

    def _strange(self, letters: bytes, line: int) -> InputError:
        if self.header is None and 32 < letters.translate(None, LETTERS)[0] < 127:
            return _no_header(letters, self.label, line)
        return strange_letter(letters, at(self.label, line))


def read_fasta(text: Text, *, fast: bool = True) -> Iterator[Batch]:
    """The sequences of a FASTA text; not ``fast`` is the strict parser alone."""
    parser = Fasta(text.label)
    for piece in pieces(text):
        start = 0
        if not parser.ready:
            start = piece.find(b"\n") + 1 or len(piece)
            parser.feed(piece[:start])
        batches = _many(parser, piece[start:]) if fast and piece.endswith(b"\n") else None
        yield from one_by_one(parser, piece[start:]) if batches is None else batches
        text.line = parser.line
    yield batch_of([parser.end()])


class _Look(NamedTuple):
    """What whole lines hold: header lines and where they are, and the letters above, between and below them."""

    heads: list[bytes]
    lines: list[int]
    next_line: int
    lead: bytes
    letters: bytes
    lengths: list[int]
    tail: bytes


def _many(parser: Fasta, piece: bytes) -> list[Batch] | None:
    """What whole lines complete, found by looking at all of them at once; None where anything is out of the plain."""
    if not 0 < len(piece) <= LONGEST_HEADER:
        return None
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    for look_at in (_unwrapped, _wrapped):
        look = look_at(piece, parser.line)
        if look is None or (look.lead and parser.header is None) or not all(look.lengths):
            continue
        heads = plain_headers(look.heads, b">")
        if heads is not None and _known(look.letters) and _known(look.lead + look.tail):
            return _completed(parser, look, heads)
    return None


def _known(text: bytes) -> bool:
    return (len(text) > _SHORT and only_letters(text)) or not text.translate(None, LETTERS)


def _completed(parser: Fasta, look: _Look, heads: list[bytes]) -> list[Batch]:
    """Close the open sequence and all below it but the last, which stays open."""
    if parser.header is not None:
        parser.add(look.lead)
    parser.line = look.next_line
    if not heads:
        return []
    batches = [batch_of([parser.end()]), Batch(heads[:-1], look.letters, look.lengths, look.lines[:-1])]
    parser.header, parser.start, parser.length, parser.parts = heads[-1], look.lines[-1], len(look.tail), [look.tail]
    return batches


def _unwrapped(piece: bytes, line: int) -> _Look | None:
    """One line below each header, which is quicker; None where it is not so at the start."""
    start = piece.find(b">")
    second = piece.find(b"\n", piece.find(b"\n", start) + 1) + 1
    if start < 0 or piece[second : second + 1] != b">" or (start and piece[start - 1 : start] != b"\n"):
        return None
    rows = piece[start:-1].split(b"\n")
    heads, bodies = rows[::2], rows[1::2]
    tail = bodies.pop() if len(bodies) == len(heads) else b""
    line += piece.count(b"\n", 0, start)
    next_line = line + len(rows)
    lead, lengths = piece[:start].replace(b"\n", b""), list(map(len, bodies))
    return _Look(heads, list(range(line, next_line, 2)), next_line, lead, b"".join(bodies), lengths, tail)


def _wrapped(piece: bytes, line: int) -> _Look:
    """Lines of any number below each header."""
    if b">" not in piece:
        lead = piece.replace(b"\n", b"")
        return _Look([], [], line + len(piece) - len(lead), lead, b"", [], b"")
    piece = b"\n" + piece
    text = np.frombuffer(piece, dtype=np.uint8)
    ends_L = (text == ord("\n")).nonzero()[0]  # of the line above each line, and of the last
    heads_N = (text[ends_L[:-1] + 1] == ord(">")).nonzero()[0]
    starts_N, stops_N = ends_L[heads_N], ends_L[heads_N + 1]
    starts, stops = starts_N.tolist(), stops_N.tolist()
    heads = [piece[start + 1 : stop] for start, stop in zip(starts, stops, strict=True)]
    lead, tail = (piece[: starts[0]], piece[stops[-1] :]) if heads else (piece, b"")
    view, between = memoryview(piece), zip(stops, starts[1:], strict=False)
    letters = b"".join([view[stop + 1 : start] for stop, start in between])
    lengths_N = starts_N[1:] - heads_N[1:] - stops_N[:-1] + heads_N[:-1] + 1  # without the line ends
    lead, letters, tail = (text.replace(b"\n", b"") for text in (lead, letters, tail))
    lines = (heads_N + line).tolist()
    return _Look(heads, lines, line + len(ends_L) - 1, lead, letters, lengths_N.tolist(), tail)


def _no_header(letters: bytes, label: str, line: int) -> InputError:
    start = letters[:12].decode("ascii", "replace")
    return InputError(f"{at(label, line)}: found {start!r} before any header; FASTA starts with '>'")
