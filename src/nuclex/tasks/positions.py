"""A label at each nucleotide: reactivity and degradation of OpenVaccine's RNAs, or letters and numbers of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.core.errors import InputError, at, shown
from nuclex.core.plain import from_json
from nuclex.data.compression import lines, opened, pieces
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, Track, assemble
from nuclex.tasks.table import Answer, Read, TableConfig, number

FOLDS = 5
UNSCORED = "."
_MISSING = {"", "nan", "na", UNSCORED}


@TASKS.register
class TablePositionsConfig(TableConfig):
    """Labels of the nucleotides of one's own sequences: a letter each (``.`` where there is none), or a number each.

    Letters are written without anything between them, numbers with blanks, commas or semicolons, in brackets or not;
    ``nan``, ``NA``, ``.`` or nothing between two commas is a position without a number.
    """

    kind: Literal["table-positions"] = "table-positions"
    shape: ClassVar[Shape] = Shape.PER_POSITION
    values: Literal["letters", "numbers"] = Field(default="letters", description="what stands at each position")

    @property
    def reading(self) -> Read:
        """A row of letters or of numbers."""
        return _letters if self.values == "letters" else _numbers


@TASKS.register
class OpenvaccineConfig(TaskConfig):
    """OpenVaccine (doi:10.1038/s42256-022-00571-8): how reactive or how easily broken each nucleotide is.

    2097 RNAs of 107 nt, of which the first 68 positions were measured, in five folds that share no cluster of
    sequences: one is the validation split, four are trained on. The test split is the labelled one of the contest: 629
    RNAs of 107 nt (68 measured) and 3005 of 130 nt (91 measured). ``clean`` leaves out, of train and validation, what
    the contest's own filter of signal over noise did not pass.
    """

    kind: Literal["openvaccine"] = "openvaccine"
    shape: ClassVar[Shape] = Shape.PER_POSITION
    target: Literal["reactivity", "deg_Mg_pH10", "deg_pH10", "deg_Mg_50C", "deg_50C"] = "reactivity"
    validation_fold: int = Field(default=0, ge=0, lt=FOLDS)
    clean: bool = Field(default=True, description="train and validate on RNAs with SN_filter 1 only")
    test_length: Literal[107, 130] | None = Field(default=None, description="only test RNAs of so many nucleotides")

    def read(self) -> Task:
        """Fetch and read the folds and the test set of the catalogue."""
        from nuclex.data.catalog import fetch

        splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        for fold in range(FOLDS):
            (path,) = fetch(f"openvaccine-fold-{fold}")
            split: Split = "validation" if fold == self.validation_fold else "train"
            rows = ((where, row) for where, row in _json_lines(path) if row.get("SN_filter") == 1 or not self.clean)
            splits[split] += [_measured(row, self.target, where) for where, row in rows]
        (path,) = fetch("openvaccine-test")
        splits["test"] = [
            _measured(row, self.target, where)
            for where, row in _json_columns(path)
            if self.test_length is None or row["seq_length"] == self.test_length
        ]
        return assemble(self, splits, {"dataset": "openvaccine", "validation": f"fold {self.validation_fold}"})


def _letters(text: str, where: str) -> Answer:
    row = text.strip()
    if not row.strip(UNSCORED) or not row.isascii() or not row.isprintable() or " " in row:
        raise InputError(
            f"{where}: the label is {shown(row)}; a letter for each nucleotide, or {UNSCORED!r}, is needed"
        )
    return np.array(["" if letter == UNSCORED else letter for letter in row], dtype=np.str_)


def _numbers(text: str, where: str) -> Answer:
    row = text.strip().removeprefix("[").removesuffix("]")
    words = [word.strip() for word in re.split("[,;]", row)] if re.search("[,;]", row) else row.split()
    values_L = np.array([np.nan if word.lower() in _MISSING else number(word, where) for word in words])
    return _scored(values_L, where)


def _scored(values_L: NDArray[np.float64], where: str) -> Track:
    if not np.isfinite(values_L).any():
        raise InputError(f"{where}: no position has a number; at least one is needed")
    return values_L


def _measured(row: Mapping[str, Any], target: str, where: str) -> Example:
    """One RNA; what lies behind its measured positions has no label."""
    try:
        sequence, measured, name = row["sequence"], row[target], str(row.get("seq_id", row.get("id")))
        values_L = np.full(len(sequence), np.nan)
        values_L[: len(measured)] = np.array(measured, dtype=np.float64)
        group = None if row.get("clusters") is None else f"cluster-{row['clusters']}"
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: is no RNA of OpenVaccine with the measured {target}") from None
    return Example(cast(str, sequence), _scored(values_L, where), name, group)


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line of a JSON-lines file, and where it stands."""
    with opened(path, str(path)) as text:
        for line in (line for piece in pieces(text) for line in lines(piece)):
            yield at(path, text.line), _table(line, at(path, text.line))
            text.line += 1


def _json_columns(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a JSON file that holds them by column and number."""
    with opened(path, str(path)) as text:
        columns = _table(b"".join(pieces(text)), str(path))
    try:
        for place in columns["sequence"]:
            yield f"{path}: row {place}", {name: column[place] for name, column in columns.items()}
    except (KeyError, TypeError):
        raise InputError(f"{path}: has no table of rows by column and number") from None


def _table(content: bytes, where: str) -> dict[str, Any]:
    try:
        found = from_json(content)
    except ValueError as error:
        raise InputError(f"{where}: is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{where}: found {shown(found)}; a table is needed")
    return found
