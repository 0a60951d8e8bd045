"""Metrics from sums alone: of how often classes were called and true, and of moments of numbers.

Each takes sums of any leading shape (..., X) and gives (...), so that thousands of resamples cost additions and one
call (``bootstrap_sums``). Of one set of rows they are the numbers of ``classification`` and ``regression``. Counts of
classes are (..., 3, C): how often each was called rightly, called, and true. Whatever is 0/0 counts as 0 there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.metrics.resampling import Floats


def class_counts(truth_N: NDArray[np.int64], guess_N: NDArray[np.int64], classes: int) -> Floats:
    """The counts (N, 3, C) of each of N rows whose class is a number from 0 to C - 1."""
    true_NC, called_NC = np.eye(classes)[truth_N], np.eye(classes)[guess_N]
    return np.stack([true_NC * called_NC, called_NC, true_NC], axis=1)


def counts_of(confusion_NCC: ArrayLike) -> Floats:
    """The same (N, 3, C) from a confusion matrix a row (true class, called class)."""
    confusion = np.asarray(confusion_NCC, dtype=np.float64)
    hits_NC = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([hits_NC, confusion.sum(axis=-2), confusion.sum(axis=-1)], axis=-2)


def accuracy(counts: Floats) -> Floats:
    """The share of all answers that is right."""
    hits, _, true = _parts(counts)
    return _over(hits.sum(-1), true.sum(-1))


def balanced_accuracy(counts: Floats) -> Floats:
    """The mean recall over the classes that occur in the truth."""
    hits, _, true = _parts(counts)
    return _over(_over(hits, true).sum(-1), (true > 0).sum(-1).astype(np.float64))


def macro_f1(counts: Floats) -> Floats:
    """The mean F1 over the classes that occur in the truth or among the answers."""
    _, called, true = _parts(counts)
    return _over(f1(counts).sum(-1), (called + true > 0).sum(-1).astype(np.float64))


def weighted_f1(counts: Floats) -> Floats:
    """The mean F1, each class weighing as often as the truth has it."""
    _, _, true = _parts(counts)
    return _over((f1(counts) * true).sum(-1), true.sum(-1))


def matthews(counts: Floats) -> Floats:
    """Gorodkin's R_K, the correlation of true and called classes; 0 where either are all of one class."""
    hits, called, true = _parts(counts)
    rows = true.sum(-1)
    covariance = hits.sum(-1) * rows - (true * called).sum(-1)
    spread = (rows**2 - (true**2).sum(-1)) * (rows**2 - (called**2).sum(-1))
    return _over(covariance, np.sqrt(np.maximum(spread, 0)))


def precision(counts: Floats) -> Floats:
    """Of each class (..., C): the share of its calls that is right."""
    hits, called, _ = _parts(counts)
    return _over(hits, called)


def recall(counts: Floats) -> Floats:
    """Of each class (..., C): the share that was called."""
    hits, _, true = _parts(counts)
    return _over(hits, true)


def f1(counts: Floats) -> Floats:
    """Of each class (..., C): the harmonic mean of precision and recall."""
    hits, called, true = _parts(counts)
    return _over(2 * hits, called + true)


def root_mean_square(moments: Floats) -> Floats:
    """The root of the mean of (x - y)², from sums (..., 6) of 1, x, y, x², y² and xy."""
    n, _, _, xx, yy, xy = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore"):  # of no rows: nan
        found: Floats = np.sqrt(np.maximum(xx + yy - 2 * xy, 0) / n)
    return found


def mcrmse(moments: Floats) -> Floats:
    """The mean over K columns of the root mean square error of each, from sums (..., K, 6): OpenVaccine's score.

    Columns in units of their own, each over the rows that it has (doi:10.1038/s42256-022-00571-8).
    """
    found: Floats = root_mean_square(moments).mean(-1)
    return found


def mean_correlated(moments: Floats) -> Floats:
    """The mean over K columns of Pearson's correlation of each, from sums (..., K, 6); nan where one has none."""
    found: Floats = correlated(moments).mean(-1)
    return found


def correlated(moments: Floats) -> Floats:
    """Pearson's correlation from the same sums; nan where x or y is constant."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore"):  # of no rows: nan
        spread_x, spread_y = xx - x * x / n, yy - y * y / n
        constant = (spread_x <= 1e-12 * xx) | (spread_y <= 1e-12 * yy)
        root = np.sqrt(np.where(constant, 1, spread_x) * np.where(constant, 1, spread_y))
        found: Floats = np.where(constant, np.nan, np.clip((xy - x * y / n) / root, -1, 1))
    return found


def _parts(counts: Floats) -> tuple[Floats, Floats, Floats]:
    return counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]


def _over(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)
