"""Secondary structures in files: connectivity tables (.ct), .bpseq, and bpRNA's .st.

Positions are 1-based in all three formats and 0-based here. The ``parse_*`` functions take the text of a file and
``source``, the name that messages give; the ``read_*`` functions take a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from nuclex.bio.base_pairs import Pairs, as_pairs, from_partners, to_partners
from nuclex.bio.dot_bracket import parse_dot_bracket, to_dot_bracket
from nuclex.core.artifact import atomic_file
from nuclex.core.errors import InputError, at, shown

_Line: TypeAlias = tuple[int, str]  # its number in the file, from 1, and its text without blanks at the ends
_Row: TypeAlias = tuple[int, int, str, int]  # line, position, letter, partner; both positions from 1, 0 for none

_CT_COLUMNS = 6
_BPSEQ_COLUMNS = 3

# What folding programs put between the length and the name: "ENERGY = -3.1", "dG = -3.1 [initially -3.5]".
_ENERGY = re.compile(r"^(?:ENERGY|dG)\s*=\s*[-+]?[0-9.]+(?:\s*\[[^]]*\])?(?:\s+|$)", re.IGNORECASE)
_NAME = re.compile(r"#\s*Name:(.*)", re.IGNORECASE)
_LENGTH = re.compile(r"#\s*Length:\s*0*([0-9]+)\s*$", re.IGNORECASE)
# The lines above the table in files of the Comparative RNA Web Site, which have no "#".
_CRW_HEADER = re.compile(r"(?:Filename|Organism|Accession Number|Citation)[^:]*:", re.IGNORECASE)
_BLANKS = " \t"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, eq=False)
class Structure:
    """An RNA with its secondary structure: name, sequence (L letters, case kept) and base pairs (P, 2).

    Equal if all three are; the pairs are brought into order and cannot be changed.
    """

    name: str
    sequence: str
    pairs: Pairs

    def __post_init__(self) -> None:
        if not self.sequence:
            raise InputError(f"structure {shown(self.name)}: the sequence is empty")
        for position, letter in enumerate(self.sequence):
            if not _is_letter(letter):
                raise InputError(
                    f"structure {shown(self.name)}: {letter!r} at position {position} is no letter of a sequence"
                )
        pairs = as_pairs(self.pairs, len(self.sequence)).copy()
        pairs.setflags(write=False)
        object.__setattr__(self, "pairs", pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, bytes]:
        return self.name, self.sequence, self.pairs.tobytes()

    @property
    def dot_bracket(self) -> str:
        """The pairs in dot-bracket notation, as long as the sequence."""
        return to_dot_bracket(self.pairs, len(self.sequence))


def read_ct(path: str | Path) -> Structure:
    """The structure of a connectivity table (.ct) that holds exactly one; see ``read_ct_all`` for more."""
    structures = read_ct_all(path)
    if len(structures) != 1:
        raise InputError(f"{at(path)}: holds {len(structures)} structures where one was asked for; use read_ct_all")
    return structures[0]


def read_ct_all(path: str | Path) -> tuple[Structure, ...]:
    """All structures of a connectivity table (.ct), such as a list of alternative foldings of one RNA."""
    return parse_ct(_text(path), str(path))


def parse_ct(text: str, source: str) -> tuple[Structure, ...]:
    """The structures in the text of a connectivity table, in order; there is at least one.

    Each is a line ``N name``, ``N ENERGY = e name`` or ``N dG = e name``, then N lines of position, letter, previous,
    next, partner (0 for none) and historical number. The name is what follows the energy; the energy, the neighbours
    and the historical numbers are not kept. Blank lines and lines that begin with ``#`` are passed over.
    """
    lines = [line for line in _lines(text, source) if not line[1].startswith("#")]
    structures: list[Structure] = []
    place = 0
    while place < len(lines):
        line, header = lines[place]
        length, name = _ct_header(source, lines[place])
        rows = lines[place + 1 : place + 1 + length]
        if len(rows) < length:
            raise InputError(
                f"{at(source, line)}: {shown(header)} announces {length} positions, {len(rows)} lines follow"
            )
        structures.append(_structure(source, name, [_row(source, row, _CT_COLUMNS) for row in rows]))
        place += 1 + length
    if not structures:
        raise InputError(f"{at(source)}: holds no structure; a connectivity table begins with a line such as '76 name'")
    return tuple(structures)


def write_ct(path: str | Path, *structures: Structure) -> None:
    """Write one or more structures as a connectivity table (.ct); ``read_ct`` gives them back exactly.

    Base triples do not fit the format and are an InputError, as is a name of several lines.
    """
    if not structures:
        raise InputError(f"{at(path)}: no structure was given to write")
    _write(path, [line for structure in structures for line in ct_lines(structure)])


def ct_lines(structure: Structure) -> list[str]:
    """The lines of a structure in a connectivity table, without their ends; tables of several follow each other."""
    length = len(structure.sequence)
    if _ENERGY.match(structure.name):
        raise InputError(f"structure {shown(structure.name)}: a name in a .ct file cannot begin like an energy")
    lines = [f"{length} {_one_line(structure.name)}"]
    partners = to_partners(structure.pairs, length).tolist()
    for i, (letter, j) in enumerate(zip(structure.sequence, partners, strict=True)):
        following = i + 2 if i + 1 < length else 0
        lines.append(f"{i + 1} {letter} {i} {following} {j + 1} {i + 1}")
    return lines


def read_bpseq(path: str | Path) -> Structure:
    """The structure in a .bpseq file."""
    return parse_bpseq(_text(path), str(path))


def parse_bpseq(text: str, source: str) -> Structure:
    """The structure in the text of a .bpseq file: lines of position, letter and partner (0 for none).

    The name is that of a comment ``#Name: …``, else the file's name without its ending. Comments, blank lines and
    the four header lines of the Comparative RNA Web Site are passed over.
    """
    name: str | None = None
    rows: list[_Row] = []
    for line in _lines(text, source):
        if line[1].startswith("#"):
            found = _NAME.match(line[1])
            name = _name(source, line[0], found[1]) if found and name is None else name
        elif rows or not _CRW_HEADER.match(line[1]):
            rows.append(_row(source, line, _BPSEQ_COLUMNS))
    if not rows:
        raise InputError(f"{at(source)}: holds no position; a .bpseq file has lines such as '1 G 72'")
    return _structure(source, Path(source).stem if name is None else name, rows)


def write_bpseq(path: str | Path, structure: Structure) -> None:
    """Write a structure as a .bpseq file; ``read_bpseq`` gives it back exactly.

    Base triples do not fit the format and are an InputError, as is a name of several lines.
    """
    _write(path, bpseq_lines(structure))


def bpseq_lines(structure: Structure) -> list[str]:
    """The lines of a structure in a .bpseq file, without their ends."""
    partners = to_partners(structure.pairs, len(structure.sequence)).tolist()
    rows = enumerate(zip(structure.sequence, partners, strict=True), start=1)
    return [f"#Name: {_one_line(structure.name)}", *(f"{i} {letter} {j + 1}" for i, (letter, j) in rows)]


def read_st(path: str | Path) -> Structure:
    """The structure in one of bpRNA's .st files."""
    return parse_st(_text(path), str(path))


def parse_st(text: str, source: str) -> Structure:
    """The structure in the text of a .st file of bpRNA (doi:10.1093/nar/gky285).

    After comments (``#Name: …``, ``#Length: …``) come the sequence and its dot-bracket structure. What follows, the
    annotation of loops and segments, is derived from these two and is not read.
    """
    name, announced = Path(source).stem, None
    body: list[_Line] = []
    for line in _lines(text, source):
        if not line[1].startswith("#"):
            body.append(line)
        elif found := _NAME.match(line[1]):
            name = _name(source, line[0], found[1])
        elif found := _LENGTH.match(line[1]):
            announced = found[1]
    if len(body) < 2:
        raise InputError(
            f"{at(source)}: found {len(body)} lines after the comments; a sequence and a structure are needed"
        )
    (sequence_line, sequence), (brackets_line, brackets) = body[:2]
    if announced is not None and announced != str(len(sequence)):  # as text: it may have any number of digits
        raise InputError(
            f"{at(source, sequence_line)}: the sequence has {len(sequence)} letters, #Length says {announced[:12]}"
        )
    if len(brackets) != len(sequence):
        where = at(source, brackets_line)
        raise InputError(f"{where}: the structure has {len(brackets)} marks, the sequence {len(sequence)} letters")
    try:
        return Structure(name, sequence, parse_dot_bracket(brackets))
    except InputError as error:
        raise InputError(f"{at(source, brackets_line)}: {error}") from None


def _structure(source: str, name: str, rows: list[_Row]) -> Structure:
    """Check a table of partners line by line, so that a message can name the line, and make it a structure."""
    length = len(rows)
    for expected, (line, position, letter, partner) in enumerate(rows, start=1):
        if position != expected:
            raise InputError(f"{at(source, line)}: found position {position} where {expected} comes next")
        if len(letter) != 1 or not _is_letter(letter):
            raise InputError(f"{at(source, line)}: found {shown(letter)} where one letter of the sequence is expected")
        if partner > length or partner == position:
            raise InputError(
                f"{at(source, line)}: position {position} has the partner {partner} in an RNA of length {length}"
            )
        if partner and rows[partner - 1][3] != position:
            back = rows[partner - 1][3]
            raise InputError(
                f"{at(source, line)}: position {position} has the partner {partner}, which has {back}, not {position}"
            )
    pairs = from_partners([partner - 1 for _, _, _, partner in rows])
    return Structure(name, "".join(letter for _, _, letter, _ in rows), pairs)


def _row(source: str, line: _Line, expected: int) -> _Row:
    number, text = line
    columns = [column for column in text.replace("\t", " ").split(" ") if column]
    is_ct = expected == _CT_COLUMNS  # UNAFold adds two more columns
    fits = len(columns) >= expected if is_ct else len(columns) == expected
    partner = columns[4 if is_ct else 2] if fits else ""
    if not fits or not _is_number(columns[0]) or not _is_number(partner):
        example = "'1 G 0 2 72 1'" if is_ct else "'1 G 72'"
        raise InputError(f"{at(source, number)}: found {shown(text)} where a line such as {example} is expected")
    return number, int(columns[0]), columns[1], int(partner)


def _ct_header(source: str, line: _Line) -> tuple[int, str]:
    number, text = line
    length, _, rest = text.replace("\t", " ").partition(" ")
    if not _is_number(length) or int(length) == 0:
        raise InputError(f"{at(source, number)}: found {shown(text)} where a line such as '76 name' is expected")
    return int(length), _name(source, number, _ENERGY.sub("", rest.strip(_BLANKS), count=1))


def _is_number(text: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None


def _is_letter(letter: str) -> bool:
    return letter.isprintable() and not letter.isspace()


def _lines(text: str, source: str) -> list[_Line]:
    """The lines that are not blank; not str.splitlines, which also splits at marks that a name may hold."""
    found: list[_Line] = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if strange := _CONTROL.search(line):
            raise InputError(f"{at(source, number)}: holds the control character {strange.group()!r}; not plain text")
        if stripped := line.strip(_BLANKS):
            found.append((number, stripped))
    return found


def _name(source: str, line: int, found: str) -> str:
    """A name that a file gives, without the blanks around it; one that could not be written again is refused."""
    name = found.strip(_BLANKS)
    if not name.isprintable():
        raise InputError(f"{at(source, line)}: the name {shown(name)} holds a letter that cannot be printed")
    return name


def _one_line(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise InputError(
            f"structure {shown(name)}: a name in a file is one line of printable letters, with no blank at its ends"
        )
    return name


def _text(path: str | Path) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{at(path)}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        end = b"\n" if b"\n" in content else b"\r"
        line = content.count(end, 0, error.start) + 1
        raise InputError(f"{at(path, line)}: is not UTF-8 text, which files of structures are written in") from None


def _write(path: str | Path, lines: list[str]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
