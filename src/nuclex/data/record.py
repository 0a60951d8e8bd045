"""One sequence as a file holds it, and the rules that every format shares: which letters, which headers, how long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, compress, repeat
from typing import NamedTuple

import numpy as np

from nuclex.core.errors import InputError, at

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*-.~?"
BLANKS = b" \t\r"
LONGEST_HEADER = 1 << 20
"""Bytes; a longer header, row or line of a flat file is refused, so that no file fills the memory."""
LONGEST_SEQUENCE = 1 << 32
"""Letters; the longest chromosomes known are a few thousand million."""
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header holds: control characters but tab."""
CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
"""The bytes that no row or line holds: the same, but with their line ends."""
PLAIN = bytes(range(32, 127)) + b"\t\n"
"""What is in most headers; any other byte is a case for a strict parser."""
_LETTERS_AT_ONCE = 1 << 16


class Record(NamedTuple):
    """One sequence of a file, as written there.

    ``id`` is the first word of the header and ``description`` the whole header without ``>``; ``sequence`` keeps its
    case and symbols (but GenBank and EMBL, which know only lower case, give upper case); ``line`` is the line of the
    header or row, counted from 1 (Parquet and Arrow: the row).
    """

    id: str
    description: str
    sequence: bytes
    source: str
    line: int


_record = partial(tuple.__new__, Record)  # what Record(...) calls, from a tuple; a third faster for millions of them


@dataclass(frozen=True, slots=True)
class Batch:
    """N sequences that were read together: headers (UTF-8, neither empty nor with a line end), letters and lines.

    ``letters`` are those of all sequences end to end, ``lengths`` says how many are each one's. Whoever wants only
    letters (a tokenizer, a hash) saves making an object a sequence.
    """

    headers: list[bytes]
    letters: bytes
    lengths: list[int]
    lines: list[int]

    @property
    def sequences(self) -> list[bytes]:
        """The letters of each sequence, cut out anew."""
        return cut(self.letters, self.lengths)

    def names(self) -> tuple[list[str], list[str]]:
        """The ids, which are the first words of the headers, and the headers, as text."""
        texts = b"\n".join(self.headers).decode().split("\n") if self.headers else []
        return [text.split(None, 1)[0] for text in texts], texts

    def only(self, chosen: list[bool]) -> Batch:
        """Without those that are not chosen; itself where all are."""
        if all(chosen):
            return self
        letters, lengths = b"".join(compress(self.sequences, chosen)), list(compress(self.lengths, chosen))
        return Batch(list(compress(self.headers, chosen)), letters, lengths, list(compress(self.lines, chosen)))

    def records(self, source: str) -> Iterator[Record]:
        """The same as one Record each."""
        names, texts = self.names()
        return map(_record, zip(names, texts, self.sequences, repeat(source), self.lines))


def cut(letters: bytes, lengths: list[int]) -> list[bytes]:
    """A text in parts of these lengths."""
    if len(lengths) == 1:
        return [letters]  # which may be a chromosome
    return [letters[end - length : end] for length, end in zip(lengths, accumulate(lengths), strict=True)]


Found = tuple[bytes, bytes, int]
"""A header, the letters below it and the header's line: what a parser makes of one sequence."""


def batch_of(found: Iterable[Found | None]) -> Batch:
    """Sequences in one batch; None is none."""
    taken = [one for one in found if one is not None]
    sequences = [one[1] for one in taken]
    return Batch([one[0] for one in taken], b"".join(sequences), list(map(len, sequences)), [one[2] for one in taken])


def batches_of(records: Iterable[Record]) -> Iterator[Batch]:
    """Records in batches of some 64,000 letters, or one that is longer; what precedes an error is given before it."""
    held, letters = list[Found](), 0
    try:
        for record in records:
            held.append((record.description.encode(), record.sequence, record.line))
            letters += len(record.sequence)
            if letters >= _LETTERS_AT_ONCE:
                yield batch_of(held)
                held, letters = [], 0
    except InputError:
        yield batch_of(held)
        raise
    yield batch_of(held)


def only_letters(text: bytes) -> bool:
    """Whether a text is made of A to Z and a to z alone; a tenth of the time of looking each byte up."""
    if not text:
        return True
    places = np.frombuffer(text, dtype=np.uint8) | 32  # upper case falls on lower case, and nothing else does
    np.subtract(places, ord("a"), out=places)
    return int(np.maximum.reduce(places)) < 26


def header_text(header: bytes, label: str, line: int, mark: str = ">") -> bytes:
    """A header without the blanks around it; InputError where it is empty, no text, or holds control characters."""
    if len(header.rstrip(b"\r\n")) > LONGEST_HEADER:
        raise InputError(f"{at(label, line)}: the header is longer than {LONGEST_HEADER} bytes; not FASTA or FASTQ")
    try:
        text = header.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InputError(f"{at(label, line)}: the header holds bytes that are not text (UTF-8)") from None
    strange = CONTROL.search(text)
    if strange:
        raise InputError(
            f"{at(label, line)}: the header holds the control character {strange.group()!r}; lines end in LF or CRLF"
        )
    if not text:
        raise InputError(f"{at(label, line)}: the header has no id; {mark!r} is followed by at least one word")
    return text.encode()


def plain_headers(lines: list[bytes], mark: bytes) -> list[bytes] | None:
    """The headers of many header lines, as ``header_text`` has them; None where a line is out of the plain."""
    text = b"\n".join([b"", *lines])
    headers = text.split(b"\n" + mark)[1:]
    if len(headers) != len(lines) or text.translate(None, PLAIN):
        return None
    headers = list(map(bytes.strip, headers))
    return headers if all(headers) else None


def strange_letter(letters: bytes, where: str) -> InputError:
    """The refusal of the first byte that is no letter; ``where`` is the file and line."""
    byte = letters.translate(None, LETTERS)[0]
    shown = repr(chr(byte)) if 32 <= byte < 127 else f"byte 0x{byte:02x}"
    kind = "; this is not a text file" if byte < 32 else ""
    return InputError(f"{where}: found {shown} in a sequence; letters and the symbols * - . ~ ? are allowed{kind}")


def too_long(label: str, line: int) -> InputError:
    """The refusal of a sequence that no chromosome is as long as."""
    return InputError(f"{at(label, line)}: this sequence is longer than {LONGEST_SEQUENCE} letters; the limit is that")
