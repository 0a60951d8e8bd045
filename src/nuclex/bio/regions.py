"""Regions that follow each other along a sequence, as those of an antibody do: their letters, their ends, the best way.

Spans are 0-based and half-open. A region may be missing, and each stands once at most, so that a row of labels and
spans by name say the same. Regions of antibodies are those of IMGT (doi:10.1016/S0145-305X(02)00039-3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError

Spans = Mapping[str, tuple[int, int]]
"""Where each region lies, by its name; one that is missing has no entry."""
OUTSIDE = "outside"
"""The label of a letter that is in none of the regions."""
FRAMEWORKS_AND_LOOPS = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "cdr3", "fwr4")
"""The regions of a variable domain, in their order; names of the AIRR Rearrangement schema."""
SEGMENTS = ("v", "np1", "d", "np2", "j", "c")
"""The genes that were joined, with what was added between them (light chains have no ``d`` and ``np2``)."""
CODING = ("sp", "v", "dj", "c")
"""Signal peptide, V, D with J, and constant region: the parts of a whole antibody mRNA in HELM (arXiv:2410.12459)."""


def labels_of(spans: Spans, length: int) -> NDArray[np.str_]:
    """The name of the region that each letter is in, ``OUTSIDE`` where it is in none: (L,).

    InputError where a span is empty or leads out of the sequence, or where two have letters in common.

    >>> labels_of({"v": (1, 3), "j": (3, 4)}, 5).tolist()
    ['outside', 'v', 'v', 'j', 'outside']
    """
    labels_L = np.full(length, OUTSIDE, dtype=f"<U{max(map(len, [OUTSIDE, *spans]))}")
    for name, (start, end) in spans.items():
        if not 0 <= start < end <= length:
            raise InputError(f"{name} is [{start}, {end}); a span within the {length} letters is needed")
        if (taken := labels_L[start:end] != OUTSIDE).any():
            other = str(labels_L[start:end][taken][0])
            raise InputError(f"{name} [{start}, {end}) has letters of {other}, too; a letter is in one region")
        labels_L[start:end] = name
    return labels_L


def spans_of(labels_L: Sequence[str] | NDArray[np.str_], order: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Where each region of ``order`` lies, from the first letter that is called so to the last.

    >>> spans_of(["outside", "v", "v", "j", "outside"], ("v", "d", "j"))
    {'v': (1, 3), 'j': (3, 4)}
    """
    row_L = np.asarray(labels_L)
    places = {name: np.flatnonzero(row_L == name) for name in order}
    return {name: (int(at[0]), int(at[-1]) + 1) for name, at in places.items() if len(at)}


def best_path(score_LC: NDArray[np.float64], classes: Sequence[str], order: Sequence[str]) -> NDArray[np.int64]:
    """The class of each letter (L,) with the highest sum of scores where regions follow each other in their order.

    ``score_LC`` are the letters' log-probabilities (or logits less any number a letter) of the ``classes``: the regions
    of ``order``, and perhaps ``OUTSIDE``, which lies before the first and behind the last. Any of them may be missing.
    One pass from left to right (Viterbi, doi:10.1109/TIT.1967.1054010), of L times the number of regions steps.
    """
    place = {name: number for number, name in enumerate(classes)}
    ends = [OUTSIDE] if OUTSIDE in place else []
    state_K = np.array([place[name] for name in (*ends, *(name for name in order if name in place), *ends)])
    score_LK = score_LC[:, state_K]
    best_LK = np.empty_like(score_LK)
    best_K = np.zeros(len(state_K))
    for letter, score_K in enumerate(score_LK):
        best_K = np.maximum.accumulate(best_K) + score_K
        best_LK[letter] = best_K
    path_L, last = np.empty(len(score_LK), dtype=np.int64), len(state_K)
    for letter in range(len(score_LK) - 1, -1, -1):
        last = int(best_LK[letter, :last].argmax()) + 1
        path_L[letter] = last - 1
    return state_K[path_L]
