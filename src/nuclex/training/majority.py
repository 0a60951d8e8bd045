"""What position alone says about a label: the commonest one so many letters from the start, or from the nearer end.

It knows no letter of a sequence. Where regions are always as long, it is hard to beat, and a number of a model says
little without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
FROM_START, FROM_NEARER_END = "majority-by-position", "majority-from-nearer-end"
BASELINES = (FROM_START, FROM_NEARER_END)


def majorities(train: Sequence[Integers], lengths: Sequence[int], classes: int) -> Mapping[str, list[Integers]]:
    """The commonest train label at each position of sequences of these lengths, by how position is counted.

    ``train`` are numbers of classes (L,), -1 where there is none. ``majority-by-position`` counts from the start;
    ``majority-from-nearer-end`` takes the first half of a sequence from the start and the second from the end. Beyond
    what train has, the farthest position it has answers; of equally common labels the lower number.

    >>> majorities([np.array([0, 1, 2]), np.array([0, 2])], [2, 4], 3)["majority-by-position"]
    [array([0, 1]), array([0, 1, 2, 2])]
    """
    from_start_P = _commonest(train, classes)
    from_end_P = _commonest([label_L[::-1] for label_L in train], classes)
    plain, nearer = [], []
    for length in lengths:
        place_L = np.arange(length)
        start_L, end_L = (row_P[np.minimum(place_L, len(row_P) - 1)] for row_P in (from_start_P, from_end_P))
        plain.append(start_L)
        nearer.append(np.where(place_L < length / 2, start_L, end_L[::-1]))
    return {FROM_START: plain, FROM_NEARER_END: nearer}


def _commonest(labels: Sequence[Integers], classes: int) -> Integers:
    """The commonest label at each position that any sequence has (P,); where none is labelled, that of all."""
    counts_PC = np.zeros((max(map(len, labels)), classes), dtype=np.int64)
    for label_L in labels:
        known = np.flatnonzero(label_L >= 0)
        counts_PC[known, label_L[known]] += 1
    return np.where(counts_PC.any(1), counts_PC.argmax(1), counts_PC.sum(0).argmax())
