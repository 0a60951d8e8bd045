"""Which class a sequence belongs to: the 13 kinds of non-coding RNA of nRC, or the classes of one's own FASTA files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from nuclex.core.errors import InputError, at
from nuclex.core.randomness import key
from nuclex.data.read import Record, read_sequences
from nuclex.tasks.base import (
    TASKS,
    Example,
    Shape,
    Split,
    Task,
    TaskConfig,
    assemble,
    carve,
    carve_missing,
    header_field,
)

LAST_WORD = "last-word"
NRC_CLASSES = 13


@TASKS.register
class NcrnaClassConfig(TaskConfig):
    """Non-coding RNA in 13 classes (nRC, doi:10.1186/s13040-017-0148-2): 6320 to train on, 2600 to test.

    Validation is carved from train, class by class and by distinct sequence. The published test file repeats 347
    sequences of the published train file; ``Task.seen`` marks them, and results are given with and without them.
    """

    kind: Literal["ncrna-class"] = "ncrna-class"
    shape: ClassVar[Shape] = Shape.CLASS
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    def read(self) -> Task:
        """Fetch and read the two files of the catalogue."""
        from nuclex.data.catalog import fetch

        train, test = (
            [_example(record, path, LAST_WORD, None) for path in fetch(name) for record in read_sequences(path)]
            for name in ("nrc-train", "nrc-test")
        )
        stay, taken = carve(train, self.validation_share, key(self.seed, "validation"))
        splits: dict[Split, list[Example]] = {"train": stay, "validation": taken, "test": test}
        task = assemble(self, splits, {"dataset": "nrc", "validation": "carved from train"})
        if len(task.classes) != NRC_CLASSES:
            raise InputError(f"nrc: {len(task.classes)} classes are left to train on, {NRC_CLASSES} are needed")
        return task


@TASKS.register
class FastaClassConfig(TaskConfig):
    """Classes of one's own FASTA files, written in the headers.

    Validation and test are files of their own, or are carved from train: by distinct sequence and class, or by whole
    groups of relatives where ``group`` names the header's field that tells them.
    """

    kind: Literal["fasta-class"] = "fasta-class"
    shape: ClassVar[Shape] = Shape.CLASS
    train: Path
    validation: Path | None = None
    test: Path | None = None
    label: str = Field(
        default=LAST_WORD, min_length=1, description="last-word of the header, or NAME of NAME=value in it"
    )
    group: str | None = Field(default=None, description="NAME of NAME=value whose equals are never torn apart")
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError(f"shares {self.validation_share} and {self.test_share} leave nothing to train on")
        return self

    def read(self) -> Task:
        """Read the files and carve off what has no file."""
        files: dict[Split, Path | None] = {"train": self.train, "validation": self.validation, "test": self.test}
        given = {split: self._examples(path) for split, path in files.items() if path is not None}
        shares: dict[Split, float] = {"validation": self.validation_share, "test": self.test_share}
        splits, carved = carve_missing(given, shares, self.seed, by_group=self.group is not None)
        return assemble(self, splits, {"files": [str(self.train)], **carved})

    def _examples(self, path: Path) -> list[Example]:
        return [_example(record, path, self.label, self.group) for record in read_sequences(path)]


def _example(record: Record, path: Path, label: str, group: str | None) -> Example:
    """The example of one FASTA record; InputError with file and line where its header names no class."""
    words, where = record.description.split(), at(path, record.line)
    if label == LAST_WORD:
        if len(words) < 2:
            raise InputError(f"{where}: the header has only the id {record.id!r}; a class is needed as its last word")
        answer = words[-1]
    else:
        found = header_field(record.description, label)
        if found is None:
            raise InputError(f"{where}: the header has no field {label}=…; found {record.description[:80]!r}")
        answer = found
    relatives = header_field(record.description, group) if group is not None else None
    if group is not None and relatives is None:
        raise InputError(f"{where}: the header has no field {group}=…; found {record.description[:80]!r}")
    return Example(record.sequence.decode("ascii"), answer, record.id, relatives)
