"""Sums over all ways to cut a text, beside the ways counted one by one."""

from collections.abc import Iterator
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.tokenizers.segmentation import Lattice, Trie

TOKENS = [b"\1", b"\2", b"\1\1", b"\1\2", b"\2\1\1", b"\1\1\1\1"]
PROBABILITIES = [0.3, 0.2, 0.15, 0.2, 0.1, 0.05]
SCORES_V = np.log(PROBABILITIES)
ROWS = st.integers(1, 9).flatmap(
    lambda columns: st.lists(st.lists(st.integers(0, 2), min_size=columns, max_size=columns), min_size=1, max_size=4)
)


def ways(text: bytes) -> Iterator[tuple[int, ...]]:
    """All ways to cut a text into tokens, a break being none."""
    if not text:
        yield ()
    elif text[0] == 0:
        yield from ways(text[1:])
    else:
        for index, token in enumerate(TOKENS):
            if text.startswith(token):
                yield from ((index, *rest) for rest in ways(text[len(token) :]))


@given(rows=ROWS)
@settings(max_examples=100, deadline=None)
def test_expected_counts_are_those_of_all_ways_weighted_by_their_probability(rows):
    counts_V, total = np.zeros(len(TOKENS)), 0.0
    for row in rows:
        found = list(ways(bytes(row)))
        weights = [np.prod([PROBABILITIES[index] for index in way]) for way in found]
        total += log(sum(weights))
        for way, weight in zip(found, weights, strict=True):
            for index in way:
                counts_V[index] += weight / sum(weights)
    lattice = Lattice(np.array(rows, dtype=np.uint8), Trie(TOKENS))
    expected_V, logarithm = lattice.expected(SCORES_V)
    assert expected_V == pytest.approx(counts_V, abs=1e-12)
    assert logarithm == pytest.approx(total, abs=1e-9)
    assert lattice.forward(SCORES_V)[-1].sum() == pytest.approx(total, abs=1e-9)


def test_a_token_can_be_made_of_the_others_alone():
    text_RC = np.array([[1, 1, 0, 0], [2, 1, 1, 0], [1, 1, 1, 1]], dtype=np.uint8)
    whole, others = (Lattice(text_RC, Trie(TOKENS), whole=whole).forward(SCORES_V)[-1] for whole in (True, False))
    lost_R = np.exp(whole) - np.exp(others)  # the way that is the token itself
    assert lost_R == pytest.approx([PROBABILITIES[2], PROBABILITIES[4], PROBABILITIES[5]])
    assert exp(others[0]) == pytest.approx(0.3 * 0.3)


def test_a_long_and_improbable_text_does_not_vanish():
    text_RC = np.full((1, 5000), 2, dtype=np.uint8)
    expected_V, logarithm = Lattice(text_RC, Trie(TOKENS)).expected(SCORES_V)
    assert logarithm == pytest.approx(5000 * log(0.2))
    assert expected_V == pytest.approx([0, 5000, 0, 0, 0, 0])
