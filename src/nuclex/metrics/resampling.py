"""Drawing again what was drawn once: whole units with replacement, and the interval that the draws give.

What ``statistics`` and its like have in common. Everything is a pure function of its arguments and the plan's seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, isfinite, log10
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError

Floats = NDArray[np.float64]
DRAWS_AT_ONCE = 1 << 22
FEW_COLUMNS = 16
NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A measured value with the range in which the true one plausibly lies; ``n`` is the number of rows.

    ``low`` and ``high`` are nan where no interval can be made (a single independent unit).

    >>> print(Interval(0.713, 0.69, 0.735, n=812, level=0.95, method="BCa bootstrap, 2000 resamples of 812 rows"))
    0.713 [0.690, 0.735], n = 812
    """

    value: float
    low: float
    high: float
    n: int
    level: float
    method: str

    def __str__(self) -> str:
        width = self.high - self.low
        if not isfinite(width):
            return f"{self.value:.3f} [no interval], n = {self.n}"
        digits = min(max(1 - floor(log10(width)), 3), 9) if width > 0 else 3
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}], n = {self.n}"


@dataclass(frozen=True)
class Plan:
    """How many resamples are drawn, for which level, from which seed; InputError where they make no sense."""

    replicates: int
    level: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 1 or not 0 < self.level < 1:
            raise InputError(
                f"bootstrap: found {self.replicates} replicates at level {self.level}; "
                "allowed: at least 1 replicate, a level between 0 and 1"
            )


def unit_numbers(clusters: ArrayLike | None, rows: int) -> tuple[NDArray[np.int64], int]:
    """The number of the unit that each row belongs to, and how many units there are."""
    if clusters is None:
        return np.arange(rows), rows
    labels_N = np.asarray(clusters)
    if labels_N.shape != (rows,):
        raise InputError(f"clusters: one label a row is needed, found shape {labels_N.shape} for {rows} rows")
    names, unit_N = np.unique(labels_N, return_inverse=True)
    return unit_N.astype(np.int64), len(names)


def sums_by_unit(columns_NK: Floats, unit_N: NDArray[np.int64], units: int) -> Floats:
    """The columns (N, K) of rows summed within each unit: (U, K)."""
    if units == len(unit_N):
        return columns_NK
    return np.stack([np.bincount(unit_N, weights=column_N, minlength=units) for column_N in columns_NK.T], axis=1)


def resampled_sums(sums_UK: Floats, plan: Plan) -> Floats:
    """Column sums of ``replicates`` draws of U units with replacement, (R, K)."""
    rng = np.random.default_rng(plan.seed)
    units = len(sums_UK)
    at_once = max(1, DRAWS_AT_ONCE // units)
    totals = []
    for start in range(0, plan.replicates, at_once):
        drawn_rU = rng.integers(0, units, size=(min(at_once, plan.replicates - start), units))
        if sums_UK.shape[1] > FEW_COLUMNS:  # one product of matrices: how often each unit was drawn, times its sums
            offset_r1 = units * np.arange(len(drawn_rU))[:, None]
            often = np.bincount((drawn_rU + offset_r1).ravel(), minlength=drawn_rU.size).reshape(drawn_rU.shape)
            totals.append(often.astype(np.float64) @ sums_UK)
            continue
        totals.append(np.stack([column_U[drawn_rU].sum(axis=1) for column_U in sums_UK.T], axis=1))
    return np.concatenate(totals)


def resampled_rows(unit_N: NDArray[np.int64], units: int, plan: Plan) -> Iterator[NDArray[np.int64]]:
    """Row indices of each draw: all rows of every unit drawn."""
    rng = np.random.default_rng(plan.seed)
    members = np.split(np.argsort(unit_N, kind="stable"), np.cumsum(np.bincount(unit_N))[:-1])
    for _ in range(plan.replicates):
        drawn_U = rng.integers(0, units, size=units)
        yield drawn_U if units == len(unit_N) else np.concatenate([members[unit] for unit in drawn_U])


def interval_of_draws(
    value: float, draws_R: Floats, left_out_U: Floats | None, plan: Plan, counts: tuple[int, int, bool]
) -> Interval:
    """The interval of ``value``; ``counts`` are rows, units, and whether the units are clusters of rows.

    With ``left_out_U``, the statistic without each unit, it is corrected for bias and skew. nan where there is one
    unit; InputError where a draw is not a number.
    """
    rows, units, clustered = counts
    drawn = f"{plan.replicates} resamples of {units} {'clusters' if clustered else 'rows'}"
    if units == 1:
        return Interval(value, float("nan"), float("nan"), rows, plan.level, "none: one independent unit")
    if not np.isfinite(draws_R).all():
        raise InputError(f"ratio: some of {drawn} hold no positions at all; more rows are needed for an interval")
    tails = ((1 - plan.level) / 2, (1 + plan.level) / 2)
    if left_out_U is not None:
        tails = _corrected_tails(value, draws_R, left_out_U, tails)
    low, high = np.quantile(draws_R, tails)
    name = "percentile" if left_out_U is None else "BCa"
    return Interval(value, float(low), float(high), rows, plan.level, f"{name} bootstrap, {drawn}")


def _corrected_tails(
    value: float, draws_R: Floats, left_out_U: Floats, tails: tuple[float, float]
) -> tuple[float, float]:
    """Efron's bias (z0) and acceleration (from leaving one unit out), turned into two quantiles to read off."""
    below = float(((draws_R < value).mean() + (draws_R <= value).mean()) / 2)
    if not 0 < below < 1 or not np.isfinite(left_out_U).all():
        return tails  # all draws on one side, as when all rows are equal: there is no bias to estimate
    shift_U = left_out_U.mean() - left_out_U
    spread = float((shift_U**2).sum())
    acceleration = float((shift_U**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    bias = NORMAL.inv_cdf(below)

    def corrected(tail: float) -> float:
        point = bias + NORMAL.inv_cdf(tail)
        return NORMAL.cdf(bias + point / (1 - acceleration * point))

    return corrected(tails[0]), corrected(tails[1])
