"""How much of an mRNA is translated: ribosome load of 5' UTRs, translation efficiency and expression level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from nuclex.core.errors import InputError, at
from nuclex.core.randomness import key
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve
from nuclex.tasks.table import Naming, Table, number, read_examples

SHORTEST, LONGEST = 25, 100
FEWEST_READS = 10


@TASKS.register
class RibosomeLoadConfig(TaskConfig):
    """Mean ribosome load of 5' UTRs of 50 nt (doi:10.1038/s41587-019-0164-5), within one library.

    ``random``: 20000 random UTRs; ``human``: 25000 of human genes with variants of them, whose near relatives (at most
    5 letters apart, in chains) are a cluster that lies in one split. 2327 of the human ones are also among the variants
    of the task ``utr-variants``: no model that learned from them may be judged by it.
    """

    kind: Literal["ribosome-load"] = "ribosome-load"
    shape: ClassVar[Shape] = Shape.SCALAR
    library: Literal["random", "human"] = "random"

    def read(self) -> Task:
        """Fetch and read the table of the catalogue, with its split."""
        from nuclex.data.catalog import fetch

        (path,) = fetch(f"mrl-{self.library}-50")
        naming = Naming("rl", sequence="utr", group="cluster" if self.library == "human" else None, split="split")
        splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        for split, example in read_examples(path, naming, number):
            assert split is not None
            splits[split].append(example)
        return assemble(self, splits, {"dataset": f"mrl-{self.library}-50", "split": "of the table"})


@TASKS.register
class VaryingLengthConfig(TaskConfig):
    """Mean ribosome load of 5' UTRs of 25 to 100 nt, divided as RiNALMo's: Random7600, Human7600 and the rest.

    The table is GSM4084997_varying_length_25to100.csv.gz of GEO's GSE114002, of which the catalogue has the address but
    no sum (``nuclex data fetch ribosome-load-25-to-100 --trust-first``). The test is one of the two sets. With
    ``human``, Random7600 is the validation split, as in the paper; with ``random``, validation is carved from train,
    since the paper chose by its test set.
    """

    kind: Literal["ribosome-load-25-to-100"] = "ribosome-load-25-to-100"
    shape: ClassVar[Shape] = Shape.SCALAR
    path: Path | None = Field(default=None, description="the table, where it is not the catalogue's copy")
    test: Literal["human", "random"] = "human"
    per_length: int = Field(default=100, ge=1, description="UTRs of each length in Random7600 and Human7600")
    validation_share: float = Field(default=0.1, gt=0, lt=1)

    def read(self) -> Task:
        """Read and divide the table; InputError with file and line where it is not that of GEO."""
        path = _table(self.path, "ribosome-load-25-to-100")
        rest, random, human = varying_length(path, self.per_length)
        if self.test == "human":
            train, validation, test = rest, random, human
        else:
            (train, validation), test = carve(rest, self.validation_share, key(self.seed, "validation")), random
        splits: dict[Split, list[Example]] = {"train": train, "validation": validation, "test": test}
        notes = {"files": [str(path)], "test": f"{self.test.capitalize()}{self.per_length * 76}"}
        return assemble(self, splits, notes)


def _table(given: Path | None, name: str) -> Path:
    """The file that was given, else the catalogue's; OutsideError with how to get it where it is not at hand."""
    from nuclex.data.catalog import fetch

    return fetch(name)[0] if given is None else given


class _Utr(NamedTuple):
    """One row of the table: the library, the reads, and the UTR with its load."""

    library: str
    reads: float
    example: Example


def varying_length(path: Path, per_length: int) -> tuple[list[Example], list[Example], list[Example]]:
    """RiNALMo's three sets of the GEO table: random UTRs to train on, Random7600 and Human7600, in the file's order.

    Of the libraries ``random`` and ``human``, rows with a load and at least 10 reads count, and of UTRs that stand more
    than once none. Of each length from 25 to 100 nt the ``per_length`` with most reads are set aside, the first of
    equals first. InputError with file and line where a column is missing or a number is none.
    """
    utrs = _utrs(Table.of(path))
    known = Counter(utr.example.letters for utr in utrs)
    utrs = [utr for utr in utrs if known[utr.example.letters] == 1]
    aside = {library: _most_read(utrs, library, per_length) for library in ("random", "human")}
    taken = set(aside["random"])
    rest = [utr.example for place, utr in enumerate(utrs) if utr.library == "random" and place not in taken]
    random, human = ([utrs[place].example for place in aside[library]] for library in ("random", "human"))
    return rest, random, human


def _utrs(table: Table) -> list[_Utr]:
    utr, library, reads, load = (table.place(name, "as in GEO's file") for name in ("utr", "set", "total_reads", "rl"))
    found = []
    for line, fields in table.rows:
        where = at(table.path, line)
        if fields[library] not in ("random", "human") or not fields[load].strip():
            continue
        if (count := number(fields[reads], where, "number of reads")) >= FEWEST_READS:
            example = Example(fields[utr].strip(), number(fields[load], where, "load"), f"row-{line}")
            found.append(_Utr(fields[library], count, example))
    return found


def _most_read(utrs: Sequence[_Utr], library: str, count: int) -> list[int]:
    """The places of the ``count`` UTRs with most reads of each length, in the file's order."""
    by_length: dict[int, list[int]] = {}
    for place, utr in enumerate(utrs):
        if utr.library == library and SHORTEST <= len(utr.example.sequence) <= LONGEST:
            by_length.setdefault(len(utr.example.sequence), []).append(place)
    ranked = (sorted(places, key=lambda place: -utrs[place].reads)[:count] for places in by_length.values())
    return sorted(place for places in ranked for place in places)


@TASKS.register
class TranslationConfig(TaskConfig):
    """Translation efficiency or expression level of endogenous 5' UTRs in muscle, PC3 or HEK cells, in ten folds.

    The tables are UTR-LM's (doi:10.1038/s42256-024-00823-9; columns utr, te_log, rnaseq_log); no program can fetch them
    and nobody published their sums: ``nuclex data fetch translation-hek`` says how to get one. Folds are scikit-learn's
    ``KFold(10, shuffle=True, random_state=42)``, as RiNALMo's: one is tested and the one before it is the validation.
    """

    kind: Literal["translation"] = "translation"
    shape: ClassVar[Shape] = Shape.SCALAR
    cells: Literal["hek", "muscle", "pc3"] = "hek"
    path: Path | None = Field(default=None, description="the table of the cells, where it is not the catalogue's copy")
    target: Literal["te_log", "rnaseq_log"] = Field(default="te_log", description="efficiency, or expression level")
    folds: int = Field(default=10, ge=3)
    fold: int = Field(default=0, ge=0, description="the fold that is tested")
    fold_seed: int = Field(default=42, ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}; folds are counted from 0 to {self.folds - 1}")
        return self

    def read(self) -> Task:
        """Read the table and deal its rows into folds."""
        path = _table(self.path, f"translation-{self.cells}")
        examples = [example for _, example in read_examples(path, Naming(self.target, sequence="utr"), number)]
        if len(examples) < self.folds:
            raise InputError(f"{path}: has {len(examples)} rows; at least one a fold is needed, so {self.folds}")
        fold_N = folds_of(len(examples), self.folds, self.fold_seed)
        of_split: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        before = (self.fold - 1) % self.folds
        for example, fold in zip(examples, fold_N, strict=True):
            split: Split = "test" if fold == self.fold else "validation" if fold == before else "train"
            of_split[split].append(example)
        notes = {"files": [str(path)], "test": f"fold {self.fold} of {self.folds}", "validation": f"fold {before}"}
        return assemble(self, of_split, notes)


def folds_of(count: int, folds: int, seed: int) -> list[int]:
    """The fold of each row, as scikit-learn's shuffled ``KFold`` deals them.

    >>> folds_of(6, 3, 42)
    [0, 0, 1, 2, 2, 1]
    """
    order_N = np.arange(count)
    np.random.RandomState(seed).shuffle(order_N)
    fold_N = np.empty(count, dtype=np.int64)
    for fold, part in enumerate(np.array_split(order_N, folds)):
        fold_N[part] = fold
    return fold_N.tolist()
