"""Do embeddings bring relatives together? The nearest neighbour's family, beside what plain composition gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
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
    """Compare cosine nearest neighbours in both spaces; members of the same homology cluster do not count.

    Sequences without any other cluster to look at are left out; InputError where none is left.
    """
    label_N = np.array(labels, dtype=object)
    allowed_NN = clusters_N[:, None] != clusters_N[None, :]
    asked_N = allowed_NN.any(1)
    if not asked_N.any():
        raise InputError("all sequences are of one cluster: there is no neighbour outside of it to look at")
    kin_NN = label_N[:, None] == label_N[None, :]
    ours_N, plain_N = (_agreement(space, kin_NN, allowed_NN)[asked_N] for space in (vectors_ND, composition_NC))
    units_N = clusters_N[asked_N]
    shares_N = (kin_NN & allowed_NN).sum(1)[asked_N] / allowed_NN.sum(1)[asked_N]
    return Neighbours(
        model=bootstrap(ours_N, clusters=units_N),
        composition=bootstrap(plain_N, clusters=units_N),
        difference=paired_difference(ours_N, plain_N, clusters=units_N),
        chance=float(shares_N.mean()),
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
    vectors_ND: NDArray[np.floating], kin_NN: NDArray[np.bool_], allowed_NN: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """1 where the nearest allowed vector is of the same family, else 0."""
    centred = vectors_ND - vectors_ND.mean(0)
    unit_ND = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    near_NN = unit_ND @ unit_ND.T
    near_NN[~allowed_NN] = -np.inf
    return kin_NN[np.arange(len(kin_NN)), near_NN.argmax(1)].astype(np.float64)
