"""Ridge and logistic regression beside scikit-learn's, and a penalty that validation chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from nuclex.metrics import r_squared
from nuclex.models.motifs import KmerHead
from nuclex.tasks import Example, Shape, Task
from nuclex.training.classes import ClassAnswers
from nuclex.training.controls import LETTERS, letter_model
from nuclex.training.linear import PENALTIES, fit, logistic, ridge
from nuclex.training.run import load_best
from nuclex.training.scalars import RegressionConfig, ScalarAnswers
from nuclex.training.supervised import Reading

RANDOM = np.random.default_rng(0)
FEATURES: NDArray[np.float64] = RANDOM.normal(size=(80, 6)) @ RANDOM.normal(size=(6, 9)) + 1  # of rank 6


@pytest.mark.parametrize("penalty", [1e-3, 0.3, 20.0])
def test_ridge_is_scikit_learns(penalty: float) -> None:
    target = FEATURES @ RANDOM.normal(size=9) + RANDOM.normal(size=80)
    weights, bias = ridge(FEATURES, target)(penalty)
    other = Ridge(alpha=penalty * 80, solver="cholesky").fit(FEATURES, target)  # theirs is on the sum
    np.testing.assert_allclose(weights, other.coef_, atol=1e-9)
    assert bias == pytest.approx(other.intercept_)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalty", [1e-2, 0.3])
def test_logistic_regression_is_scikit_learns(classes: int, penalty: float) -> None:
    score = FEATURES @ RANDOM.normal(size=(9, classes)) / 3 + RANDOM.gumbel(size=(80, classes))
    labels = score.argmax(1)
    weights, bias, _ = logistic(FEATURES, labels, penalty, np.zeros((classes, 10)))
    # of two classes theirs has one row of weights, whose square is twice that of two opposite halves
    other = LogisticRegression(C=1 / (80 * penalty * (0.5 if classes == 2 else 1)), tol=1e-9, max_iter=5000)
    wanted = other.fit(FEATURES, labels).predict_proba(FEATURES)
    found = np.exp(FEATURES @ weights.T + bias)
    np.testing.assert_allclose(found / found.sum(1, keepdims=True), wanted, atol=2e-4)


def sequences(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGU"), int(random.integers(20, 60)))) for _ in range(count)]


def examples(kind: Shape, count: int, seed: int) -> tuple[Example, ...]:
    """The answer is the share of the pair GC: above a bound a class, or itself with noise."""
    noise, found = np.random.default_rng(seed + 100), []
    for number, sequence in enumerate(sequences(count, seed)):
        share = sum(sequence[place : place + 2] == "GC" for place in range(len(sequence) - 1)) / (len(sequence) - 1)
        label = ("few", "many")[share > 1 / 16] if kind is Shape.CLASS else share + float(noise.normal(0, 0.005))
        found.append(Example(sequence, label, f"{seed}-{number}"))
    return tuple(found)


def answers(kind: Shape) -> ClassAnswers | ScalarAnswers:
    splits = {
        split: examples(kind, count, seed)
        for seed, (split, count) in enumerate((("train", 500), ("validation", 200), ("test", 200)))
    }
    task = Task("pairs", kind, splits, ("few", "many") if kind is Shape.CLASS else ())
    readings = {split: Reading.of(part, LETTERS, None) for split, part in splits.items()}
    if kind is Shape.CLASS:
        return ClassAnswers(task, readings, 2000)
    return ScalarAnswers(task, readings, 2000, RegressionConfig())


@pytest.mark.parametrize("kind", [Shape.CLASS, Shape.SCALAR])
def test_what_kmers_say_is_learned_and_kept(kind: Shape, tmp_path: Path) -> None:
    asked = answers(kind)
    outputs = 2 if kind is Shape.CLASS else 1
    model = letter_model("k-mers", asked.readings, outputs, 0)
    best = fit(model, asked, tmp_path)
    assert PENALTIES[-1] < best["penalty"] < PENALTIES[0], "neither the weakest nor the strongest"
    measured = asked.measure(model)
    if kind is Shape.CLASS:
        assert measured.scores["accuracy"].mean() > 0.85
    else:
        truth, guess = (np.array([row[name] for row in measured.rows]) for name in ("truth", "predicted"))
        assert r_squared(truth, guess) > 0.9
    again = letter_model("k-mers", asked.readings, outputs, 1)
    assert isinstance(again.head, KmerHead)
    assert load_best(tmp_path, again) == best
    assert again.eval() is again
    assert asked.measure(again).rows == measured.rows
    assert {**best, **asked.validate(model)} == best
