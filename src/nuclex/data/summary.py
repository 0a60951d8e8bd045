"""What the manifest of a corpus says about its sequences, counted while they are written."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.data.composition import Kinds, LengthCounts, composition, letter_counts, marks
from nuclex.data.gather import Gathered, Source
from nuclex.data.split import SPLITS
from nuclex.data.terms import terms_of

if TYPE_CHECKING:
    from nuclex.data.catalog import Dataset


class Summary:
    """Counts the kept sequences by source, family, RNA type and split."""

    def __init__(self, gathered: Gathered) -> None:
        self._sources, self._source_kinds = gathered.sources, Kinds()
        self._families, self._family_kinds = gathered.families.listed(), Kinds()
        self._types, self._type_kinds = gathered.kinds.listed(), Kinds()
        self._splits = Kinds()
        self._letters = np.zeros((len(gathered.sources), 256), dtype=np.int64)
        self._simulated = np.zeros(len(gathered.sources), dtype=np.int64)
        self._first_split = np.full(len(self._families), len(SPLITS), dtype=np.int8)
        self._last_split = np.full(len(self._families), -1, dtype=np.int8)

    def add(self, sequences: pa.Array, numbers: NDArray[np.void], codes_N: NDArray[np.int8]) -> None:
        """Count N sequences: their letters, the numbers they were staged with, and their splits."""
        if not len(numbers):
            return
        marks_N3 = marks(sequences)
        self._source_kinds.add(numbers["source"], marks_N3)
        self._splits.add(codes_N, marks_N3)
        if self._types:
            self._type_kinds.add(numbers["kind"], marks_N3)
        if self._families:
            self._family_kinds.add(numbers["family"], marks_N3)
            named = numbers["family"] >= 0
            np.minimum.at(self._first_split, numbers["family"][named], codes_N[named])
            np.maximum.at(self._last_split, numbers["family"][named], codes_N[named])
        self._simulated += np.bincount(numbers["source"][numbers["simulated"]], minlength=len(self._simulated))
        borders = [0, *(np.flatnonzero(np.diff(numbers["source"])) + 1).tolist(), len(numbers)]
        for first, last in pairwise(borders):
            self._letters[numbers["source"][first]] += letter_counts(sequences.slice(first, last - first))

    def record(self) -> dict[str, Any]:
        """The part of the manifest that describes the sequences."""
        lengths = self._source_kinds.all_lengths()
        return {
            "sequences_in": sum(source.sequences_in for source in self._sources),
            "sequences_out": sum(lengths.counts.values()),
            "nucleotides_out": sum(length * count for length, count in lengths.counts.items()),
            "lower_case_in": sum(source.lower_case for source in self._sources),
            "families": self._family_kinds.present(),
            "simulated": bool(self._simulated.any()),
            "lengths": lengths.summary(),
            "composition": composition(self._letters.sum(axis=0)),
            "sources": [self._source(number, source) for number, source in enumerate(self._sources)],
            "by_source": self._source_kinds.table([source.name for source in self._sources]),
            "by_family": self._family_kinds.table(self._families),
            "by_type": self._type_kinds.table(self._types),
        }

    def splits(self) -> dict[str, dict[str, int]]:
        """Sequences and nucleotides in each split."""
        totals = {name: self._splits.totals(code) for code, name in enumerate(SPLITS)}
        return {name: {"sequences": sequences, "nucleotides": letters} for name, (sequences, letters) in totals.items()}

    def divided_families(self) -> int:
        """How many families have members in more than one split."""
        return int((self._first_split < self._last_split).sum())

    def _source(self, number: int, source: Source) -> dict[str, Any]:
        sequences, nucleotides = self._source_kinds.totals(number)
        lengths: LengthCounts = self._source_kinds.lengths(number)
        return {
            "name": source.name,
            "path": source.path,
            "sha256": source.sha256,
            "bytes": source.bytes,
            "sequences_in": source.sequences_in,
            "sequences_out": sequences,
            "nucleotides_out": nucleotides,
            "repeated_ids": source.repeated_ids,
            "simulated": int(self._simulated[number]),
            "lower_case_in": source.lower_case,
            "lengths": lengths.summary(),
            "composition": composition(self._letters[number]),
            **({"unit": source.unit} if source.unit is not None else {}),
            **(rights_of(source.dataset) if source.dataset is not None else {}),
        }


def rights_of(dataset: Dataset) -> dict[str, Any]:
    """What the catalogue says of a source: which data set it is, under which licence, and whom to cite."""
    terms = terms_of(dataset.licence)
    return {"dataset": dataset.name, "licence": dataset.licence, "terms": terms, "citation": dataset.citation}
