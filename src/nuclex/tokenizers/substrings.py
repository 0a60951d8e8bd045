"""Which words stand in a text, and how often: the candidates that unigram tokenization begins with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BREAK = 0
BITS = 2
LONGEST = 64 // BITS - 1


def frequent_words(text_T: NDArray[np.uint8], longest: int, wanted: int) -> list[bytes]:
    """The words of 2 to ``longest`` letters (codes 1 to 4) that cover most of a text, by count times length.

    At most ``wanted`` of them, each found twice at least, the one that covers most first; of equals the shorter, then
    the alphabetically first. No word goes over a break (code 0).
    """
    if not wanted:
        return []
    places = np.flatnonzero(text_T != BREAK)
    numbers = (text_T.take(places) - 1).astype(np.uint64)
    scores: list[NDArray[np.int64]] = []
    words: list[tuple[int, NDArray[np.uint64]]] = []
    least = 0
    text_T = np.append(text_T, np.uint8(BREAK))
    for length in range(2, longest + 1):
        letters = text_T.take(places + (length - 1))
        inside = letters != BREAK
        places, numbers, letters = places.compress(inside), numbers.compress(inside), letters.compress(inside)
        numbers = (numbers << np.uint64(BITS)) | (letters - 1).astype(np.uint64)
        found, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        covers = counts * length
        good = (counts > 1) & (covers >= least)
        scores.append(covers.compress(good))
        words.append((length, found.compress(good)))
        everything = np.concatenate(scores)
        if len(everything) > wanted:
            least = int(np.partition(everything, len(everything) - wanted)[len(everything) - wanted])
        # a longer word stands no more often than the one it begins with
        alive = ((counts > 1) & (counts * longest >= least)).take(which)
        places, numbers = places.compress(alive), numbers.compress(alive)
        if not len(places):
            break
    covers = np.concatenate(scores)
    lengths = np.concatenate([np.full(len(found), length) for length, found in words])
    found = np.concatenate([found for _, found in words])
    order = np.lexsort((found, lengths, -covers))[:wanted]
    return [_letters(int(found[place]), int(lengths[place])) for place in order]


def _letters(number: int, length: int) -> bytes:
    return bytes(1 + (number >> BITS * (length - 1 - place) & 3) for place in range(length))
