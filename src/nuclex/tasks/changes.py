"""What a change of a sequence does, in one's own tables: how changes are written there, and what they make of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from nuclex.bio.alphabet import to_rna
from nuclex.core.errors import InputError, at, shown
from nuclex.data.read import read_sequences
from nuclex.data.record import LETTERS, strange_letter
from nuclex.data.table import Row
from nuclex.tasks.base import SPLITS, TASKS, Example, Shape, Split, Task
from nuclex.tasks.table import Found, Naming, Places, Read, Table, TableConfig, number

_BASES = "[ACGTURYKMSWBDHVNacgturykmswbdhvn]+"
_PLACE = r"(?P<first>\d{1,9})(?:_(?P<last>\d{1,9}))?"
_CHANGE = re.compile(
    rf"(?:[gnrm]\.)?(?:(?P<out>{_BASES})(?P<at>\d{{1,9}})(?P<put>{_BASES}|-)"
    rf"|{_PLACE}(?:(?P<from>{_BASES})>(?P<to>{_BASES})|(?P<del>del)(?P<gone>{_BASES})?(?:ins(?P<new>{_BASES}))?"
    rf"|ins(?P<between>{_BASES})))"
)
_SEPARATORS = re.compile(r"[,;:\s]+")
_FORMS = "A12G, 12A>G, 12del, 12_14del, 12_13insAC or 12_14delinsAC, several with a comma between them"
_NOTHING = ("", "-", ".")


class Change(NamedTuple):
    """A stretch of a sequence, 0-based and half-open, what is said to stand there (None: not said), and what comes."""

    start: int
    end: int
    reference: str | None
    alternative: str


def read_changes(text: str, where: str, first: int = 1) -> tuple[Change, ...]:
    """The changes that a text names; ``first`` is the number of the sequence's first nucleotide.

    Substitutions as ``A12G`` or ``12A>G``, and HGVS' ``12del``, ``12_14del``, ``12_13insAC``, ``12_14delinsAC``, with
    ``g.``, ``n.``, ``r.``, ``m.`` or nothing before them (doi:10.1002/humu.22981). InputError for anything else, also
    ``c.``, which counts from the start codon.

    >>> [tuple(change) for change in read_changes("A12G, n.14_15insCC", "x")]
    [(11, 12, 'A', 'G'), (14, 14, None, 'CC')]
    """
    words = [word for word in _SEPARATORS.split(text.strip()) if word]
    if not words:
        raise InputError(f"{where}: the change is nothing; needed: {_FORMS}")
    return tuple(_change(word, where, first) for word in words)


def _change(word: str, where: str, first: int) -> Change:
    found = _CHANGE.fullmatch(word)
    if found is None:
        why = ", which counts from the start codon" if word.startswith("c.") else ""
        raise InputError(f"{where}: the change is {shown(word)}{why}; allowed: {_FORMS}")
    if found["at"] is not None:
        start, out = int(found["at"]) - first, found["out"]
        return Change(start, start + len(out), out, found["put"].replace("-", ""))
    start = int(found["first"]) - first
    if found["between"] is not None:
        if found["last"] is None or int(found["last"]) != int(found["first"]) + 1:
            raise InputError(f"{where}: {shown(word)} inserts between two neighbours, as 12_13insAC")
        return Change(start + 1, start + 1, None, found["between"])
    known = found["from"] or found["gone"]
    length = len(known) if known else 1
    end = start + length if found["last"] is None else int(found["last"]) - first + 1
    if end <= start or (known and end - start != length):
        raise InputError(f"{where}: {shown(word)} names a stretch that is not as long as its letters")
    return Change(start, end, known, found["to"] or found["new"] or "")


def changed(sequence: str, changes: Sequence[Change], where: str, first: int = 1) -> str:
    """The sequence with the changes in it; positions are those of the sequence as it is.

    InputError where a change lies outside, overlaps another, or says that other letters stand there (case, T and U
    aside); ``first`` is the number that messages give the first nucleotide.
    """
    parts, reached, before = list[str](), 0, (-1, -1)
    for start, end, reference, alternative in sorted(changes, key=lambda change: change[:2]):
        if not 0 <= start <= end <= len(sequence):
            outside = start if start < 0 or start >= len(sequence) else end - 1
            raise InputError(
                f"{where}: position {outside + first} is not in the sequence, whose {len(sequence)} nucleotides are "
                f"counted from {first}"
            )
        if start < reached or (start, end) == before:
            raise InputError(f"{where}: two changes overlap at position {start + first}; each nucleotide changes once")
        there = sequence[start:end]
        if reference is not None and to_rna(there.upper()) != to_rna(reference.upper()):
            raise InputError(
                f"{where}: the sequence has {shown(there)} at position {start + first}, the change says "
                f"{shown(reference)}"
            )
        parts += [sequence[reached:start], alternative]
        reached, before = end, (start, end)
    return "".join(parts) + sequence[reached:]


Alter = Callable[[list[str], str, str], str]
"""The changed sequence, from a row, the sequence, and the ``file:line`` that a refusal names."""
_USUAL = {"alternative": ("alternative",), "change": ("change",), "position": ("position", "ref", "alt")}
"""The ways of saying a change, by their first column, and what their columns are called by default."""


@TASKS.register
class TableVariantConfig(TableConfig):
    """What changes of one's own sequences do: a table with a measured number a change, CSV or TSV.

    The change is the whole changed sequence (``alternative``), words such as ``A12G`` or HGVS' (``change``), or the
    columns ``position``, ``ref`` and ``alt`` (``-``: deleted); by default whichever the table has. The sequence as it
    was stands in the same row, or with ``labels`` in a file of its own, many changes a sequence, told by its id.
    Positions are counted from ``first``. What is not given is carved from train by whole sequences, so that no change
    of a sequence of the test was learned from; ``by = "change"`` where there are only one or two.
    """

    kind: Literal["table-variant"] = "table-variant"
    shape: ClassVar[Shape] = Shape.VARIANT
    alternative_column: str | None = Field(default=None, description="the changed sequences")
    change_column: str | None = Field(default=None, description="changes in words: A12G, 12A>G, 12del, 12_13insAC")
    position_column: str | None = Field(default=None, description="where the letters of ref_column begin")
    ref_column: str = Field(default="ref", description="the letters that are changed")
    alt_column: str = Field(default="alt", description="the letters that come for them")
    first: Literal[0, 1] = Field(default=1, description="the number of a sequence's first nucleotide")
    by: Literal["sequence", "change"] = Field(default="sequence", description="what is carved off as a whole")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = ("alternative_column", "change_column", "position_column")
        named = [way for way, column in zip(ways, self._named, strict=True) if column is not None]
        if len(named) > 1:
            raise ValueError(f"{named[1]}: changes are said in {named[0]}; give one of them")
        if self.by == "change" and self.group_column is not None:
            raise ValueError("by: groups are kept together, not single changes; leave out by or group_column")
        return self

    @property
    def _named(self) -> tuple[str | None, str | None, str | None]:
        return self.alternative_column, self.change_column, self.position_column

    @property
    def reading(self) -> Read:
        """A finite number."""
        return number

    def read(self) -> Task:
        """Read the files and carve off what is not given; InputError with file and line where they are wrong."""
        task = super().read()
        if self.by == "change":
            return task
        groups = "sequences as they are before the change" if self.group_column is None else self.group_column
        return replace(task, notes={**task.notes, "groups": groups})

    def _keeps_groups(self, splits: Mapping[Split, list[Example]]) -> bool:
        """Unless single changes are dealt; splits that are all given are taken as they are."""
        missing = sum(not splits[split] for split in SPLITS)
        if self.group_column is not None or not missing or self.by == "change":
            return self.group_column is not None
        homes: dict[str | None, Split] = {}
        for split in SPLITS:
            for example in splits[split]:
                if homes.setdefault(example.group, split) != split:
                    raise InputError(
                        f"{self.train}: {example.id!r} of the {split} split changes a sequence that the "
                        f"{homes[example.group]} split has, too; give by = 'change', or a file or split for each"
                    )
        if (found := len({example.group for example in splits["train"]})) <= missing:
            raise InputError(
                f"{self.train}: has changes of {found} sequences; to keep whole sequences apart {missing + 1} are "
                "needed; give by = 'change', or a file or split for each"
            )
        return True

    def _found(self, path: Path, split: str | None) -> Iterator[Found]:
        """The changes of a table's sequences, or of the sequences of a file by ``labels``."""
        naming = self._naming(split)
        table = Table.of(path if self.labels is None else self.labels)
        places, alter = Places.of(table, naming), self.altering(table)
        rows = list(_rows(table, naming) if self.labels is None else _joined(table, naming, path))
        once = len({name for name, _, _ in rows}) == len(rows)
        for name, sequence, (line, fields) in rows:
            where = at(table.path, line)
            named, label, group = places.answer(fields, self.reading, where)
            assert isinstance(label, float)
            alternative = alter(fields, sequence, where)
            original = to_rna(sequence.upper())
            if to_rna(alternative.upper()) == original or not alternative:
                what = "is what it was" if alternative else "is nothing"
                raise InputError(f"{where}: {shown(name)} {what} after the change; give it another or leave it out")
            kin = group if self.by == "change" else group or original
            yield named, Example(sequence, label, name if once else f"{name}-{line}", kin, alternative)

    def altering(self, table: Table) -> Alter:
        """How the table says changes; InputError where it says none, or several and the config does not choose."""
        named = [way for way, column in zip(_USUAL, self._named, strict=True) if column is not None]
        usual = {**_USUAL, "position": ("position", self.ref_column, self.alt_column)}
        ways = named or [way for way, columns in usual.items() if set(columns) <= set(table.names)]
        if len(ways) != 1:
            found = ", ".join(shown(name, 30) for name in table.names[:12])
            wanted = "alternative, change, or position, ref and alt"
            raise InputError(
                f"{at(table.path, 1)}: {'several' if ways else 'no'} columns say what changes; found {found}; needed: "
                f"{wanted}, or name them (alternative_column, change_column, position_column)"
            )
        if ways == ["alternative"]:
            return _given(table, self.alternative_column or "alternative")
        if ways == ["change"]:
            return _in_words(table, self.change_column or "change", self.first)
        return _in_columns(table, (self.position_column or "position", self.ref_column, self.alt_column), self.first)


Asked = tuple[str, str, Row]
"""An id, a sequence, and a row that changes it."""


def _rows(table: Table, naming: Naming) -> Iterator[Asked]:
    columns = table.sequences(naming)
    for place, (line, fields) in enumerate(table.kept(naming), start=1):
        record = columns.record(fields, "", line, place, at(table.path, line))
        yield record.id, record.sequence.decode("ascii"), (line, fields)


def _joined(table: Table, naming: Naming, sequences: Path) -> Iterator[Asked]:
    """Each sequence of a file with each row of its id; InputError for one without a row, or an id that stands twice."""
    rows_of: dict[str, list[Row]] = {}
    place = table.place_of_id(naming.id)
    for row in table.kept(naming):
        rows_of.setdefault(row[1][place].strip(), []).append(row)
    met = set[str]()
    for record in read_sequences(sequences):
        where = at(sequences, record.line)
        if record.id not in rows_of:
            raise InputError(f"{where}: {shown(record.id)} has no row in {table.path}; every sequence needs a change")
        if record.id in met:
            raise InputError(f"{where}: the id {shown(record.id)} stands twice; changes are told by it")
        met.add(record.id)
        for row in rows_of[record.id]:
            yield record.id, record.sequence.decode("ascii"), row


def _given(table: Table, name: str) -> Alter:
    place = table.place(name, "alternative_column")

    def alter(fields: list[str], sequence: str, where: str) -> str:
        letters = fields[place].strip().encode("utf-8", "surrogatepass")
        if letters.translate(None, LETTERS):
            raise strange_letter(letters, where)
        return letters.decode("ascii")

    return alter


def _in_words(table: Table, name: str, first: int) -> Alter:
    place = table.place(name, "change_column")

    def alter(fields: list[str], sequence: str, where: str) -> str:
        return changed(sequence, read_changes(fields[place], where, first), where, first)

    return alter


def _in_columns(table: Table, names: tuple[str, str, str], first: int) -> Alter:
    position, ref, alt = (
        table.place(name, key) for name, key in zip(names, ("position_column", "ref_column", "alt_column"), strict=True)
    )

    def alter(fields: list[str], sequence: str, where: str) -> str:
        start = number(fields[position], where, "position")
        if start != int(start):
            raise InputError(f"{where}: the position is {shown(fields[position])}; a whole number is needed")
        out, put = fields[ref].strip(), fields[alt].strip()
        for letters in (out, put):
            if letters not in _NOTHING and not re.fullmatch(_BASES, letters):
                raise InputError(f"{where}: found {shown(letters)}; letters of nucleotides are needed")
        if out in _NOTHING:
            raise InputError(f"{where}: no letter is changed; an insertion has the one before it, as A to AG")
        begin = int(start) - first
        change = Change(begin, begin + len(out), out, "" if put in _NOTHING else put)
        return changed(sequence, [change], where, first)

    return alter
