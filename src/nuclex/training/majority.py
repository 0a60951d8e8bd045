"""What position alone says about a label: the commonest or the mean one, so many letters from the start or the end.

It knows no letter of a sequence. Where regions are always as long, it is hard to beat, and a number of a model says
little without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
FROM_START, FROM_NEARER_END = "majority-by-position", "majority-from-nearer-end"
MEAN, MEAN_BY_POSITION = "train-mean", "mean-by-position"
BASELINES = (FROM_START, FROM_NEARER_END, MEAN, MEAN_BY_POSITION)


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


def means(train: Sequence[Floats], lengths: Sequence[int]) -> Mapping[str, list[Floats]]:
    """The mean train number of each of K columns for sequences of these lengths, (L, K): everywhere, and by position.

    ``train`` are numbers (L, K), nan where there is none; each column has one. ``train-mean`` is the mean of all of
    them, the one answer with the least squared error; ``mean-by-position`` that of those so many letters from the
    start, and the mean of all where train has none.

    >>> means([np.array([[1.0], [np.nan]]), np.array([[3.0], [8.0]])], [3])["mean-by-position"][0].ravel().tolist()
    [2.0, 8.0, 4.0]
    """
    sum_PK, count_PK = (np.zeros((max([*lengths, *map(len, train)]), train[0].shape[1])) for _ in range(2))
    for value_LK in train:
        sum_PK[: len(value_LK)] += np.nan_to_num(value_LK)
        count_PK[: len(value_LK)] += np.isfinite(value_LK)
    whole_K = sum_PK.sum(0) / count_PK.sum(0)
    by_position_PK = np.where(count_PK > 0, sum_PK / np.maximum(count_PK, 1), whole_K)
    return {
        MEAN: [np.tile(whole_K, (length, 1)) for length in lengths],
        MEAN_BY_POSITION: [by_position_PK[:length] for length in lengths],
    }


def _commonest(labels: Sequence[Integers], classes: int) -> Integers:
    """The commonest label at each position that any sequence has (P,); where none is labelled, that of all."""
    counts_PC = np.zeros((max(map(len, labels)), classes), dtype=np.int64)
    for label_L in labels:
        known = np.flatnonzero(label_L >= 0)
        counts_PC[known, label_L[known]] += 1
    return np.where(counts_PC.any(1), counts_PC.argmax(1), counts_PC.sum(0).argmax())
