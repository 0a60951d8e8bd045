"""Which tokens are asked for: one by one, in adjacent pairs, in spans of random length, or codon by codon.

Every rule asks for the stated share of all tokens on average. Whether a token is chosen is a pure function of (seed,
epoch, sequence, position), so windows and batches change nothing; at a sequence's ends a pair or a span is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from nuclex.core.randomness import Runs, chosen, key, uniform
from nuclex.data.pack import PackedBatch

Pattern = Literal["single", "double", "span", "codon"]
"""``single``: each token by itself; ``double``: it and its right neighbour; ``span``: as many as a geometric
distribution gives (SpanBERT, arXiv:1907.10529, of which the spans here may meet); ``codon``: three letters in frame."""
TAIL = 1e-3
"""Spans longer than all but this share of them are cut to that length."""


@dataclass(frozen=True)
class Selection:
    """A rule: the share of all tokens, what goes together, a span's mean length, letters before the first codon."""

    share: float
    pattern: Pattern = "single"
    span: float = 3.0
    frame: int = 0


def selected_tokens(batch: PackedBatch, rule: Selection, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Which of the T tokens are asked for: (T,) bool; special ones never."""
    share, pattern, frame = rule.share, rule.pattern, rule.frame
    rows, stream = Runs(batch.rows_N, batch.lengths_N), key(seed, epoch, "select")
    if pattern == "single":
        selected_T = chosen(stream, share, rows, batch.position_T)
    elif pattern == "double":
        start = 1 - np.sqrt(1 - share)
        selected_T = chosen(stream, start, rows, batch.position_T) | chosen(stream, start, rows, batch.position_T - 1)
    elif pattern == "codon":
        selected_T = chosen(stream, share, rows, (batch.position_T - frame) // 3)
        selected_T &= batch.position_T >= frame
    else:
        selected_T = _spans(batch, share, rule.span, (stream, key(seed, epoch, "length")))
    selected_T[batch.special_M] = False
    return selected_T


def _spans(batch: PackedBatch, share: float, span: float, streams: tuple[int, int]) -> NDArray[np.bool_]:
    """A token is chosen where a span begins at it, or so shortly before it that it reaches it."""
    rows, stay = Runs(batch.rows_N, batch.lengths_N), 1 - 1 / span
    longest = 1 if span == 1 else int(np.ceil(np.log(TAIL) / np.log(stay)))
    reach_K = stay ** np.arange(longest)  # how likely a span is longer than k
    start = brentq(lambda q: 1 - np.prod(1 - q * reach_K) - share, 0.0, 1.0)
    selected_T = np.zeros(len(batch.tokens_T), dtype=bool)
    for back, reach in enumerate(reach_K.tolist()):
        begun_T = chosen(streams[0], start, rows, batch.position_T - back)
        selected_T |= begun_T & (uniform(streams[1], rows, batch.position_T - back) < reach)
    return selected_T
