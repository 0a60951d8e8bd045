"""Dot-bracket text: hand-written cases, and round trips of random structures with pseudoknots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio.base_pairs import as_pairs, crossing, has_pseudoknot
from nuclex.bio.dot_bracket import CLOSING, OPENING, parse_dot_bracket, to_dot_bracket
from nuclex.core.errors import InputError


@st.composite
def matchings(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    length = draw(st.integers(0, 50))
    order = draw(st.permutations(range(length)))
    count = draw(st.integers(0, length // 2))
    return as_pairs([(order[2 * k], order[2 * k + 1]) for k in range(count)]), length


nested_text = st.recursive(
    st.text(".", max_size=4),
    lambda inner: st.builds(lambda a, b, c: f"{a}({b}){c}", inner, inner, inner),
    max_leaves=20,
)


@given(matchings())
def test_any_matching_is_read_back_exactly(structure: tuple[np.ndarray, int]) -> None:
    pairs, length = structure
    text = to_dot_bracket(pairs, length)
    assert len(text) == length
    assert np.array_equal(parse_dot_bracket(text), pairs)
    assert ("[" in text) == has_pseudoknot(pairs)
    for opening, closing in zip(OPENING, CLOSING, strict=True):  # within one kind of bracket nothing crosses
        inside = [(i, j) for i, j in pairs.tolist() if text[i] == opening]
        assert all(text[j] == closing for _, j in inside)
        assert not crossing(inside).any()


@given(nested_text)
def test_nested_text_is_written_back_letter_by_letter(text: str) -> None:
    assert to_dot_bracket(parse_dot_bracket(text), len(text)) == text


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("....", []),
        ("(())", [[0, 3], [1, 2]]),
        ("([{<AaBb>}])", [[0, 11], [1, 10], [2, 9], [3, 8], [4, 5], [6, 7]]),
        ("([)]", [[0, 2], [1, 3]]),
        ("Zz(A)a", [[0, 1], [2, 4], [3, 5]]),
        ("<<_.-:,~>>", [[0, 9], [1, 8]]),
    ],
)
def test_hand_written(text: str, pairs: list) -> None:
    found = parse_dot_bracket(text)
    assert found.dtype == np.int32
    assert found.shape == (len(pairs), 2)
    assert found.tolist() == pairs


def test_layers_are_taken_in_order_and_reused() -> None:
    assert to_dot_bracket([(0, 3), (1, 4), (2, 5)], 6) == "([{)]}"
    assert to_dot_bracket([(0, 2), (1, 4), (3, 5)], 6) == "([)(])"
    assert to_dot_bracket([(0, 30), (1, 2)], 31) == "(()" + "." * 27 + ")"


def test_thirty_layers_fit_and_thirty_one_do_not() -> None:
    thirty = [(k, k + 30) for k in range(30)]
    assert to_dot_bracket(thirty, 60) == OPENING + CLOSING
    assert parse_dot_bracket(OPENING + CLOSING).tolist() == [list(pair) for pair in thirty]
    with pytest.raises(InputError, match=r"base pair \(30, 61\) crosses pairs of all 30 kinds"):
        to_dot_bracket([(k, k + 31) for k in range(31)], 62)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(.)x)", r"'x' at position 3 closes no 'X'"),
        ("(.) ", r"' ' at position 3 is not one of"),
        ("(.)é", r"'é' at position 3 is not one of"),
        ("..)", r"'\)' at position 2 closes no '\('"),
        ("([)", r"'\[' at position 1 is never closed"),
        ("((.)", r"'\(' at position 0 is never closed"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_position(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_dot_bracket(text)


def test_triples_cannot_be_written() -> None:
    with pytest.raises(InputError, match="position 0 is in the pairs"):
        to_dot_bracket([(0, 5), (0, 8)], 10)
