"""Regions along a sequence: labels and spans say the same, and the best path is that of all that there are."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio.regions import FRAMEWORKS_AND_LOOPS, OUTSIDE, best_path, labels_of, spans_of
from nuclex.core.errors import InputError


@given(st.lists(st.integers(0, 30), min_size=8, max_size=8), st.integers(0, 5))
def test_spans_become_labels_and_back(borders: list[int], behind: int) -> None:
    edges = sorted(borders)
    spans = {name: (a, b) for name, a, b in zip(FRAMEWORKS_AND_LOOPS, edges[:-1], edges[1:], strict=True) if a < b}
    labels_L = labels_of(spans, edges[-1] + behind)
    assert spans_of(labels_L, FRAMEWORKS_AND_LOOPS) == spans
    assert (labels_L == OUTSIDE).sum() == edges[0] + behind


@pytest.mark.parametrize(
    ("spans", "sentence"),
    [
        ({"v": (0, 3), "j": (2, 5)}, r"j \[2, 5\) has letters of v, too"),
        ({"v": (0, 7)}, r"v is \[0, 7\); a span within the 6 letters"),
        ({"v": (3, 3)}, r"v is \[3, 3\)"),
        ({"v": (-1, 3)}, r"v is \[-1, 3\)"),
    ],
)
def test_spans_that_cannot_be(spans: dict[str, tuple[int, int]], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        labels_of(spans, 6)


@pytest.mark.parametrize("classes", [("a", "b", OUTSIDE, "c"), ("c", "b", "a"), (OUTSIDE, "c", "a")])
def test_the_best_path_is_the_best_of_all(classes: tuple[str, ...]) -> None:
    random, order = np.random.default_rng(0), ("a", "b", "c")
    states = [name for name in (OUTSIDE, *order, OUTSIDE) if name in classes]
    for _ in range(30):
        score_LC = random.normal(size=(6, len(classes)))
        ways = combinations_with_replacement(range(len(states)), 6)
        rows = [[classes.index(states[place]) for place in way] for way in ways]
        best = max(rows, key=lambda row: sum(score_LC[letter, place] for letter, place in enumerate(row)))
        assert best_path(score_LC, classes, order).tolist() == best


def test_a_path_mends_what_letters_alone_get_wrong() -> None:
    classes = ("a", "b")
    score_LC = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]))
    assert score_LC.argmax(1).tolist() == [0, 1, 0, 0, 1, 1]
    assert best_path(score_LC, classes, classes).tolist() == [0, 0, 0, 0, 1, 1]
