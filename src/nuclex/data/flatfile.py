"""GenBank and EMBL entries: the sequence, its accession, organism and kind of molecule.

A strict parser of our own reads them line by line: the stated length and the running count beside each line of letters
must agree with the letters, so that an entry that is cut or shifted is noticed. The formats are those of the GenBank
release notes (section 3.4) and of the EMBL user manual (section 3.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nuclex.core.errors import InputError, at, shown
from nuclex.data.compression import Text, lines, pieces
from nuclex.data.record import CONTROLS, LETTERS, LONGEST_HEADER, LONGEST_SEQUENCE, Record, strange_letter, too_long

Kind = Literal["genbank", "embl"]

_STARTS = {"genbank": b"LOCUS ", "embl": b"ID "}
_QUALIFIERS = {b"/organism=": "organism", b"/mol_type=": "mol_type"}
_UNITS = ("bp", "rc", "aa")


@dataclass
class _Entry:
    """What is known of the entry that is being read."""

    start: int
    name: str
    stated: int
    version: str = ""
    accession: str = ""
    marks: dict[str, str] = field(default_factory=dict)
    elsewhere: str = ""  # the keyword of an entry that only says where its letters are
    letters: list[bytes] = field(default_factory=list)
    length: int = 0
    reading: bool = False  # below ORIGIN or SQ

    def mark(self, key: str, value: str) -> None:
        """Remember what is said first."""
        if value.strip() and key not in self.marks:
            self.marks[key] = "_".join(value.split())

    def record(self, source: str) -> Record:
        """The record, its id being accession.version where the entry has one.

        Letters become upper case: the formats write all in lower case, which marks no repeats there.
        """
        name = self.version or self.accession or self.name
        words = [f"{key}={value}" for key, value in sorted(self.marks.items())]
        return Record(name, " ".join([name, *words]), b"".join(self.letters).upper(), source, self.start)


def read_flatfile(text: Text, source: str, kind: Kind) -> Iterator[Record]:
    """The entries of a GenBank or EMBL file, one at a time.

    The id is accession.version; the description adds ``mol_type=…`` and ``organism=…`` with _ for blanks. InputError
    with file and line: a protein, an entry without letters (CONTIG, CO), one that is cut off, a length that is wrong.
    """
    parser = _FlatFile(text.label, kind)
    for piece in pieces(text):
        for line in lines(piece):
            entry = parser.feed(line)
            text.line = parser.line
            if entry is not None:
                yield entry.record(source)
    parser.end()


class _FlatFile:
    """The strict parser, fed line by line."""

    def __init__(self, label: str, kind: Kind) -> None:
        self.label, self.kind, self.line = label, kind, 1
        self._entry: _Entry | None = None

    def feed(self, raw: bytes) -> _Entry | None:
        """One line; gives the entry that it ends."""
        where, entry = at(self.label, self.line), self._entry
        if len(raw) > LONGEST_HEADER:
            raise InputError(f"{where}: the line is longer than {LONGEST_HEADER} bytes; lines of this format have 80")
        if raw.translate(None, CONTROLS) != raw:
            byte = next(byte for byte in raw if byte in CONTROLS)
            raise InputError(f"{where}: found byte 0x{byte:02x}; this is not a text file")
        line = raw.rstrip()
        if entry is None:
            if line:
                self._entry = self._open(line, where)
        elif line.startswith(b"//"):
            self._close(entry, where)
            self._entry = None
        elif line.startswith(_STARTS[self.kind]):
            raise InputError(f"{where}: a new entry starts, and // has not ended {shown(entry.name)} before it")
        elif entry.reading:
            self._letters(entry, line, where)
        else:
            (_genbank_line if self.kind == "genbank" else _embl_line)(entry, line, where)
        self.line += raw.endswith(b"\n")
        return entry if self._entry is None else None

    def end(self) -> None:
        """Nothing follows; InputError inside an entry."""
        if self._entry is not None:
            name = shown(self._entry.name)
            raise InputError(
                f"{at(self.label, self._entry.start)}: the file ends inside the entry {name}, before its //"
            )

    def _open(self, line: bytes, where: str) -> _Entry:
        if not line.startswith(_STARTS[self.kind]):
            start, wanted = shown(line[:20].decode("ascii", "replace")), _STARTS[self.kind].decode().strip()
            raise InputError(f"{where}: found {start} where an entry should start; entries start with {wanted}")
        read = _locus if self.kind == "genbank" else _identification
        name, version, length, unit = read(_text(line, where))
        if not name or not length.isdecimal() or len(length) > 12 or unit not in _UNITS:
            wanted = "LOCUS name 123 bp" if self.kind == "genbank" else "ID name; …; 123 BP."
            raise InputError(
                f"{where}: found {shown(line.decode('utf-8'))}; name and length are needed, as in {wanted!r}"
            )
        if unit == "aa":
            raise InputError(f"{where}: {shown(name)} is a protein of {length} amino acids; DNA or RNA is needed")
        return _Entry(self.line, name, int(length), version)

    def _close(self, entry: _Entry, where: str) -> None:
        if not entry.length:
            named = f" (its {entry.elsewhere} line only says where it is)" if entry.elsewhere else ""
            start = at(self.label, entry.start)
            raise InputError(
                f"{start}: {shown(entry.name)} has no sequence{named}; an entry with its letters is needed"
            )
        if entry.length != entry.stated:
            raise InputError(
                f"{where}: {shown(entry.name)} has {entry.length} letters, its first line states {entry.stated}"
            )

    def _letters(self, entry: _Entry, line: bytes, where: str) -> None:
        words = line.split()
        if not words:
            return
        count, groups = (words[0], words[1:]) if self.kind == "genbank" else (words[-1], words[:-1])
        letters = b"".join(groups)
        if letters.translate(None, LETTERS):
            raise strange_letter(letters, where)
        expected = entry.length + (1 if self.kind == "genbank" else len(letters))
        if not count.isdigit() or len(count) > 12 or int(count) != expected:
            place = "in front of" if self.kind == "genbank" else "behind"
            found = shown(count.decode("ascii", "replace"))
            raise InputError(f"{where}: found {found} {place} the letters, where their count, {expected}, is needed")
        entry.letters.append(letters)
        entry.length += len(letters)
        if entry.length > LONGEST_SEQUENCE:
            raise too_long(self.label, entry.start)


def _locus(line: str) -> tuple[str, str, str, str]:
    """Name, version, length and unit of ``LOCUS  name  123 bp  DNA …``; nothing where the line is not so."""
    words = line.split()
    for place in range(3, len(words)):
        if words[place] in _UNITS and words[place - 1].isdecimal():
            return "_".join(words[1 : place - 1]), "", words[place - 1], words[place]
    return "", "", "", ""


def _identification(line: str) -> tuple[str, str, str, str]:
    """The same of ``ID  X56734; SV 1; …; 123 BP.``, or the older ``ID  X56734  standard; …; 123 BP.``"""
    parts = [part.split() for part in line[2:].rstrip(".").split(";")]
    if not parts[0] or len(parts[-1]) != 2:
        return "", "", "", ""
    name, (length, unit) = parts[0][0], parts[-1]
    versions = [part[1] for part in parts[1:] if len(part) == 2 and part[0] == "SV"]
    return name, f"{name}.{versions[0]}" if versions else "", length, unit.lower()


def _genbank_line(entry: _Entry, line: bytes, where: str) -> None:
    """One line above the letters of a GenBank entry."""
    key, value = line[:12].strip(), line[12:]
    if line.startswith(b"ORIGIN"):
        entry.reading = True
    elif key == b"VERSION":
        entry.version = _first_word(value, where)
    elif key == b"ACCESSION":
        entry.accession = _first_word(value, where)
    elif key == b"ORGANISM":
        entry.mark("organism", _text(value, where))
    elif key in (b"CONTIG", b"WGS", b"WGS_SCAFLD", b"TSA"):
        entry.elsewhere = key.decode()
    else:
        _qualifier(entry, line.strip(), where)


def _embl_line(entry: _Entry, line: bytes, where: str) -> None:
    """One line above the letters of an EMBL entry."""
    key, value = line[:2], line[5:]
    if key == b"SQ":
        entry.reading = True
    elif key == b"AC" and not entry.accession:
        entry.accession = _first_word(value, where).rstrip(";")
    elif key == b"SV":
        entry.version = _first_word(value, where)
    elif key == b"OS":
        entry.mark("organism", _text(value, where))
    elif key == b"CO":
        entry.elsewhere = "CO"
    elif key == b"FT":
        _qualifier(entry, value.strip(), where)


def _qualifier(entry: _Entry, text: bytes, where: str) -> None:
    """A qualifier of the feature table that says what the molecule is; the first one is that of the source."""
    for start, key in _QUALIFIERS.items():
        if text.startswith(start):
            entry.mark(key, _text(text.removeprefix(start).strip(b'"'), where))


def _first_word(value: bytes, where: str) -> str:
    words = _text(value, where).split()
    return words[0] if words else ""


def _text(value: bytes, where: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{where}: the line holds bytes that are not text (UTF-8)") from None
