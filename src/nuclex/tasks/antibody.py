"""Where an antibody's frameworks and CDRs, or its V, D and J, lie in a read: a label for each nucleotide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from nuclex.bio.regions import OUTSIDE, labels_of
from nuclex.core.errors import InputError
from nuclex.tasks.antibody_shift import Shift, shifted
from nuclex.tasks.antibody_tables import ORDERS, Annotated, Columns, Labels
from nuclex.tasks.base import SPLITS, TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve_missing
from nuclex.tasks.table import Table

SHARES: Mapping[Split, float] = {"validation": 0.1, "test": 0.2}


@TASKS.register
class AntibodyRegionsConfig(TaskConfig):
    """Which region of an antibody each nucleotide of a read is in, by default IMGT's FR1 to FR4 and CDR1 to CDR3.

    Without ``path`` it learns from 17559 human IGHV1 reads of the catalogue, whose regions were derived from gapped
    alignments, and is tested on 1000 reads of heavy and light chains that IMGT/V-QUEST annotated ("gold"), or on the
    test split of the former ("reads"). ``path`` is an AIRR table, or a file of OAS, of one's own; what neither its
    column ``split`` nor ``test`` gives is carved off by junction. Sequences of train whose junction stands in
    validation or test are left out, and the notes count them. Results are given by locus, too.

    ``labels``: "regions" (``fwr1_start`` …, or the letters of ``fwr1`` … in tables without positions), "segments" (v,
    np1, d, np2, j, and c where it is given: ``v_sequence_start`` …), "helm" (what is before V as sp, V, all up to the
    end of J as dj, what is behind J as c). A letter in none of them is "outside"; N at an end is left out there.
    ``shift`` gives each read of train (never of validation or test) other ends, in place of its own.
    """

    kind: Literal["antibody-regions"] = "antibody-regions"
    shape: ClassVar[Shape] = Shape.PER_POSITION
    path: Path | None = Field(default=None, description="an AIRR table of your own; None = the catalogue's reads")
    test: Path | None = Field(default=None, description="with path: an AIRR table to test on")
    test_on: Literal["gold", "reads"] = Field(default="gold", description="without path: which of the catalogue's")
    labels: Labels = Field(default="regions", description="frameworks and CDRs, the joined genes, or HELM's four parts")
    letters: Literal["read", "regions"] = Field(
        default="read", description="the whole read, or from the first letter in a region to the last alone"
    )
    codons: bool = Field(
        default=False, description="leave out letters before the first and behind the last whole codon, by CDR3's frame"
    )
    shift: Shift | None = Field(
        default=None, description="train on reads that begin and end anywhere; None = as they were read"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.path is None and self.test is not None:
            raise ValueError("test: is for a path of your own; without one, test_on names a test of the catalogue")
        if self.path is None and self.labels != "regions":
            raise ValueError(f"labels: the catalogue's reads have no positions of genes for {self.labels!r}; give path")
        if self.shift is not None and (self.letters != "read" or self.labels == "helm"):
            found = f"letters: {self.letters!r}" if self.letters != "read" else "labels: 'helm'"
            raise ValueError(f"shift: puts letters around the regions, and {found} has none there; give one of both")
        return self

    def read(self) -> Task:
        """Read the tables; InputError with file and line where they are wrong, or have no regions."""
        found = self._of_the_catalogue() if self.path is None else self._of_a_user(self.path)
        given: dict[Split, list[Example]] = {split: [] for split in SPLITS}
        left_out = {"without_regions": 0, "without_frame": 0}
        for split, one in found:
            if not one.spans or (self.codons and one.frame is None):
                left_out["without_frame" if one.spans else "without_regions"] += 1
            else:
                given[split].append(self._example(one))
        apart, shared = _apart(given)
        splits, carved = carve_missing(apart, SHARES, self.seed, by_group=True)
        if self.shift is not None:
            step = 3 if self.codons else 1
            splits["train"] = [shifted(one, self.shift, self.seed, step=step) for one in splits["train"]]
        files = {"files": [str(path) for path in (self.path, self.test) if path is not None]}
        sources = files if self.path is not None else {"dataset": "antibody-regions", "test": self.test_on}
        notes: dict[str, Any] = {**sources, **carved, **left_out, "junction_in_another_split": shared}
        return replace(assemble(self, splits, notes), regions=ORDERS[self.labels])

    def _of_a_user(self, path: Path) -> Iterator[tuple[Split, Annotated]]:
        for one in Columns(Table.of(path), self.labels).reads():
            split = one.split or "train"
            if self.test is not None and split == "test":
                raise InputError(f"{path}: has rows of the split test, and {self.test} is given for it; one is needed")
            yield split, one
        if self.test is not None:
            yield from (("test", one) for one in Columns(Table.of(self.test), self.labels).reads())

    def _of_the_catalogue(self) -> Iterator[tuple[Split, Annotated]]:
        from nuclex.data.catalog import fetch

        (derived,), (whole,) = fetch("antibody-regions"), fetch("antibody-airr")
        table = Table.of(whole)
        name, sequence = table.place("sequence_id", "as in the catalogue"), table.place("sequence", "as there")
        reads = {fields[name]: fields[sequence].upper() for _, fields in table.rows}
        for one in Columns(Table.of(derived), self.labels, half_open=True).reads():
            assert one.split is not None
            if self.test_on == "reads" or one.split != "test":
                yield one.split, _in_its_read(one, reads[one.id])
        if self.test_on == "gold":
            (gold,) = fetch("antibody-oas-gold")
            yield from (("test", one) for one in Columns(Table.of(gold), self.labels).reads())

    def _example(self, one: Annotated) -> Example:
        labels_L = labels_of(one.spans, len(one.sequence))
        inside = np.flatnonzero(labels_L != OUTSIDE)
        first, last = int(inside[0]), int(inside[-1]) + 1
        start, end = first, last
        if self.letters == "read":  # what was masked at an end, such as a primer, says nothing
            start = min(len(one.sequence) - len(one.sequence.lstrip("N")), first)
            end = max(len(one.sequence.rstrip("N")), last)
        if self.codons:
            assert one.frame is not None
            start += (one.frame - start) % 3
            end -= (end - start) % 3
        group = one.junction or one.sequence
        return Example(one.sequence[start:end], labels_L[start:end], one.id, group, stratum=one.locus)


def _in_its_read(one: Annotated, read: str) -> Annotated:
    """The same with the letters of the read around it; as it was, where an indel was corrected in between."""
    if read.count(one.sequence) != 1:
        return one
    shift = read.find(one.sequence)
    spans = {name: (start + shift, end + shift) for name, (start, end) in one.spans.items()}
    frame = None if one.frame is None else (one.frame + shift) % 3
    return replace(one, sequence=read, spans=spans, frame=frame)


def _apart(splits: Mapping[Split, Sequence[Example]]) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    """The splits without what shares a junction with a later one, and how many that were of each."""
    held: set[str | None] = set()
    kept: dict[Split, list[Example]] = {}
    for split in reversed(SPLITS):
        kept[split] = [example for example in splits[split] if example.group not in held]
        held |= _junctions(kept[split])
    return kept, {split: len(splits[split]) - len(kept[split]) for split in SPLITS}


def _junctions(examples: Iterable[Example]) -> set[str | None]:
    return {example.group for example in examples}
