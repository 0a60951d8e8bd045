"""Intervals and tests against scipy, hand-made numbers, and their promise: how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nuclex.core.errors import InputError
from nuclex.metrics.classification import auroc
from nuclex.metrics.correction import enough_swaps, holm
from nuclex.metrics.regression import spearman
from nuclex.metrics.statistics import (
    Interval,
    Ratio,
    bootstrap,
    bootstrap_statistic,
    paired_difference,
    paired_statistic,
)


def family_data(seed: int, families: int = 40, members: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Values that are nearly the same within a family: 320 rows, but only 40 independent ones. True mean 0."""
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.normal(size=families), members) + 0.1 * rng.normal(size=families * members)
    return values, np.repeat(np.arange(families), members)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_mean_equals_scipy(method: str) -> None:
    values = np.random.default_rng(1).exponential(size=60)
    ours = bootstrap(values, method=method, replicates=999, seed=3)  # type: ignore[arg-type]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=999, method=method, rng=np.random.default_rng(3)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert (ours.value, ours.n, ours.level) == (pytest.approx(values.mean()), 60, 0.95)


def test_ratio_equals_scipy() -> None:
    rng = np.random.default_rng(2)
    whole = rng.integers(1, 200, size=50)
    part = rng.binomial(whole, 0.3)
    ours = bootstrap(Ratio(part, whole), replicates=999, seed=3)
    theirs = stats.bootstrap(
        (part, whole),
        lambda p, w, axis=-1: p.sum(axis=axis) / w.sum(axis=axis),
        paired=True,
        n_resamples=999,
        method="bca",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert ours.value == part.sum() / whole.sum()


def test_statistic_equals_scipy() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=40)
    guess = truth + rng.normal(size=40)
    ours = bootstrap_statistic(spearman, (truth, guess), replicates=200, seed=5)
    theirs = stats.bootstrap(
        (truth, guess), spearman, paired=True, vectorized=False, n_resamples=200, method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert ours.value == spearman(truth, guess)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_covers_the_true_share(method: str) -> None:
    """Of 300 simulated experiments, about 95 % hold the truth; binomial noise of that count is ± 1.3 %."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        whole = rng.integers(20, 200, size=60)
        part = rng.binomial(whole, rng.beta(6, 4, size=60))  # sequences differ: positions are not independent
        interval = bootstrap(Ratio(part, whole), method=method, replicates=400, seed=trial)  # type: ignore[arg-type]
        covered += interval.low <= 0.6 <= interval.high
    assert 0.91 <= covered / 300 <= 0.985


def test_positions_of_one_sequence_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    whole = np.full(60, 100)
    part = rng.binomial(whole, rng.beta(6, 4, size=60))
    by_sequence = bootstrap(Ratio(part, whole))
    positions = np.concatenate([np.repeat([1.0, 0.0], [hits, n - hits]) for hits, n in zip(part, whole, strict=True)])
    by_position = bootstrap(positions, replicates=500)
    assert by_position.value == pytest.approx(by_sequence.value)
    assert by_sequence.high - by_sequence.low > 2 * (by_position.high - by_position.low)


def test_clusters_are_drawn_whole() -> None:
    covered = naive_covered = 0
    for trial in range(200):
        values, family = family_data(trial)
        whole = bootstrap(values, clusters=family, replicates=300, seed=trial)
        naive = bootstrap(values, replicates=300, seed=trial)
        covered += whole.low <= 0 <= whole.high
        naive_covered += naive.low <= 0 <= naive.high
    assert covered / 200 > 0.89
    assert naive_covered / 200 < 0.7
    assert (whole.high - whole.low) / (naive.high - naive.low) == pytest.approx(np.sqrt(8), rel=0.25)
    assert whole.n == 320
    assert "40 clusters" in whole.method


def test_clusters_of_one_row_change_nothing() -> None:
    values = np.random.default_rng(0).normal(size=30)
    names = [f"seq{row:02d}" for row in range(30)]
    plain, named = bootstrap(values), bootstrap(values, clusters=names)
    assert (plain.low, plain.high) == (named.low, named.high)
    assert bootstrap_statistic(np.mean, [values]).low == bootstrap_statistic(np.mean, [values], clusters=names).low


def test_cluster_statistic_equals_cluster_mean() -> None:
    values, family = family_data(0)
    shuffled = np.random.default_rng(1).permutation(len(values))
    pooled = bootstrap(values[shuffled], clusters=family[shuffled], method="percentile", replicates=300)
    called = bootstrap_statistic(np.mean, [values[shuffled]], clusters=family[shuffled], replicates=300)
    assert (pooled.low, pooled.high) == pytest.approx((called.low, called.high))


def test_deterministic_for_a_seed_and_whatever_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=31)
    first = bootstrap(values, seed=1)
    assert bootstrap(values, seed=1) == first
    assert bootstrap(values, seed=2) != first
    monkeypatch.setattr("nuclex.metrics.resampling.DRAWS_AT_ONCE", 100)
    assert bootstrap(values, seed=1) == first


def test_one_unit_gives_no_interval_and_equal_rows_no_width() -> None:
    single = bootstrap([0.25])
    assert str(single) == "0.250 [no interval], n = 1"
    family = bootstrap([0.25, 0.35], clusters=["a", "a"])
    assert np.isnan(family.low)
    assert family.n == 2
    same = bootstrap(np.ones(20))
    assert (same.low, same.high) == (1.0, 1.0)


def test_interval_prints_enough_digits() -> None:
    assert str(Interval(0.71349, 0.68951, 0.73512, 812, 0.95, "")) == "0.713 [0.690, 0.735], n = 812"
    assert str(Interval(0.712345, 0.71201, 0.71267, 9, 0.95, "")) == "0.71235 [0.71201, 0.71267], n = 9"
    assert str(Interval(-12.5, -14.0, -11.0, 9, 0.95, "")) == "-12.500 [-14.000, -11.000], n = 9"


def test_paired_by_hand() -> None:
    # all three differences positive: of the 8 sign patterns, all plus and all minus are as extreme
    result = paired_difference([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert result.difference.value == pytest.approx(2.0)
    assert result.p_value == 2 / 8
    assert result.effect_size == pytest.approx(2.0)  # mean 2 over standard deviation 1
    assert result.units == 3


def test_paired_equals_scipy() -> None:
    rng = np.random.default_rng(7)
    for rows in (10, 40):
        a, b = rng.normal(0.4, 1, size=(2, rows)) - [[0.0], [0.5]]
        ours = paired_difference(a, b, replicates=5000)
        theirs = stats.permutation_test(
            (a - b,), np.mean, permutation_type="samples", n_resamples=5000, rng=np.random.default_rng(0)
        ).pvalue
        assert ours.p_value == pytest.approx(theirs, abs=1e-12 if rows == 10 else 0.02)
        assert ours.effect_size == pytest.approx((a - b).mean() / (a - b).std(ddof=1))
        interval = bootstrap(a - b, replicates=5000)
        assert (ours.difference.low, ours.difference.high) == pytest.approx((interval.low, interval.high))


def test_paired_ratios_pool_positions() -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(10, 100, size=80)
    a, b = rng.binomial(whole, 0.5), rng.binomial(whole, 0.45)
    both = paired_difference(Ratio(a, whole), Ratio(b, whole))
    single = bootstrap(Ratio(a - b, whole))
    assert both.difference.value == pytest.approx(a.sum() / whole.sum() - b.sum() / whole.sum())
    assert (both.difference.low, both.difference.high) == pytest.approx((single.low, single.high))
    assert both.p_value < 0.01
    back = paired_difference(Ratio(b, whole), Ratio(a, whole))
    assert back.effect_size == pytest.approx(-both.effect_size)
    assert back.p_value == both.p_value


def test_a_swap_takes_parts_and_wholes_along() -> None:
    # as they are 4/6 - 2/6; either row swapped 4/8 - 2/4 = 0; both swapped -(4/6 - 2/6): 2 of 4 are as extreme
    result = paired_difference(Ratio([3, 1], [4, 2]), Ratio([1, 1], [2, 4]))
    assert result.difference.value == pytest.approx(1 / 3)
    assert result.p_value == 2 / 4


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    p = np.array([paired_difference(*rng.normal(size=(2, 20)), replicates=199).p_value for _ in range(300)])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p <= 0.05).mean() < 0.09
    assert p.min() >= 1 / 200


def test_clear_differences_stay_significant_among_many() -> None:
    rng = np.random.default_rng(1)
    pairs = [rng.normal([[1.5], [0.0]], 1.0, size=(2, 40)) for _ in range(120)]
    coarse = [paired_difference(a, b).p_value for a, b in pairs]
    fine = [paired_difference(a, b, swaps=enough_swaps(len(pairs), 0.95)).p_value for a, b in pairs]
    assert min(holm(coarse)) > 0.05  # 120 / 2001: nothing could be found, however clear
    assert np.mean(holm(fine) < 0.05) > 0.9
    assert min(fine) == pytest.approx(1 / 48_001)


def test_more_swaps_change_no_p_that_is_clearly_chance() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 30))
    few, many = paired_difference(a, b), paired_difference(a, b, swaps=50_000)
    assert few.p_value == many.p_value > 0.01


def test_clusters_stop_false_alarms() -> None:
    alarms = {"clusters": 0, "rows": 0}
    for trial in range(100):
        values, family = family_data(trial)
        zero = np.zeros(len(values))
        alarms["clusters"] += paired_difference(values, zero, clusters=family, replicates=199).p_value <= 0.05
        alarms["rows"] += paired_difference(values, zero, replicates=199).p_value <= 0.05
    assert alarms["clusters"] <= 12
    assert alarms["rows"] > 30


def test_constant_difference_and_one_unit() -> None:
    constant = paired_difference([1.1, 2.1, 3.1], [1.0, 2.0, 3.0])
    assert constant.effect_size == np.inf
    assert constant.p_value == 2 / 8
    nothing = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (nothing.effect_size, nothing.p_value) == (0.0, 1.0)
    single = paired_difference([1.0], [0.0])
    assert single.p_value == 1.0
    assert np.isnan(single.effect_size)
    assert np.isnan(single.difference.low)


def test_holm_by_hand() -> None:
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone: .02 .03 .06 .06
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([]), "values"),
        (lambda: bootstrap([1.0, np.nan]), "not a finite number"),
        (lambda: bootstrap(Ratio([1.0], [1.0, 2.0])), "shapes"),
        (lambda: bootstrap(Ratio([0.0, 0.0], [0.0, 0.0])), "not all 0"),
        (lambda: bootstrap(Ratio([1.0, 0.0], [3.0, 0.0])), "no positions at all"),
        (lambda: bootstrap([1.0, 2.0], clusters=["a"]), "clusters"),
        (lambda: bootstrap([1.0, 2.0], level=95), "level"),
        (lambda: bootstrap([1.0, 2.0], replicates=0), "replicates"),
        (lambda: bootstrap([1.0, 2.0], method="normal"), "'bca'"),  # type: ignore[arg-type]
        (lambda: bootstrap_statistic(np.mean, []), "columns"),
        (lambda: bootstrap_statistic(spearman, ([1, 2], [3, 4])), "too few"),
        (lambda: paired_difference([1.0, 2.0], [1.0]), "same rows"),
        (lambda: holm([0.5, 1.5]), "from 0 to 1"),
    ],
)
def test_refused_with_a_sentence(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_the_smallest_detectable_difference_is_found_in_four_of_five_trials() -> None:
    """Draw pairs whose true difference is the detectable one: the test must find it about as often as it says."""
    rng = np.random.default_rng(0)
    spread, units, trials = 0.5, 60, 300
    truth = paired_difference(rng.normal(0, spread, 200_000), np.zeros(200_000), replicates=1).detectable
    at_sixty = truth * np.sqrt(200_000 / units)
    found = 0
    for _ in range(trials):
        a_N = rng.normal(at_sixty, spread, units)
        found += paired_difference(a_N, np.zeros(units), replicates=400).p_value < 0.05
    assert abs(found / trials - 0.8) < 0.07  # three standard errors of 300 trials
    assert paired_difference([1.0], [0.0]).detectable is None


def ranked(seed: int, noise: tuple[float, float], rows: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A truth and the ranks of two guesses of it."""
    rng = np.random.default_rng(seed)
    truth_N = rng.normal(size=rows)
    a_N, b_N = (stats.rankdata(truth_N + one * rng.normal(size=rows)) for one in noise)
    return truth_N, a_N, b_N


def test_paired_statistic_is_paired_difference_where_the_statistic_is_a_mean() -> None:
    a_N, b_N = np.random.default_rng(1).normal(size=(2, 10)) + np.array([[0.6], [0.0]])
    mean = paired_difference(a_N, b_N)
    found = paired_statistic(lambda _, guess: float(np.mean(guess)), (np.zeros(10), a_N, b_N))
    assert found.difference.value == pytest.approx(mean.difference.value)
    assert found.p_value == pytest.approx(mean.p_value)  # all 1024 ways to swap
    assert found.effect_size == pytest.approx(mean.effect_size, rel=0.15)
    assert found.detectable == pytest.approx(mean.detectable, rel=0.15)


def test_paired_statistic_of_ranks_against_scipy() -> None:
    truth_N, a_N, b_N = ranked(3, (0.5, 2.0), rows=9)
    found = paired_statistic(spearman, (truth_N, a_N, b_N))
    theirs = [stats.spearmanr(truth_N, guess).statistic for guess in (a_N, b_N)]
    assert found.difference.value == pytest.approx(theirs[0] - theirs[1])
    ways = [np.array([(way >> n) & 1 for n in range(9)], dtype=bool) for way in range(512)]
    gains = [
        stats.spearmanr(truth_N, np.where(way, b_N, a_N)).statistic
        - stats.spearmanr(truth_N, np.where(way, a_N, b_N)).statistic
        for way in ways
    ]
    assert found.p_value == pytest.approx(np.mean(np.abs(gains) >= theirs[0] - theirs[1] - 1e-9))


def test_paired_statistics_cry_no_wolf_and_find_what_is_there() -> None:
    p = np.array([paired_statistic(spearman, ranked(n, (1.0, 1.0), 30), replicates=99).p_value for n in range(100)])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    clear = paired_statistic(spearman, ranked(0, (0.3, 3.0)), replicates=499, swaps=1999)
    assert (clear.difference.low > 0, clear.p_value) == (True, pytest.approx(1 / 2000))
    swapped = paired_statistic(spearman, tuple(ranked(0, (0.3, 3.0))[n] for n in (0, 2, 1)), replicates=499)
    assert swapped.difference.value == pytest.approx(-clear.difference.value)


def test_a_statistic_that_some_resamples_lack_has_a_test_and_no_interval() -> None:
    truth_N, (a_N, b_N) = np.array([1, 0, 0, 0, 0, 0]), np.random.default_rng(0).random((2, 6))
    found = paired_statistic(auroc, (truth_N, a_N, b_N), clusters=[0, 0, 1, 1, 2, 2], replicates=200)
    assert np.isnan(found.difference.low)
    assert found.difference.method.startswith("none: not defined in")
    assert (found.units, found.detectable) == (3, None)
    assert 0 < found.p_value <= 1
    with pytest.raises(InputError, match="not defined for the rows given"):
        paired_statistic(spearman, (np.ones(6), a_N, b_N))
