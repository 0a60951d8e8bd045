"""What a corpus is made of: lengths, letters and kinds of RNA, counted while the sequences pass by."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.data.store import LETTERS_AT_ONCE, letters, runs

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LENGTHS = {"shortest": "min", "median": "q50", "longest": "max", "mean": "mean"}
_MOST_ROWS = 200
UNNAMED, OTHERS = "(none)", "(others)"
_STRONG = np.zeros(256, dtype=np.uint64)
_STRONG[list(b"GC")] = 1
_MARKS = _STRONG.copy()
_MARKS[[byte for byte in range(256) if byte not in b"ACGTU"]] = 1 << 32
"""G and C count in the lower half of a number, letters that are no single base in the upper half."""


class LengthCounts:
    """How often each length occurs; quantiles come out as if all lengths had been kept."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, lengths_N: NDArray[np.int64]) -> None:
        """Count these lengths too."""
        values, counts = np.unique(lengths_N, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.counts[value] += count

    def summary(self) -> dict[str, float] | None:
        """Least, quantiles (linear between neighbours, as numpy's), most and mean; None where nothing was counted."""
        if not self.counts:
            return None
        values = np.array(sorted(self.counts), dtype=np.int64)
        ends = np.cumsum([self.counts[value] for value in values.tolist()])
        total = int(sum(value * count for value, count in self.counts.items()))
        quantiles = {f"q{round(100 * at):02d}": _quantile(values, ends, at) for at in _QUANTILES}
        return {"min": int(values[0]), **quantiles, "max": int(values[-1]), "mean": total / int(ends[-1])}


class Kinds:
    """Sequences, nucleotides, GC and ambiguous letters for each of some named groups (sources, families, RNA types)."""

    def __init__(self) -> None:
        self._totals = np.zeros((1, 4), dtype=np.int64)
        self._lengths: dict[int, LengthCounts] = {}

    def add(self, numbers_N: NDArray[np.integer], marks_N3: NDArray[np.int64]) -> None:
        """Count N sequences; ``numbers_N`` are their groups (-1 where none), ``marks_N3`` what ``marks`` says."""
        groups, places_N = np.unique(numbers_N, return_inverse=True)
        last = int(groups.max(initial=-1)) + 2
        if last > len(self._totals):
            grown = np.zeros((max(last, 2 * len(self._totals)), 4), dtype=np.int64)
            grown[: len(self._totals)] = self._totals
            self._totals = grown
        order = np.argsort(places_N, kind="stable")
        starts = np.searchsorted(places_N[order], np.arange(len(groups)))
        marks_N4 = np.column_stack([np.ones(len(marks_N3), dtype=np.int64), marks_N3])[order]
        self._totals[groups + 1] += np.add.reduceat(marks_N4, starts)
        for group, lengths in zip(groups.tolist(), np.split(marks_N4[:, 1], starts[1:]), strict=True):
            self._lengths.setdefault(group, LengthCounts()).add(lengths)

    def totals(self, number: int) -> tuple[int, int]:
        """Sequences and nucleotides of one group."""
        if number + 1 >= len(self._totals):
            return 0, 0
        return int(self._totals[number + 1, 0]), int(self._totals[number + 1, 1])

    def lengths(self, number: int) -> LengthCounts:
        """The lengths of one group."""
        return self._lengths.get(number, LengthCounts())

    def all_lengths(self) -> LengthCounts:
        """The lengths of all groups together."""
        united = LengthCounts()
        for lengths in self._lengths.values():
            united.counts.update(lengths.counts)
        return united

    def present(self) -> int:
        """How many named groups have members."""
        return int((self._totals[1:, 0] > 0).sum())

    def table(self, names: list[str]) -> list[dict[str, Any]]:
        """One row for each group with members, the largest first; beyond 200 the rest is one row."""
        numbers = np.flatnonzero(self._totals[:, 0])
        numbers = numbers[np.argsort(-self._totals[numbers, 0], kind="stable")]
        rows = [
            _table_row(UNNAMED if number == 0 else names[number - 1], self._totals[number], self.lengths(number - 1))
            for number in numbers[:_MOST_ROWS].tolist()
        ]
        if len(numbers) > _MOST_ROWS:
            rest, united = numbers[_MOST_ROWS:], LengthCounts()
            for number in rest.tolist():
                united.counts.update(self.lengths(number - 1).counts)
            rows.append({**_table_row(OTHERS, self._totals[rest].sum(axis=0), united), "names": len(rest)})
        return rows


def marks(column: pa.Array) -> NDArray[np.int64]:
    """For each of N sequences (upper case): its letters, how many are G or C, how many no single base (N, 3)."""
    data, offsets = letters(column)
    text, offsets_N1 = np.frombuffer(data, dtype=np.uint8), np.asarray(offsets)
    marks_N3 = np.zeros((len(column), 3), dtype=np.int64)
    marks_N3[:, 0] = np.diff(offsets_N1)
    for first, last in runs(offsets_N1):
        bounds = offsets_N1[first : last + 1] - offsets_N1[first]
        sums = np.zeros(int(bounds[-1]) + 1, dtype=np.uint64)
        np.cumsum(_MARKS[text[offsets_N1[first] : offsets_N1[last]]], out=sums[1:])
        counted = np.diff(sums[bounds])
        marks_N3[first:last, 1] = counted & np.uint64(0xFFFFFFFF)
        marks_N3[first:last, 2] = counted >> np.uint64(32)
    return marks_N3


def letter_counts(column: pa.Array) -> NDArray[np.int64]:
    """How often each byte occurs in the sequences of a column (256,)."""
    data, offsets = letters(column)
    text = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(text), LETTERS_AT_ONCE):
        counts += np.bincount(text[start : start + LETTERS_AT_ONCE], minlength=256)
    return counts


def composition(counts: NDArray[np.int64]) -> dict[str, int]:
    """Letter counts (256,) by letter, those that occur."""
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts)}


def _table_row(name: str, totals: NDArray[np.int64], lengths: LengthCounts) -> dict[str, Any]:
    sequences, nucleotides, strong, ambiguous = totals.tolist()
    plain, summary = nucleotides - ambiguous, lengths.summary() or {}
    return {
        "name": name,
        "sequences": sequences,
        "nucleotides": nucleotides,
        "gc": strong / plain if plain else None,
        "ambiguous": ambiguous / nucleotides if nucleotides else 0.0,
        **{column: summary[name] for column, name in _LENGTHS.items()},
    }


def _quantile(values: NDArray[np.int64], ends: NDArray[np.int64], at: float) -> float:
    """The quantile of a sorted row of numbers given as values and the places where each value ends."""
    place = at * float(ends[-1] - 1)
    whole = int(place)
    part = place - whole
    low = float(values[np.searchsorted(ends, whole, side="right")])
    high = float(values[np.searchsorted(ends, min(whole + 1, int(ends[-1]) - 1), side="right")])
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
