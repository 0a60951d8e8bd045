"""FASTQ: reads with qualities, four lines each or wrapped; the qualities are checked and left out.

As with FASTA a strict parser goes line by line and names the wrong line, and a fast look takes many lines at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nuclex.core.errors import InputError, at, shown
from nuclex.data.compression import Text, pieces
from nuclex.data.parser import one_by_one
from nuclex.data.record import (
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

QUALITIES = bytes(range(33, 127))
"""The symbols of qualities, from ! (the worst) to ~, in all of the FASTQ variants (doi:10.1093/nar/gkp1137)."""


class Fastq:
    """The strict parser, fed line by line. ``part`` is what the next line may be: header, sequence or quality."""

    def __init__(self, label: str) -> None:
        self.label, self.line = label, 1
        self._part, self._inside = "header", False
        self._header, self._start, self._letters = b"", 0, list[bytes]()
        self._length = self._qualities = 0

    @property
    def ready(self) -> bool:
        """Between two reads, at the start of a line."""
        return self._part == "header" and not self._inside

    def feed(self, piece: bytes) -> Found | None:
        """One line, or a part of a long line."""
        inside, line, ended = self._inside, self.line, piece.endswith(b"\n")
        self._inside = not ended
        self.line += ended
        text = (piece[:-1] if ended else piece).removesuffix(b"\r")
        if self._part == "quality":
            return self._quality(text, line, ended)
        if self._part == "header":
            self._open(text, line)
        elif text.startswith(b"+") and not inside:
            self._middle(text[1:], line)
        else:
            self._sequence(text, line)
        return None

    def end(self) -> Found | None:
        """Nothing follows; InputError where a read is cut off."""
        if self._part == "header":
            return None
        if self._part == "quality" and self._qualities == self._length:
            return self._take()
        name = shown(self._header.decode().split(maxsplit=1)[0])
        lacks = "its + line and qualities" if self._part == "sequence" else "its qualities"
        if self._part == "quality" and self._qualities:
            lacks = f"{self._length - self._qualities} of its {self._length} qualities"
        raise InputError(f"{at(self.label, self._start)}: the file ends before {name} has {lacks}")

    def _open(self, text: bytes, line: int) -> None:
        if not text:
            return
        if not text.startswith(b"@"):
            start = shown(text[:12].decode("ascii", "replace"))
            raise InputError(f"{at(self.label, line)}: found {start} where a read should start; FASTQ reads start '@'")
        self._header = header_text(text[1:], self.label, line, "@")
        self._part, self._start, self._letters, self._length = "sequence", line, [], 0

    def _sequence(self, text: bytes, line: int) -> None:
        if text.translate(None, LETTERS):
            raise strange_letter(text, at(self.label, line))
        self._letters.append(text)
        self._length += len(text)
        if self._length > LONGEST_SEQUENCE:
            raise too_long(self.label, self._start)

    def _middle(self, again: bytes, line: int) -> None:
        name = shown(self._header.decode().split(maxsplit=1)[0])
        if not self._length:
            raise InputError(f"{at(self.label, self._start)}: {name} has no sequence; every read needs one below it")
        if again and again.strip() != self._header:
            raise InputError(
                f"{at(self.label, line)}: the + line names another read than {name}; it repeats it or is +"
            )
        self._part, self._qualities = "quality", 0

    def _quality(self, text: bytes, line: int, ended: bool) -> Found | None:
        if strange := text.translate(None, QUALITIES):
            raise InputError(
                f"{at(self.label, line)}: found byte 0x{strange[0]:02x} in the qualities; symbols ! to ~ are allowed"
            )
        self._qualities += len(text)
        if self._qualities > self._length:
            raise InputError(
                f"{at(self.label, line)}: found more qualities than letters: {self._length} letters are above the +"
            )
        return self._take() if ended and self._qualities == self._length else None

    def _take(self) -> Found:
        self._part = "header"
        return self._header, b"".join(self._letters), self._start


def read_fastq(text: Text, *, fast: bool = True) -> Iterator[Batch]:
    """The reads of a FASTQ text, without their qualities; not ``fast`` is the strict parser alone."""
    parser = Fastq(text.label)
    for piece in pieces(text):
        start = 0
        while fast and not parser.ready and start < len(piece):
            end = piece.find(b"\n", start) + 1 or len(piece)
            yield from one_by_one(parser, piece[start:end])
            start = end
        batch, size = _many(parser, piece[start:]) if fast and piece.endswith(b"\n") else (None, 0)
        if batch is not None:
            yield batch
        yield from one_by_one(parser, piece[start + size :])
        text.line = parser.line
    yield batch_of([parser.end()])


def _many(parser: Fastq, piece: bytes) -> tuple[Batch | None, int]:
    """The four-line reads at the start of a piece, and their bytes; none where anything is out of the plain."""
    lines = piece.split(b"\n")
    whole = (len(lines) - 1) // 4 * 4
    rest = len(b"\n".join(lines[whole:]))
    del lines[whole:]
    if b"\r" in piece:
        lines = [line.removesuffix(b"\r") for line in lines]
    heads, sequences, middles, qualities = lines[::4], lines[1::4], lines[2::4], lines[3::4]
    headers = plain_headers(heads, b"@") if len(piece) <= LONGEST_HEADER else None
    if headers is None:
        return None, 0
    letters, lengths = b"".join(sequences), list(map(len, sequences))
    plain = (
        all(lengths)
        and lengths == list(map(len, qualities))
        and only_letters(letters)
        and _are_qualities(b"".join(qualities))
        and (middles.count(b"+") == len(middles) or _repeated(middles, headers))
    )
    if not plain:
        return None, 0
    batch = Batch(headers, letters, lengths, list(range(parser.line, parser.line + whole, 4)))
    parser.line += whole
    return batch, len(piece) - rest


def _are_qualities(text: bytes) -> bool:
    symbols = np.frombuffer(text, dtype=np.uint8)
    return not text or (int(symbols.min()) >= QUALITIES[0] and int(symbols.max()) <= QUALITIES[-1])


def _repeated(middles: list[bytes], headers: list[bytes]) -> bool:
    """Whether every + line is bare or names its read again."""
    return all(
        middle == b"+" or (middle.startswith(b"+") and middle[1:].strip() == header)
        for middle, header in zip(middles, headers, strict=True)
    )
