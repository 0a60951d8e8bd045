"""Regression metrics against scipy, scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from nuclex.core.errors import InputError
from nuclex.metrics import regression as ours


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scipy_and_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=50), 1)  # rounded, so that ranks are tied
    guess = np.round(0.5 * truth + rng.normal(size=50), 1)
    assert ours.pearson(truth, guess) == pytest.approx(stats.pearsonr(truth, guess).statistic, abs=1e-12)
    assert ours.spearman(truth, guess) == pytest.approx(stats.spearmanr(truth, guess).statistic, abs=1e-12)
    assert ours.r_squared(truth, guess) == pytest.approx(r2_score(truth, guess), abs=1e-12)


def test_by_hand() -> None:
    truth, guess = [1, 2, 3, 4], [2, 2, 3, 7]
    assert ours.mae(truth, guess) == pytest.approx(1.0)
    assert ours.rmse(truth, guess) == pytest.approx(np.sqrt(10 / 4))
    assert ours.r_squared(truth, guess) == pytest.approx(1 - 10 / 5)
    assert ours.pearson(truth, guess) == pytest.approx(8 / np.sqrt(5 * 17))
    assert ours.spearman([1, 2, 3], [10, 1000, 11]) == pytest.approx(0.5)


def test_determination_is_not_squared_correlation() -> None:
    truth = np.arange(10.0)
    assert ours.pearson(truth, 10 * truth) == pytest.approx(1)
    assert ours.r_squared(truth, 10 * truth) < 0
    assert ours.r_squared(truth, np.full(10, truth.mean())) == pytest.approx(0)


def test_invariance_to_scale_and_to_tiny_or_large_numbers() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.normal(size=(2, 30))
    for scale in (1e-200, 1e150):
        assert ours.pearson(truth * scale, guess) == pytest.approx(ours.pearson(truth, guess))
    assert ours.pearson(truth + 1e6, -guess) == pytest.approx(-ours.pearson(truth, guess), abs=1e-8)
    assert ours.spearman(np.exp(truth), guess**3) == pytest.approx(ours.spearman(truth, guess))


def test_undefined_is_nan_not_zero() -> None:
    constant = np.full(3, 0.1)
    assert np.isnan(ours.pearson([1, 2, 3], constant))
    assert np.isnan(ours.spearman(constant, [1, 2, 3]))
    assert np.isnan(ours.r_squared(constant, [1, 2, 3]))


@pytest.mark.parametrize(
    ("truth", "guess", "message"),
    [
        ([], [], "equal length"),
        ([1.0], [1.0, 2.0], "equal length"),
        ([[1.0]], [[1.0]], "equal length"),
        ([1.0, 2.0], [1.0, np.inf], "guess: row 1 is inf"),
    ],
)
def test_refused_with_a_sentence(truth, guess, message: str) -> None:
    for metric in (ours.pearson, ours.spearman, ours.r_squared, ours.rmse, ours.mae):
        with pytest.raises(InputError, match=message):
            metric(truth, guess)


@pytest.mark.parametrize("distinct", [1, 4, 10_000])
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_ranks_equal_those_of_scipy(rows: int, distinct: int) -> None:
    values_N = np.random.default_rng(rows).integers(-distinct, distinct, rows) / 7
    assert ours.ranks(values_N).tolist() == stats.rankdata(values_N).tolist()
