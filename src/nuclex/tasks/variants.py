"""What a change of a sequence does: 5' UTR variants by ribosome load, and saturated promoters and enhancers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from nuclex.core.errors import InputError, at, shown
from nuclex.data.read import read_sequences
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve_missing
from nuclex.tasks.table import Table, number

HARMFUL = ("Pathogenic", "Likely pathogenic", "Pathogenic/Likely pathogenic")
HARMLESS = ("Benign", "Likely benign", "Benign/Likely benign")
_PLACE = re.compile(r"(\S+):(\d+)-(\d+)")
MISSING = ("", "NA", "nan", "inf", "-inf")


@TASKS.register
class UtrVariantsConfig(TaskConfig):
    """Variants of human 5' UTRs and what they do to ribosome load (doi:10.1038/s41587-019-0164-5): 2135 of 50 nt.

    The label is ``effect``, the measured log2 of the variant's load over its reference's, or ``harm``: 1 where ClinVar
    calls the variant pathogenic (or likely so), 0 where benign; others are left out. Whole references are carved off
    for validation and test. 2327 of the UTRs are also in the task ``ribosome-load`` of the human library.
    """

    kind: Literal["utr-variants"] = "utr-variants"
    shape: ClassVar[Shape] = Shape.VARIANT
    label: Literal["effect", "harm"] = "effect"
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.2, gt=0, lt=1)

    def read(self) -> Task:
        """Fetch and read the table of the catalogue."""
        from nuclex.data.catalog import fetch

        (path,) = fetch("utr-variants")
        table = Table.of(path)
        names = ("utr", "mother", "log_obs_diff", "clin_sig", "id")
        places = [table.place(name, "as in the catalogue's file") for name in names]
        examples, left_out = [], 0
        for line, fields in table.rows:
            utr, mother, effect, verdict, name = (fields[place] for place in places)
            if utr == mother:
                continue
            if self.label == "effect":
                label = None if effect in MISSING else number(effect, at(path, line))
            else:
                label = _harm(verdict)
            if label is None:
                left_out += 1
                continue
            examples.append(Example(mother, label, f"{name}-{line}", mother, utr))
        return _carved(self, examples, {"dataset": "utr-variants", "label": self.label, "without_label": left_out})


@TASKS.register
class SatmutConfig(TaskConfig):
    """Every change of 29 promoters and enhancers, and what it does to expression (doi:10.1038/s41467-019-11526-w).

    The label is the measured log2 effect of a substitution or of a deletion of one nucleotide (GRCh38). Few barcodes
    give a noisy effect; variants of fewer than ``barcodes`` are left out. Windows are ``around`` letters of the element
    with the variant in the middle, clipped at its ends. Elements that overlap on their chromosome (an assay in two cell
    lines, a longer construct) are one locus, and whole loci are carved off for validation and test.
    """

    kind: Literal["satmut"] = "satmut"
    shape: ClassVar[Shape] = Shape.VARIANT
    around: int = Field(default=200, ge=3, description="letters of the element that are read")
    barcodes: int = Field(default=10, ge=0)
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    test_share: float = Field(default=0.3, gt=0, lt=1)

    def read(self) -> Task:
        """Fetch and read variants and references; InputError with file and line where they contradict each other."""
        from nuclex.data.catalog import fetch

        (variants,), (references,) = fetch("satmut-elements"), fetch("satmut-references")
        elements = _elements(references)
        counted = {"rows": 0, "few_barcodes": 0, "without_effect": 0}
        examples = list(self._examples(variants, elements, counted))
        return _carved(self, examples, {"dataset": "satmut-elements", **counted})

    def _examples(self, path: Path, elements: Mapping[str, _Element], counted: dict[str, int]) -> Iterator[Example]:
        table = Table.of(path)
        names = ("Pos", "Ref", "Alt", "Barcodes", "Coefficient", "Element", "Release")
        places = [table.place(name, "as in the catalogue's file") for name in names]
        for line, fields in table.rows:
            position, ref, alt, barcodes, effect, element, release = (fields[place] for place in places)
            if release != "GRCh38":
                continue
            counted["rows"] += 1
            where = at(path, line)
            if effect in MISSING or position in MISSING:
                counted["without_effect"] += 1
            elif number(barcodes, where, "number of barcodes") < self.barcodes:
                counted["few_barcodes"] += 1
            else:
                known = elements[element]
                place = int(number(position, where, "position")) - known.first
                before, after = _windows(known.letters, place, (ref, alt), self.around, where)
                yield Example(before, number(effect, where), f"{element}:{position}{ref}>{alt}", known.locus, after)


class _Element(NamedTuple):
    """Where an element begins on its chromosome, counted from 1, its letters, and the locus that it lies in."""

    first: int
    letters: str
    locus: str


def _windows(letters: str, place: int, change: tuple[str, str], around: int, where: str) -> tuple[str, str]:
    """The letters around a place, as they are and with the change; a deletion (``-``) leaves one letter out."""
    ref, alt = change
    if not 0 <= place < len(letters) or letters[place : place + len(ref)].upper() not in (ref, "N" * len(ref)):
        found = letters[max(place, 0) : max(place, 0) + len(ref)]
        raise InputError(f"{where}: the reference has {shown(found)} there, the row says {shown(ref)}")
    start = max(place - (around - 1) // 2, 0)
    end = min(place + len(ref) + around // 2, len(letters))
    left, right = letters[start:place], letters[place + len(ref) : end]
    return left + ref + right, left + alt.replace("-", "") + right


def _elements(path: Path) -> dict[str, _Element]:
    """The elements by name; their locus is named after the first that begins there."""
    found = []
    for record in read_sequences(path):
        place, letters = _PLACE.search(record.description), record.sequence.decode("ascii")
        if place is None or int(place[3]) - int(place[2]) + 1 != len(letters):
            raise InputError(f"{at(path, record.line)}: the header needs the place of the element, as chr2:101-200")
        found.append((place[1], int(place[2]), int(place[3]), record.id, letters))
    elements, locus, reached = dict[str, _Element](), "", ("", 0)
    for chromosome, first, last, name, letters in sorted(found):
        if (chromosome, first) > reached or chromosome != reached[0]:
            locus, reached = name, (chromosome, 0)
        reached = (chromosome, max(reached[1], last))
        elements[name] = _Element(first, letters, locus)
    return elements


def _harm(verdict: str) -> float | None:
    return 1.0 if verdict in HARMFUL else 0.0 if verdict in HARMLESS else None


def _carved(config: UtrVariantsConfig | SatmutConfig, examples: list[Example], notes: dict[str, Any]) -> Task:
    shares: dict[Split, float] = {"validation": config.validation_share, "test": config.test_share}
    splits, carved = carve_missing({"train": examples}, shares, config.seed, by_group=True)
    assert all(math.isfinite(example.number) for example in examples)
    return assemble(config, splits, {**notes, **carved})
