from __future__ import annotations

import numpy as np
import pytest

from nuclex.core.errors import InputError
from nuclex.metrics.calibration import reliability


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
