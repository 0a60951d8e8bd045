"""Do probabilities mean what they say? Of what is called 80 % sure, how much is right, and how far off on the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError
from nuclex.metrics.resampling import Floats, Interval
from nuclex.metrics.statistics import bootstrap_sums

BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers sorted by their probability into B bins of equal width from 0 to 1; two of them can be added.

    ``count_B`` answers, the sum of their probabilities ``probability_B``, and how many were right, ``right_B``.
    """

    count_B: NDArray[np.int64]
    probability_B: NDArray[np.float64]
    right_B: NDArray[np.float64]

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.count_B + other.count_B, self.probability_B + other.probability_B, self.right_B + other.right_B
        )

    @property
    def error(self) -> float:
        """The expected calibration error: |share right - mean probability| of a bin, weighted by its answers.

        Naeini, Cooper and Hauskrecht 2015 (doi:10.1609/aaai.v29i1.9602). It is never negative, so that few answers
        give more than 0 even where every probability is true; nan without answers.
        """
        total = int(self.count_B.sum())
        return float(np.abs(self.right_B - self.probability_B).sum() / total) if total else float("nan")

    @property
    def gaps(self) -> Floats:
        """The same as the sum of a row of ``gaps`` for each answer, (B + 1,)."""
        return np.append(self.right_B - self.probability_B, float(self.count_B.sum()))

    def points(self) -> list[tuple[float, float, int]]:
        """(mean probability, share right, answers) of each bin that has any."""
        return [
            (float(p / n), float(right / n), int(n))
            for n, p, right in zip(self.count_B, self.probability_B, self.right_B, strict=True)
            if n
        ]


def gaps(probability_N: ArrayLike, right_N: ArrayLike, bins: int = BINS) -> Floats:
    """Of N answers (N, B + 1): right (1 or 0) less the probability, in the answer's bin, and 1, the answers counted."""
    probability_N, right_N = np.asarray(probability_N, dtype=np.float64), np.asarray(right_N, dtype=np.float64)
    found = np.zeros((len(probability_N), bins + 1))
    found[np.arange(len(found)), _bins(probability_N, bins)] = right_N - probability_N
    found[:, -1] = 1
    return found


def error_interval(gaps_NX: Floats, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """The expected calibration error of rows of ``gaps`` (or sums of them, a row a molecule), with its interval.

    Rows are drawn, whole ``clusters`` where given. The error is never negative and grows with noise, of which a
    resample has more than the rows; the interval is corrected for that (BCa), and reaches the value at the least.
    """
    (found,) = bootstrap_sums({"ECE": _error}, gaps_NX, clusters=clusters, level=level).values()
    return replace(found, low=min(found.low, found.value), high=max(found.high, found.value))


def _error(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # draws without any answer
        found: Floats = np.abs(sums[..., :-1]).sum(-1) / sums[..., -1]
    return found


def _bins(probability_N: Floats, bins: int) -> NDArray[np.int64]:
    return np.minimum((probability_N * bins).astype(np.int64), bins - 1)


def reliability(probability_N: ArrayLike, right_N: ArrayLike, bins: int = BINS) -> Reliability:
    """Sort N answers by the probability (0 to 1) that they were given; ``right_N`` says which were right.

    >>> found = reliability([0.95, 0.95, 0.15, 0.15], [1, 1, 1, 0])
    >>> found.points(), round(found.error, 3)
    ([(0.15, 0.5, 2), (0.95, 1.0, 2)], 0.2)
    """
    probability_N, right_N = np.asarray(probability_N, dtype=np.float64), np.asarray(right_N, dtype=np.float64)
    if probability_N.ndim != 1 or probability_N.shape != right_N.shape:
        raise InputError(f"reliability: one probability an answer, found {probability_N.shape} for {right_N.shape}")
    if len(probability_N) and not ((probability_N >= 0) & (probability_N <= 1)).all():
        raise InputError("reliability: probabilities are from 0 to 1")
    bin_N = _bins(probability_N, bins)
    probability_B = np.bincount(bin_N, weights=probability_N, minlength=bins).astype(np.float64)
    right_B = np.bincount(bin_N, weights=right_N, minlength=bins).astype(np.float64)
    return Reliability(np.bincount(bin_N, minlength=bins).astype(np.int64), probability_B, right_B)
