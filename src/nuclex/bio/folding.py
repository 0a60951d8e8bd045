"""From the probability of each base pair to one secondary structure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_rna
from nuclex.bio.base_pairs import Pairs, as_pairs
from nuclex.core.errors import InputError

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
    probability_C = probability_LL[i_C, j_C]
    order_C = np.argsort(-probability_C, kind="stable")  # rows, then columns: equals stay in that order
    taken = bytearray(length)
    pairs: list[tuple[int, int]] = []
    for i, j in zip(i_C[order_C].tolist(), j_C[order_C].tolist(), strict=True):
        if not taken[i] and not taken[j]:
            taken[i] = taken[j] = True
            pairs.append((i, j))
    return as_pairs(pairs)


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
