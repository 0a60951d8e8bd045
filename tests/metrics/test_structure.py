"""Base-pair scores against an L × L dilation and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.metrics.classification import matthews
from nuclex.metrics.structure import PairMatch, mean_score, score_pairs, score_pseudoknots

NONE = np.empty((0, 2), dtype=np.int64)
LENGTH = 9
pairs = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1)).filter(lambda pair: pair[0] != pair[1]),
    min_size=1,
    max_size=8,
)


def reference(predicted: list[tuple[int, int]], true: list[tuple[int, int]]) -> list[float]:
    """The definition, spelled out on full symmetric matrices and with shifts that fall off the border."""

    def matrix(pairs: list[tuple[int, int]]) -> np.ndarray:
        made = np.zeros((LENGTH, LENGTH), dtype=bool)
        for i, j in pairs:
            made[i, j] = made[j, i] = True
        return made

    def dilated(made: np.ndarray) -> np.ndarray:
        wide = np.pad(made, 1)
        core = slice(1, -1)
        near = wide[core, core] | wide[:-2, core] | wide[2:, core] | wide[core, :-2] | wide[core, 2:]
        return near

    guess, truth = matrix(predicted), matrix(true)
    values = []
    for right, found in (((guess & truth), (guess & truth)), (guess & dilated(truth), truth & dilated(guess))):
        precision, recall = right.sum() / guess.sum(), found.sum() / truth.sum()
        values += [precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0]
    return values


@given(predicted=pairs, true=pairs)
@settings(max_examples=200, deadline=None)
def test_equal_to_matrices(predicted: list[tuple[int, int]], true: list[tuple[int, int]]) -> None:
    score = score_pairs(np.array(predicted), np.array(true), LENGTH)
    found = [getattr(match, name) for match in (score.strict, score.relaxed) for name in ("precision", "recall", "f1")]
    np.testing.assert_allclose(found, reference(predicted, true), atol=1e-12)


def test_by_hand() -> None:
    true = np.array([[0, 20], [1, 19], [2, 18], [5, 12]])
    predicted = np.array([[0, 20], [1, 18], [6, 13]])
    # (1, 18) is one step from (1, 19) and from (2, 18); (6, 13) is off by one at both ends, which is too much
    score = score_pairs(predicted, true, 21)
    assert (score.strict.precision, score.strict.recall) == (1 / 3, 1 / 4)
    assert score.strict.f1 == pytest.approx(2 / 7)
    assert score.relaxed.precision == pytest.approx(2 / 3)
    assert score.relaxed.recall == pytest.approx(3 / 4)
    assert score.relaxed.f1 == pytest.approx(2 * (2 / 3) * (3 / 4) / (2 / 3 + 3 / 4))
    assert (score.predicted, score.true) == (3, 4)


def test_a_step_over_the_border_meets_no_other_pair() -> None:
    # on a flat index of L columns, (0, 9) plus one step in j would be (1, 0), and (2, 9) would be (3, 0)
    for shifted in ([[1, 0]], [[3, 0]]):
        for ends in ([[0, 9]], [[2, 9]]):
            assert score_pairs(np.array(ends), np.array(shifted), 10).relaxed.f1 == 0.0
    assert score_pairs(np.array([[0, 9]]), np.array([[0, 8]]), 10).relaxed.f1 == 1.0


def test_order_within_a_pair_and_repeats_do_not_matter() -> None:
    true = np.array([[0, 8], [1, 7]])
    assert score_pairs(np.array([[8, 0], [0, 8], [0, 8]]), true, 9) == score_pairs(np.array([[0, 8]]), true, 9)


def test_nothing_predicted_or_nothing_true() -> None:
    some = np.array([[0, 5]])
    both, one, other = score_pairs(NONE, NONE, 6), score_pairs(NONE, some, 6), score_pairs(some, NONE, 6)
    assert both.strict == both.relaxed == PairMatch(1.0, 1.0, 1.0)
    for score in (one, other):
        assert score.strict == score.relaxed == PairMatch(0.0, 0.0, 0.0)
    assert (one.predicted, one.true, other.predicted, other.true) == (0, 1, 1, 0)


def test_mean_is_over_structures() -> None:
    short = score_pairs(np.array([[0, 5]]), np.array([[0, 5]]), 6)
    long = score_pairs(np.array([[0, 50], [1, 40]]), np.array([[i, 50 - i] for i in range(4)]), 60)
    mean = mean_score([short, long])
    assert mean.strict.precision == pytest.approx((1 + 1 / 2) / 2)
    assert mean.strict.recall == pytest.approx((1 + 1 / 4) / 2)
    assert mean.strict.f1 == pytest.approx((1 + 1 / 3) / 2)  # not the F1 of the means
    assert (mean.predicted, mean.true) == (3, 5)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[0, 6]], r"found \(0, 6\); allowed: two different positions from 0 to 5"),
        ([[-1, 3]], r"found \(-1, 3\)"),
        ([[2, 2]], r"found \(2, 2\)"),
        ([[0.0, 2.0]], "integers"),
        ([[0, 1, 2]], r"\(P, 2\)"),
    ],
)
def test_refused_with_a_sentence(pairs, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_pairs(np.array(pairs), NONE, 6)
    with pytest.raises(InputError, match="structures: found none"):
        mean_score([])


@given(predicted=pairs, true=pairs)
@settings(max_examples=100, deadline=None)
def test_the_correlation_is_that_of_all_cells_above_the_diagonal(
    predicted: list[tuple[int, int]], true: list[tuple[int, int]]
) -> None:
    cells = [(i, j) for j in range(LENGTH) for i in range(j)]
    called, truth = ([cell in {tuple(sorted(pair)) for pair in side} for cell in cells] for side in (predicted, true))
    expected = matthews(np.array(truth), np.array(called))
    assert score_pairs(np.array(predicted), np.array(true), LENGTH).mcc == pytest.approx(expected, abs=1e-12)


def test_the_correlation_by_hand_and_at_its_ends() -> None:
    # 6 nt, 15 possible pairs: TP 1, FP 1, FN 2, TN 11
    score = score_pairs(np.array([[0, 5], [1, 3]]), np.array([[0, 5], [1, 4], [2, 5]]), 6)
    assert score.mcc == pytest.approx((1 * 11 - 1 * 2) / math.sqrt(2 * 3 * 12 * 13))
    every = np.array([(i, j) for j in range(6) for i in range(j)])
    ends = ((every, every, 0.0), (every[:3], every[:3], 1.0), (NONE, NONE, 1.0), (NONE, every[:1], 0.0))
    assert [score_pairs(first, second, 6).mcc for first, second, _ in ends] == [value for *_, value in ends]
    long = np.stack([np.arange(10_000), 99_999 - np.arange(10_000)], axis=1)  # the root is of a number above 2**63
    assert score_pairs(long, long, 100_000).mcc == pytest.approx(1.0)


def test_only_the_pairs_that_cross_count_as_pseudoknotted() -> None:
    true = np.array([[0, 10], [1, 9], [5, 15], [20, 25]])  # (20, 25) crosses nothing
    predicted = np.array([[0, 10], [5, 15], [20, 25], [21, 24]])  # (1, 9) is missed
    score = score_pseudoknots(predicted, true, 30)
    assert (score.predicted, score.true) == (2, 3)
    assert (score.strict.precision, score.strict.recall) == (1.0, 2 / 3)
    assert score_pseudoknots(true, true[3:], 30).true == 0
    assert score_pseudoknots(NONE, true, 30).strict == PairMatch(0.0, 0.0, 0.0)
    assert score_pseudoknots(true[3:], NONE, 30).predicted == 0


def test_base_triples_in_the_truth() -> None:
    true = np.array([[0, 9], [1, 8], [1, 5]])  # 1 pairs twice
    score = score_pairs(np.array([[0, 9], [1, 8]]), true, 10)
    assert (score.strict.precision, score.strict.recall, score.strict.f1) == (1.0, 2 / 3, 0.8)
