"""Whether a window of a gene has a splice site in its middle: donors and acceptors, each a question of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from nuclex.core.errors import InputError, at, shown
from nuclex.core.randomness import key
from nuclex.data.compression import opened
from nuclex.data.read import read_sequences
from nuclex.data.record import LETTERS
from nuclex.data.table import rows
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve

Site = Literal["donor", "acceptor"]
HOW = (
    "files of rows id;sequence;label are needed (--task.train FILE and so on); GS_1 out of SpliceBERT's archive is the "
    "task splice-gs1 (recipe finetune/splice-gs1-donor, after nuclex data fetch splice-gs1 --unpack --trust-first)"
)
NAMES = {"0": "negative", "1": "positive"}


@TASKS.register
class SpliceHumanConfig(TaskConfig):
    """Human splice sites (doi:10.1186/s12859-022-04971-w): 12800 windows to train on, 3200 to test, half positive.

    Each window of 602 nt has GT (donors) or AG (acceptors) at 300 and 301, from 0, in positives and negatives. As
    RiNALMo's, windows are cut to their middle ``window`` letters, and donors and acceptors are learned apart.
    Validation is carved from train, by class and distinct sequence.
    """

    kind: Literal["splice-human"] = "splice-human"
    shape: ClassVar[Shape] = Shape.CLASS
    site: Site = "donor"
    window: int = Field(default=400, ge=2, le=602, description="letters in the middle of the 602 that are read")
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    def read(self) -> Task:
        """Fetch and read the four files of the catalogue."""
        train, test = list(self._examples("train")), list(self._examples("test"))
        stay, taken = carve(train, self.validation_share, key(self.seed, "validation"))
        splits: dict[Split, list[Example]] = {"train": stay, "validation": taken, "test": test}
        return assemble(self, splits, {"dataset": "splice-human", "site": self.site, "validation": "carved from train"})

    def _examples(self, part: str) -> Iterator[Example]:
        from nuclex.data.catalog import fetch

        for name in ("positive", "negative"):
            for path in fetch(f"splice-human-{part}-{self.site}-{name}"):
                for number, record in enumerate(read_sequences(path), start=1):  # all headers say "> seq N"
                    sequence = middle(record.sequence.decode("ascii"), self.window, at(path, record.line))
                    yield Example(sequence, name, f"{part}-{self.site}-{name}-{number}")


@TASKS.register
class SpliceRowsConfig(TaskConfig):
    """Splice sites in rows without names: id; sequence; 0 or 1 - as RiNALMo's code reads Spliceator's GS_1.

    Those files, one of each fold and site such as ``GS_1/db_1/Train_donor_400.csv``, are made from the archive of
    SpliceBERT, which has true and false sites apart and undivided; the task ``splice-gs1`` reads it without them.
    Validation is a file of its own or is carved from train; the test is a file of rows, or sequences in one file, a
    line each, and their labels in another (``test_labels``), as of the four species held out.
    """

    kind: Literal["splice-rows"] = "splice-rows"
    shape: ClassVar[Shape] = Shape.CLASS
    train: Path
    validation: Path | None = None
    test: Path
    test_labels: Path | None = Field(default=None, description="0 or 1 in each line, for a test file of bare sequences")
    window: int = Field(default=400, ge=2, description="letters in the middle that are read")
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    def read(self) -> Task:
        """Read the files; InputError with file and line where a row is none of theirs."""
        for path in (self.train, self.validation, self.test, self.test_labels):
            if path is not None and not path.exists():
                raise InputError(f"{path}: no such file; {HOW}")
        train = list(splice_rows(self.train, self.window))
        if self.validation is None:
            train, validation = carve(train, self.validation_share, key(self.seed, "validation"))
        else:
            validation = list(splice_rows(self.validation, self.window))
        test = (
            splice_rows(self.test, self.window)
            if self.test_labels is None
            else splice_lines(self.test, self.test_labels, self.window)
        )
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": list(test)}
        return assemble(self, splits, {"files": [str(self.train), str(self.test)]})


def splice_rows(path: Path, window: int) -> Iterator[Example]:
    """The windows of a file of rows ``id;sequence;label``, cut to their middle.

    InputError with file and line: another number of columns, a label that is neither 0 nor 1, a byte that is no letter.
    """
    with opened(path, str(path)) as text:
        for line, fields in rows(text, ";"):
            where = at(path, line)
            if len(fields) != 3:
                raise InputError(
                    f"{where}: found {len(fields)} columns; id, sequence and label are needed, ';' between"
                )
            yield _example(fields[0].strip() or f"row-{line}", fields[1], fields[2], window, where)


def splice_lines(sequences: Path, labels: Path, window: int) -> Iterator[Example]:
    """The windows of a file with a sequence in each line, with the labels of another; InputError as ``splice_rows``."""
    with opened(sequences, str(sequences)) as left, opened(labels, str(labels)) as right:
        found, said = list(rows(left, "\0")), list(rows(right, "\0"))
    if len(found) != len(said):
        raise InputError(f"{labels}: has {len(said)} labels for the {len(found)} sequences of {sequences}")
    for (line, (letters,)), (_, (label,)) in zip(found, said, strict=True):
        yield _example(f"row-{line}", letters, label, window, at(sequences, line))


def middle(sequence: str, window: int, where: str) -> str:
    """The ``window`` letters in the middle; one more is left out on the right where it does not come out even.

    InputError, which begins with ``where``, where there are fewer, or something that is no letter.

    >>> middle("AACGTT", 2, ""), middle("AACGT", 2, "")
    ('CG', 'AC')
    """
    if not sequence:
        raise InputError(f"{where}: the sequence is empty; {window} letters are needed (window)")
    if strange := sequence.encode().translate(None, LETTERS).decode("utf-8"):
        place = sequence.index(strange[0])
        raise InputError(f"{where}: found {shown(strange[0])} at position {place}; a sequence of letters is needed")
    if len(sequence) < window:
        raise InputError(f"{where}: has {len(sequence)} letters; {window} are needed (window)")
    start = (len(sequence) - window) // 2
    return sequence[start : start + window]


def _example(name: str, letters: str, label: str, window: int, where: str) -> Example:
    sequence, number = middle(letters.strip(), window, where), label.strip().removesuffix(".0")
    if number not in NAMES:
        raise InputError(f"{where}: the label is {shown(label)}; 0 (no splice site) or 1 is needed")
    return Example(sequence, NAMES[number], name)
