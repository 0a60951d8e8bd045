"""Pairs as arrays against plain loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio.base_pairs import as_pairs, crossing, from_partners, has_pseudoknot, to_partners
from nuclex.core.errors import InputError


@st.composite
def matchings(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    length = draw(st.integers(0, 40))
    order = draw(st.permutations(range(length)))
    count = draw(st.integers(0, length // 2))
    return [(order[2 * k], order[2 * k + 1]) for k in range(count)], length


@given(matchings())
def test_pairs_and_partners_are_each_others_inverse(structure: tuple[list[tuple[int, int]], int]) -> None:
    given_pairs, length = structure
    pairs = as_pairs(given_pairs, length)
    assert pairs.dtype == np.int32
    assert pairs.shape == (len(given_pairs), 2)
    assert pairs.tolist() == sorted(sorted(pair) for pair in given_pairs)
    partners = to_partners(given_pairs, length)
    assert partners.dtype == np.int32
    expected = {i: j for pair in given_pairs for i, j in (pair, pair[::-1])}
    assert partners.tolist() == [expected.get(position, -1) for position in range(length)]
    assert np.array_equal(from_partners(partners), pairs)


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)).filter(lambda pair: pair[0] != pair[1]), max_size=30))
def test_crossing_agrees_with_the_definition(pairs: list[tuple[int, int]]) -> None:
    expected = [False] * len(pairs)
    for a, b in combinations(range(len(pairs)), 2):
        (i, j), (k, m) = sorted(sorted(pairs[row]) for row in (a, b))
        if i < k < j < m:
            expected[a] = expected[b] = True
    assert crossing(pairs).tolist() == expected
    assert has_pseudoknot(pairs) == any(expected)


def test_crossing_is_the_same_over_several_slabs() -> None:
    nested = [(i, 5000 - i) for i in range(2400)]
    assert not has_pseudoknot(nested)
    mask = crossing([*nested, (2399, 5001)])
    assert mask[-1]
    assert mask.sum() == 2400  # all nested pairs but (2399, 2601), which shares a nucleotide with the last


def test_base_triples_are_pairs_but_no_partners() -> None:
    triples = as_pairs([(8, 21), (25, 8), (8, 21)], 30)
    assert triples.tolist() == [[8, 21], [8, 25]]
    message = r"position 8 is in the pairs \(8, 21\), \(8, 25\); a nucleotide may have only one partner here"
    with pytest.raises(InputError, match=message):
        to_partners(triples, 30)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(0, 5)], r"base pair \(0, 5\) lies outside the positions 0\.\.4"),
        ([(0, 1), (-1, 3)], r"base pair \(-1, 3\) lies outside"),
        ([(2, 2)], "position 2 is paired with itself"),
        ([(0.0, 1.0)], r"base pairs are float64 of shape \(1, 2\)"),
        ([(0, 1, 2)], r"of shape \(1, 3\)"),
    ],
)
def test_what_are_no_pairs_is_refused(pairs: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_pairs(pairs, 5)


@pytest.mark.parametrize(
    ("partners", "message"),
    [
        ([1, 2, 1], "position 0 has the partner 1, whose partner is 2; partners must be mutual"),
        ([3, -1, -1], r"position 0 has the partner 3; partners must be mutual, inside 0\.\.2"),
        ([0], "position 0 has the partner 0; "),
        ([-1, -2], "position 1 has the partner -2; "),
        ([[1, 0]], r"partners are int64 of shape \(1, 2\)"),
    ],
)
def test_partners_that_are_not_mutual_are_refused(partners: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_partners(partners)
