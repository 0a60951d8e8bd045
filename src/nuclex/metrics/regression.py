"""How well a predicted quantity (ribosome load, half-life, expression) follows the measured one.

All take (N,) rows, computed in float64. Wrong shapes, empty rows and values that are not finite are InputErrors.
A correlation with a constant is not defined and comes back as nan, never as 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError


def pearson(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """How close truth and prediction lie to a straight line, from -1 to 1; nan if either is constant."""
    truth_N, guess_N = _aligned(truth_N, guess_N)
    return _correlation(truth_N, guess_N)


def spearman(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """How well the prediction puts the rows in order, from -1 to 1 (ties share their mean rank); nan if constant."""
    truth_N, guess_N = _aligned(truth_N, guess_N)
    return _correlation(ranks(truth_N), ranks(guess_N))


def ranks(values_N: ArrayLike) -> NDArray[np.float64]:
    """The place of each value in ascending order, from 1; equal values share the mean of their places.

    >>> ranks([0.5, 2.0, 0.5, -1.0]).tolist()
    [2.5, 4.0, 2.5, 1.0]
    """
    values_N = np.asarray(values_N, dtype=np.float64)
    order_N = np.argsort(values_N)
    sorted_N = values_N[order_N]
    edges_M = np.concatenate([[0], np.flatnonzero(sorted_N[1:] != sorted_N[:-1]) + 1, [len(values_N)]])
    found_N = np.empty(len(values_N))
    found_N[order_N] = np.repeat((edges_M[:-1] + edges_M[1:] + 1) / 2, np.diff(edges_M))
    return found_N


def r_squared(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """The share of the truth's variance that the prediction explains (coefficient of determination).

    1 - sum (truth - guess)² / sum (truth - mean)²: not the squared correlation, so a prediction on the wrong scale
    is punished and the value can be below 0. nan if the truth is constant.
    """
    truth_N, guess_N = _aligned(truth_N, guess_N)
    if np.ptp(truth_N) == 0:
        return float("nan")
    total = np.square(truth_N - truth_N.mean()).sum()
    return float(1 - np.square(truth_N - guess_N).sum() / total)


def rmse(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """The typical size of the error, large errors weighing more (root of the mean square), in units of the truth."""
    truth_N, guess_N = _aligned(truth_N, guess_N)
    return float(np.sqrt(np.square(truth_N - guess_N).mean()))


def mae(truth_N: ArrayLike, guess_N: ArrayLike) -> float:
    """The mean size of the error (mean absolute error), in units of the truth."""
    truth_N, guess_N = _aligned(truth_N, guess_N)
    return float(np.abs(truth_N - guess_N).mean())


def _correlation(x_N: NDArray[np.float64], y_N: NDArray[np.float64]) -> float:
    # judged by the range: the mean of equal numbers need not be exactly that number
    if np.ptp(x_N) == 0 or np.ptp(y_N) == 0:
        return float("nan")
    x_N, y_N = x_N - x_N.mean(), y_N - y_N.mean()
    x_N, y_N = x_N / np.abs(x_N).max(), y_N / np.abs(y_N).max()  # squares of tiny numbers would vanish
    return float(np.clip(x_N @ y_N / np.sqrt((x_N @ x_N) * (y_N @ y_N)), -1.0, 1.0))


def _aligned(truth_N: ArrayLike, guess_N: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth_N, guess_N = np.asarray(truth_N, dtype=np.float64), np.asarray(guess_N, dtype=np.float64)
    if truth_N.ndim != 1 or truth_N.shape != guess_N.shape or truth_N.size == 0:
        raise InputError(f"metric: two rows of equal length are needed, found shapes {truth_N.shape}, {guess_N.shape}")
    for name, value_N in (("truth", truth_N), ("guess", guess_N)):
        if not np.isfinite(value_N).all():
            row = int(np.flatnonzero(~np.isfinite(value_N))[0])
            raise InputError(f"{name}: row {row} is {value_N[row]}; only finite numbers can be compared")
    return truth_N, guess_N
