"""How well the ends of regions along a sequence are found: letters called rightly, and how far a border is off.

A border is where a region starts, or where the last one ends: what follows without a gap shares its border. Rows are
sequences, and intervals are over whole clusters of related ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.regions import Spans
from nuclex.metrics.resampling import Floats
from nuclex.metrics.statistics import bootstrap_sums

FARTHEST = 30
"""Letters; a border that is farther off, or of a region that was not called at all, counts as so far off."""


def overlaps(truth: Sequence[Spans], guess: Sequence[Spans], order: Sequence[str]) -> NDArray[np.int64]:
    """Of each sequence and region: letters called rightly, and letters that are in it, (N, R, 2)."""
    found_NR2 = np.zeros((len(truth), len(order), 2), dtype=np.int64)
    for row, (true, called) in enumerate(zip(truth, guess, strict=True)):
        for column, name in enumerate(order):
            if name in true:
                (start, end), (first, last) = true[name], called.get(name, (0, 0))
                found_NR2[row, column] = max(min(end, last) - max(start, first), 0), end - start
    return found_NR2


def border_errors(truth: Sequence[Spans], guess: Sequence[Spans], order: Sequence[str]) -> Floats:
    """How many letters each border is called too far to the right: (N, R + 1), the starts, then the end of the last.

    nan where the truth has no such border, inf where the region was not called.

    >>> border_errors([{"v": (0, 4), "j": (4, 9)}], [{"v": (0, 5), "j": (5, 9)}], ("v", "j")).tolist()
    [[0.0, 1.0, 0.0]]
    """
    found_NB = np.full((len(truth), len(order) + 1), np.nan)
    for row, (true, called) in enumerate(zip(truth, guess, strict=True)):
        for column, name in enumerate((*order, order[-1])):
            side = int(column == len(order))
            if name in true:
                found_NB[row, column] = called[name][side] - true[name][side] if name in called else np.inf
    return found_NB


def exact_share(truth: Sequence[Spans], guess: Sequence[Spans], order: Sequence[str]) -> Floats:
    """The share of each sequence's borders that is exact (N,); of one without borders all are."""
    error_NB = border_errors(truth, guess, order)
    there_NB = ~np.isnan(error_NB)
    share_N: Floats = np.where(there_NB.any(1), (error_NB == 0).sum(1) / np.maximum(there_NB.sum(1), 1), 1.0)
    return share_N


def distances(error_N: Floats) -> Floats:
    """How often a border is 0, 1, … ``FARTHEST`` letters off: (N, D), one 1 a row, none where there is no border."""
    off_N = np.minimum(np.abs(error_N), FARTHEST)
    off_ND: Floats = (off_N[:, None] == np.arange(FARTHEST + 1)).astype(np.float64)
    return off_ND


def exact(counts: Floats) -> Floats:
    """The share of borders that are not off, from counts (..., D); nan where there is none."""
    return _share(counts[..., 0], counts.sum(-1))


def within_a_codon(counts: Floats) -> Floats:
    """The share of borders at most 3 letters off, from counts (..., D); nan where there is none."""
    return _share(counts[..., :4].sum(-1), counts.sum(-1))


def mean(counts: Floats) -> Floats:
    """The mean distance in letters, ``FARTHEST`` for what is farther off, from counts (..., D); nan without any."""
    return _share((counts * np.arange(counts.shape[-1])).sum(-1), counts.sum(-1))


def median(counts: Floats) -> Floats:
    """The median distance in letters, from counts (..., D); of an even number, the mean of the middle two."""
    total = counts.sum(-1)
    reached = np.cumsum(counts, axis=-1)
    low, high = ((reached <= place[..., None]).sum(-1) for place in ((total - 1) // 2, total // 2))
    found: Floats = np.where(total > 0, (low + high) / 2, np.nan)
    return found


DISTANCES: Mapping[str, Callable[[Floats], Floats]] = {
    "median": median,
    "mean": mean,
    "exact": exact,
    "within_3": within_a_codon,
}
"""What is said of how far borders are off, from counts (..., D)."""


def region_report(
    truth: Sequence[Spans], guess: Sequence[Spans], order: Sequence[str], clusters_N: ArrayLike | None = None
) -> dict[str, Any]:
    """Of each region the share of its letters that were called, of each border how far it is off.

    Plain data with intervals: ``regions`` (name → accuracy, n sequences), ``borders`` (``fwr1_start`` … ``fwr4_end`` →
    median and mean distance in letters, ``FARTHEST`` at most, the shares exact and within_3, n, missed: how many were
    not called at all), ``every_border`` the same of all of them together, and ``all_borders_exact``, the share of
    sequences that have every border right.
    """
    letters_NR2, error_NB = overlaps(truth, guess, order), border_errors(truth, guess, order)
    names = [*(f"{name}_start" for name in order), f"{order[-1]}_end"]
    regions, borders = {}, {}
    for name, letters_N2 in zip(order, letters_NR2.swapaxes(0, 1), strict=True):
        if held := int((letters_N2[:, 1] > 0).sum()):
            accuracy = bootstrap_sums({"accuracy": _called}, letters_N2, clusters=clusters_N)["accuracy"]
            regions[name] = {"accuracy": asdict(accuracy), "n": held}
    for name, error_N in zip(names, error_NB.T, strict=True):
        if not np.isnan(error_N).all():
            borders[name] = _distances(error_N[:, None], clusters_N)
    right_N2 = np.stack([(np.isnan(error_NB) | (error_NB == 0)).all(1), np.ones(len(error_NB))], axis=1)
    whole = bootstrap_sums({"whole": _called}, right_N2, clusters=clusters_N)["whole"]
    every = _distances(error_NB, clusters_N)
    return {"regions": regions, "borders": borders, "every_border": every, "all_borders_exact": asdict(whole)}


def _distances(error_NB: Floats, clusters_N: ArrayLike | None) -> dict[str, Any]:
    """How far these borders are off, each counted once."""
    counts_ND = np.sum([distances(error_N) for error_N in error_NB.T], axis=0)
    found = bootstrap_sums(DISTANCES, counts_ND, clusters=clusters_N)
    held, missed = int((~np.isnan(error_NB)).sum()), int(np.isinf(error_NB).sum())
    return {**{name: asdict(one) for name, one in found.items()}, "n": held, "missed": missed}


def _called(sums: Floats) -> Floats:
    return _share(sums[..., 0], sums[..., 1])


def _share(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
    return found
