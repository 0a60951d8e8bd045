"""Tables as examples: which columns hold sequence, answer, name, relatives and split, and how an answer is written."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.bio.base_pairs import Pairs
from nuclex.core.errors import InputError, at, shown
from nuclex.data.columns import ID_NAMES, SAMPLE_ROWS, Columns, ReadConfig, choose_columns
from nuclex.data.compression import opened
from nuclex.data.read import Record, read_sequences
from nuclex.data.table import Row, delimiter_of, rows
from nuclex.tasks.base import Example, Split, Task, TaskConfig, Track, assemble, carve_missing


@dataclass(frozen=True, eq=False)
class Marks:
    """Base pairs (P, 2), and for how many nucleotides the text that gave them has marks."""

    pairs: Pairs
    length: int


Answer = str | float | Track | Marks
Read = Callable[[str, str], Answer]
"""What an answer is, from its text and the ``file:line`` that a refusal names."""

SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Naming:
    """What the columns are called; None: sequence and id by their usual names, no relatives, no split.

    ``labels``: several columns of numbers of positions, where ``label`` is not the only one; they become (L, K).
    ``only``: rows that have other values than these in these columns are left out, and with ``measured`` those whose
    label is empty, with their sequences.
    """

    label: str
    sequence: str | None = None
    id: str | None = None
    group: str | None = None
    split: str | None = None
    only: tuple[tuple[str, str], ...] = ()
    measured: bool = False
    labels: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """The columns that hold the answer."""
        return self.labels or (self.label,)


@dataclass(frozen=True)
class Table:
    """The rows of a text table, with the line that each starts on, and where in them things are looked up."""

    path: Path
    names: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, path: Path) -> Table:
        """Read CSV or TSV (packed or not); InputError with file and line where it is none, or has no row."""
        suffix = "tsv" if {".tsv", ".tab"} & set(path.suffixes) else "csv"
        with opened(path, str(path)) as text:
            found = list(rows(text, delimiter_of(text.peek(), suffix)))
        if len(found) < 2:
            raise InputError(f"{path}: is empty; a line with the columns' names and at least one row are needed")
        return cls(path, tuple(found[0][1]), tuple(found[1:]))

    def place(self, name: str, key: str) -> int:
        """Where the column of that name is; ``key`` is how it is chosen."""
        if self.names.count(name) > 1:
            raise InputError(
                f"{at(self.path, 1)}: the column {shown(name)} stands twice; each name is needed once ({key})"
            )
        if name in self.names:
            return self.names.index(name)
        found = ", ".join(shown(other, 30) for other in self.names[:12])
        raise InputError(f"{at(self.path, 1)}: has no column {shown(name)}; found {found}; name it ({key})")

    def place_of_id(self, name: str | None) -> int:
        """Where the names of the sequences are: the column of that name, else the first that is called so."""
        if name is not None:
            return self.place(name, "id_column")
        lower = [one.strip().lower() for one in self.names]
        usual = [lower.index(one) for one in ID_NAMES if one in lower]
        return usual[0] if usual else self.place("id", "id_column")

    def kept(self, naming: Naming) -> tuple[Row, ...]:
        """The rows that ``only`` and ``measured`` leave; InputError where they leave none."""
        wanted = [(self.place(name, "rows"), value) for name, value in naming.only]
        labels = [self.place(name, "label_column") for name in naming.answers]
        left = tuple(
            row
            for row in self.rows
            if all(row[1][place] == value for place, value in wanted)
            and (not naming.measured or any(row[1][place].strip() for place in labels))
        )
        if not left:
            raise InputError(f"{self.path}: has no row with {dict(naming.only)} and a label")
        return left

    def sequences(self, naming: Naming) -> Columns:
        """Where sequence and id are, as for any table that is read."""
        sample = [fields for _, fields in self.rows[:SAMPLE_ROWS]]
        config = ReadConfig(sequence_column=naming.sequence, id_column=naming.id)
        return choose_columns(self.names, sample, config, str(self.path))


Found = tuple[Split | None, Example]
"""An example and the split that its row names, None where none is asked for."""


def read_examples(path: Path, naming: Naming, read: Read) -> Iterator[Found]:
    """The examples of a table that holds sequences and answers side by side.

    InputError with file and line: a column is missing, a sequence or an answer is, or is not what it should be.
    """
    table = Table.of(path)
    columns, places = table.sequences(naming), Places.of(table, naming)
    for number, (line, fields) in enumerate(table.kept(naming), start=1):
        where = at(path, line)
        record = columns.record(fields, "", line, number, where)
        split, label, group = places.answer(fields, read, where)
        yield split, _example(record, label, group, where)


def read_labelled(sequences: Path, labels: Path, naming: Naming, read: Read) -> Iterator[Found]:
    """The sequences of a file (any format that is read) with the answers that a table gives by id.

    InputError with file and line: a sequence without an answer, an id that stands twice among the answers or among
    the sequences. Answers for other sequences are left out.
    """
    table = Table.of(labels)
    places, id_place = Places.of(table, naming), table.place_of_id(naming.id)
    answers: dict[str, Answered] = {}
    kept = table.kept(naming)
    passed_over = {fields[id_place].strip() for _, fields in table.rows} if len(kept) < len(table.rows) else set()
    for line, fields in kept:
        name, where = fields[id_place].strip(), at(labels, line)
        if name in answers:
            raise InputError(f"{where}: the id {shown(name)} stands twice; one answer a sequence is needed")
        answers[name] = places.answer(fields, read, where)
    met = set[str]()
    for record in read_sequences(sequences):
        where = at(sequences, record.line)
        if record.id in passed_over and record.id not in answers:
            continue
        if record.id not in answers:
            raise InputError(f"{where}: {shown(record.id)} has no row in {labels}; every sequence needs an answer")
        if record.id in met:
            raise InputError(f"{where}: the id {shown(record.id)} stands twice; answers are told by it")
        met.add(record.id)
        split, label, group = answers[record.id]
        yield split, _example(record, label, group, where)


def number(text: str, where: str, what: str = "label") -> float:
    """A finite number in figures; InputError for anything else, nothing at all included."""
    written = text.strip()
    value = float(written) if _NUMBER.fullmatch(written) else float("inf")
    if abs(value) == float("inf"):
        found = "nothing" if not written else shown(written)
        raise InputError(f"{where}: the {what} is {found}; a finite number is needed")
    return value


def class_name(text: str, where: str) -> str:
    """The name of a class; InputError where there is none."""
    if not text.strip():
        raise InputError(f"{where}: the label is nothing; the name of a class is needed")
    return text.strip()


def _example(record: Record, label: Answer, group: str | None, where: str) -> Example:
    size = len(record.sequence)
    if isinstance(label, np.ndarray) and len(label) != size:
        raise InputError(
            f"{where}: {shown(record.id)} has {size} nucleotides but {len(label)} labels; one a nucleotide is needed"
        )
    if isinstance(label, Marks) and label.length != size:
        raise InputError(
            f"{where}: {shown(record.id)} has {size} nucleotides but {label.length} marks of structure; one a "
            "nucleotide is needed"
        )
    answer = label.pairs if isinstance(label, Marks) else label
    return Example(record.sequence.decode("ascii"), answer, record.id, group)


Answered = tuple[Split | None, Answer, str | None]
"""The split that a row names, its answer, and its relatives."""


@dataclass(frozen=True)
class Places:
    """Where in a row the answer, the relatives and the split are; None where none are asked for."""

    labels: tuple[int, ...]
    group: int | None
    split: int | None

    @classmethod
    def of(cls, table: Table, naming: Naming) -> Places:
        """Find them by name; InputError where a column is missing."""
        group = None if naming.group is None else table.place(naming.group, "group_column")
        split = None if naming.split is None else table.place(naming.split, "split_column")
        return cls(tuple(table.place(name, "label_column") for name in naming.answers), group, split)

    def answer(self, fields: list[str], read: Read, where: str) -> Answered:
        """What a row says; InputError, which begins with ``where``, for what it should not."""
        answers = [read(fields[place], where) for place in self.labels]
        return (
            None if self.split is None else split_name(fields[self.split], where),
            answers[0] if len(answers) == 1 else beside(answers, where),
            None if self.group is None else _relatives(fields[self.group], where),
        )


def beside(columns: Sequence[Answer], where: str) -> Track:
    """Numbers of positions, columns (L,) of equal length, as one (L, K); a column of nothing at all is nan.

    InputError where their lengths differ, or where no position has a number.
    """
    tracks = [np.asarray(column, dtype=np.float64) for column in columns]
    lengths = sorted({len(track) for track in tracks} - {0})
    if len(lengths) > 1:
        found = " and ".join(map(str, lengths))
        raise InputError(f"{where}: the columns of labels have {found} numbers; as many in each are needed")
    nothing = np.full(lengths[0] if lengths else 0, np.nan)
    return some_numbers(np.stack([track if len(track) else nothing for track in tracks], axis=1), where)


def some_numbers(values: NDArray[np.float64], where: str) -> Track:
    """Numbers of positions as they are; InputError where all are nan."""
    if not np.isfinite(values).any():
        raise InputError(f"{where}: no position has a number; at least one is needed")
    return values


def split_name(text: str, where: str) -> Split:
    """The split that a row names (``SPLIT_NAMES``); InputError for any other word."""
    found = SPLIT_NAMES.get(text.strip().lower())
    if found is None:
        raise InputError(f"{where}: the split is {shown(text)}; allowed: {', '.join(SPLIT_NAMES)}")
    return found


def _relatives(text: str, where: str) -> str:
    if not text.strip():
        raise InputError(f"{where}: names no group; every row needs one, so that relatives stay together")
    return text.strip()


Splits = dict[Split, list[Example]]


class TableConfig(TaskConfig, ABC):
    """Sequences and answers of one's own, CSV or TSV; ``labels`` where the sequences are in files of their own.

    Each row's split stands in a column (``split``, where the table has it, else as named), or validation and test are
    files of their own; what is given in neither way is carved from train: by distinct sequence, or by whole groups of
    relatives where ``group_column`` names them.
    """

    train: Path = Field(description="a table with sequences and labels, or sequences in any format with `labels`")
    validation: Path | None = None
    test: Path | None = None
    labels: Path | None = Field(default=None, description="a table with the labels by id; the other files hold none")
    label_column: str = "label"
    sequence_column: str | None = Field(default=None, description="by default `sequence`, `seq`, or the only one")
    id_column: str | None = Field(default=None, description="by default the usual names; without one rows are counted")
    group_column: str | None = Field(default=None, description="relatives that are never torn apart")
    split_column: str | None = Field(default=None, description="train, validation or test; by default `split`, if any")
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError(f"shares {self.validation_share} and {self.test_share} leave nothing to train on")
        if self.labels is not None and self.sequence_column is not None:
            raise ValueError("sequence_column: with labels, the sequences are in files of their own; leave it out")
        return self

    @property
    @abstractmethod
    def reading(self) -> Read:
        """How an answer is read from its text."""

    def read(self) -> Task:
        """Read the files and carve off what is not given; InputError with file and line where they are wrong."""
        splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        for named, example in self._found(self.train, self._split_column()):
            splits[named or "train"].append(example)
        files: dict[Split, Path | None] = {"validation": self.validation, "test": self.test}
        for split, path in files.items():
            if path is not None and splits[split]:
                raise InputError(
                    f"{self.train}: has {len(splits[split])} rows of the split {split}, and {path} is given for it; "
                    "one of both is needed"
                )
            if path is not None:
                splits[split] = [example for _, example in self._found(path, None)]
        shares: dict[Split, float] = {"validation": self.validation_share, "test": self.test_share}
        whole, carved = self._divided(splits, shares)
        named_files = [str(path) for path in (self.train, self.validation, self.test, self.labels) if path is not None]
        return assemble(self, whole, {"files": named_files, **carved})

    def _divided(self, splits: Splits, shares: Mapping[Split, float]) -> tuple[Splits, dict[str, Any]]:
        """All splits, those that are not given carved off train, and how, for notes."""
        whole, carved = carve_missing(splits, shares, self.seed, by_group=self._keeps_groups(splits))
        return whole, dict(carved)

    def _keeps_groups(self, splits: Mapping[Split, list[Example]]) -> bool:
        """Whether relatives have to stay together; ``splits`` are those that are given."""
        return self.group_column is not None

    def _split_column(self) -> str | None:
        if self.split_column is not None:
            return self.split_column
        return "split" if "split" in Table.of(self.labels or self.train).names else None

    def _naming(self, split: str | None) -> Naming:
        return Naming(self.label_column, self.sequence_column, self.id_column, self.group_column, split)

    def _found(self, path: Path, split: str | None) -> Iterator[Found]:
        """The examples of a file, and the splits in the column of that name."""
        if self.labels is not None:
            return read_labelled(path, self.labels, self._naming(split), self.reading)
        return read_examples(path, self._naming(split), self.reading)
