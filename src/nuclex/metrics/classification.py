"""How often a classifier is right, and how: accuracy, precision, recall, F1, Matthews correlation, ROC and PR areas.

Labels are one class a row (integers or names). Whatever is 0/0 counts as 0, as in scikit-learn, so that a class
that is never predicted cannot raise an average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError

Average = Literal["macro", "weighted", "micro"]


@dataclass(frozen=True)
class PrecisionRecallF1:
    """Of what was called, how much is true; of what is true, how much was called; and their harmonic mean."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class PerClass:
    """Precision, recall and F1 of every class, (C,) each, and how many rows of the class the truth holds."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion_matrix(truth_N: ArrayLike, guess_N: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count how often each true class (row) was called each class (column).

    Labels are integers 0 … ``classes`` - 1; returns (C, C). InputError for a label outside of that.
    """
    truth_N, guess_N = _aligned(truth_N, guess_N)
    for name, label_N in (("truth", truth_N), ("guess", guess_N)):
        if label_N.dtype.kind not in "iub":
            raise InputError(f"{name}: class labels are integers, found {label_N.dtype}")
        if label_N.min() < 0 or label_N.max() >= classes:
            wrong = label_N.min() if label_N.min() < 0 else label_N.max()
            raise InputError(f"{name}: found class {wrong}; allowed: 0 to {classes - 1}")
    cell_N = truth_N.astype(np.int64) * classes + guess_N.astype(np.int64)
    return np.bincount(cell_N, minlength=classes * classes).reshape(classes, classes)


def accuracy(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """The share of rows whose class was called right."""
    truth_N, guess_N = _aligned(truth_N, guess_N)
    return float(np.mean(truth_N == guess_N))


def balanced_accuracy(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """The mean recall over the classes that occur in the truth: every class weighs the same, rare or common."""
    classes = per_class(_seen(truth_N, guess_N))
    return float(classes.recall[classes.support > 0].mean())


def per_class(confusion_CC: NDArray[np.int64]) -> PerClass:
    """Precision, recall and F1 of every class from a ``confusion_matrix``."""
    hits_C = np.diagonal(confusion_CC).astype(np.float64)
    called_C, support_C = confusion_CC.sum(axis=0), confusion_CC.sum(axis=1)
    precision_C, recall_C = _ratio(hits_C, called_C), _ratio(hits_C, support_C)
    return PerClass(precision_C, recall_C, _ratio(2 * hits_C, called_C + support_C), support_C)


def precision_recall_f1(truth_N: ArrayLike, guess_N: ArrayLike, average: Average = "macro") -> PrecisionRecallF1:
    """Precision, recall and F1 as one number each.

    ``macro``: the plain mean over the classes that occur in the truth or among the guesses; ``weighted``: the mean
    weighted by how often the truth has the class; ``micro``: all rows pooled (with one class a row, the accuracy).
    """
    classes = per_class(_seen(truth_N, guess_N))
    if average == "micro":
        share = accuracy(truth_N, guess_N)
        return PrecisionRecallF1(share, share, share)
    if average not in ("macro", "weighted"):
        raise InputError(f"average: found {average!r}; allowed: 'macro', 'weighted', 'micro'")
    weight_C = classes.support if average == "weighted" else np.ones_like(classes.support)
    precision, recall, f1 = (
        float(np.average(value_C, weights=weight_C)) for value_C in (classes.precision, classes.recall, classes.f1)
    )
    return PrecisionRecallF1(precision, recall, f1)


def matthews(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """The correlation between true and called classes (MCC), from -1 over 0 (no better than chance) to 1.

    For any number of classes, Gorodkin's R_K (doi:10.1016/j.compbiolchem.2004.09.006); 0 where the truth or the
    guesses are all of one class.
    """
    confusion_CC = _seen(truth_N, guess_N).astype(np.float64)
    true_C, called_C, rows = confusion_CC.sum(axis=1), confusion_CC.sum(axis=0), confusion_CC.sum()
    covariance = np.trace(confusion_CC) * rows - true_C @ called_C
    spread = (rows**2 - true_C @ true_C) * (rows**2 - called_C @ called_C)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def auroc(truth_N: ArrayLike, score_N: ArrayLike) -> float:
    """The chance that a random positive scores above a random negative, ties counting half (area under the ROC curve).

    ``truth_N`` holds 0 and 1 (or booleans), both present; ``score_N`` is higher for what looks positive.
    """
    true_M, passed_M = _at_thresholds(*_binary(truth_N, score_N))
    false_M = passed_M - true_M
    before_M = np.concatenate([[0], true_M[:-1]])
    area = (np.diff(false_M, prepend=0) * (true_M + before_M)).sum() / 2
    return float(area / (true_M[-1] * false_M[-1]))


def auprc(truth_N: ArrayLike, score_N: ArrayLike) -> float:
    """The mean precision over the ranks of the positives (area under the precision-recall curve, no interpolation).

    Arguments as for ``auroc``. Chance level is the share of positives, not 0.5.
    """
    true_M, passed_M = _at_thresholds(*_binary(truth_N, score_N))
    return float((np.diff(true_M, prepend=0) * true_M / passed_M).sum() / true_M[-1])


def _binary(truth_N: ArrayLike, score_N: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth_N, score_N = _aligned(truth_N, score_N)
    found = np.unique(truth_N)
    if found.tolist() != [0, 1]:
        raise InputError(f"truth: both classes 0 and 1 are needed and nothing else, found {found[:5].tolist()}")
    if not np.isfinite(score_N).all():
        raise InputError("score: found values that are not finite; every row needs a number")
    return truth_N.astype(np.int64), score_N.astype(np.float64)


def _at_thresholds(truth_N: NDArray[np.int64], score_N: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """At each distinct score, from the highest on: how many positives, and how many rows, have at least that."""
    order_N = np.argsort(-score_N, kind="stable")
    last_M = np.append(np.flatnonzero(np.diff(score_N[order_N])), len(score_N) - 1)
    return np.cumsum(truth_N[order_N])[last_M].astype(np.float64), last_M + 1.0


def _seen(truth_N: ArrayLike, guess_N: ArrayLike) -> NDArray[np.int64]:
    """The confusion matrix over the classes that occur at all, in sorted order."""
    truth_N, guess_N = _aligned(truth_N, guess_N)
    names, label_N = np.unique(np.concatenate([truth_N, guess_N]), return_inverse=True)
    return confusion_matrix(label_N[: len(truth_N)], label_N[len(truth_N) :], len(names))


def _aligned(truth_N: ArrayLike, other_N: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    truth_N, other_N = np.asarray(truth_N), np.asarray(other_N)
    if truth_N.ndim != 1 or truth_N.shape != other_N.shape or truth_N.size == 0:
        raise InputError(f"metric: two rows of equal length are needed, found shapes {truth_N.shape}, {other_N.shape}")
    return truth_N, other_N


def _ratio(part_C: NDArray[Any], whole_C: NDArray[Any]) -> NDArray[np.float64]:
    share_C = np.zeros(len(part_C), dtype=np.float64)
    np.divide(part_C, whole_C, out=share_C, where=whole_C > 0)
    return share_C
