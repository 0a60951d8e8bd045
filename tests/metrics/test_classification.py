"""Classification metrics against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from nuclex.core.errors import InputError
from nuclex.metrics import classification as ours

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(rows=rows)
@settings(max_examples=50, deadline=None)
def test_equal_to_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, guess = np.array(rows).T
    assert ours.accuracy(truth, guess) == reference.accuracy_score(truth, guess)
    np.testing.assert_array_equal(
        ours.confusion_matrix(truth, guess, 4), reference.confusion_matrix(truth, guess, labels=range(4))
    )
    for average in ("macro", "weighted", "micro"):
        found = ours.precision_recall_f1(truth, guess, average)
        wanted = reference.precision_recall_fscore_support(truth, guess, average=average, zero_division=0)[:3]
        np.testing.assert_allclose([found.precision, found.recall, found.f1], wanted, atol=1e-12)
    recalls = reference.recall_score(truth, guess, labels=np.unique(truth), average=None, zero_division=0)
    assert ours.balanced_accuracy(truth, guess) == pytest.approx(recalls.mean())
    if len(np.unique(truth)) > 1:  # scikit-learn warns where only one label exists
        assert ours.matthews(truth, guess) == pytest.approx(reference.matthews_corrcoef(truth, guess), abs=1e-12)


def test_per_class_by_hand() -> None:
    # class 0: called 3 times, twice rightly, 2 true; class 1: called never, 1 true; class 2: called 1, right, 2 true
    confusion = ours.confusion_matrix([0, 0, 1, 2, 2], [0, 0, 0, 2, 0], 3)
    assert confusion.tolist() == [[2, 0, 0], [1, 0, 0], [1, 0, 1]]
    classes = ours.per_class(confusion)
    np.testing.assert_allclose(classes.precision, [2 / 4, 0, 1])
    np.testing.assert_allclose(classes.recall, [1, 0, 1 / 2])
    np.testing.assert_allclose(classes.f1, [2 / 3, 0, 2 / 3])
    assert classes.support.tolist() == [2, 1, 2]


def test_matthews_by_hand() -> None:
    # TP 3, TN 2, FP 1, FN 1: (3·2 - 1·1) / sqrt(4·4·3·3) = 5 / 12
    assert ours.matthews([1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 1]) == pytest.approx(5 / 12)
    assert ours.matthews([0, 1, 2], [0, 1, 2]) == pytest.approx(1)
    assert ours.matthews([0, 1, 1], [1, 1, 1]) == 0.0


def test_names_are_classes_too() -> None:
    truth, guess = ["tRNA", "tRNA", "5S"], ["tRNA", "5S", "5S"]
    assert ours.accuracy(truth, guess) == pytest.approx(2 / 3)
    assert ours.balanced_accuracy(truth, guess) == pytest.approx((1 / 2 + 1) / 2)


def test_areas_by_hand() -> None:
    # positives score 0.9 and 0.4, negatives 0.5 and 0.1: 3 of 4 pairs in order; precision at the positives 1 and 2/3
    truth, score = [1, 0, 1, 0], [0.9, 0.5, 0.4, 0.1]
    assert ours.auroc(truth, score) == pytest.approx(3 / 4)
    assert ours.auprc(truth, score) == pytest.approx((1 + 2 / 3) / 2)
    assert ours.auroc(np.array(truth, dtype=bool), np.zeros(4)) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.accuracy([], []), "equal length"),
        (lambda: ours.accuracy([1, 2], [1]), "equal length"),
        (lambda: ours.confusion_matrix([0, 3], [0, 0], 3), "truth: found class 3; allowed: 0 to 2"),
        (lambda: ours.confusion_matrix([0, 1], [0, -1], 3), "guess: found class -1"),
        (lambda: ours.confusion_matrix([0.5, 1], [0, 1], 3), "integers"),
        (lambda: ours.precision_recall_f1([0], [0], "mean"), "'macro'"),  # type: ignore[arg-type]
        (lambda: ours.auroc([1, 1], [0.1, 0.2]), "both classes"),
        (lambda: ours.auprc([0, 2], [0.1, 0.2]), "both classes"),
        (lambda: ours.auroc([0, 1], [0.1, np.nan]), "not finite"),
    ],
)
def test_refused_with_a_sentence(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("distinct", [1, 3, 1000])  # scores that are all equal, often equal, hardly ever equal
@pytest.mark.parametrize("rows", [2, 7, 200])
def test_areas_equal_those_of_scikit_learn(rows: int, distinct: int) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(10):
        truth_N = (rng.random(rows) < 0.3).astype(int)
        truth_N[:2] = 0, 1
        score_N = rng.integers(0, distinct, rows)
        assert ours.auroc(truth_N, score_N) == pytest.approx(reference.roc_auc_score(truth_N, score_N), abs=1e-12)
        assert ours.auprc(truth_N, score_N) == pytest.approx(
            reference.average_precision_score(truth_N, score_N), abs=1e-12
        )
