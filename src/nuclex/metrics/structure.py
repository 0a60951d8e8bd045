"""How well predicted base pairs match the true ones, strictly and with one position of slack.

Pairs are (P, 2) arrays of 0-based positions i, j; order within a pair does not matter and a repeated pair counts
once. A position may be in several pairs (base triples). Nothing of size L × L is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.base_pairs import crossing
from nuclex.core.errors import InputError

STEPS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True)
class PairMatch:
    """Of the predicted pairs, the share that is right; of the true pairs, the share found; their harmonic mean."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class PairScore:
    """How one predicted structure, or a set of them on average, matches the truth.

    ``strict`` wants the same two positions; ``relaxed`` allows one of the two to be off by one. ``mcc`` is the
    correlation of the two structures. ``predicted`` and ``true`` are numbers of pairs, summed where structures are
    averaged.
    """

    strict: PairMatch
    relaxed: PairMatch
    mcc: float
    predicted: int
    true: int


def score_pairs(predicted_P2: ArrayLike, true_P2: ArrayLike, length: int) -> PairScore:
    """Compare the predicted with the true base pairs of one RNA of ``length`` nucleotides.

    Relaxed, as RiNALMo is measured (arXiv:2403.00043): a predicted pair (i, j) is right if (i, j),
    (i±1, j) or (i, j±1) is a true pair, and a true pair is found if one of those is predicted.
    ``mcc`` is Matthews' correlation over all L (L - 1) / 2 pairs i < j, strictly and from exact counts:
    (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)), with TN = L (L - 1) / 2 - TP - FP - FN, and 0
    where the root is 0.
    Where nothing is predicted and nothing is true, all values are 1 (the prediction is right); where only one of the
    two sides has pairs, all are 0. A nucleotide may be in several pairs of either side (base triples).
    InputError for a position outside of the RNA or a nucleotide paired with itself.
    """
    predicted_P, true_P = _keys(predicted_P2, length, "predicted"), _keys(true_P2, length, "true")
    exact = int(np.isin(predicted_P, true_P, assume_unique=True).sum())
    near_predicted = int(np.isin(predicted_P, _dilated(true_P, length)).sum())
    near_true = int(np.isin(true_P, _dilated(predicted_P, length)).sum())
    return PairScore(
        strict=_match(exact, exact, len(predicted_P), len(true_P)),
        relaxed=_match(near_predicted, near_true, len(predicted_P), len(true_P)),
        mcc=_correlation(exact, len(predicted_P), len(true_P), length * (length - 1) // 2),
        predicted=len(predicted_P),
        true=len(true_P),
    )


def score_pseudoknots(predicted_P2: ArrayLike, true_P2: ArrayLike, length: int) -> PairScore:
    """Compare only the pseudoknotted pairs: those that cross another pair of their own structure.

    A structure without pseudoknots has none of them: with ``true`` 0 there is nothing to find, and the score, 1 or 0
    as in ``score_pairs``, is not to be averaged with others.
    """
    sides = [np.asarray(side) for side in (predicted_P2, true_P2)]
    predicted, true = (side[crossing(side)] if side.size else side for side in sides)
    return score_pairs(predicted, true, length)


def mean_score(scores: Iterable[PairScore]) -> PairScore:
    """The mean over structures (macro), a short RNA weighing as much as a long one; F1 is the mean of the F1s.

    InputError without structures.
    """
    scores = list(scores)
    if not scores:
        raise InputError("structures: found none to average; at least one is needed")
    return PairScore(
        strict=_mean([score.strict for score in scores]),
        relaxed=_mean([score.relaxed for score in scores]),
        mcc=float(np.mean([score.mcc for score in scores])),
        predicted=sum(score.predicted for score in scores),
        true=sum(score.true for score in scores),
    )


def _mean(matches: list[PairMatch]) -> PairMatch:
    values_N3 = np.array([(match.precision, match.recall, match.f1) for match in matches])
    return PairMatch(*values_N3.mean(axis=0).tolist())


def _correlation(right: int, predicted: int, true: int, possible: int) -> float:
    """Python's whole numbers: the product under the root of a long RNA would not fit into 64 bits."""
    if predicted == 0 and true == 0:
        return 1.0
    covariance = right * (possible - predicted - true + right) - (predicted - right) * (true - right)
    spread = predicted * true * (possible - predicted) * (possible - true)
    return covariance / math.sqrt(spread) if spread else 0.0


def _match(right: int, found: int, predicted: int, true: int) -> PairMatch:
    if predicted == 0 and true == 0:
        return PairMatch(1.0, 1.0, 1.0)
    precision = right / predicted if predicted else 0.0
    recall = found / true if true else 0.0
    return PairMatch(precision, recall, 2 * precision * recall / (precision + recall) if right and found else 0.0)


def _keys(pairs_P2: ArrayLike, length: int, name: str) -> NDArray[np.int64]:
    """One sorted integer a pair. Rows are ``length`` + 2 wide, so that a step over the border meets no other pair."""
    pairs_P2 = np.asarray(pairs_P2)
    if pairs_P2.size == 0:
        return np.empty(0, dtype=np.int64)
    if pairs_P2.ndim != 2 or pairs_P2.shape[1] != 2 or pairs_P2.dtype.kind not in "iu":
        raise InputError(f"{name} pairs: (P, 2) integers are needed, found {pairs_P2.shape} of {pairs_P2.dtype}")
    pairs_P2 = np.sort(pairs_P2.astype(np.int64), axis=1)
    outside_P = (pairs_P2[:, 0] < 0) | (pairs_P2[:, 1] >= length) | (pairs_P2[:, 0] == pairs_P2[:, 1])
    if outside_P.any():
        i, j = pairs_P2[outside_P][0]
        raise InputError(f"{name} pairs: found ({i}, {j}); allowed: two different positions from 0 to {length - 1}")
    return np.unique((pairs_P2[:, 0] + 1) * (length + 2) + pairs_P2[:, 1] + 1)


def _dilated(keys_P: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    return np.concatenate([keys_P + down * (length + 2) + right for down, right in STEPS])
