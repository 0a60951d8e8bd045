"""Fréchet distances that are known in closed form, and clouds whose cover can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from nuclex.core.errors import InputError
from nuclex.metrics.frechet import Cover, cover, frechet_distance, principal_axes


def exact(count: int, mean: list[float], covariance: list[list[float]], seed: int = 0) -> np.ndarray:
    """A cloud with exactly this mean and this covariance."""
    draws = np.random.default_rng(seed).normal(size=(count, len(mean)))
    draws -= draws.mean(0)
    white = draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws.T))).T
    return white @ np.linalg.cholesky(np.array(covariance)).T + np.array(mean)


def test_closed_forms() -> None:
    round_ = exact(50, [0, 0, 0], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    wide = exact(40, [1, 2, 2], [[4, 0, 0], [0, 9, 0], [0, 0, 1]], seed=1)
    # |m|² = 9, and (1-2)² + (1-3)² + 0 for covariances with common axes
    assert frechet_distance(round_, wide) == pytest.approx(9 + 1 + 4)
    assert frechet_distance(wide, round_) == pytest.approx(14)
    assert frechet_distance(wide, wide) == pytest.approx(0, abs=1e-9)
    # a ridge of 3 on both: (2 - √7)² + (2 - √12)² + 0
    expected = 9 + (2 - 7**0.5) ** 2 + (2 - 12**0.5) ** 2
    assert frechet_distance(round_, wide, ridge=3.0) == pytest.approx(expected)


def test_against_the_matrix_root_of_scipy() -> None:
    draw = np.random.default_rng(3)
    first, second = draw.normal(size=(80, 6)) @ draw.normal(size=(6, 6)), draw.normal(size=(70, 6)) + 0.3
    covariances = np.cov(first.T), np.cov(second.T)
    apart = first.mean(0) - second.mean(0)
    root = sqrtm(covariances[0] @ covariances[1])
    wanted = apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-9)


def test_fewer_vectors_than_dimensions_need_no_ridge_and_are_too_far_apart() -> None:
    draw = np.random.default_rng(0)
    few = [draw.normal(size=(10, 30)) for _ in range(2)]
    many = [draw.normal(size=(3000, 30)) for _ in range(2)]
    assert 0 < frechet_distance(*many) < 1 < frechet_distance(*few)


def test_turned_and_moved_alike_nothing_changes() -> None:
    draw = np.random.default_rng(5)
    first, second = draw.normal(size=(60, 4)), 2 * draw.normal(size=(60, 4)) + 1
    turn = np.linalg.qr(draw.normal(size=(4, 4)))[0]
    assert frechet_distance(first @ turn + 7, second @ turn + 7) == pytest.approx(frechet_distance(first, second))


def test_principal_axes_are_those_of_the_widest_spread() -> None:
    cloud = exact(30, [1, 1, 1], [[1, 0, 0], [0, 25, 0], [0, 0, 4]])
    mean, axes = principal_axes(cloud, 2)
    assert mean == pytest.approx([1, 1, 1])
    assert np.abs(axes) == pytest.approx(np.array([[0, 1, 0], [0, 0, 1]]), abs=1e-9)


def test_cover_counted_by_hand() -> None:
    real = np.array([[0.0], [1.0], [2.0], [10.0]])  # radii to the nearest other: 1, 1, 1, 8
    made = np.array([[1.5], [1.6], [-5.0]])  # radii 0.1, 0.1, 6.5
    # 1.5 and 1.6 lie within 1 of 1; -5 lies within no ball. 0, 1 lie within 6.5 of -5, 2 and 10 in no ball
    assert cover(made, real, neighbours=1) == Cover(precision=2 / 3, recall=2 / 4)
    assert Cover(0.5, 0.25).f1 == pytest.approx(1 / 3)
    assert Cover(0.0, 0.0).f1 == 0.0
    assert cover(real, real, neighbours=2) == Cover(1.0, 1.0)


def test_what_is_no_cloud_is_refused() -> None:
    good = np.zeros((5, 3))
    with pytest.raises(InputError, match=r"vectors have 3 and 2 numbers; they need equally many"):
        frechet_distance(good, np.zeros((5, 2)))
    with pytest.raises(InputError, match=r"second: an array of shape \(1, 3\); two or more vectors"):
        frechet_distance(good, good[:1])
    with pytest.raises(InputError, match=r"first: vectors hold numbers that are not finite"):
        frechet_distance(good * np.nan, good)
    with pytest.raises(InputError, match=r"neighbours: found 5; with 5 vectors fewer are needed"):
        cover(good, good, neighbours=5)
    with pytest.raises(InputError, match=r"components: found 4; 5 vectors of 3 have 3"):
        principal_axes(good, 4)
