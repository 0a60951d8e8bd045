"""From the probability of each base pair to one secondary structure.

Three ways: the most probable pair first (``greedy_pairs``), the best nested structure (``mea_pairs``) and the best
structure with any pseudoknots (``matching_pairs``). The last two maximise the same expected accuracy.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.alphabet import to_rna
from nuclex.bio.base_pairs import Pairs, as_pairs
from nuclex.core.errors import InputError

_Candidates: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]

_FINEST = 1 << 40
_CANONICAL = (("A", "U"), ("G", "C"), ("G", "U"))


def can_pair(sequence: str | bytes, *, min_loop: int = 3, canonical: bool = True) -> NDArray[np.bool_]:
    """Which two nucleotides may pair: (L, L) bool, symmetric.

    At least ``min_loop`` nucleotides must lie between them, and with ``canonical`` they must be A-U, G-C or G-U.
    T counts as U and lower case as upper case; any other letter (N, R, I, …) is canonical with nothing.
    """
    if min_loop < 0:
        raise InputError(f"min_loop is {min_loop}; it must be 0 or more")
    position_L = np.arange(len(sequence))
    allowed_LL: NDArray[np.bool_] = np.abs(position_L[:, None] - position_L[None, :]) > min_loop
    if canonical:
        codes_L = _codes(sequence)
        allowed_LL &= _PAIRING[codes_L[:, None], codes_L[None, :]]
    return allowed_LL


def greedy_pairs(
    probability_LL: NDArray[np.floating],
    sequence: str | bytes,
    *,
    threshold: float,
    min_loop: int = 3,
    canonical: bool = True,
) -> Pairs:
    """Choose base pairs by taking the most probable one that is still possible, again and again: (P, 2) int32.

    Candidates are the pairs that may form (see ``can_pair``) with a probability above ``threshold``; each one taken
    rules out all others of its two nucleotides. Of equals, the one with the smaller i, then the smaller j, goes first.
    The decoding of RiNALMo (doi:10.1038/s41467-025-60872-5). Pseudoknots are possible.

    Only the upper triangle of ``probability_LL`` is read. A probability outside 0..1 or not a number, and a shape that
    does not fit the sequence, are InputErrors. The pairs for a higher threshold are those for a lower one that have a
    probability above the higher.

    >>> probability = np.zeros((7, 7))
    >>> probability[0, 6], probability[0, 5], probability[1, 5] = 0.6, 0.9, 0.8
    >>> greedy_pairs(probability, "GGAAACC", threshold=0.5).tolist()
    [[0, 5]]
    """
    i_C, j_C, probability_C = _candidates(probability_LL, sequence, threshold, min_loop, canonical)
    order_C = np.argsort(-probability_C, kind="stable")  # rows, then columns: equals stay in that order
    taken = bytearray(len(sequence))
    pairs: list[tuple[int, int]] = []
    for i, j in zip(i_C[order_C].tolist(), j_C[order_C].tolist(), strict=True):
        if not taken[i] and not taken[j]:
            taken[i] = taken[j] = True
            pairs.append((i, j))
    return as_pairs(pairs)


def mea_pairs(
    probability_LL: NDArray[np.floating],
    sequence: str | bytes,
    *,
    threshold: float,
    gamma: float | None = None,
    min_loop: int = 3,
    canonical: bool = True,
) -> Pairs:
    """The nested structure of maximum expected accuracy: (P, 2) int32, no pseudoknots.

    It maximises the sum of 2 gamma p over its pairs and of q over its unpaired nucleotides (CONTRAfold,
    doi:10.1093/bioinformatics/btl246), with q = 1 - sum of p over all partners that may form, 0 where the sum is
    above 1. A larger ``gamma`` gives more pairs. By default gamma = 1 / threshold - 1 (CentroidFold's relation,
    doi:10.1093/bioinformatics/btn601): then a pair that competes with no other is taken where p > threshold. Pairs
    with p <= threshold are never taken. Of equally good structures, always the same one is given.

    Candidates, input and errors as for ``greedy_pairs``; a gamma that is not above 0 is an InputError. Time grows with
    L times the number of candidates, memory with L squared.

    >>> probability = np.zeros((7, 7))
    >>> probability[0, 6], probability[0, 5], probability[1, 5] = 0.6, 0.7, 0.6
    >>> mea_pairs(probability, "GGAAACC", threshold=0.5).tolist()
    [[0, 6], [1, 5]]
    """
    length = len(sequence)
    i_C, j_C, gain_C = _gains(_candidates(probability_LL, sequence, 0.0, min_loop, canonical), length, threshold, gamma)
    first_L1 = np.searchsorted(i_C, np.arange(length + 1))  # where the candidates of each i begin: rows are in order
    return _traced(j_C, gain_C, first_L1)


def matching_pairs(
    probability_LL: NDArray[np.floating],
    sequence: str | bytes,
    *,
    threshold: float,
    gamma: float | None = None,
    min_loop: int = 3,
    canonical: bool = True,
) -> Pairs:
    """The structure of maximum expected accuracy with any pseudoknots: (P, 2) int32.

    The same sum as in ``mea_pairs``, over all structures in which a nucleotide has at most one partner: a
    maximum-weight matching (Edmonds' blossoms, by rustworkx), exact to a part in 10¹² of the largest gain a pair.
    Parameters and errors as there.

    >>> probability = np.zeros((8, 8))
    >>> probability[0, 5], probability[2, 7] = 0.9, 0.8
    >>> matching_pairs(probability, "GAGAACAC", threshold=0.5).tolist()
    [[0, 5], [2, 7]]
    """
    import rustworkx

    length = len(sequence)
    i_C, j_C, gain_C = _gains(_candidates(probability_LL, sequence, 0.0, min_loop, canonical), length, threshold, gamma)
    whole_C = np.rint(gain_C / gain_C.max(initial=1e-300) * _FINEST).astype(np.int64)  # blossoms want whole numbers
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(length))
    graph.add_edges_from(list(zip(i_C.tolist(), j_C.tolist(), whole_C.tolist(), strict=True)))
    return as_pairs(sorted(rustworkx.max_weight_matching(graph, weight_fn=int)))


def nested_part(pairs: ArrayLike, length: int) -> Pairs:
    """The largest part of a structure (P, 2) in which no two pairs cross: (P', 2) int32; always the same of equals.

    A nucleotide in two pairs (a base triple) keeps one of them.

    >>> nested_part([(0, 9), (1, 8), (5, 12)], 13).tolist()
    [[0, 9], [1, 8]]
    """
    i_P, j_P = as_pairs(pairs, length).astype(np.int64).T
    first_L1 = np.searchsorted(i_P, np.arange(length + 1))
    return _traced(j_P, np.ones(len(i_P)), first_L1)


def _candidates(
    probability_LL: NDArray[np.floating], sequence: str | bytes, threshold: float, min_loop: int, canonical: bool
) -> _Candidates:
    """The pairs that may form with p above the threshold, by i, then j: i, j and p, each (C,)."""
    probability_LL = np.asarray(probability_LL)
    length = len(sequence)
    if probability_LL.shape != (length, length):
        raise InputError(
            f"pair probabilities have the shape {probability_LL.shape}; the sequence needs ({length}, {length})"
        )
    if min_loop < 0:
        raise InputError(f"min_loop is {min_loop}; it must be 0 or more")
    codes_L = _codes(sequence) if canonical else None
    _refuse_wrong(probability_LL, sequence, min_loop, canonical)
    i_C, j_C = np.divmod(np.flatnonzero(probability_LL > threshold), length)
    kept_C = j_C - i_C > min_loop
    if codes_L is not None:
        kept_C &= _PAIRING[codes_L[i_C], codes_L[j_C]]
    i_C, j_C = i_C[kept_C], j_C[kept_C]
    return i_C, j_C, probability_LL[i_C, j_C]


def _gains(candidates: _Candidates, length: int, threshold: float, gamma: float | None) -> _Candidates:
    """The candidates that are worth more than their two nucleotides alone, and by how much: i, j, gain, each (C,)."""
    if gamma is not None and not 0 < gamma < np.inf:
        raise InputError(f"gamma is {gamma}; a number above 0 is needed")
    i_C, j_C = candidates[:2]
    probability_C = candidates[2].astype(np.float64)
    paired_L = np.bincount(i_C, probability_C, length) + np.bincount(j_C, probability_C, length)
    unpaired_L = np.maximum(1 - paired_L, 0)
    # gamma = (1 - threshold) / threshold, and all of it times the threshold, which may be 0
    pair, alone = (1 - threshold, threshold) if gamma is None else (gamma, 1.0)
    gain_C = 2 * pair * probability_C - alone * (unpaired_L[i_C] + unpaired_L[j_C])
    kept_C = (probability_C > threshold) & (gain_C > 0)
    return i_C[kept_C], j_C[kept_C], gain_C[kept_C]


def _traced(j_C: NDArray[np.int64], gain_C: NDArray[np.floating], first_L1: NDArray[np.int64]) -> Pairs:
    """The nested structure of the greatest gain."""
    best_LL = _best_nested(j_C, gain_C, first_L1)
    pairs: list[tuple[int, int]] = []
    left = [(0, len(first_L1) - 1)]
    while left:
        i, end = left.pop()
        while i < end and best_LL[i, end] == best_LL[i + 1, end]:
            i += 1
        if i >= end:
            continue
        here = slice(first_L1[i], first_L1[i + 1])
        ends_K = j_C[here]
        values_K = (gain_C[here] + best_LL[i + 1, ends_K]) + best_LL[ends_K + 1, end]
        j = int(ends_K[np.argmax(values_K)])
        pairs.append((i, j))
        left += [(i + 1, j), (j + 1, end)]
    return as_pairs(pairs)


def _best_nested(
    j_C: NDArray[np.int64], gain_C: NDArray[np.floating], first_L1: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The greatest gain of a nested structure within i..end-1, at [i, end]; -inf where end < i: (L + 1, L + 1).

    Nussinov's recursion (doi:10.1073/pnas.77.11.6309): i is unpaired, or pairs with some j < end and splits the rest
    in two. All ends of one i are done at once.
    """
    length = len(first_L1) - 1
    best_LL = np.full((length + 1, length + 1), -np.inf)
    best_LL[length, length] = 0.0
    for i in range(length - 1, -1, -1):
        here = slice(first_L1[i], first_L1[i + 1])
        best_LL[i, i] = 0.0
        best_LL[i, i + 1 :] = best_LL[i + 1, i + 1 :]
        ends_K = j_C[here]
        if len(ends_K):
            inside_K1 = (gain_C[here] + best_LL[i + 1, ends_K])[:, None]
            paired_E = (inside_K1 + best_LL[ends_K + 1, i + 1 :]).max(axis=0)
            np.maximum(best_LL[i, i + 1 :], paired_E, out=best_LL[i, i + 1 :])
    return best_LL


def _codes(sequence: str | bytes) -> NDArray[np.uint8]:
    """A, C, G, U as 0 to 3, all else as 4: (L,)."""
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return _CODES[np.frombuffer(to_rna(letters).upper(), dtype=np.uint8)]


def _refuse_wrong(probability_LL: NDArray[np.floating], sequence: str | bytes, min_loop: int, canonical: bool) -> None:
    """InputError where a pair that may form has a probability outside 0..1, or one that is no number."""
    wrong_LL = ~((probability_LL >= 0) & (probability_LL <= 1))
    if wrong_LL.any():
        wrong_LL &= np.triu(can_pair(sequence, min_loop=min_loop, canonical=canonical))
        for i, j in np.argwhere(wrong_LL)[:1]:
            found = f"{probability_LL[i, j]} for the pair ({i}, {j})"
            raise InputError(f"pair probabilities: found {found}; each must lie between 0 and 1")


def _pairing_tables() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Codes of A, C, G, U (4 for all else) by byte: (256,), and which two codes pair: (5, 5)."""
    codes = np.full(256, 4, dtype=np.uint8)
    codes[list(b"ACGU")] = range(4)
    pairing = np.zeros((5, 5), dtype=np.bool_)
    for first, second in _CANONICAL:
        pairing[codes[ord(first)], codes[ord(second)]] = pairing[codes[ord(second)], codes[ord(first)]] = True
    return codes, pairing


_CODES, _PAIRING = _pairing_tables()
