"""Sequences longer than a model reads at once: overlapping windows, and the one window that answers for each token.

A sequence of up to ``window - 2`` tokens is one piece between ``<cls>`` and ``<eos>``. A longer one is cut into
windows of ``room = window - 2`` tokens, each beginning ``room // 2`` tokens behind the one before; the last one ends
where the sequence ends. ``<cls>`` and ``<eos>`` stand only at the true ends, as in training. Each token is answered for
by the window in which it is farthest from a cut edge (the earlier one where two are as good), so that, rounding aside,
it sees at least a quarter of a window to either side, or all there is. A causal model does not see what is behind, so
for it only the left edge counts: a token is answered for by the earliest window that holds it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import Pieces, budget_cuts, overlapping
from nuclex.data.tokens import TokenTable
from nuclex.models.architecture import BackboneConfig
from nuclex.tokenizers.base import Tokenizer

SHORTEST = 4
"""The shortest window in tokens: both special ones and two that overlap."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """P windows of sequences, and for which tokens [from, to) of its sequence each of them answers."""

    pieces: Pieces
    from_P: Ints
    to_P: Ints

    @property
    def counts_P(self) -> Ints:
        """For how many tokens each window answers."""
        return self.to_P - self.from_P

    def take(self, which: NDArray[np.integer]) -> Windows:
        """The windows at these places, in this order."""
        return Windows(self.pieces.take(which), self.from_P[which], self.to_P[which])

    def one_token_each(self) -> Windows:
        """A copy of its window for every token, which answers for this token alone."""
        copies = self.take(np.repeat(np.arange(len(self.pieces)), self.counts_P))
        token_M = self.from_P.repeat(self.counts_P) + _counted(self.counts_P)
        return Windows(copies.pieces, token_M, token_M + 1)

    def answers(self) -> tuple[Ints, Ints, Ints]:
        """For M tokens answered for: the window, the token's place in its sequence, and in these windows packed."""
        lengths_P, pieces = self.pieces.lengths_P, self.pieces
        origin_P = np.cumsum(lengths_P) - lengths_P + pieces.starts_P - pieces.first_P
        window_M = np.repeat(np.arange(len(pieces)), self.counts_P)
        token_M = self.from_P[window_M] + _counted(self.counts_P)
        return window_M, token_M, origin_P[window_M] + token_M

    def batches(
        self, table: TokenTable, tokenizer: Tokenizer, micro_tokens: int
    ) -> Iterator[tuple[Windows, PackedBatch]]:
        """The windows in order of length, packed up to ``micro_tokens`` at a time."""
        order = np.argsort(self.pieces.lengths_P, kind="stable")
        cuts = budget_cuts(self.pieces.lengths_P[order], micro_tokens)
        for first, last in itertools.pairwise(cuts):
            part = self.take(order[first:last])
            yield part, pack(table, part.pieces, tokenizer)


def windows_of(lengths_N: Ints, window: int | None, *, causal: bool) -> Windows:
    """The windows of N sequences of so many tokens; ``window`` counts special tokens, None is no limit."""
    pieces = overlapping(lengths_N, int(lengths_N.max(initial=1)) if window is None else window - 2)
    last_P = pieces.last_P
    behind_P = last_P if causal else (last_P - 1 + np.roll(pieces.first_P, -1)) // 2 + 1  # the next window is better
    to_P = np.where(pieces.ends_P, lengths_N[pieces.index_P], behind_P)
    return Windows(pieces, np.where(pieces.starts_P, 0, np.roll(to_P, 1)), to_P)


def window_for(config: BackboneConfig, wanted: int | None) -> int | None:
    """The window in tokens: the wanted one, else all that the model reads; None where it has no limit.

    InputError for a window that the model cannot read or that is too short to overlap.
    """
    longest = config.longest
    found = longest if wanted is None else wanted
    if found is not None and (found < SHORTEST or (longest is not None and found > longest)):
        allowed = f"{SHORTEST} or more" if longest is None else f"{SHORTEST} to {longest}"
        raise InputError(f"window: found {found} tokens; this model takes {allowed}")
    return found


def _counted(counts: Ints) -> Ints:
    """0, 1, … for each count, one after the other: [2, 3] gives [0, 1, 0, 1, 2]."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
