"""Related sequences found by shared k-mers alone: an approximation for where MMseqs2 cannot be installed.

Sequences are taken from the longest to the shortest; each joins the cluster whose founder it is most like, or founds
its own. Alike is measured without alignment: of two sequences with a share C of the shorter one's k-mers in common,
the identity is estimated as C^(1/k) (each of k letters equal by chance; the model of Mash, Ondov et al. 2016,
doi:10.1186/s13059-016-0997-x), and the coverage as the ratio of their lengths. At least 8 k-mers
must be shared. Only the given strand is looked at. All founders' k-mers are held in memory and time grows
with their similarity: meant for up to some 10^5 sequences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_dna

K = 11
FEWEST_SHARED = 8  # as a common stretch of 18 letters has: below that, thousands of founders share some by chance
_CODE = np.full(256, 255, dtype=np.uint8)
_CODE[list(b"ACGT")] = np.arange(4, dtype=np.uint8)


def kmer_codes(sequence: bytes, k: int = K) -> NDArray[np.int64]:
    """The distinct k-mers of a sequence as numbers in base 4 (A C G T), sorted; those with other letters are left out.

    >>> kmer_codes(b"ACACN", k=2).tolist()
    [1, 4]
    """
    letters_L = _CODE[np.frombuffer(to_dna(sequence), dtype=np.uint8)]
    if len(letters_L) < k:
        return np.zeros(0, dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(letters_L, k)
    plain = (windows < 4).all(axis=1)
    return np.unique(windows[plain].astype(np.int64) @ (4 ** np.arange(k - 1, -1, -1, dtype=np.int64)))


def kmer_clusters(
    sequences: Iterable[bytes], min_identity: float, coverage: float
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Cluster N sequences greedily by shared k-mers: the founder's number for each (N,), and a record of the method."""
    held = list(sequences)
    lengths_N = np.array([len(sequence) for sequence in held], dtype=np.int64)
    labels_N = np.arange(len(held), dtype=np.int64)
    founders: dict[int, list[int]] = defaultdict(list)
    needed = min_identity**K
    for index in np.lexsort((np.arange(len(held)), -lengths_N)).tolist():
        codes = kmer_codes(held[index]).tolist()
        owners = np.array([owner for code in codes for owner in founders.get(code, ())], dtype=np.int64)
        best = _best_founder(owners, lengths_N, index, coverage, needed * len(codes))
        if best is not None:
            labels_N[index] = best
            continue
        for code in codes:
            founders[code].append(index)
    return labels_N, {
        "tool": "nuclex",
        "approximation": "shared k-mers, greedy by length",
        "k": K,
        "fewest_shared": FEWEST_SHARED,
        "strands": "plus",
    }


def _best_founder(
    owners: NDArray[np.int64], lengths_N: NDArray[np.int64], index: int, coverage: float, needed: float
) -> int | None:
    """The founder that shares most k-mers, if enough of them; of equals the longest, which came first."""
    long_enough = lengths_N[index] >= coverage * lengths_N[owners]
    names, shared = np.unique(owners[long_enough], return_counts=True)
    if not len(names) or shared.max() < max(needed, FEWEST_SHARED):
        return None
    equal = names[shared == shared.max()]
    return int(equal[np.lexsort((equal, -lengths_N[equal]))[0]])
