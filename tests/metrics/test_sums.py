"""Metrics from sums are those of the rows, and so are their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.core.errors import InputError
from nuclex.metrics import accuracy as share_right
from nuclex.metrics import (
    balanced_accuracy,
    bootstrap,
    bootstrap_statistic,
    bootstrap_sums,
    confusion_matrix,
    matthews,
    per_class,
    precision_recall_f1,
    rmse,
    sums,
)
from nuclex.metrics.regression import pearson

BY_ROWS = {
    "accuracy": share_right,
    "balanced_accuracy": balanced_accuracy,
    "matthews": matthews,
    "macro_f1": lambda truth, guess: precision_recall_f1(truth, guess, "macro").f1,
    "weighted_f1": lambda truth, guess: precision_recall_f1(truth, guess, "weighted").f1,
}


def classes(seed: int, count: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth_N, wrong_N = rng.integers(0, count, rows), rng.integers(0, count, rows)
    return truth_N, np.where(rng.random(rows) < 0.6, truth_N, wrong_N)


@pytest.mark.parametrize("count", [2, 5, 40])  # of forty classes some never occur
@pytest.mark.parametrize("name", BY_ROWS)
def test_class_metrics_are_those_of_the_rows(name: str, count: int) -> None:
    truth_N, guess_N = classes(1, count)
    total = sums.class_counts(truth_N, guess_N, count).sum(axis=0)
    assert getattr(sums, name)(total) == pytest.approx(BY_ROWS[name](truth_N, guess_N))
    confusion_CC = confusion_matrix(truth_N, guess_N, count)
    assert sums.counts_of(confusion_CC[None])[0].tolist() == total.tolist()
    each = per_class(confusion_CC)
    for part in ("precision", "recall", "f1"):
        assert getattr(sums, part)(total).tolist() == pytest.approx(getattr(each, part).tolist())


def test_one_class_alone_is_no_correlation() -> None:
    total = sums.class_counts(np.zeros(4, int), np.zeros(4, int), 2).sum(axis=0)
    assert (sums.matthews(total), sums.macro_f1(total), sums.accuracy(total)) == (0, 1, 1)


def moments(truth_N: np.ndarray, guess_N: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(truth_N), truth_N, guess_N, truth_N**2, guess_N**2, truth_N * guess_N], axis=1)


def test_numbers_by_their_moments() -> None:
    rng = np.random.default_rng(2)
    truth_N = rng.normal(size=50)
    guess_N = truth_N + rng.normal(size=50)
    total_6 = moments(truth_N, guess_N).sum(axis=0)
    assert sums.correlated(total_6) == pytest.approx(pearson(truth_N, guess_N))
    assert sums.root_mean_square(total_6) == pytest.approx(rmse(truth_N, guess_N))
    assert np.isnan(sums.correlated(moments(truth_N, np.full(50, 3.0)).sum(axis=0)))


def test_the_mean_over_columns_is_of_the_errors_not_of_their_squares() -> None:
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=size), rng.normal(0, scale, size=size)) for size, scale in ((20, 1.0), (30, 9.0))]
    total_K6 = np.stack([moments(*pair).sum(axis=0) for pair in pairs])
    assert sums.mcrmse(total_K6) == pytest.approx(np.mean([rmse(*pair) for pair in pairs]))
    assert sums.mcrmse(total_K6) != pytest.approx(sums.root_mean_square(total_K6.sum(axis=0)), rel=0.1)
    assert sums.mean_correlated(total_K6) == pytest.approx(np.mean([pearson(*pair) for pair in pairs]))
    assert sums.mcrmse(np.stack([total_K6, total_K6 * 2])).shape == (2,)
    total_K6[1] = 0  # a column that nothing was measured of
    assert np.isnan([sums.mcrmse(total_K6), sums.mean_correlated(total_K6)]).all()


def test_intervals_are_those_of_drawing_rows() -> None:
    truth_N, guess_N = classes(3, 3, rows=200)
    units_N = np.arange(200) // 2
    counts_N3C = sums.class_counts(truth_N, guess_N, 3)
    found = bootstrap_sums({"accuracy": sums.accuracy, "f1": sums.macro_f1}, counts_N3C, clusters=units_N)
    mean = bootstrap((truth_N == guess_N).astype(float), clusters=units_N)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((mean.low, mean.high))
    assert found["accuracy"].method == mean.method
    by_rows = bootstrap_statistic(BY_ROWS["macro_f1"], [truth_N, guess_N], clusters=units_N)
    assert found["f1"].value == pytest.approx(by_rows.value)
    assert (found["f1"].low, found["f1"].high) == pytest.approx((by_rows.low, by_rows.high), abs=0.02)
    many = bootstrap_sums({"f1": sums.macro_f1}, sums.class_counts(truth_N, guess_N, 9), clusters=units_N)["f1"]
    assert (many.low, many.high) == (found["f1"].low, found["f1"].high), "classes that are never there change nothing"


def test_what_a_resample_does_not_have_gets_no_interval() -> None:
    rows_N6 = moments(np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.5]))
    (found,) = bootstrap_sums({"pearson": sums.correlated}, rows_N6).values()
    assert np.isfinite(found.value)
    assert np.isnan(found.low)
    assert found.method.startswith("none: pearson is not defined in")
    (single,) = bootstrap_sums({"rmse": sums.root_mean_square}, rows_N6, clusters=[1, 1, 1]).values()
    assert (np.isnan(single.high), single.method) == (True, "none: one independent unit")
    with pytest.raises(InputError, match="one label a row"):
        bootstrap_sums({"rmse": sums.root_mean_square}, rows_N6, clusters=[1])
