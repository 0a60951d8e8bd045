"""Do embeddings bring relatives together? The nearest neighbour's family, beside what plain composition gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nuclex.metrics.statistics import Interval, PairedDifference, bootstrap, paired_difference


@dataclass(frozen=True)
class Neighbours:
    """How often a sequence's nearest neighbour is of its own family: by the model and by 3-mer composition."""

    model: Interval
    composition: Interval
    difference: PairedDifference
    chance: float
    """What a random neighbour would give."""


def neighbours(
    vectors_ND: NDArray[np.floating],
    composition_NC: NDArray[np.floating],
    labels: Sequence[str],
    clusters_N: NDArray[np.integer],
) -> Neighbours:
    """Compare cosine nearest neighbours in both spaces; members of the same homology cluster do not count."""
    label_N = np.array(labels, dtype=object)
    ours_N = _agreement(vectors_ND, label_N, clusters_N)
    plain_N = _agreement(composition_NC, label_N, clusters_N)
    _, counts = np.unique(label_N.astype(str), return_counts=True)
    chance = float((counts * (counts - 1)).sum() / max(len(label_N) * (len(label_N) - 1), 1))
    return Neighbours(
        model=bootstrap(ours_N, clusters=clusters_N),
        composition=bootstrap(plain_N, clusters=clusters_N),
        difference=paired_difference(ours_N, plain_N, clusters=clusters_N),
        chance=chance,
    )


def composition(sequences: Sequence[bytes], size: int = 3) -> NDArray[np.float64]:
    """The share of each of the 4^size words over A, C, G, T in each sequence: (N, 4^size)."""
    words = ["".join(letters).encode() for letters in product("ACGT", repeat=size)]
    number = {word: place for place, word in enumerate(words)}
    table = np.zeros((len(sequences), len(words)))
    for row, sequence in enumerate(sequences):
        for start in range(len(sequence) - size + 1):
            place = number.get(sequence[start : start + size])
            if place is not None:
                table[row, place] += 1
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def _agreement(
    vectors_ND: NDArray[np.floating], label_N: NDArray[np.object_], clusters_N: NDArray[np.integer]
) -> NDArray[np.float64]:
    """1 where the nearest vector outside the own cluster has the same label, else 0."""
    centred = vectors_ND - vectors_ND.mean(0)
    unit_ND = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    near_NN = unit_ND @ unit_ND.T
    near_NN[clusters_N[:, None] == clusters_N[None, :]] = -np.inf
    return (label_N[near_NN.argmax(1)] == label_N).astype(np.float64)
