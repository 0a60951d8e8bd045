"""Learning which pairs of tokens to merge (byte-pair encoding, arXiv:1508.07909), for text of one unbroken alphabet.

The merges are those of the trainer of the library ``tokenizers`` for the same pieces, ties included; tests prove it.
That trainer holds every piece as an object of its own, some 70 bytes a nucleotide, and walks through whole pieces for
every merge. Here the text is two flat arrays, and a merge touches only the places where its pair stands.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import final

import numpy as np
from numpy.typing import NDArray

from nuclex.core.progress import bar

Places = NDArray[np.int32]
Queue = list[tuple[int, int, int, "Places | _Block | None"]]
BREAK = 0
_CHUNK = 1 << 22


def learn_merges(text_T: NDArray[np.unsignedinteger], letters: int, merges: int, least: int) -> list[tuple[int, int]]:
    """The pairs of token ids to merge, in order; the n-th merge makes the token ``letters + n``.

    ``text_T`` holds ids below ``letters``, pieces with a 0 before, between and behind them; it is overwritten. Always
    merged is the pair that stands together most often (overlaps counted, so AAA holds AA twice), of equals the one with
    the lower ids; no pair that does so fewer than ``least`` times, and at most ``merges`` pairs.
    """
    text = _Text(text_T, letters, merges)
    least = max(1, least)
    queue: Queue = []
    for left, right, count in text.letter_pairs():
        if count >= least:
            heappush(queue, (-count, left, right, None))
    learned: list[tuple[int, int]] = []
    with bar("learning tokens", merges) as progress:
        while queue and len(learned) < merges:
            expected, left, right, where = heappop(queue)
            if isinstance(where, _Block):
                places = where.take(queue)
            else:
                places = where if where is not None else text.find(left, right)
            places = text.still(places, left, right)
            if len(places) == -expected:
                codes_P, places_P = text.merge(places, left, right)
                _Block.queue(queue, text.tokens - 1, codes_P, places_P, least)
                learned.append((left, right))
                progress.advance()
            elif len(places) >= least:  # a merge since has broken some of its pairs
                heappush(queue, (-len(places), left, right, places))
    return learned


@final
class _Text:
    """The tokens of the text: each token's id stands at its first place in ``starts`` and at its last in ``ends``."""

    def __init__(self, text_T: NDArray[np.unsignedinteger], letters: int, merges: int) -> None:
        kind = np.uint16 if letters + merges < 1 << 16 else np.uint32
        self.starts_T = text_T.astype(kind, copy=False)
        self.ends_T = self.starts_T.copy()
        self.lengths_V = np.ones(letters + merges, dtype=np.int32)
        self.letters, self.tokens = letters, letters

    def letter_pairs(self) -> list[tuple[int, int, int]]:
        """All pairs of letters that stand together, with their counts."""
        counts = np.zeros(self.letters**2, dtype=np.int64)
        for begin in range(0, len(self.starts_T) - 1, _CHUNK):
            part_L = self.starts_T[begin : begin + _CHUNK + 1].astype(np.int64)
            counts += np.bincount(part_L[:-1] * self.letters + part_L[1:], minlength=len(counts))
        pairs = [(*divmod(int(pair), self.letters), int(counts[pair])) for pair in np.flatnonzero(counts)]
        return [pair for pair in pairs if BREAK not in pair[:2]]

    def find(self, left: int, right: int) -> Places:
        """Where two letters stand together, ascending."""
        found = []
        for begin in range(0, len(self.starts_T) - 1, _CHUNK):
            part_L = self.starts_T[begin : begin + _CHUNK + 1]
            found.append(begin + np.flatnonzero((part_L[:-1] == left) & (part_L[1:] == right)))
        return np.concatenate(found).astype(np.int32)

    def still(self, places: Places, left: int, right: int) -> Places:
        """Those of the places where the pair has not been broken up."""
        places = places.compress(self.starts_T.take(places) == left)  # some times faster than places[…]
        return places.compress(self.starts_T.take(places + self.lengths_V[left]) == right)

    def merge(self, places: Places, left: int, right: int) -> tuple[NDArray[np.uint32], Places]:
        """Make a new token of every pair, from left to right; returns codes and places of the pairs it is in now.

        The code of a pair is 2 · other id with the other token in front, 2 · other id + 1 with it behind.
        """
        if left == right:
            places = _every_other(places, int(self.lengths_V[left]))
        new, self.tokens = self.tokens, self.tokens + 1
        middle = places + self.lengths_V[left]
        last = middle + (self.lengths_V[right] - 1)
        self.lengths_V[new] = self.lengths_V[left] + self.lengths_V[right]
        self.ends_T[middle - 1] = BREAK
        self.starts_T[middle] = BREAK
        self.starts_T[places] = new
        self.ends_T[last] = new
        before, behind = self.ends_T.take(places - 1), self.starts_T.take(last + 1)
        in_front, after = before != BREAK, (behind != BREAK) & (behind != new)
        before = before[in_front]
        places_P = np.concatenate(
            [places.compress(in_front) - self.lengths_V.take(before), places.compress(after)], dtype=np.int32
        )
        codes_P = np.concatenate(
            [2 * before.astype(np.uint32), 2 * behind.compress(after).astype(np.uint32) + 1], dtype=np.uint32
        )
        return codes_P, places_P


@final
class _Block:
    """The pairs that one merge made, the most frequent first; only the first of those left stands in the queue."""

    def __init__(self, pairs: list[tuple[int, int, int]], places: Places) -> None:
        """``pairs`` are (-count, left, right), and ``places`` holds those of the first pair, then of the next."""
        self._pairs, self._places = pairs[::-1], places

    @staticmethod
    def queue(queue: Queue, new: int, codes_P: NDArray[np.uint32], places_P: Places, least: int) -> None:
        """Put the pairs of a new token, as ``merge`` gives them, into the queue, but none that is too rare."""
        counts = np.bincount(codes_P, minlength=2 * new + 2)
        kept_P = (counts >= least).take(codes_P)
        codes_P, places_P = codes_P.compress(kept_P), places_P.compress(kept_P)
        codes_G = np.flatnonzero(counts >= least)
        if not len(codes_G):
            return
        other_G, behind_G = np.divmod(codes_G, 2)
        left_G, right_G = np.where(behind_G, new, other_G), np.where(behind_G, other_G, new)
        order_G = np.lexsort((right_G, left_G, -counts[codes_G]))
        rank_of = np.zeros(len(counts), dtype=np.uint16 if len(codes_G) < 1 << 16 else np.uint32)
        rank_of[codes_G[order_G]] = np.arange(len(codes_G))
        places_P = places_P.take(np.argsort(rank_of.take(codes_P), kind="stable"))
        pairs_G3 = np.stack([-counts[codes_G], left_G, right_G], axis=1)[order_G]
        _Block([(number, left, right) for number, left, right in pairs_G3.tolist()], places_P)._push(queue)

    def take(self, queue: Queue) -> Places:
        """The places of the first pair, which the next one now follows in the queue."""
        count = -self._pairs.pop()[0]
        first, self._places = self._places[:count], self._places[count:]
        if self._places.base is not None and 2 * len(self._places) < len(self._places.base):
            self._places = self._places.copy()
        self._push(queue)
        return first

    def _push(self, queue: Queue) -> None:
        if self._pairs:
            heappush(queue, (*self._pairs[-1], self))


def _every_other(places: Places, length: int) -> Places:
    """In a run of equal tokens, AAAAA say, the pairs that are taken from left to right: the first, the third, …"""
    number_P = np.arange(len(places))
    follows_P = np.zeros(len(places), dtype=bool)
    follows_P[1:] = places[1:] == places[:-1] + length
    first_P = np.maximum.accumulate(np.where(follows_P, 0, number_P))
    return places.compress((number_P - first_P) % 2 == 0)
