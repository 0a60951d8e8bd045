"""What a picture says is what it was given."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.evaluation.benchmark_plots import PLOTTED, reliability_curves, score_curves, spread_out, system_bars
from nuclex.metrics.calibration import reliability
from nuclex.metrics.statistics import Interval

pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra plots)")


def test_a_score_curve_is_the_share_that_reach_each_value() -> None:
    figure = score_curves({("a", "fine-tuned"): [0.5, 0.0, 1.0, 0.5]}, "F1", "t")
    assert figure.data.rows == (
        ("a", "fine-tuned", 0.0, 1.0),
        ("a", "fine-tuned", 0.5, 0.75),
        ("a", "fine-tuned", 1.0, 0.25),
    )
    assert "median 0.500" in figure.alt
    many = score_curves({("a", "x"): np.random.default_rng(0).random(5000)}, "F1", "t").data.rows
    assert len(many) <= PLOTTED
    assert many[0][3] == 1.0
    assert many[-1][3] == pytest.approx(1 / 5000)


def test_a_reliability_curve_has_a_point_a_bin_and_the_error() -> None:
    found = reliability([0.95, 0.95, 0.15, 0.15], [1, 1, 1, 0])
    figure = reliability_curves({"m": found}, "the class", "t")
    assert figure.data.rows == (("m", 0.15, 0.5, 2), ("m", 0.95, 1.0, 2))
    assert "m: 0.200" in figure.alt
    error = {"m": Interval(0.2, 0.1, 0.3, 4, 0.95, "BCa bootstrap")}
    sure = reliability_curves({"m": found}, "the class", "t", error)
    assert "m: 0.200 [0.100, 0.300]" in sure.alt
    assert "95 % interval over units" in sure.caption
    assert reliability_curves({"m": reliability([], [])}, "the class", "t").data.rows == ()


def test_every_system_has_its_bars() -> None:
    one, other = Interval(0.5, 0.4, 0.6, 9, 0.95, "BCa"), Interval(0.3, 0.2, 0.4, 9, 0.95, "BCa")
    figure = system_bars(["q", "r"], {("a", "fine-tuned"): [one, None], ("a", "frozen"): [other, one]}, "F1", "t")
    assert figure.data.columns == ("question", "a, fine-tuned", "a, frozen")
    assert figure.data.rows == (("q", one, other), ("r", None, one))
    assert "0.500" in figure.svg
    with pytest.raises(ValueError, match="has 1 values for 2 groups"):
        system_bars(["q", "r"], {("a", "x"): [one]}, "F1", "t")


def test_right_or_wrong_is_no_spread() -> None:
    assert not spread_out([{"scores": {"m": value}} for value in (0.0, 1.0, 1.0)], "m")
    assert spread_out([{"scores": {"m": value}} for value in (0.0, 0.5, 1.0)], "m")
