"""Base pairs as arrays: which nucleotide of an RNA is paired with which.

A structure is an array of pairs (P, 2) int32, 0-based, i < j in each row, rows sorted. Where each nucleotide has at
most one partner (a matching), it can also be written as an array of partners (L,) int32, -1 for unpaired. Base triples,
as crystal structures have them, can be written as pairs but not as partners.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.core.errors import InputError

Pairs: TypeAlias = NDArray[np.int32]
Partners: TypeAlias = NDArray[np.int32]

_CHUNK = 1024


def as_pairs(pairs: ArrayLike, length: int | None = None) -> Pairs:
    """Bring a list of base pairs into its one form: (P, 2) int32, i < j, sorted, each pair once.

    Base triples are kept. A nucleotide paired with itself and a position outside 0..length-1 are InputErrors.

    >>> as_pairs([(7, 0), (1, 6)]).tolist()
    [[0, 7], [1, 6]]
    """
    raw_P2 = np.asarray(pairs)
    if raw_P2.size == 0:
        return np.empty((0, 2), dtype=np.int32)
    if raw_P2.ndim != 2 or raw_P2.shape[1] != 2 or raw_P2.dtype.kind not in "iu":
        raise InputError(
            f"base pairs are {raw_P2.dtype} of shape {raw_P2.shape}; whole numbers of shape (P, 2) are needed"
        )
    last = (np.iinfo(np.int32).max if length is None else length) - 1
    outside_P = ((raw_P2 < 0) | (raw_P2 > last)).any(axis=1)
    if outside_P.any():
        i, j = raw_P2[np.argmax(outside_P)].tolist()
        raise InputError(f"base pair ({i}, {j}) lies outside the positions 0..{last}")
    itself_P = raw_P2[:, 0] == raw_P2[:, 1]
    if itself_P.any():
        raise InputError(f"position {raw_P2[np.argmax(itself_P), 0]} is paired with itself")
    return np.unique(np.sort(raw_P2, axis=1), axis=0).astype(np.int32)


def to_partners(pairs: ArrayLike, length: int) -> Partners:
    """The partner of each of ``length`` nucleotides, -1 where there is none: (L,) int32.

    A nucleotide in more than one pair (a base triple) is an InputError: such a structure is no matching.

    >>> to_partners([(0, 3)], 5).tolist()
    [3, -1, -1, 0, -1]
    """
    pairs_P2 = as_pairs(pairs, length)
    times_L = np.bincount(pairs_P2.ravel(), minlength=length)
    if (times_L > 1).any():
        position = int(np.argmax(times_L > 1))
        found = ", ".join(f"({i}, {j})" for i, j in pairs_P2[(pairs_P2 == position).any(axis=1)].tolist())
        raise InputError(f"position {position} is in the pairs {found}; a nucleotide may have only one partner here")
    partners_L = np.full(length, -1, dtype=np.int32)
    partners_L[pairs_P2[:, 0]] = pairs_P2[:, 1]
    partners_L[pairs_P2[:, 1]] = pairs_P2[:, 0]
    return partners_L


def from_partners(partners: ArrayLike) -> Pairs:
    """The base pairs (P, 2) of an array of partners (L,); the inverse of ``to_partners``.

    Partners that are not mutual are an InputError.
    """
    partners_L = np.asarray(partners)
    if partners_L.size == 0:
        return np.empty((0, 2), dtype=np.int32)
    if partners_L.ndim != 1 or partners_L.dtype.kind not in "iu":
        raise InputError(f"partners are {partners_L.dtype} of shape {partners_L.shape}; whole numbers (L,) are needed")
    length = len(partners_L)
    here_P = np.flatnonzero(partners_L != -1)
    there_P = partners_L[here_P]
    wrong_P = (there_P < 0) | (there_P >= length) | (there_P == here_P)
    wrong_P[~wrong_P] = partners_L[there_P[~wrong_P]] != here_P[~wrong_P]
    if wrong_P.any():
        first = int(np.argmax(wrong_P))
        i, j = int(here_P[first]), int(there_P[first])
        back = f", whose partner is {partners_L[j]}" if 0 <= j < length and i != j else ""
        raise InputError(
            f"position {i} has the partner {j}{back}; partners must be mutual, inside 0..{length - 1}, or -1"
        )
    return np.stack([here_P, there_P], axis=1)[here_P < there_P].astype(np.int32)


def crossing(pairs: ArrayLike) -> NDArray[np.bool_]:
    """Which pairs cross another one, i < i' < j < j' (a pseudoknot): (P,) bool, in the order of the rows given.

    Pairs that share a nucleotide do not cross.

    >>> crossing([(0, 5), (2, 8), (9, 12)]).tolist()
    [True, True, False]
    """
    pairs_P2 = np.asarray(pairs)
    if pairs_P2.size == 0:
        return np.zeros(0, dtype=np.bool_)
    as_pairs(pairs_P2)
    i_P, j_P = np.sort(pairs_P2, axis=1).T
    answer_P = np.zeros(len(pairs_P2), dtype=np.bool_)
    for start in range(0, len(pairs_P2), _CHUNK):  # all against all, a slab at a time to bound the memory
        i_C1, j_C1 = i_P[start : start + _CHUNK, None], j_P[start : start + _CHUNK, None]
        later_CP = (i_C1 < i_P) & (i_P < j_C1) & (j_C1 < j_P)
        earlier_CP = (i_P < i_C1) & (i_C1 < j_P) & (j_P < j_C1)
        answer_P[start : start + _CHUNK] = (later_CP | earlier_CP).any(axis=1)
    return answer_P


def has_pseudoknot(pairs: ArrayLike) -> bool:
    """Whether any two base pairs cross."""
    return bool(crossing(pairs).any())
