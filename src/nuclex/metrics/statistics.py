"""How sure a number is: bootstrap intervals, paired comparisons and the correction for many tests.

The unit that is drawn is a row (one sequence, one structure), or a whole cluster of related rows: positions of one
sequence and members of one family are not independent, and an interval that treats them so is too narrow.
Everything is a pure function of its arguments and ``seed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError

Method = Literal["bca", "percentile"]
Floats = NDArray[np.float64]
DRAWS_AT_ONCE = 1 << 22
EXACT_UNITS = 12
CLEARLY_CHANCE = 0.01
"""A p from which on more swaps would change nothing that anybody does."""
POWER = 0.8
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
class PairedDifference:
    """How much better a is than b on the same rows, and whether that could be chance.

    ``p_value`` is two-sided, from swapping a and b at random within each unit. ``effect_size`` is the difference in
    standard deviations of the per-unit differences (Cohen's d_z); ``units`` is the number of independent units.
    ``detectable`` is the smallest true difference that such a test would find in 80 % of the cases, by the normal
    approximation; None for a single unit, and where all units differ by the same.
    """

    difference: Interval
    p_value: float
    effect_size: float
    units: int
    detectable: float | None


@dataclass(frozen=True, eq=False)
class Ratio:
    """A share pooled over (N,) rows: the sum of ``part`` over the sum of ``whole`` (hits over positions)."""

    part: ArrayLike
    whole: ArrayLike


def bootstrap(
    values: ArrayLike | Ratio,
    *,
    clusters: ArrayLike | None = None,
    method: Method = "bca",
    replicates: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of (N,) values, or a pooled ``Ratio`` such as hits over positions, with its interval.

    Rows are drawn with replacement, whole ``clusters`` (N labels of any kind) where they are given. ``bca`` corrects
    the interval for bias and skew (Efron 1987, doi:10.1080/01621459.1987.10478410). Rows that are all equal give an
    interval of no width: no bootstrap can see what was never drawn.
    """
    plan = _Plan(replicates, level, seed)
    part_N, whole_N = _parts(values)
    unit_N, units = _units(clusters, len(part_N))
    sums_U2 = _pooled(np.stack([part_N, whole_N], axis=1), unit_N, units)
    value = _quotient(sums_U2.sum(axis=0))
    if method not in ("bca", "percentile"):
        raise InputError(f"method: found {method!r}; allowed: 'bca', 'percentile'")
    draws_R = _quotient(_resampled_sums(sums_U2, plan)) if units > 1 else np.full(1, np.nan)
    left_out_U = _quotient(sums_U2.sum(axis=0) - sums_U2) if method == "bca" and units > 1 else None
    return _interval(float(value), draws_R, left_out_U, plan, (len(part_N), units, clusters is not None))


def bootstrap_statistic(
    statistic: Callable[..., float],
    columns: Sequence[ArrayLike],
    *,
    clusters: ArrayLike | None = None,
    replicates: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Any statistic of aligned columns, such as ``spearman`` of (truth_N, guess_N), with its percentile interval.

    ``statistic`` takes the columns in order and gives a number; it is called once a resample. A difference of two
    models is a statistic of three columns. InputError where a resample leaves it undefined: too few rows for it.
    """
    plan = _Plan(replicates, level, seed)
    arrays = [np.asarray(column) for column in columns]
    rows = len(arrays[0]) if arrays and arrays[0].ndim else 0
    if rows == 0 or any(array.ndim == 0 or len(array) != rows for array in arrays):
        raise InputError(f"columns: equal lengths above 0 are needed, found shapes {[array.shape for array in arrays]}")
    unit_N, units = _units(clusters, rows)
    value = float(statistic(*arrays))
    draws_R = np.full(1, np.nan)
    if units > 1:
        draws = (statistic(*(array[index] for array in arrays)) for index in _resampled_rows(unit_N, units, plan))
        draws_R = np.fromiter(draws, dtype=np.float64, count=replicates)
        if not np.isfinite(draws_R).all():
            bad = int((~np.isfinite(draws_R)).sum())
            raise InputError(f"statistic: undefined in {bad} of {replicates} resamples; {units} units are too few")
    return _interval(value, draws_R, None, plan, (rows, units, clusters is not None))


def paired_difference(
    a: ArrayLike | Ratio,
    b: ArrayLike | Ratio,
    *,
    clusters: ArrayLike | None = None,
    replicates: int = 2000,
    swaps: int | None = None,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two systems measured on the same rows: mean(a) - mean(b), or the difference of two pooled ratios.

    The interval comes from drawing rows (or clusters) with both values together, bias and skew corrected. The test
    swaps a and b within units: all 2^U ways up to 12 units, else random ones, counting the observed (Phipson & Smyth
    2010, doi:10.2202/1544-6115.1585): ``replicates`` of them and, where p is below 0.01 then, up to ``swaps``. No p is
    below 1 / (swaps + 1): where many are to be corrected together, see ``correction.enough_swaps``. One unit gives
    p = 1 and no interval.
    """
    plan = _Plan(replicates, level)
    columns = [*_parts(a), *_parts(b)]
    rows = len(columns[0])
    if len(columns[2]) != rows:
        raise InputError(f"paired: a has {rows} rows and b has {len(columns[2])}; the same rows are needed")
    unit_N, units = _units(clusters, rows)
    sums_U4 = _pooled(np.stack(columns, axis=1), unit_N, units)
    total_4 = sums_U4.sum(axis=0)
    value = float(_quotient_difference(total_4))
    draws_R = _quotient_difference(_resampled_sums(sums_U4, plan)) if units > 1 else np.full(1, np.nan)
    left_out_U = _quotient_difference(total_4 - sums_U4) if units > 1 else None
    interval = _interval(value, draws_R, left_out_U, plan, (rows, units, clusters is not None))
    spread = _spread(sums_U4)
    spread = 0.0 if spread <= 1e-12 * abs(value) else spread  # not a number for one unit
    noticed = (NORMAL.inv_cdf((1 + level) / 2) + NORMAL.inv_cdf(POWER)) * spread / float(np.sqrt(units))
    detectable = noticed if noticed > 0 else None
    return PairedDifference(
        interval,
        _swap_p_value(sums_U4, value, plan, max(swaps or 0, replicates)),
        _effect_size(value, spread),
        units,
        detectable,
    )


@dataclass(frozen=True)
class _Plan:
    replicates: int
    level: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 1 or not 0 < self.level < 1:
            raise InputError(
                f"bootstrap: found {self.replicates} replicates at level {self.level}; "
                "allowed: at least 1 replicate, a level between 0 and 1"
            )


def _parts(values: ArrayLike | Ratio) -> tuple[Floats, Floats]:
    part, whole = (values.part, values.whole) if isinstance(values, Ratio) else (values, None)
    part_N = np.asarray(part, dtype=np.float64)
    whole_N = np.ones(part_N.shape) if whole is None else np.asarray(whole, dtype=np.float64)
    if part_N.ndim != 1 or part_N.shape != whole_N.shape or part_N.size == 0:
        raise InputError(f"values: one number a row is needed, found shapes {part_N.shape}, {whole_N.shape}")
    if not (np.isfinite(part_N).all() and np.isfinite(whole_N).all()):
        raise InputError("values: found a row that is not a finite number; drop it or say how to count it")
    if (whole_N < 0).any() or whole_N.sum() == 0:
        raise InputError(f"ratio: wholes are 0 or more and not all 0, found a sum of {whole_N.sum()}")
    return part_N, whole_N


def _units(clusters: ArrayLike | None, rows: int) -> tuple[NDArray[np.int64], int]:
    """The number of the unit that each row belongs to, and how many units there are."""
    if clusters is None:
        return np.arange(rows), rows
    labels_N = np.asarray(clusters)
    if labels_N.shape != (rows,):
        raise InputError(f"clusters: one label a row is needed, found shape {labels_N.shape} for {rows} rows")
    names, unit_N = np.unique(labels_N, return_inverse=True)
    return unit_N.astype(np.int64), len(names)


def _pooled(columns_NK: Floats, unit_N: NDArray[np.int64], units: int) -> Floats:
    if units == len(unit_N):
        return columns_NK
    return np.stack([np.bincount(unit_N, weights=column_N, minlength=units) for column_N in columns_NK.T], axis=1)


def _resampled_sums(sums_UK: Floats, plan: _Plan) -> Floats:
    """Column sums of ``replicates`` draws of U units with replacement, (R, K)."""
    rng = np.random.default_rng(plan.seed)
    units = len(sums_UK)
    at_once = max(1, DRAWS_AT_ONCE // units)
    totals = []
    for start in range(0, plan.replicates, at_once):
        drawn_rU = rng.integers(0, units, size=(min(at_once, plan.replicates - start), units))
        totals.append(np.stack([column_U[drawn_rU].sum(axis=1) for column_U in sums_UK.T], axis=1))
    return np.concatenate(totals)


def _resampled_rows(unit_N: NDArray[np.int64], units: int, plan: _Plan) -> Iterator[NDArray[np.int64]]:
    """Row indices of each draw: all rows of every unit drawn."""
    rng = np.random.default_rng(plan.seed)
    members = np.split(np.argsort(unit_N, kind="stable"), np.cumsum(np.bincount(unit_N))[:-1])
    for _ in range(plan.replicates):
        drawn_U = rng.integers(0, units, size=units)
        yield drawn_U if units == len(unit_N) else np.concatenate([members[unit] for unit in drawn_U])


def _quotient(sums_X2: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw without any positions is caught as nan
        return sums_X2[..., 0] / sums_X2[..., 1]


def _quotient_difference(sums_X4: Floats) -> Floats:
    return _quotient(sums_X4[..., :2]) - _quotient(sums_X4[..., 2:])


def _interval(
    value: float, draws_R: Floats, left_out_U: Floats | None, plan: _Plan, counts: tuple[int, int, bool]
) -> Interval:
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


def _swap_p_value(sums_U4: Floats, value: float, plan: _Plan, swaps: int) -> float:
    """The share of swaps of a and b whose difference is at least as large as the one observed."""
    units = len(sums_U4)
    size_4 = np.abs(sums_U4).sum(axis=0)
    bar = abs(value) - 1e-12 * float(size_4[0] / size_4[1] + size_4[2] / size_4[3])  # equal up to rounding is equal
    exact = units <= EXACT_UNITS
    rng = np.random.default_rng([plan.seed, 1])  # not the stream of the interval
    at_once, tries, extreme = max(1, DRAWS_AT_ONCE // units), 0, 0
    for wanted in [2**units] if exact else [plan.replicates, swaps]:
        while tries < wanted:
            now = min(at_once, wanted - tries)
            mask_rU = _ways(tries, now, units) if exact else rng.integers(0, 2, size=(now, units), dtype=np.int8)
            extreme += _as_extreme(sums_U4, mask_rU, bar)
            tries += now
        if extreme + 1 >= CLEARLY_CHANCE * (tries + 1):
            break
    return extreme / tries if exact else (extreme + 1) / (tries + 1)


def _ways(first: int, count: int, units: int) -> NDArray[np.int64]:
    """Some of the 2^U ways to swap, (count, U), as the digits of their numbers."""
    return (np.arange(first, first + count)[:, None] >> np.arange(units)) & 1


def _as_extreme(sums_U4: Floats, mask_rU: NDArray[np.integer], bar: float) -> int:
    """How many of these swaps give a difference of at least ``bar``; one that is undefined counts, against us."""
    swapped_U4 = sums_U4[:, [2, 3, 0, 1]] - sums_U4
    with np.errstate(invalid="ignore"):
        difference_r = _quotient_difference(sums_U4.sum(axis=0) + mask_rU.astype(np.float64) @ swapped_U4)
    return int((~(np.abs(difference_r) < bar)).sum())


def _spread(sums_U4: Floats) -> float:
    """The standard deviation of what each unit adds to the difference, times U: for plain means, of a - b."""
    if len(sums_U4) < 2:
        return float("nan")
    part_a, whole_a, part_b, whole_b = sums_U4.sum(axis=0)
    a_U = (sums_U4[:, 0] - part_a / whole_a * sums_U4[:, 1]) / whole_a
    b_U = (sums_U4[:, 2] - part_b / whole_b * sums_U4[:, 3]) / whole_b
    return float(len(sums_U4) * np.std(a_U - b_U, ddof=1))


def _effect_size(value: float, spread: float) -> float:
    """The difference in standard deviations (for plain means: Cohen's d_z)."""
    if spread == 0:
        return float(np.sign(value)) * float("inf") if value else 0.0
    return value / spread
