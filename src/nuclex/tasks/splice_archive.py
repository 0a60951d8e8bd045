"""Spliceator's splice sites out of SpliceBERT's archive: GS_1 in ten folds, and four species that are held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from nuclex.core.errors import InputError, at
from nuclex.core.randomness import key
from nuclex.data.compression import opened
from nuclex.data.table import rows
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, assemble, carve
from nuclex.tasks.splicing import Site, middle

FOLDS = 10
FOLD_SEED = 2020
LABELS = ("positive", "negative")
"""The order in which the archive's files are read, on which the folds depend."""
_SHORTEST = 100
"""A second column with fewer letters is a position, and the sequence is the third."""


@TASKS.register
class SpliceGs1Config(TaskConfig):
    """Spliceator's GS_1 (doi:10.1186/s12859-021-04471-3), true and false sites: a tenth tested, or a species held out.

    ``folder`` is SpliceBERT's archive (doi:10.5281/zenodo.7995778) unpacked, or its folder ``spliceator``; without it
    the catalogue's splice-gs1 is fetched and unpacked. The names of the files, ``;`` between id, position and sequence
    (in some files no position), lines of names that begin with ID_uniprot, and the folds are as SpliceBERT's code has
    them (github.com/chenkenbio/SpliceBERT, ``examples/04-splicesite-prediction``); the folds are scikit-learn's
    ``StratifiedKFold(10, shuffle=True, random_state=2020)`` over all true sites, then all false ones.

    ``test = "gs1"``: ``fold`` is tested, validation is carved from the other nine, by class and distinct sequence. A
    species: ``fold`` is the validation, as in RiNALMo's files (their db_1 is fold 0). SpliceBERT itself trains on seven
    folds, chooses on ``fold`` and tests the two after it.
    """

    kind: Literal["splice-gs1"] = "splice-gs1"
    shape: ClassVar[Shape] = Shape.CLASS
    folder: Path | None = Field(default=None, description="the archive unpacked, where it is not the catalogue's copy")
    site: Site = "donor"
    test: Literal["gs1", "Danio", "Fly", "Worm", "Thaliana"] = Field(
        default="gs1", description="gs1: the fold; or zebrafish, fly, worm, thale cress, and the fold is the validation"
    )
    fold: int = Field(default=0, ge=0, lt=FOLDS, description="the tenth of GS_1 that is not trained on")
    window: int = Field(default=400, ge=2, le=600, description="letters in the middle that are read")
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="with gs1: of what is trained on")

    def read(self) -> Task:
        """Read the files of the site; InputError with file and line where one is not as SpliceBERT's code reads it."""
        home = _home(_unpacked() if self.folder is None else self.folder)
        training = home / "Training_data"
        places = {
            "positive": training / "Positive" / "GS" / f"POS_{self.site}_600.csv",
            "negative": training / "Negative" / "GS" / "GS_1" / f"NEG_600_{self.site}.csv",
        }
        gs1 = self._sites("gs1", places)
        fold_N = stratified_folds([str(example.label) for example in gs1], home)
        stay = [example for example, fold in zip(gs1, fold_N, strict=True) if fold != self.fold]
        held_out = [example for example, fold in zip(gs1, fold_N, strict=True) if fold == self.fold]
        tenth = f"fold {self.fold} of {FOLDS}"
        notes = {"dataset": "splice-gs1", "files": str(home), "site": self.site}
        if self.test == "gs1":
            train, taken = carve(stay, self.validation_share, key(self.seed, "validation"))
            splits: dict[Split, list[Example]] = {"train": train, "validation": taken, "test": held_out}
            return assemble(self, splits, {**notes, "test": tenth, "validation": "carved from train"})
        start = home / "Benchmarks" / self.test / f"SA_sequences_{self.site}_400_Final_3"
        tested = self._sites(self.test, {label: start.with_name(f"{start.name}.{label}.txt") for label in LABELS})
        splits = {"train": stay, "validation": held_out, "test": tested}
        return assemble(self, splits, {**notes, "test": self.test, "validation": tenth})

    def _sites(self, source: str, places: dict[str, Path]) -> list[Example]:
        return [
            Example(middle(letters, self.window, at(places[label], line)), label, f"{source}-{label}-{line}-{name}")
            for label in LABELS
            for line, name, letters in archive_rows(places[label])
        ]


def archive_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """The line, the id and the sequence of each row; InputError with file and line where there is no sequence."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; it belongs to SpliceBERT's archive (splice-gs1), unpacked as it is")
    with opened(path, str(path)) as text:
        for line, (row,) in rows(text, "\0"):  # whole lines: they need not have equally many columns
            if row.startswith("ID_uniprot"):
                continue
            fields = row.strip().split(";")
            place = 1 if len(fields) > 1 and len(fields[1]) >= _SHORTEST else 2
            if len(fields) <= place:
                raise InputError(
                    f"{at(path, line)}: found {len(fields)} columns and no sequence of {_SHORTEST} letters in the "
                    "second; id;position;sequence or id;sequence is needed"
                )
            yield line, fields[0].strip(), fields[place]


def stratified_folds(labels: Sequence[str], where: Path) -> list[int]:
    """The fold (N,) that each row is held out in, by scikit-learn's ``StratifiedKFold`` with SpliceBERT's seed.

    InputError where a class has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    for label in LABELS:
        if (count := labels.count(label)) < FOLDS:
            raise InputError(f"{where}: has {count} {label} sites; at least one a fold is needed, so {FOLDS}")
    fold_N = np.zeros(len(labels), dtype=np.int64)
    dealt = StratifiedKFold(FOLDS, shuffle=True, random_state=FOLD_SEED).split(fold_N, labels)
    for fold, (_, held_out) in enumerate(dealt):
        fold_N[held_out] = fold
    return fold_N.tolist()


def _unpacked() -> Path:
    from nuclex.data.catalog import fetch

    return fetch("splice-gs1", unpack=True)[0]


def _home(folder: Path) -> Path:
    """Where ``Training_data`` and ``Benchmarks`` are: in the folder, or where the archive has them."""
    for home in (folder, folder / "spliceator", folder / "data" / "spliceator"):
        if (home / "Training_data").is_dir():
            return home
    raise InputError(
        f"{folder}: has no folder Training_data, spliceator/Training_data or data/spliceator/Training_data; give the "
        "folder that SpliceBERT's archive (splice-gs1) was unpacked into"
    )
