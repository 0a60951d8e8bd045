"""A label at each nucleotide: reactivity and degradation of OpenVaccine's RNAs, or letters and numbers of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.core.errors import InputError, at, shown
from nuclex.core.plain import from_json
from nuclex.data.compression import lines, opened, pieces
from nuclex.tasks.base import TASKS, Example, Shape, Split, Task, TaskConfig, Track, assemble
from nuclex.tasks.table import Answer, Naming, Read, TableConfig, number, some_numbers

FOLDS = 5
UNSCORED = "."
_MISSING = {"", "nan", "na", UNSCORED}
MEASURED = ("reactivity", "deg_Mg_pH10", "deg_pH10", "deg_Mg_50C", "deg_50C")
"""What OpenVaccine measured at each position: reactivity to 1M7, and how easily the chain breaks there, with magnesium
or without, at pH 10 or at 50 °C."""


@TASKS.register
class TablePositionsConfig(TableConfig):
    """Labels of the nucleotides of one's own sequences: a letter each (``.`` where there is none), or a number each.

    Letters are written without anything between them, numbers with blanks, commas or semicolons, in brackets or not;
    ``nan``, ``NA``, ``.`` or nothing between two commas is a position without a number. ``label_columns`` are several
    columns of numbers, which one model learns together: a row may have no number in some of them.
    """

    kind: Literal["table-positions"] = "table-positions"
    shape: ClassVar[Shape] = Shape.PER_POSITION
    values: Literal["letters", "numbers"] = Field(default="letters", description="what stands at each position")
    label_columns: tuple[str, ...] = Field(
        default=(), description="several columns of numbers, instead of label_column, to learn together"
    )

    @model_validator(mode="after")
    def _several(self) -> Self:
        columns = self.label_columns
        if columns and self.label_column != "label":
            raise ValueError("label_columns: with them label_column has no meaning; leave one of them out")
        if columns and (self.values == "letters" or len(set(columns)) < max(len(columns), 2)):
            raise ValueError(
                f"label_columns is {list(columns)}; two or more that differ, of values numbers, are needed"
            )
        return self

    @property
    def reading(self) -> Read:
        """A row of letters or of numbers."""
        if self.values == "letters":
            return _letters
        return _numbers if self.label_columns else _some_numbers

    def read(self) -> Task:
        """As for every table; several columns are the task's targets."""
        return replace(super().read(), targets=self.label_columns)

    def _naming(self, split: str | None) -> Naming:
        return replace(super()._naming(split), labels=self.label_columns)


@TASKS.register
class OpenvaccineConfig(TaskConfig):
    """OpenVaccine (doi:10.1038/s42256-022-00571-8): how reactive or how easily broken each nucleotide is.

    2097 RNAs of 107 nt, of which the first 68 positions were measured, in five folds that share no cluster of
    sequences: one is the validation split, four are trained on. The test split is the labelled one of the contest: 629
    RNAs of 107 nt (68 measured) and 3005 of 130 nt (91 measured). ``clean`` leaves out, of train and validation, what
    the contest's own filter of signal over noise (``SN_filter``) did not pass, and the notes count it; the test split
    has no such mark, so that all of it is asked. Several targets are learned by one model and judged by MCRMSE, the
    contest's score, which was that of reactivity, deg_Mg_pH10 and deg_Mg_50C.
    """

    kind: Literal["openvaccine"] = "openvaccine"
    shape: ClassVar[Shape] = Shape.PER_POSITION
    target: str | tuple[str, ...] = Field(
        default="reactivity", description=f"of {', '.join(MEASURED)} one, or a list of several to learn together"
    )
    validation_fold: int = Field(default=0, ge=0, lt=FOLDS)
    clean: bool = Field(default=True, description="train and validate on RNAs with SN_filter 1 only")
    test_length: Literal[107, 130] | None = Field(default=None, description="only test RNAs of so many nucleotides")

    @model_validator(mode="after")
    def _several(self) -> Self:
        targets = self._targets
        if not targets or len(set(targets) & set(MEASURED)) < len(targets):
            raise ValueError(
                f"target is {shown(self.target)}; one of {', '.join(MEASURED)} is needed, or several in a list"
            )
        return self

    @property
    def _targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    def read(self) -> Task:
        """Fetch and read the folds and the test set of the catalogue."""
        from nuclex.data.catalog import fetch

        splits: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
        targets, noisy = self._targets, 0
        for fold in range(FOLDS):
            (path,) = fetch(f"openvaccine-fold-{fold}")
            split: Split = "validation" if fold == self.validation_fold else "train"
            for where, row in _json_lines(path):
                if self.clean and row.get("SN_filter") != 1:
                    noisy += 1
                    continue
                splits[split].append(_measured(row, targets, where))
        (path,) = fetch("openvaccine-test")
        splits["test"] = [
            _measured(row, targets, where)
            for where, row in _json_columns(path)
            if self.test_length is None or row["seq_length"] == self.test_length
        ]
        notes = {"dataset": "openvaccine", "validation": f"fold {self.validation_fold}", "noisy_left_out": noisy}
        return replace(assemble(self, splits, notes), targets=targets if len(targets) > 1 else ())


def _letters(text: str, where: str) -> Answer:
    row = text.strip()
    if not row.strip(UNSCORED) or not row.isascii() or not row.isprintable() or " " in row:
        raise InputError(
            f"{where}: the label is {shown(row)}; a letter for each nucleotide, or {UNSCORED!r}, is needed"
        )
    return np.array(["" if letter == UNSCORED else letter for letter in row], dtype=np.str_)


def _numbers(text: str, where: str) -> NDArray[np.float64]:
    row = text.strip().removeprefix("[").removesuffix("]")
    words = [word.strip() for word in re.split("[,;]", row)] if re.search("[,;]", row) else row.split()
    return np.array([np.nan if word.lower() in _MISSING else number(word, where) for word in words])


def _some_numbers(text: str, where: str) -> Track:
    return some_numbers(_numbers(text, where), where)


def _measured(row: Mapping[str, Any], targets: Sequence[str], where: str) -> Example:
    """One RNA; what lies behind its measured positions has no label."""
    try:
        sequence, name = row["sequence"], str(row.get("seq_id", row.get("id")))
        values_LK = np.full((len(sequence), len(targets)), np.nan)
        for column_L, target in zip(values_LK.T, targets, strict=True):
            column_L[: len(row[target])] = np.array(row[target], dtype=np.float64)
        group = None if row.get("clusters") is None else f"cluster-{row['clusters']}"
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: is no RNA of OpenVaccine with the measured {', '.join(targets)}") from None
    return Example(
        cast(str, sequence), some_numbers(values_LK if len(targets) > 1 else values_LK[:, 0], where), name, group
    )


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
