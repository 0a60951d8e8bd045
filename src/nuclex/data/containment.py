"""Which sequences equal, contain or are contained in one of some given sequences, on either strand, letter by letter.

A stretch of at least 31 letters holds, whatever its place, a stretch of 16 that starts at a multiple of 16. So it is
enough to look up the 16-letter words at multiples of 16 of one sequence among 16 words in a row of the other; what
is found is then compared letter by letter. Which 16 in a row is free: they are taken where their words are rare, so
that a poly-A tail, which very many sequences share, is looked up only for sequences that are nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.data.store import letters, runs

WORD = 16
SHORTEST = 2 * WORD - 1
REASONS = ("kept", "equal", "reverse_complement", "contains", "contained")
_BASE = np.zeros(256, dtype=np.uint32)  # other letters look like A here, and are told apart when compared
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _BASE[list(_letters)] = _code
_TABLE_BITS, _PAIRS_AT_ONCE = 22, 1 << 20
_MANY = 64  # pairs that a sequence may give before other words of it are looked for


class _Words:
    """Where words of 16 letters stand in the given texts: a sorted list, and a table that says at once what is not."""

    def __init__(
        self, codes: NDArray[np.uint32], starts_T: NDArray[np.int64], which: tuple[NDArray[np.int64], ...], step: int
    ) -> None:
        firsts_T, counts_T = which
        text_W, place_W = _places(counts_T, step)
        place_W += firsts_T[text_W]
        words = codes[starts_T[text_W] + place_W]
        order = np.argsort(words, kind="stable")
        self.words, self.text_W, self.place_W = words[order], text_W[order], place_W[order]
        self._present = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self._present[words >> np.uint32(32 - _TABLE_BITS)] = True

    def counts(self, words: NDArray[np.uint32]) -> NDArray[np.int64]:
        """How many of those known equal each of the words asked for."""
        counts = np.zeros(len(words), dtype=np.int64)
        asked = np.flatnonzero(self._present[words >> np.uint32(32 - _TABLE_BITS)])
        counts[asked] = np.searchsorted(self.words, words[asked], side="right")
        counts[asked] -= np.searchsorted(self.words, words[asked], side="left")
        return counts

    def find(self, words: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Pairs (which of the words asked for, which of those known) that are equal, not too many at once."""
        asked = np.flatnonzero(self._present[words >> np.uint32(32 - _TABLE_BITS)])
        low = np.searchsorted(self.words, words[asked], side="left")
        counts = np.searchsorted(self.words, words[asked], side="right") - low
        turn = np.cumsum(counts) // _PAIRS_AT_ONCE
        for number in np.unique(turn).tolist():
            part = turn == number
            ends = np.cumsum(counts[part])
            first = np.repeat(low[part] - (ends - counts[part]), counts[part])
            yield np.repeat(asked[part], counts[part]), first + np.arange(len(first))


class Containment:
    """The given sequences, ready to be compared with many others. They are held in memory, both strands."""

    def __init__(self, sequences: Sequence[bytes], shortest: int) -> None:
        given = list(dict.fromkeys(map(to_dna, sequences)))
        mirrored = [DNA_IUPAC.reverse_complement(text) for text in given]
        self._given, self._mirrored, self._shortest = frozenset(given), frozenset(mirrored), shortest
        self._sizes = np.unique([len(text) for text in given])
        self._texts = [text for text in dict.fromkeys([*given, *mirrored]) if len(text) >= shortest]
        self._lengths_T = np.array([len(text) for text in self._texts], dtype=np.int64)
        self._starts_T = np.cumsum(self._lengths_T) - self._lengths_T
        if self._texts:
            self._codes = _codes(b"".join(self._texts))
            none_T, many_T = np.zeros(len(self._texts), dtype=np.int64), np.full(len(self._texts), WORD)
            self._heads = _Words(self._codes, self._starts_T, (self._rare_words(), many_T), 1)
            self._grid = _Words(self._codes, self._starts_T, (none_T, (self._lengths_T - WORD) // WORD + 1), WORD)

    def reasons(self, column: pa.Array, wanted_N: NDArray[np.bool_]) -> NDArray[np.int8]:
        """For each of N sequences (upper case) the index into ``REASONS`` of why it is to go, 0 for those to be kept.

        Only those that are wanted are looked at.
        """
        data, offsets = letters(column)
        offsets_N1 = np.asarray(offsets)
        reasons_N = np.zeros(len(column), dtype=np.int8)
        for row in np.flatnonzero(wanted_N & np.isin(np.diff(offsets_N1), self._sizes)).tolist():
            sequence = to_dna(bytes(data[offsets[row] : offsets[row + 1]]))
            reasons_N[row] = 1 if sequence in self._given else 2 if sequence in self._mirrored else 0
        for first, last in runs(offsets_N1) if self._texts else ():
            text = to_dna(bytes(data[offsets[first] : offsets[last]]))
            starts_N = offsets_N1[first:last] - offsets_N1[first]
            part = _Part(text, _codes(text), starts_N, np.diff(offsets_N1[first : last + 1]))
            open_N = wanted_N[first:last] & (part.lengths_N >= self._shortest)
            for code, search in ((3, self._contained_in), (4, self._containing)):
                rows = np.flatnonzero(open_N & (reasons_N[first:last] == 0))
                reasons_N[first:last][list(set(search(part, rows)))] = code
        return reasons_N

    def _rare_words(self) -> NDArray[np.int64]:
        """Where in each text those 16 words in a row begin that are the rarest in all texts."""
        _, word_P, counts = np.unique(self._codes, return_inverse=True, return_counts=True)
        often_P = counts[word_P]
        places = zip(self._starts_T.tolist(), self._lengths_T.tolist(), strict=True)
        return np.array([_rarest(often_P[start : start + length - WORD + 1]) for start, length in places])

    def _rare_places(self, part: _Part, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in each row 16 words in a row begin that are not too often among those of the grid: 0, if there."""
        row_P, place_P = _places(np.full(len(rows), WORD), 1)
        counts = self._grid.counts(part.codes[part.starts_N[rows[row_P]] + place_P]).reshape(-1, WORD).sum(axis=1)
        firsts = np.zeros(len(rows), dtype=np.int64)
        for place in np.flatnonzero(counts > _MANY).tolist():
            start, length = int(part.starts_N[rows[place]]), int(part.lengths_N[rows[place]])
            firsts[place] = _rarest(self._grid.counts(part.codes[start : start + length - WORD + 1]))
        return firsts

    def _contained_in(self, part: _Part, rows: NDArray[np.int64]) -> Iterator[int]:
        """The rows that hold a given text."""
        row_P, place_P = _places((part.lengths_N[rows] - WORD) // WORD + 1, WORD)
        row_P = rows[row_P]
        for asked, known in self._heads.find(part.codes[part.starts_N[row_P] + place_P]):
            row, text = row_P[asked], self._heads.text_W[known]
            start = place_P[asked] - self._heads.place_W[known]
            good = np.flatnonzero((start >= 0) & (start + self._lengths_T[text] <= part.lengths_N[row]))
            row, text, start = row[good], text[good], part.starts_N[row[good]] + start[good]
            last = start + self._lengths_T[text] - WORD
            good = part.codes[last] == self._codes[self._starts_T[text] + self._lengths_T[text] - WORD]
            for place, wanted, begin in zip(row[good].tolist(), text[good].tolist(), start[good].tolist(), strict=True):
                if part.text.startswith(self._texts[wanted], begin):
                    yield place

    def _containing(self, part: _Part, rows: NDArray[np.int64]) -> Iterator[int]:
        """The rows that a given text holds."""
        row_P, place_P = _places(np.full(len(rows), WORD), 1)
        place_P += self._rare_places(part, rows)[row_P]
        row_P = rows[row_P]
        for asked, known in self._grid.find(part.codes[part.starts_N[row_P] + place_P]):
            row, text = row_P[asked], self._grid.text_W[known]
            start = self._grid.place_W[known] - place_P[asked]
            good = np.flatnonzero((start >= 0) & (start + part.lengths_N[row] <= self._lengths_T[text]))
            row, text, start = row[good], text[good], start[good]
            last = self._starts_T[text] + start + part.lengths_N[row] - WORD
            good = self._codes[last] == part.codes[part.starts_N[row] + part.lengths_N[row] - WORD]
            for place, wanted, begin in zip(row[good].tolist(), text[good].tolist(), start[good].tolist(), strict=True):
                first = int(part.starts_N[place])
                if self._texts[wanted].startswith(part.text[first : first + int(part.lengths_N[place])], begin):
                    yield place


class _Part(NamedTuple):
    """Some sequences end to end, the words of 16 letters at all places, and where each of them starts."""

    text: bytes
    codes: NDArray[np.uint32]
    starts_N: NDArray[np.int64]
    lengths_N: NDArray[np.int64]


def _places(counts: NDArray[np.int64], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of some items its number ``counts`` times, and with it the places 0, step, 2 step, …"""
    item_P = np.repeat(np.arange(len(counts)), counts)
    return item_P, step * (np.arange(len(item_P)) - np.repeat(np.cumsum(counts) - counts, counts))


def _rarest(often_P: NDArray[np.int64]) -> int:
    """Where 16 numbers in a row begin whose sum is the smallest; the first of those."""
    sums = np.concatenate([[0], np.cumsum(often_P)])
    return int(np.argmin(sums[WORD:] - sums[:-WORD]))


def _codes(text: bytes) -> NDArray[np.uint32]:
    """The 16-letter word at each place of a text as a number, two bits a letter."""
    codes = _BASE[np.frombuffer(text, dtype=np.uint8)]
    for width in (1, 2, 4, 8):
        codes = (codes[:-width] << np.uint32(2 * width)) | codes[width:]
    return codes
