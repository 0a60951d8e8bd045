"""Regions and borders by hand, and against numpy's own median."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.metrics.regions import (
    FARTHEST,
    border_errors,
    distances,
    exact,
    exact_share,
    mean,
    median,
    overlaps,
    region_report,
    within_a_codon,
)

ORDER = ("v", "d", "j")
TRUTH = [{"v": (2, 6), "d": (6, 8), "j": (8, 12)}, {"v": (0, 5), "j": (5, 9)}, {"v": (1, 4), "d": (4, 6), "j": (6, 9)}]
GUESS = [{"v": (2, 6), "d": (6, 8), "j": (8, 12)}, {"v": (0, 6), "j": (6, 9)}, {"v": (0, 4), "j": (4, 9)}]


def test_letters_and_borders_by_hand() -> None:
    assert overlaps(TRUTH, GUESS, ORDER).tolist() == [
        [[4, 4], [2, 2], [4, 4]],
        [[5, 5], [0, 0], [3, 4]],
        [[3, 3], [0, 2], [3, 3]],
    ]
    expected = [[0, 0, 0, 0], [0, np.nan, 1, 0], [-1, np.inf, -2, 0]]
    np.testing.assert_array_equal(border_errors(TRUTH, GUESS, ORDER), expected)
    assert exact_share([*TRUTH, {}], [*GUESS, {}], ORDER).tolist() == pytest.approx([1, 2 / 3, 1 / 4, 1])


def test_the_report_by_hand() -> None:
    found = region_report(TRUTH, GUESS, ORDER)
    assert {name: one["accuracy"]["value"] for name, one in found["regions"].items()} == pytest.approx(
        {"v": 1.0, "d": 2 / 4, "j": 10 / 11}
    )
    borders = found["borders"]
    assert list(borders) == ["v_start", "d_start", "j_start", "j_end"]
    assert {name: one["exact"]["value"] for name, one in borders.items()} == pytest.approx(
        {"v_start": 2 / 3, "d_start": 1 / 2, "j_start": 1 / 3, "j_end": 1.0}
    )
    assert {name: one["median"]["value"] for name, one in borders.items()} == pytest.approx(
        {"v_start": 0, "d_start": FARTHEST / 2, "j_start": 1, "j_end": 0}
    )
    assert [(one["n"], one["missed"]) for one in borders.values()] == [(3, 0), (2, 1), (3, 0), (3, 0)]
    # distances by hand: 0 0 0 0 · 0 - 1 0 · 1 far 2 0
    off = [0, 0, 0, 0, 0, 1, 0, 1, FARTHEST, 2, 0]
    every = {name: found["every_border"][name]["value"] for name in ("median", "mean", "exact", "within_3")}
    assert every == pytest.approx({"median": 0, "mean": np.mean(off), "exact": 7 / 11, "within_3": 10 / 11})
    assert (found["every_border"]["n"], found["every_border"]["missed"]) == (11, 1)
    assert borders["d_start"]["mean"]["value"] == pytest.approx(FARTHEST / 2)
    assert borders["j_start"]["mean"]["value"] == pytest.approx(1)
    assert found["all_borders_exact"]["value"] == pytest.approx(1 / 3)


def test_the_median_is_numpys_and_far_is_far() -> None:
    random = np.random.default_rng(0)
    for count in range(1, 12):
        off = random.integers(-9, 9, count).astype(float)
        counts = distances(off).sum(0)
        assert median(counts) == np.median(np.abs(off))
        assert exact(counts) == np.mean(off == 0)
        assert within_a_codon(counts) == np.mean(np.abs(off) <= 3)
        assert mean(counts) == pytest.approx(np.mean(np.abs(off)))
    assert median(distances(np.array([500.0, -500.0, np.inf])).sum(0)) == FARTHEST
    assert np.isnan(median(distances(np.array([np.nan])).sum(0)))


def test_a_cluster_is_drawn_as_a_whole() -> None:
    truth, good, bad = {"v": (0, 4)}, {"v": (0, 4)}, {"v": (0, 3)}
    guess = [good, bad] * 20
    loose = region_report([truth] * 40, guess, ("v",))["borders"]["v_end"]["exact"]
    tight = region_report([truth] * 40, guess, ("v",), np.repeat(np.arange(20), 2))["borders"]["v_end"]["exact"]
    assert loose["high"] > loose["low"]
    assert tight["low"] == tight["high"] == 0.5  # every cluster has one of each
