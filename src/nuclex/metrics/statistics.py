"""How sure a number is: bootstrap intervals, paired comparisons and the correction for many tests.

The unit that is drawn is a row (one sequence, one structure), or a whole cluster of related rows: positions of one
sequence and members of one family are not independent, and an interval that treats them so is too narrow.
Everything is a pure function of its arguments and ``seed``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError
from nuclex.metrics.resampling import (
    DRAWS_AT_ONCE,
    NORMAL,
    Floats,
    Interval,
    Plan,
    interval_of_draws,
    resampled_rows,
    resampled_sums,
    sums_by_unit,
    unit_numbers,
)

__all__ = [
    "EXACT_UNITS",
    "Interval",
    "PairedDifference",
    "Ratio",
    "bootstrap",
    "bootstrap_statistic",
    "bootstrap_sums",
    "paired_difference",
    "paired_statistic",
]

Method = Literal["bca", "percentile"]
EXACT_UNITS = 12
CLEARLY_CHANCE = 0.01
"""A p from which on more swaps would change nothing that anybody does."""
POWER = 0.8


@dataclass(frozen=True)
class PairedDifference:
    """How much better a is than b on the same rows, and whether that could be chance.

    ``p_value`` is two-sided, from swapping a and b at random within each unit. ``effect_size`` is the difference in
    standard deviations of the per-unit differences (Cohen's d_z); ``units`` is the number of independent units.
    ``detectable`` is the smallest true difference that such a test would find in 80 % of the cases, by the normal
    approximation; None for a single unit, and where all units differ by the same. Of a statistic that no unit has by
    itself, such as a correlation, the deviation is that of its resamples times the root of the units.
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
    plan = Plan(replicates, level, seed)
    part_N, whole_N = _parts(values)
    unit_N, units = unit_numbers(clusters, len(part_N))
    sums_U2 = sums_by_unit(np.stack([part_N, whole_N], axis=1), unit_N, units)
    value = _quotient(sums_U2.sum(axis=0))
    if method not in ("bca", "percentile"):
        raise InputError(f"method: found {method!r}; allowed: 'bca', 'percentile'")
    draws_R = _quotient(resampled_sums(sums_U2, plan)) if units > 1 else np.full(1, np.nan)
    left_out_U = _quotient(sums_U2.sum(axis=0) - sums_U2) if method == "bca" and units > 1 else None
    return interval_of_draws(float(value), draws_R, left_out_U, plan, (len(part_N), units, clusters is not None))


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
    plan = Plan(replicates, level, seed)
    arrays = [np.asarray(column) for column in columns]
    rows = len(arrays[0]) if arrays and arrays[0].ndim else 0
    if rows == 0 or any(array.ndim == 0 or len(array) != rows for array in arrays):
        raise InputError(f"columns: equal lengths above 0 are needed, found shapes {[array.shape for array in arrays]}")
    unit_N, units = unit_numbers(clusters, rows)
    value = float(statistic(*arrays))
    draws_R = np.full(1, np.nan)
    if units > 1:
        draws = (statistic(*(array[index] for array in arrays)) for index in resampled_rows(unit_N, units, plan))
        draws_R = np.fromiter(draws, dtype=np.float64, count=replicates)
        if not np.isfinite(draws_R).all():
            bad = int((~np.isfinite(draws_R)).sum())
            raise InputError(f"statistic: undefined in {bad} of {replicates} resamples; {units} units are too few")
    return interval_of_draws(value, draws_R, None, plan, (rows, units, clusters is not None))


def bootstrap_sums(
    statistics: Mapping[str, Callable[[Floats], Floats]],
    columns_NX: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    replicates: int = 2000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Statistics that need no more than sums over rows, such as an F1 of counts, with intervals (BCa).

    ``columns_NX`` are N rows of any shape X; a statistic takes sums (..., *X) and gives (...). All are of the same
    draws. One that is not a number in a resample gets no interval: ``low`` and ``high`` are nan, ``method`` says why.
    """
    plan, columns = Plan(replicates, level), np.asarray(columns_NX, dtype=np.float64)
    rows, inner = len(columns), columns.shape[1:]
    unit_N, units = unit_numbers(clusters, rows)
    sums_UK = sums_by_unit(columns.reshape(rows, -1), unit_N, units)
    total_K = sums_UK.sum(axis=0)
    drawn_RK = resampled_sums(sums_UK, plan) if units > 1 else total_K[None]
    found = {}
    for name, statistic in statistics.items():

        def of(sums: Floats, statistic: Callable[[Floats], Floats] = statistic) -> Floats:
            return statistic(sums.reshape(*sums.shape[:-1], *inner))

        value, draws_R = float(of(total_K)), of(drawn_RK)
        if bad := int((~np.isfinite(draws_R)).sum()):
            why = f"none: {name} is not defined in {bad} of {len(draws_R)} resamples"
            found[name] = Interval(value, float("nan"), float("nan"), rows, level, why)
        else:
            counts = (rows, units, clusters is not None)
            left_out_U = of(total_K - sums_UK) if units > 1 else None
            found[name] = interval_of_draws(value, draws_R, left_out_U, plan, counts)
    return found


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
    plan = Plan(replicates, level)
    columns = [*_parts(a), *_parts(b)]
    rows = len(columns[0])
    if len(columns[2]) != rows:
        raise InputError(f"paired: a has {rows} rows and b has {len(columns[2])}; the same rows are needed")
    unit_N, units = unit_numbers(clusters, rows)
    sums_U4 = sums_by_unit(np.stack(columns, axis=1), unit_N, units)
    total_4 = sums_U4.sum(axis=0)
    value = float(_quotient_difference(total_4))
    draws_R = _quotient_difference(resampled_sums(sums_U4, plan)) if units > 1 else np.full(1, np.nan)
    left_out_U = _quotient_difference(total_4 - sums_U4) if units > 1 else None
    interval = interval_of_draws(value, draws_R, left_out_U, plan, (rows, units, clusters is not None))
    spread = _spread(sums_U4)
    spread = 0.0 if spread <= 1e-12 * abs(value) else spread  # not a number for one unit
    size_4 = np.abs(sums_U4).sum(axis=0)
    bar = abs(value) - 1e-12 * float(size_4[0] / size_4[1] + size_4[2] / size_4[3])  # equal up to rounding is equal
    p_value = _swap_p_value(
        lambda mask_rU: _as_extreme(sums_U4, mask_rU, bar), units, plan, max(swaps or 0, replicates)
    )
    return PairedDifference(interval, p_value, _effect_size(value, spread), units, _detectable(spread, units, level))


def paired_statistic(
    statistic: Callable[..., float],
    columns: tuple[ArrayLike, ArrayLike, ArrayLike],
    *,
    clusters: ArrayLike | None = None,
    replicates: int = 2000,
    swaps: int | None = None,
    level: float = 0.95,
) -> PairedDifference:
    """Compare a statistic of (truth_N, a_N), such as ``spearman`` or ``auroc``, with that of (truth_N, b_N).

    ``columns`` are truth, a and b of the same rows; a and b are swapped, so they are to be on one scale (ranks of each,
    where scales differ and the statistic asks for the order alone). Interval (percentile) and test as in
    ``paired_difference``: whole units are drawn, and swapped. Where the statistic is not defined in a resample, there
    is no interval, and ``method`` says so; a swap in which it is not counts as extreme, against us. InputError where
    it is not defined for the rows themselves.
    """
    plan = Plan(replicates, level)
    truth_N, a_N, b_N = (np.asarray(column) for column in columns)
    unit_N, units = unit_numbers(clusters, len(truth_N))

    def gain(index_N: NDArray[np.int64] | slice, a_N: NDArray[np.generic], b_N: NDArray[np.generic]) -> float:
        try:
            return statistic(truth_N[index_N], a_N[index_N]) - statistic(truth_N[index_N], b_N[index_N])
        except InputError:  # a draw without a single positive
            return float("nan")

    value = gain(slice(None), a_N, b_N)
    if not np.isfinite(value):
        raise InputError("statistic: is not defined for the rows given; a and b cannot be compared by it")
    draws = (
        [gain(index_N, a_N, b_N) for index_N in resampled_rows(unit_N, units, plan)] if units > 1 else [float("nan")]
    )
    interval, spread = _interval_and_spread(value, np.array(draws), plan, (len(truth_N), units, clusters is not None))
    bar = abs(value) - 1e-12

    def extreme(mask_rU: NDArray[np.integer]) -> int:
        swapped = (mask_U[unit_N].astype(bool) for mask_U in mask_rU)
        gains = (gain(slice(None), np.where(there, b_N, a_N), np.where(there, a_N, b_N)) for there in swapped)
        return sum(not abs(one) < bar for one in gains)

    p_value = _swap_p_value(extreme, units, plan, max(swaps or 0, replicates))
    return PairedDifference(interval, p_value, _effect_size(value, spread), units, _detectable(spread, units, level))


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


def _quotient(sums_X2: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw without any positions is caught as nan
        return sums_X2[..., 0] / sums_X2[..., 1]


def _quotient_difference(sums_X4: Floats) -> Floats:
    return _quotient(sums_X4[..., :2]) - _quotient(sums_X4[..., 2:])


def _interval_and_spread(
    value: float, draws_R: Floats, plan: Plan, counts: tuple[int, int, bool]
) -> tuple[Interval, float]:
    """The interval of a difference of statistics, and the standard deviation that a single unit would give."""
    rows, units, _ = counts
    if units > 1 and (bad := int((~np.isfinite(draws_R)).sum())):
        why = f"none: not defined in {bad} of {len(draws_R)} resamples"
        return Interval(value, float("nan"), float("nan"), rows, plan.level, why), float("nan")
    spread = float(np.std(draws_R, ddof=1) * np.sqrt(units)) if len(draws_R) > 1 else float("nan")
    return interval_of_draws(value, draws_R, None, plan, counts), spread


def _detectable(spread: float, units: int, level: float) -> float | None:
    noticed = (NORMAL.inv_cdf((1 + level) / 2) + NORMAL.inv_cdf(POWER)) * spread / float(np.sqrt(units))
    return noticed if noticed > 0 else None


def _swap_p_value(extremes: Callable[[NDArray[np.integer]], int], units: int, plan: Plan, swaps: int) -> float:
    """The share of swaps of a and b whose difference is at least as large as the one observed.

    ``extremes`` takes masks (r, U) that say which units are swapped, and counts those as large.
    """
    exact = units <= EXACT_UNITS
    rng = np.random.default_rng([plan.seed, 1])  # not the stream of the interval
    at_once, tries, extreme = max(1, DRAWS_AT_ONCE // units), 0, 0
    for wanted in [2**units] if exact else [plan.replicates, swaps]:
        while tries < wanted:
            now = min(at_once, wanted - tries)
            mask_rU = _ways(tries, now, units) if exact else rng.integers(0, 2, size=(now, units), dtype=np.int8)
            extreme += extremes(mask_rU)
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
