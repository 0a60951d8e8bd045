"""Nearest neighbours against hand-made spaces."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.core.errors import InputError
from nuclex.evaluation.neighbours import composition, neighbours


def test_composition_counts_words() -> None:
    row = composition([b"AAAC", b"NNNN"])
    assert row.shape == (2, 64)
    assert row[0, 0] == pytest.approx(0.5)  # AAA of AAA, AAC
    assert row[0, 1] == pytest.approx(0.5)
    assert not row[1].any()


def test_relatives_in_the_same_cluster_do_not_count() -> None:
    # two tight pairs of clustermates; outside the own cluster the nearest one is of the other family
    vectors = np.array([[1.0, 0.1], [1.0, 0.11], [1.0, -0.1], [1.0, -0.11], [-1.0, 0.0], [-1.1, 0.0]])
    labels = ["a", "a", "b", "b", "c", "c"]
    clusters = np.array([0, 0, 1, 1, 2, 3])
    found = neighbours(vectors, vectors, labels, clusters)
    assert found.model.value == pytest.approx(2 / 6)  # only c finds c
    alone = neighbours(vectors, vectors, labels, np.arange(6))
    assert alone.model.value == 1.0


def test_chance_is_the_share_of_equal_pairs() -> None:
    # counted by hand: three of four find 2 of 3 others of their own, one finds none
    rng = np.random.default_rng(0)
    labels = ["a"] * 3 + ["b"] * 1
    found = neighbours(rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), labels, np.arange(4))
    assert found.chance == pytest.approx(3 * 2 / (4 * 3))


def test_chance_leaves_clustermates_out() -> None:
    rng = np.random.default_rng(0)
    space = rng.normal(size=(4, 2))
    assert neighbours(space, space, ["a", "a", "b", "b"], np.array([0, 0, 1, 1])).chance == 0
    with pytest.raises(InputError, match="one cluster"):
        neighbours(space, space, ["a", "a", "b", "b"], np.zeros(4, dtype=int))


def test_a_space_that_knows_families_beats_noise() -> None:
    rng = np.random.default_rng(1)
    labels = [f"f{number % 4}" for number in range(80)]
    centres = rng.normal(size=(4, 8)) * 5
    good = np.stack([centres[number % 4] + rng.normal(size=8) for number in range(80)])
    found = neighbours(good, rng.normal(size=(80, 8)), labels, np.arange(80))
    assert found.model.value > 0.95
    assert found.difference.difference.low > 0.4
