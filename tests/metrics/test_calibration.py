from __future__ import annotations

import numpy as np
import pytest

from nuclex.core.errors import InputError
from nuclex.metrics.calibration import error_interval, gaps, reliability


def test_by_hand() -> None:
    found = reliability([0.05, 0.1, 0.62, 0.68, 1.0], [0, 1, 1, 0, 1])
    assert found.count_B.tolist() == [1, 1, 0, 0, 0, 0, 2, 0, 0, 1]
    assert found.points() == [
        (0.05, 0.0, 1), (0.1, 1.0, 1), (pytest.approx(0.65), 0.5, 2), (1.0, 1.0, 1),
    ]  # fmt: skip
    assert found.error == pytest.approx((0.05 + 0.9 + 2 * 0.15 + 0) / 5)


def test_true_probabilities_are_calibrated_and_boasted_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    probability_N = rng.random(200_000)
    right_N = rng.random(200_000) < probability_N
    assert reliability(probability_N, right_N).error < 0.01
    assert reliability(np.sqrt(probability_N), right_N).error == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    probability_N, right_N = rng.random(500), rng.integers(0, 2, 500)
    whole = reliability(probability_N, right_N)
    parts = reliability(probability_N[:200], right_N[:200]) + reliability(probability_N[200:], right_N[200:])
    assert parts.error == pytest.approx(whole.error)
    assert parts.count_B.tolist() == whole.count_B.tolist()
    assert np.isnan(reliability([], []).error)
    with pytest.raises(InputError, match="from 0 to 1"):
        reliability([1.2], [1])


def test_the_errors_interval_is_of_what_is_drawn() -> None:
    rng = np.random.default_rng(2)
    probability_N = rng.random(400)
    right_N = rng.random(400) < np.sqrt(probability_N)
    found, whole = error_interval(gaps(probability_N, right_N)), reliability(probability_N, right_N)
    assert found.value == pytest.approx(whole.error)
    assert whole.gaps.tolist() == pytest.approx(gaps(probability_N, right_N).sum(axis=0).tolist())
    assert found.low < found.value < found.high
    assert found.high < 0.3
    twice = error_interval(
        np.repeat(gaps(probability_N, right_N), 2, axis=0), clusters=np.repeat(np.arange(400), 2)
    )  # the same answers said twice are no more of them
    assert (twice.low, twice.high) == pytest.approx((found.low, found.high))


def test_the_true_error_lies_in_the_interval_as_often_as_it_says() -> None:
    """Probabilities that boast by 0.15 everywhere: the error of endless answers is known."""
    rng, inside = np.random.default_rng(3), 0
    for _ in range(100):
        probability_N = rng.uniform(0.5, 1.0, 300)
        found = error_interval(gaps(probability_N, rng.random(300) < probability_N - 0.15), level=0.9)
        inside += found.low <= 0.15 <= found.high
    assert 80 <= inside <= 98


def test_an_interval_reaches_its_value_where_all_probabilities_are_true() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        probability_N = rng.random(60)
        found = error_interval(gaps(probability_N, rng.random(60) < probability_N))
        assert found.low <= found.value <= found.high
