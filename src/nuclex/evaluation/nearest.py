"""The nearest of given sequences to each of others: has a model learned its training sequences by heart?

Candidates are the three that share the largest part of their words of 11 letters (as in ``data.kmer_clusters``), where
the words of the one that has more count as all; of them the one with the smallest edit distance is the nearest. A
relative without a common word is not found; where there is no relative, which one is the nearest means little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_dna
from nuclex.data.kmer_clusters import K, kmer_codes
from nuclex.metrics.edit_distance import difference

CANDIDATES = 3


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each of N sequences the place of its nearest one (-1: none shares a word), and the identity, 0 to 1.

    Identity is 1 minus the edit distance over the longer length; not a number where there is no nearest one.
    """

    index_N: NDArray[np.int64]
    identity_N: NDArray[np.float64]

    def share_above(self, identity: float) -> float:
        """The share of sequences whose nearest one is at least so alike."""
        return float((np.nan_to_num(self.identity_N, nan=-1.0) >= identity).mean())


def nearest(sequences: Sequence[bytes], among: Sequence[bytes]) -> Nearest:
    """Look for the nearest one of ``among`` to each sequence; only the given strand is looked at."""
    known = [to_dna(text).upper() for text in among]
    codes = [kmer_codes(text, K) for text in known]
    words, sizes = np.concatenate([*codes, np.zeros(0, dtype=np.int64)]), np.array([len(part) for part in codes])
    owners = np.repeat(np.arange(len(codes)), sizes.astype(np.int64))
    order = np.argsort(words, kind="stable")
    words, owners = words[order], owners[order]
    index_N, identity_N = np.full(len(sequences), -1, dtype=np.int64), np.full(len(sequences), np.nan)
    for row, sequence in enumerate(to_dna(text).upper() for text in sequences):
        asked = kmer_codes(sequence, K)
        low, high = (np.searchsorted(words, asked, side=side) for side in ("left", "right"))
        found = np.concatenate([owners[a:b] for a, b in zip(low, high, strict=True)] or [owners[:0]])
        shared = np.bincount(found, minlength=len(known)) / np.maximum(sizes, len(asked)) if len(found) else sizes[:0]
        best = [place for place in np.argsort(-shared, kind="stable")[:CANDIDATES].tolist() if shared[place]]
        alike = [1 - difference(sequence, known[place]) for place in best]
        if alike:
            index_N[row], identity_N[row] = best[int(np.argmax(alike))], max(alike)
    return Nearest(index_N, identity_N)
