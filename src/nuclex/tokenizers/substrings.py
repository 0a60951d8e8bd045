"""Which words stand in a text, and how often: the candidates that unigram tokenization begins with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BREAK = 0
LONGEST = 31


def frequent_words(text_T: NDArray[np.uint8], longest: int, wanted: int) -> list[bytes]:
    """The words of 2 to ``longest`` letters (codes from 1) that cover most of a text, by count times length.

    At most ``wanted`` of them, each found twice at least, the one that covers most first; of equals the shorter, then
    the alphabetically first. No word goes over a break (code 0).
    """
    if not wanted:
        return []
    places = np.flatnonzero(text_T != BREAK)
    ranks = text_T.take(places).astype(np.int64)  # of the words that begin at the places, among those of their length
    covers: list[NDArray[np.int64]] = []
    words: list[NDArray[np.int64]] = []  # where each stands first, and its length
    least = 0
    text_T = np.append(text_T, np.uint8(BREAK))
    for length in range(2, longest + 1):
        letters = text_T.take(places + (length - 1))
        inside = letters != BREAK
        places, ranks, letters = places.compress(inside), ranks.compress(inside), letters.compress(inside)
        numbers = (ranks << 8) | letters
        _, first, ranks, counts = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True)
        cover = counts * length
        good = (counts > 1) & (cover >= least)
        covers.append(cover.compress(good))
        words.append(np.stack([places.take(first.compress(good)), np.full(len(covers[-1]), length)], axis=1))
        everything = np.concatenate(covers)
        if len(everything) > wanted:
            least = int(np.partition(everything, len(everything) - wanted)[len(everything) - wanted])
        # a longer word stands no more often than the one it begins with
        alive = ((counts > 1) & (counts * longest >= least)).take(ranks)
        places, ranks = places.compress(alive), ranks.compress(alive)
        if not len(places):
            break
    cover, words_W2 = np.concatenate(covers), np.concatenate(words)
    order = np.lexsort((np.arange(len(cover)), words_W2[:, 1], -cover))[:wanted]  # as found is alphabetical
    return [text_T[place : place + length].tobytes() for place, length in words_W2[order].tolist()]
