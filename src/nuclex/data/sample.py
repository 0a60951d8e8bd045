"""Which pieces of which sequences an epoch shows, and in which batches: a pure function of (seed, epoch).

RiNALMo's rule (arXiv:2403.00043): each epoch takes one random member of every cluster; what is too long is cut to a
random window, and ``<cls>`` and ``<eos>`` stand only where the window touches the true start and end.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.randomness import integers, key, permutation
from nuclex.data.tokens import TokenTable


class SamplingConfig(Config):
    """How sequences become batches."""

    members: Literal["one-per-cluster", "all"] = "one-per-cluster"
    max_tokens: int = Field(default=1024, ge=3, description="longest piece, special tokens included")
    batch_tokens: int = Field(default=65_536, ge=3, description="tokens in one optimizer step, over all devices")
    micro_tokens: int = Field(default=16_384, ge=3, description="tokens in one forward pass on one device")
    pool: int = Field(default=1, ge=1, description="batches whose pieces are sorted by length together; 1 = unsorted")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_tokens > min(self.micro_tokens, self.batch_tokens):
            raise ValueError(f"max_tokens {self.max_tokens} is more than micro_tokens or batch_tokens hold")
        return self


@dataclass(frozen=True)
class Pieces:
    """P windows of sequences: table index, token window [first, last), and whether it touches the true ends."""

    index_P: NDArray[np.int64]
    first_P: NDArray[np.int64]
    last_P: NDArray[np.int64]
    starts_P: NDArray[np.bool_]
    ends_P: NDArray[np.bool_]

    @cached_property
    def lengths_P(self) -> NDArray[np.int64]:
        """Tokens of each piece, special tokens included."""
        return self.last_P - self.first_P + self.starts_P + self.ends_P

    def __len__(self) -> int:
        return len(self.index_P)

    def take(self, which: NDArray[np.integer]) -> Pieces:
        """The pieces at these places, in this order."""
        return Pieces(*(part[which] for part in (self.index_P, self.first_P, self.last_P, self.starts_P, self.ends_P)))


def choose_members(clusters_N: NDArray[np.int64], stream: int) -> NDArray[np.int64]:
    """One random index per cluster, in order of the cluster's number."""
    order = np.argsort(clusters_N, kind="stable")
    names, firsts, sizes = np.unique(clusters_N[order], return_index=True, return_counts=True)
    return order[firsts + integers(stream, sizes, names)]


def crop(table: TokenTable, index_P: NDArray[np.int64], max_tokens: int, stream: int) -> Pieces:
    """Cut what is longer than ``max_tokens - 2`` to a random window of that many tokens."""
    lengths_P, room = table.lengths_N[index_P], max_tokens - 2
    kept_P = np.minimum(lengths_P, room)
    first_P = integers(stream, lengths_P - kept_P + 1, table.rows_N[index_P])
    return Pieces(index_P, first_P, first_P + kept_P, first_P == 0, first_P + kept_P == lengths_P)


@dataclass(frozen=True)
class Epoch:
    """All pieces of one epoch and the cuts between its batches: batch b is pieces [cuts[b], cuts[b + 1])."""

    number: int
    pieces: Pieces
    cuts: NDArray[np.int64]
    micro_tokens: int

    @property
    def batches(self) -> int:
        """Optimizer steps in this epoch."""
        return len(self.cuts) - 1

    def micro_batches(self, batch: int, rank: int = 0, world: int = 1) -> list[Pieces]:
        """The packed forward passes of one device: the batch, cut the same way for any ``world``, dealt in turn."""
        which = np.arange(self.cuts[batch], self.cuts[batch + 1])
        which = which[np.argsort(self.pieces.lengths_P[which], kind="stable")]
        cuts = budget_cuts(self.pieces.lengths_P[which], self.micro_tokens)
        parts = [self.pieces.take(which[first:last]) for first, last in itertools.pairwise(cuts)]
        return parts[rank::world]


def budget_cuts(lengths_P: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Cut a row of lengths into runs whose sums stay within ``budget`` (a longer single item stands alone)."""
    sums = np.concatenate([[0], np.cumsum(lengths_P)])
    cuts = [0]
    while cuts[-1] < len(lengths_P):
        cuts.append(max(int(np.searchsorted(sums, sums[cuts[-1]] + budget, side="right")) - 1, cuts[-1] + 1))
    return np.asarray(cuts, dtype=np.int64)


def plan_epoch(table: TokenTable, config: SamplingConfig, seed: int, number: int) -> Epoch:
    """Members, windows, order and batches of epoch ``number``; the same for every machine and number of devices."""
    if len(table) == 0:
        raise InputError("the train split holds no sequences; lower the validation and test shares or add input")
    index_P = np.arange(len(table))
    if config.members == "one-per-cluster":
        index_P = choose_members(table.clusters_N, key(seed, number, "member"))
    index_P = index_P[permutation(key(seed, number, "order"), len(index_P))]
    pieces = crop(table, index_P, config.max_tokens, key(seed, number, "crop"))
    cuts = budget_cuts(pieces.lengths_P, config.batch_tokens)
    if config.pool > 1:
        pieces, cuts = _sorted_in_pools(pieces, cuts, config, key(seed, number, "pool"))
    return Epoch(number, pieces, cuts, config.micro_tokens)


def _sorted_in_pools(
    pieces: Pieces, cuts: NDArray[np.int64], config: SamplingConfig, stream: int
) -> tuple[Pieces, NDArray[np.int64]]:
    """Sort by length within pools of batches, cut anew, and shuffle the batches."""
    lengths_P = pieces.lengths_P
    runs: list[NDArray[np.int64]] = []
    for first in range(0, len(cuts) - 1, config.pool):
        pool = np.arange(cuts[first], cuts[min(first + config.pool, len(cuts) - 1)])
        pool = pool[np.argsort(lengths_P[pool], kind="stable")]
        bounds = budget_cuts(lengths_P[pool], config.batch_tokens)
        runs += [pool[start:stop] for start, stop in itertools.pairwise(bounds)]
    runs = [runs[place] for place in permutation(stream, len(runs))]
    sizes = np.cumsum([0] + [len(run) for run in runs])
    return pieces.take(np.concatenate(runs)), sizes.astype(np.int64)


def windows(table: TokenTable, max_tokens: int, index_P: NDArray[np.int64] | None = None) -> Pieces:
    """Every token of the chosen sequences exactly once, in consecutive windows of at most ``max_tokens - 2``."""
    index = np.arange(len(table)) if index_P is None else index_P
    lengths, room = table.lengths_N[index], max_tokens - 2
    counts = np.maximum(-(-lengths // room), 1)
    sequence_P = np.repeat(np.arange(len(index)), counts)
    place_P = np.arange(len(sequence_P)) - np.repeat(np.cumsum(counts) - counts, counts)
    first_P = place_P * room
    last_P = np.minimum(first_P + room, lengths[sequence_P])
    return Pieces(index[sequence_P], first_P, last_P, first_P == 0, last_P == lengths[sequence_P])


def overlapping(lengths_N: NDArray[np.int64], room: int) -> Pieces:
    """Windows of up to ``room`` tokens over N sequences; one begins at every half window, the last ends at the end."""
    step = max(room // 2, 1)
    counts_N = 1 + np.maximum(-(-(lengths_N - room) // step), 0)
    index_P = np.repeat(np.arange(len(lengths_N)), counts_N)
    place_P = np.arange(len(index_P)) - np.repeat(np.cumsum(counts_N) - counts_N, counts_N)
    lengths_P = lengths_N[index_P]
    first_P = np.minimum(place_P * step, np.maximum(lengths_P - room, 0))
    last_P = np.minimum(first_P + room, lengths_P)
    return Pieces(index_P, first_P, last_P, place_P == 0, place_P == counts_N[index_P] - 1)


def overlapping_windows(table: TokenTable, max_tokens: int) -> tuple[Pieces, NDArray[np.int64]]:
    """Windows for reading from left to right, and how many tokens at the start of each (P,) are not to be foretold.

    Of a sequence of up to ``max_tokens - 2`` tokens only ``<cls>`` is given. Of a longer one (``overlapping``) what the
    window before held is given: every token is foretold once, from at least half a window or all there is. ValueError
    for windows below 4 tokens, which cannot overlap.
    """
    if max_tokens < 4:
        raise ValueError(f"max_tokens: found {max_tokens}; windows of 4 tokens or more can overlap")
    pieces = overlapping(table.lengths_N, max_tokens - 2)
    return pieces, np.where(pieces.starts_P, 1, np.roll(pieces.last_P, 1) - pieces.first_P)
