"""FASTA: a strict parser that goes line by line, and a fast one that takes many lines at a look.

The strict one is the reference: it says which line is wrong. The fast one accepts what is plainly right and gives the
rest, with its place, to the strict one; so both find the same records and the same errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from operator import sub

from nuclex.core.errors import InputError, at, shown
from nuclex.data.compression import Text, pieces
from nuclex.data.parser import one_by_one
from nuclex.data.record import (
    BLANKS,
    LETTERS,
    LONGEST_HEADER,
    LONGEST_SEQUENCE,
    PLAIN,
    Batch,
    Found,
    batch_of,
    header_text,
    only_letters,
    strange_letter,
    too_long,
)


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
        batch = _many(parser, piece[start:]) if fast and piece.endswith(b"\n") else None
        if batch is not None:
            yield batch
        else:
            yield from one_by_one(parser, piece[start:])
        text.line = parser.line
    yield batch_of([parser.end()])


def _many(parser: Fasta, piece: bytes) -> Batch | None:
    """What whole lines complete, found by looking at all of them at once; None where anything is out of the plain."""
    if len(piece) > LONGEST_HEADER:
        return None
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    heads, sequences, ends = _unwrapped(piece) or _joined(piece)
    letters = b"".join(sequences)
    left = b"" if only_letters(letters) else letters.translate(None, LETTERS)
    if left.translate(None, BLANKS) or not all(heads) or b"\n".join(heads).translate(None, PLAIN):
        return None
    if left:
        sequences = [sequence.translate(None, BLANKS) for sequence in sequences]
    if (parser.header is None and sequences[0]) or not all(sequences[1:-1]):
        return None
    return _completed(parser, heads, sequences, ends)


_Split = tuple[list[bytes], list[bytes], list[int]]
"""Headers; the letters in front of the first and below each, one more than headers; the line ends among those."""


def _joined(piece: bytes) -> _Split:
    """Lines of any number below each header."""
    lead, *more = piece.split(b">")
    if (lead and not lead.endswith(b"\n")) or not {part[-1:] for part in more} <= {b"\n"}:
        # slower, and knows the ">" of a line from one inside a header
        lead, *more = [part + b"\n" for part in b"\n".join([b"", piece[:-1]]).split(b"\n>")]
        lead = lead[1:]
    split = [part.partition(b"\n") for part in more]
    bodies = [lead, *[body for _, _, body in split]]
    sequences = [body.replace(b"\n", b"") for body in bodies]
    return [head.strip() for head, _, _ in split], sequences, list(map(sub, map(len, bodies), map(len, sequences)))


def _unwrapped(piece: bytes) -> _Split | None:
    """One line below each header, which is quicker; None where it is not so."""
    start = piece.find(b">")
    second = piece.find(b"\n", piece.find(b"\n", start) + 1) + 1
    if start < 0 or piece[second : second + 1] != b">" or (start and piece[start - 1 : start] != b"\n"):
        return None
    lines = piece[start:].split(b"\n")
    open_ended = len(lines) % 2 == 0  # the last line is a header
    lines += [b""] * open_ended
    heads = lines[:-1:2]
    if {head[:1] for head in heads} != {b">"}:
        return None
    lead = piece[:start]
    ends = [lead.count(b"\n"), *[1] * (len(heads) - 1), int(not open_ended)]
    return [head[1:].strip() for head in heads], [lead.replace(b"\n", b""), *lines[1::2]], ends


def _completed(parser: Fasta, heads: list[bytes], sequences: list[bytes], ends: list[int]) -> Batch:
    """Close the open sequence and all below it but the last, which stays open; ``ends`` counts their lines."""
    if parser.header is not None:
        parser.add(sequences[0])
    lines = list(accumulate([count + 1 for count in ends[1:]], initial=parser.line + ends[0]))
    if not heads:
        parser.line = lines[0]
        return Batch([], [], [])
    batch = Batch(heads[:-1], sequences[1:-1], lines[:-2])
    first = parser.end()
    if first is not None:
        batch = Batch([first[0], *heads[:-1]], [first[1], *sequences[1:-1]], [first[2], *lines[:-2]])
    parser.header, parser.start, parser.length, parser.parts = heads[-1], lines[-2], len(sequences[-1]), sequences[-1:]
    parser.line = lines[-1]
    return batch


def _no_header(letters: bytes, label: str, line: int) -> InputError:
    start = letters[:12].decode("ascii", "replace")
    return InputError(f"{at(label, line)}: found {start!r} before any header; FASTA starts with '>'")
