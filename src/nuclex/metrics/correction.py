"""Several tests together: how their p-values are corrected, and how finely each has to be known for that."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError


def enough_swaps(tests: int, level: float) -> int:
    """How many random swaps each of several tests needs, so that Holm's correction cannot hide a clear difference.

    The smallest p of ``tests`` is multiplied by their number; it must still be well (20 times) below 1 - level.

    >>> enough_swaps(1, 0.95), enough_swaps(300, 0.95)
    (2000, 120000)
    """
    return max(2000, ceil(round(20 * tests / (1 - level), 6)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust the p-values of several tests so that the chance of any false alarm among them stays below the level.

    Holm's step-down method (Holm 1979, Scand. J. Statist. 6:65); same order as given, never below the raw value.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p_M = np.asarray(p_values, dtype=np.float64)
    if p_M.ndim != 1 or not ((p_M >= 0) & (p_M <= 1)).all():
        raise InputError(f"p-values: a row of numbers from 0 to 1 is needed, found {p_M.tolist()}")
    order_M = np.argsort(p_M, kind="stable")
    stepped_M = np.maximum.accumulate(p_M[order_M] * np.arange(len(p_M), 0, -1))
    adjusted_M = np.empty_like(p_M)
    adjusted_M[order_M] = np.minimum(stepped_M, 1.0)
    return adjusted_M
