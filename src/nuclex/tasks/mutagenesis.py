"""Many letters changed at once, and what that does: a promoter of bacteria by sort-seq, splice sites in a reporter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from nuclex.core.errors import InputError, at, shown
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble
from nuclex.tasks.table import Naming, Table, number, read_examples, split_name

LAC = "AATTAATGTGAGTTAGCTCACTCATTAGGCACCCCAGGCTTTACACTTTATGCTTCCGGCTCGTATGTTGTGTGG"
"""The lac promoter of E. coli K-12 MG1655, 5' to 3': NC_000913.3, 366344 to 366418 (from 1), the other strand."""
BINS = 10
DATASET = "lac-sortseq"


@TASKS.register
class SortSeqConfig(TaskConfig):
    """How strongly a changed lac promoter is expressed, by the bins its cells were sorted into (sort-seq).

    50518 promoters of 75 nt, each with 8.6 of its letters changed on average (doi:10.1073/pnas.1004290107), in the
    published split (doi:10.1186/s13059-022-02661-7); no sequence stands twice. The number is the mean bin, 0 (dimmest)
    to 9, weighted by reads. 49213 promoters were read once. More reads would make a label less noisy but not less
    biased, and at two reads 1305 are left, so one is enough (``reads``). Of the 1305 the variance within a sequence is
    5.9 square bins, that of single reads 8.3: about 0.3 is the R² that a perfect model would reach.
    """

    kind: Literal["sort-seq"] = "sort-seq"
    shape: ClassVar[Shape] = Shape.SCALAR
    reads: int = Field(default=1, ge=1, description="leave out promoters of fewer reads; the notes count them")

    def read(self) -> Task:
        """Fetch and read the table of the catalogue; InputError with file and line where it is wrong."""
        splits, notes, _ = _sort_seq(self.reads)
        return assemble(self, splits, notes)


@TASKS.register
class SortSeqVariantsConfig(TaskConfig):
    """The same promoters as changes of the wild type, which stands in the table too and is no example.

    The label is the mean bin less the wild type's own (8.5, of two reads). All changed letters are one variant.
    """

    kind: Literal["sort-seq-variants"] = "sort-seq-variants"
    shape: ClassVar[Shape] = Shape.VARIANT
    reads: int = Field(default=1, ge=1, description="leave out promoters of fewer reads; the notes count them")

    def read(self) -> Task:
        """Fetch and read the table; InputError where the wild type is not in it."""
        splits, notes, wild = _sort_seq(self.reads)
        return assemble(self, {split: list(_changes(found, wild)) for split, found in splits.items()}, notes)


@TASKS.register
class SpliceMpsaConfig(TaskConfig):
    """How well an exon is spliced in with another 5' splice site of 9 nt before it: exon 17 of BRCA2.

    30483 of the 32768 sites NNNGYNNNN (doi:10.1016/j.molcel.2018.07.033) in the published split
    (doi:10.1186/s13059-022-02661-7). The number is log10 of the percentage spliced in, where the consensus site
    CAGGUAAGU is 100. None stands twice, but every site of the test has neighbours in train that differ by one letter.
    There is no zero-shot form: the sites are drawn at random rather than changed from one, and nine letters without
    the exon are nothing that a model could judge.
    """

    kind: Literal["splice-mpsa"] = "splice-mpsa"
    shape: ClassVar[Shape] = Shape.SCALAR

    def read(self) -> Task:
        """Fetch and read the table of the catalogue, with its split."""
        from nuclex.data.catalog import fetch

        (path,) = fetch("splice-mpsa")
        splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        for split, example in read_examples(path, Naming("y", sequence="x", split="set"), number):
            assert split is not None
            splits[split].append(example)
        return assemble(self, splits, {"dataset": "splice-mpsa", "split": "as published"})


class _Sorted(NamedTuple):
    """A promoter, the split that its row names, how often it was read, and its mean bin."""

    split: Split
    reads: int
    example: Example


def _sort_seq(reads: int) -> tuple[dict[Split, list[Example]], dict[str, Any], Example]:
    """The promoters of the catalogue's table by split, notes, and the wild type."""
    from nuclex.data.catalog import fetch

    (path,) = fetch(DATASET)
    rows = list(_rows(path))
    wild = next((row.example for row in rows if row.example.letters == Example(LAC, 0.0, "").letters), None)
    if wild is None:
        raise InputError(f"{path}: the wild type {LAC} is in no row; what changes do is told from it")
    splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
    for row in rows:
        if row.reads >= reads:
            splits[row.split].append(row.example)
    few, once = (sum(row.reads < least for row in rows) for least in (reads, 2))
    notes = {"dataset": DATASET, "split": "as published", "reads": reads, "fewer_reads": few, "read_once": once}
    return splits, notes, wild


def _rows(path: Path) -> Iterator[_Sorted]:
    """Every row; InputError with file and line: another length, no read, a sequence that stood before."""
    table = Table.of(path)
    columns = table.sequences(Naming("set", sequence="x"))
    split = table.place("set", "as in the catalogue's file")
    bins = [table.place(f"ct_{place}", "as in the catalogue's file") for place in range(BINS)]
    met = set[str]()
    for row, (line, fields) in enumerate(table.rows, start=1):
        where = at(path, line)
        sequence = columns.record(fields, "", line, row, where).sequence.decode("ascii")
        if len(sequence) != len(LAC):
            raise InputError(f"{where}: the promoter has {len(sequence)} letters; {len(LAC)} are needed")
        counts = [_count(fields[place], where) for place in bins]
        total = sum(counts)
        if not total:
            raise InputError(f"{where}: the promoter has no read in any bin; one is needed")
        mean = sum(place * count for place, count in enumerate(counts)) / total
        example = Example(sequence, mean, f"row-{line}")
        if example.letters in met:
            raise InputError(f"{where}: the promoter {shown(sequence)} stands twice; one row each is needed")
        met.add(example.letters)
        yield _Sorted(split_name(fields[split], where), total, example)


def _count(text: str, where: str) -> int:
    found = number(text, where, "number of reads")
    if found < 0 or found != int(found):
        raise InputError(f"{where}: the number of reads is {shown(text)}; a whole number from 0 on is needed")
    return int(found)


def _changes(examples: list[Example], wild: Example) -> Iterator[Example]:
    for example in examples:
        if example.letters != wild.letters:
            yield Example(wild.sequence, example.number - wild.number, example.id, None, example.sequence)
