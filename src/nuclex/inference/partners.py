"""Pairs of sequences and partners that a model is asked about, read as fine-tuning reads them; partners may be new."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from nuclex.bundle import Bundle
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError, InputError, at, shown
from nuclex.data.columns import SAMPLE_ROWS, ReadConfig, choose_columns
from nuclex.data.compression import opened
from nuclex.data.table import delimiter_of, rows
from nuclex.data.vectors import Vectors, read_vectors
from nuclex.inference.reading import label_of
from nuclex.tasks import Example
from nuclex.tasks.partners import partner_of
from nuclex.tasks.table import Table

SAME = 1e-3
"""Of its largest number a vector may differ from the one that fine-tuning knew; machines do not compute alike."""


class PartnerColumns(Config):
    """How a table of pairs is read, by the keys of the task `table-partner`.

    What is not given is as the bundle was fine-tuned, where the table has a column of that name, else as it usually is.
    """

    sequence_column: str | None = Field(default=None, description="the sequences")
    id_column: str | None = Field(default=None, description="the names of the rows; without one they are counted")
    partner_column: str | None = Field(default=None, description="the names of the partners")
    partners: Path | None = Field(default=None, description="vectors of partners that fine-tuning did not know")

    def over(self, recipe: dict[str, Any], names: tuple[str, ...]) -> PartnerColumns:
        """These over what the ``recipe`` of a bundle says of the columns ``names``."""
        task = recipe.get("task")
        stored = task if isinstance(task, dict) and task.get("kind") == "table-partner" else {}
        kept = {key: stored[key] for key in ("sequence_column", "id_column", "partner_column") if key in stored}
        given = {key: value for key, value in dict(self).items() if value is not None}
        return PartnerColumns(**{**{key: name for key, name in kept.items() if name in names}, **given})


def pairs_in(inputs: str | Path, columns: PartnerColumns, bundle: Bundle) -> Iterator[Example]:
    """The pairs of a table (CSV or TSV) one by one, each an example without an answer.

    InputError with file and line for a sequence that is none, or a partner without a vector; for vectors of another
    size than the bundle's, or that say something else of a partner it knows.
    """
    known, label = known_partners(columns.partners, bundle), label_of(inputs)
    with opened(inputs, label) as text:
        found = rows(text, delimiter_of(text.peek(), "tsv" if {".tsv", ".tab"} & set(Path(inputs).suffixes) else "csv"))
        names = tuple(next(found, (0, []))[1])
        sample = tuple(islice(found, SAMPLE_ROWS))
        if not sample:
            raise InputError(f"{label}: is empty; a line with the columns' names and at least one row are needed")
        asked = columns.over(bundle.record.recipe, names)
        place = Table(Path(label), names, sample).place(asked.partner_column or "partner", "partner_column")
        read = ReadConfig(sequence_column=asked.sequence_column, id_column=asked.id_column)
        places = choose_columns(names, [fields for _, fields in sample], read, label)
        for number, (line, fields) in enumerate(chain(sample, found), start=1):
            where = at(label, line)
            record = places.record(fields, "", line, number, where)
            partner = partner_of(fields[place], known, where)
            yield Example(record.sequence.decode("ascii"), "", record.id, partner=partner)


def known_partners(path: Path | None, bundle: Bundle) -> list[Vectors]:
    """The partners that a bundle was fine-tuned with, and those of a file; InputError where they do not go together."""
    assert bundle.task is not None
    own = bundle.task.partners
    if own is None:
        raise CorruptError(f"{bundle.path}: lacks the vectors of the partners it was fine-tuned with")
    if path is None:
        return [own]
    given = read_vectors(path)
    if given.size != own.size:
        raise InputError(
            f"{path}: its vectors have {given.size} numbers, those of {bundle.path} {own.size}; the same program has "
            "to make both"
        )
    for name in given.names:
        if name in own.place:
            kept_P, found_P = own.numbers_KP[own.place[name]], given.numbers_KP[given.place[name]]
            if np.abs(kept_P - found_P).max() > SAME * np.abs(kept_P).max():
                raise InputError(
                    f"{path}: {shown(name)} has another vector than the one that {bundle.path} was fine-tuned with; "
                    "the same program has to make both"
                )
    return [own, given]
