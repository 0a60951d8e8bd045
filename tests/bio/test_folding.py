"""Greedy decoding against a plain loop written from its description; the best structures against brute force."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nuclex.bio.base_pairs import has_pseudoknot, to_partners
from nuclex.bio.folding import can_pair, greedy_pairs, matching_pairs, mea_pairs
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


# ---- the structures of maximum expected accuracy, against every structure there is ----


def every_structure(pairs: list[tuple[int, int]], nested: bool) -> Iterator[tuple[tuple[int, int], ...]]:
    """All sets of these pairs in which a nucleotide has at most one partner, and with ``nested`` none crosses."""
    if not pairs:
        yield ()
        return
    (i, j), rest = pairs[0], pairs[1:]
    yield from every_structure(rest, nested)
    fits = [(a, b) for a, b in rest if not {a, b} & {i, j} and not (nested and (i < a < j < b or a < i < b < j))]
    for others in every_structure(fits, nested):
        yield ((i, j), *others)


def accuracy(structure: Iterable[Sequence[int]], probability: np.ndarray, allowed: np.ndarray, gamma: float) -> float:
    """The sum of 2 gamma p over the pairs and of q over the unpaired, spelled out."""
    length = len(probability)
    symmetric = np.where(allowed, np.triu(probability, 1) + np.triu(probability, 1).T, 0.0)
    pairs = [tuple(pair) for pair in structure]
    alone = set(range(length)) - {position for pair in pairs for position in pair}
    return sum(2 * gamma * symmetric[i, j] for i, j in pairs) + sum(max(0.0, 1 - symmetric[i].sum()) for i in alone)


@given(
    sequence=st.text("ACGUN", min_size=0, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.1, 0.3, 1.0]),
    threshold=st.sampled_from([0.01, 0.2, 0.5]),
    gamma=st.sampled_from([None, 0.5, 1.0, 6.0]),
    min_loop=st.integers(0, 3),
)
@settings(deadline=None, max_examples=150)
def test_the_best_structures_equal_brute_force(
    sequence: str, seed: int, share: float, threshold: float, gamma: float | None, min_loop: int
) -> None:
    rng, length = np.random.default_rng(seed), len(sequence)
    probability = rng.random((length, length)) * (rng.random((length, length)) < share)
    canonical = bool(seed % 4)
    allowed = can_pair(sequence, min_loop=min_loop, canonical=canonical)
    candidates = [(i, j) for i in range(length) for j in range(i) if allowed[i, j] and probability[j, i] > threshold]
    candidates = sorted((j, i) for i, j in candidates)
    keywords = {"threshold": threshold, "gamma": gamma, "min_loop": min_loop, "canonical": canonical}
    weight = 1 / threshold - 1 if gamma is None else gamma
    assume(len(candidates) <= 24)
    for decode, nested in ((mea_pairs, True), (matching_pairs, False)):
        found = decode(probability, sequence, **keywords)
        to_partners(found, length)  # one partner each
        assert {tuple(pair) for pair in found.tolist()} <= set(candidates)
        assert not (nested and has_pseudoknot(found))
        best = max(accuracy(every, probability, allowed, weight) for every in every_structure(candidates, nested))
        assert accuracy(found.tolist(), probability, allowed, weight) == pytest.approx(best, abs=1e-9)


def noisy(length: int, seed: int) -> tuple[np.ndarray, str]:
    """Some twenty partners a nucleotide, most of them improbable."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.3, 1, (length, length)) * (rng.random((length, length)) < 20 / length)
    return probability, "".join(rng.choice(list("ACGU"), length))


def test_the_matching_equals_another_program() -> None:
    networkx = pytest.importorskip("networkx")
    for seed in range(4):
        probability, sequence = noisy(60, seed)
        allowed = can_pair(sequence)
        graph = networkx.Graph()
        symmetric = np.where(allowed, np.triu(probability) + np.triu(probability, 1).T, 0)
        alone = np.maximum(1 - symmetric.sum(axis=1), 0)
        for i, j in np.argwhere(np.triu(symmetric) > 0.1).tolist():
            graph.add_edge(i, j, weight=2 * 9 * symmetric[i, j] - alone[i] - alone[j])
        values = [
            accuracy(pairs, probability, allowed, 9)
            for pairs in (networkx.max_weight_matching(graph), matching_pairs(probability, sequence, threshold=0.1))
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-10)
        assert values[1] >= accuracy(mea_pairs(probability, sequence, threshold=0.1).tolist(), probability, allowed, 9)


@pytest.mark.parametrize("decode", [mea_pairs, matching_pairs])
def test_a_pair_without_rivals_is_taken_above_the_threshold(decode: Callable[..., np.ndarray]) -> None:
    probability = np.zeros((10, 10))
    for value in (0.05, 0.3, 0.9):
        probability[0, 9] = value
        for threshold in (0.0, 0.04, 0.05, 0.31, 0.89, 0.9, 1.0):
            found = decode(probability, "GAAAAAAAAC", threshold=threshold)
            assert found.tolist() == ([[0, 9]] if value > threshold else [])
    assert decode(probability, "GAAAAAAAAC", threshold=0.0, gamma=0.1).tolist() == []
    assert decode(np.zeros((0, 0)), "", threshold=0.1).shape == (0, 2)


def test_two_stems_that_cross() -> None:
    sequence = "GGGAACCCAACCCAAGGG"
    probability = np.zeros((18, 18))
    for i, j, value in ((0, 12, 0.9), (1, 11, 0.9), (2, 10, 0.9), (5, 17, 0.8), (6, 16, 0.8), (7, 15, 0.8)):
        probability[i, j] = value
    both = np.argwhere(probability).tolist()
    assert matching_pairs(probability, sequence, threshold=0.1).tolist() == both
    assert mea_pairs(probability, sequence, threshold=0.1).tolist() == both[:3]


@pytest.mark.parametrize("decode", [mea_pairs, matching_pairs])
def test_a_long_rna_takes_seconds_and_is_the_same_again(decode: Callable[..., np.ndarray]) -> None:
    probability, sequence = noisy(600, 1)
    begin = time.perf_counter()
    found = decode(probability, sequence, threshold=0.05)
    assert time.perf_counter() - begin < 5
    assert len(found) > 50
    assert np.array_equal(decode(probability.copy(), sequence.encode(), threshold=0.05), found)
    assert np.array_equal(decode(probability, sequence.replace("U", "t").lower(), threshold=0.05), found)


@pytest.mark.parametrize("decode", [mea_pairs, matching_pairs])
def test_the_best_structures_refuse_what_greedy_refuses(decode: Callable[..., np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"shape \(6, 6\); the sequence needs \(5, 5\)"):
        decode(np.zeros((6, 6)), "GAAAC", threshold=0.5)
    with pytest.raises(InputError, match=r"found 1\.5 for the pair \(0, 5\)"):
        decode(np.full((6, 6), 1.5), "GAAAAC", threshold=0.5)
    for gamma in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"gamma is .*; a number above 0 is needed"):
            decode(np.zeros((5, 5)), "GAAAC", threshold=0.5, gamma=gamma)
