"""Tables as text: comma, tab or semicolon between the columns, names in the first line, rows that may be quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from nuclex.core.errors import InputError, at, shown
from nuclex.data.columns import SAMPLE_ROWS, ReadConfig, choose_columns
from nuclex.data.compression import Text, lines, pieces
from nuclex.data.record import CONTROLS, Record

LONGEST_ROW = 1 << 26
"""Bytes; a longer row (a quote that is never closed, a file without lines) is refused."""
UNIT = b'"{""'
"""How a file of the Observed Antibody Space begins: its first line is a JSON text in one quoted cell."""
_DELIMITERS = {"csv": ",\t;", "tsv": "\t,;"}

Row = tuple[int, list[str]]
"""The line that a row starts on, and its fields."""


def read_table(text: Text, source: str, config: ReadConfig, suffix: str) -> Iterator[Record]:
    """The rows of a table as records; ``suffix`` is csv or tsv and decides where the first line fits both."""
    delimiter = {"csv": ",", "tsv": "\t"}.get(config.format or "") or delimiter_of(text.peek(), suffix)
    found = rows(text, delimiter)
    _, names = next(found, (0, []))
    sample = list(islice(found, SAMPLE_ROWS))
    if config.format == "airr":
        _check_airr(names, text.label)
    columns = choose_columns(names, [fields for _, fields in sample], config, text.label)
    for number, (line, fields) in enumerate(chain(sample, found), start=1):
        yield columns.record(fields, source, line, number, at(text.label, line))


def rows(text: Text, delimiter: str) -> Iterator[Row]:
    """The rows of a text, the names first; empty lines are left out.

    A first line that is a JSON text (of the Observed Antibody Space) is no row and is left out, too. A field may be
    quoted and then hold the delimiter, line ends and doubled quotes (RFC 4180). InputError with file
    and line: another number of fields than names, a quote that is not closed, bytes that are no text.
    """
    width, is_unit = 0, text.peek().removeprefix(b"\xef\xbb\xbf").startswith(UNIT)
    for start, fields in islice(_rows(text, delimiter), int(is_unit), None):
        width = width or len(fields)
        if len(fields) != width:
            raise InputError(f"{at(text.label, start)}: found {len(fields)} fields, the first line has {width}")
        yield start, fields


def delimiter_of(head: bytes, suffix: str) -> str:
    """What stands between the columns, by the first line; the suffix decides where several could."""
    first = head.lstrip(b"\r\n").split(b"\n", 1)[0].decode("utf-8", "replace")
    return next((mark for mark in _DELIMITERS.get(suffix, "\t,;") if mark in first), ",")


def _check_airr(names: Sequence[str], label: str) -> None:
    for needed in ("sequence_id", "sequence"):
        if needed not in names:
            found = ", ".join(shown(name, 30) for name in names[:8])
            raise InputError(f"{at(label, 1)}: an AIRR table has the column {needed!r}; found {found}")


def _rows(text: Text, delimiter: str) -> Iterator[Row]:
    row = _Row(text.label, delimiter)
    for piece in pieces(text):
        for line in lines(piece):
            row.add(line)
            if line.endswith(b"\n"):
                text.line += 1
                if (fields := row.fields()) is not None:
                    if fields != [""]:
                        yield row.start, fields
                    row = _Row(text.label, delimiter, text.line)
    if row.parts:
        fields = row.fields()
        if fields is None:
            raise InputError(f"{at(text.label, row.start)}: a quote is opened in this row and never closed")
        if fields != [""]:
            yield row.start, fields


class _Row:
    """One row, of one line or of several that a quoted field runs over."""

    def __init__(self, label: str, delimiter: str, start: int = 1) -> None:
        self.label, self.delimiter, self.start = label, delimiter, start
        self.parts: list[bytes] = []
        self._size = self._quotes = 0
        self._open = False

    def add(self, part: bytes) -> None:
        """A line, or a part of a long one."""
        self.parts.append(part)
        self._size += len(part)
        self._quotes += part.count(b'"')
        if self._size > LONGEST_ROW:
            why = "a quote that it opens is not closed" if self._open else "this is no table"
            raise InputError(f"{at(self.label, self.start)}: the row is longer than {LONGEST_ROW} bytes; {why}")

    def fields(self) -> list[str] | None:
        """The fields, or None where a quoted one goes on in the next line."""
        if self._open and self._quotes % 2:  # so many quotes cannot close it; spares parsing it at every line
            return None
        raw = b"".join(self.parts).removesuffix(b"\n").removesuffix(b"\r")
        if raw.translate(None, CONTROLS) != raw:
            byte = next(byte for byte in raw if byte in CONTROLS)
            raise InputError(
                f"{at(self.label, self.start)}: found byte 0x{byte:02x} in a table; this is not a text file"
            )
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{at(self.label, self.start)}: the row holds bytes that are not text (UTF-8)") from None
        if not self._quotes and "\r" not in line:
            return line.split(self.delimiter)
        try:
            found = _fields(line, self.delimiter)
        except ValueError as error:
            raise InputError(f"{at(self.label, self.start)}: {error}") from None
        self._open = found is None
        return found


def _fields(line: str, delimiter: str) -> list[str] | None:
    """The fields of a row with quotes; None where one is open at its end, ValueError where they make no sense."""
    fields, place = [], 0
    while True:
        if line.startswith('"', place):
            end = line.find('"', place + 1)
            while end >= 0 and line.startswith('"', end + 1):
                end = line.find('"', end + 2)
            if end < 0:
                return None
            fields.append(line[place + 1 : end].replace('""', '"'))
            place = end + 1
            if place < len(line) and line[place] != delimiter:
                raise ValueError(
                    f"found {shown(line[place : place + 12])} behind a closing quote; {delimiter!r} is needed"
                )
        else:
            end = line.find(delimiter, place)
            end = len(line) if end < 0 else end
            fields.append(line[place:end])
            if "\n" in fields[-1] or "\r" in fields[-1]:
                raise ValueError("a line ends inside a field that is not quoted")
            place = end
        if place == len(line):
            return fields
        place += 1
