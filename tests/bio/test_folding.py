"""Greedy decoding against a plain loop written from its description."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio.folding import can_pair, greedy_pairs
from nuclex.core.errors import InputError

LETTERS = "ACGUTacgutNRI-"
PAIRS = {"AU", "UA", "GC", "CG", "GU", "UG"}


def plain_loop(probability: np.ndarray, sequence: str, threshold: float, min_loop: int, canonical: bool) -> list:
    """Blank what is forbidden, then take the highest and blank its rows and columns until nothing is left."""
    letters = sequence.upper().replace("T", "U")
    left = np.full(probability.shape, -1.0)
    for i in range(len(letters)):
        for j in range(i + 1, len(letters)):
            allowed = j - i > min_loop and (not canonical or letters[i] + letters[j] in PAIRS)
            if allowed and probability[i, j] > threshold:
                left[i, j] = probability[i, j]
    pairs = []
    while left.size and left.max() >= 0:
        i, j = np.unravel_index(np.argmax(left), left.shape)  # the first of equals in row order
        pairs.append([int(i), int(j)])
        left[[i, j], :] = -1
        left[:, [i, j]] = -1
    return sorted(pairs)


@st.composite
def questions(draw: st.DrawFn) -> tuple[np.ndarray, str]:
    sequence = draw(st.text(LETTERS, max_size=22))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([3, 10, 10**6]))  # few levels make many ties
    probability = rng.integers(0, levels + 1, size=(len(sequence), len(sequence))) / levels
    return probability.astype(draw(st.sampled_from([np.float32, np.float64]))), sequence


@given(questions(), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 5), st.booleans())
def test_greedy_equals_the_plain_loop(question: tuple, threshold: float, min_loop: int, canonical: bool) -> None:
    probability, sequence = question
    pairs = greedy_pairs(probability, sequence, threshold=threshold, min_loop=min_loop, canonical=canonical)
    assert pairs.dtype == np.int32
    assert pairs.shape[1:] == (2,)
    assert pairs.tolist() == plain_loop(probability, sequence, threshold, min_loop, canonical)


@given(questions(), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_keeps_the_more_probable_pairs(question: tuple, one: float, other: float) -> None:
    probability, sequence = question
    low, high = sorted((one, other))
    pairs = greedy_pairs(probability, sequence, threshold=low)
    kept = pairs[probability[pairs[:, 0], pairs[:, 1]] > high]
    assert np.array_equal(greedy_pairs(probability, sequence, threshold=high), kept)


def test_hairpin_by_hand() -> None:
    probability = np.zeros((10, 10), dtype=np.float32)
    probability[0, 9], probability[1, 8], probability[2, 7] = 0.9, 0.8, 0.3
    probability[0, 8] = 0.85  # taken by 0-9 first
    probability[3, 6] = 1.0  # only two nucleotides between
    probability[1, 9] = 0.1
    assert greedy_pairs(probability, "GGGAAAACCC", threshold=0.5).tolist() == [[0, 9], [1, 8]]
    assert greedy_pairs(probability, "GGGAAAACCC", threshold=0.29).tolist() == [[0, 9], [1, 8], [2, 7]]


def test_dna_and_lower_case_fold_like_rna() -> None:
    rng = np.random.default_rng(0)
    sequence = "".join(rng.choice(list("ACGU"), 60))
    probability = rng.random((60, 60))
    rna = greedy_pairs(probability, sequence, threshold=0.2)
    assert len(rna) > 10
    assert np.array_equal(greedy_pairs(probability, sequence.replace("U", "T").lower(), threshold=0.2), rna)
    assert np.array_equal(greedy_pairs(probability, sequence.encode(), threshold=0.2), rna)


def test_can_pair_is_symmetric_and_knows_the_six_canonical_pairs() -> None:
    allowed = can_pair(LETTERS, min_loop=0)
    assert np.array_equal(allowed, allowed.T)
    letters = LETTERS.upper().replace("T", "U")
    assert allowed.tolist() == [[a + b in PAIRS for b in letters] for a in letters]
    anything = can_pair("NNNNNN", canonical=False)
    assert np.argwhere(np.triu(anything)).tolist() == [[0, 4], [0, 5], [1, 5]]


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, r"found nan for the pair \(0, 5\)"), (1.5, r"found 1\.5 for"), (-3.0, r"found -3\.0 for")],
)
def test_what_is_no_probability_is_refused(value: float, message: str) -> None:
    probability = np.zeros((6, 6))
    probability[0, 5] = value
    with pytest.raises(InputError, match=message):
        greedy_pairs(probability, "GAAAAC", threshold=0.5)


def test_wrong_shape_and_loop_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(6, 6\); the sequence needs \(5, 5\)"):
        greedy_pairs(np.zeros((6, 6)), "GAAAC", threshold=0.5)
    with pytest.raises(InputError, match="min_loop is -1"):
        can_pair("GAAAC", min_loop=-1)
