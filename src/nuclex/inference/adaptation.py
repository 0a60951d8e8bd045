"""By what codons are judged: a set of reference genes, or a table of codon usage."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError, at
from nuclex.data.read import read_sequences
from nuclex.metrics.codon_usage import adaptiveness, codon_counts, weights_of


def codon_weights(path: str | Path, code: GeneticCode) -> NDArray[np.float64]:
    """The adaptiveness of each codon (64,), 1 for the most frequent of its synonyms, for the codon adaptation index.

    A .csv or .tsv file whose first column is called ``codon`` gives counts, frequencies or weights in its second;
    every other file gives coding sequences, read from their first letter, whose codons are counted. InputError names
    the file, and the line where it can.
    """
    path = Path(path)
    try:
        table = _table(path)
        if table is not None:
            return weights_of(table, code)
        return adaptiveness(codon_counts(record.sequence for record in read_sequences(path)).sum(0), code)
    except InputError as error:
        told = str(error)
        raise InputError(told if told.startswith(str(path)) else f"{path}: {told}") from None


def _table(path: Path) -> dict[str, float] | None:
    """The numbers of a table of codons; None for a file that is none."""
    if path.suffix not in (".csv", ".tsv") or not path.is_file():
        return None
    found: dict[str, float] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        rows = csv.reader(handle, delimiter="\t" if path.suffix == ".tsv" else ",")
        names = next(rows, [])
        if not names or names[0].strip().lower() != "codon" or len(names) < 2:
            return None
        for line, row in enumerate(rows, start=2):
            try:
                codon, value = row[0].strip().upper().replace("U", "T"), float(row[1])
            except (IndexError, ValueError):
                raise InputError(
                    f"{at(path, line)}: found {','.join(row)!r}; a codon and a number are needed"
                ) from None
            if codon not in CODONS or not 0 <= value < math.inf:
                wanted = "three of A, C, G and T or U, and a number of 0 or more, are needed"
                raise InputError(f"{at(path, line)}: found {','.join(row)!r}; {wanted}")
            if codon in found:
                raise InputError(f"{at(path, line)}: {row[0]} is there twice")
            found[codon] = value
    return found
