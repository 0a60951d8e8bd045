"""How many letters must be changed, added or left out to turn one sequence into another (Levenshtein's distance).

Computed for all letters of a column at once, as bits of whole numbers of any length (Myers 1999,
doi:10.1145/316542.316550, in the form of Hyyrö 2003).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.core.randomness import integers, key


def edit_distance(first: bytes, second: bytes) -> int:
    """The fewest single letters to change, add or leave out.

    >>> edit_distance(b"GATTACA", b"GATACCA"), edit_distance(b"", b"ACG")
    (2, 3)
    """
    if not first or not second:
        return max(len(first), len(second))
    places = defaultdict[int, int](int)
    for place, letter in enumerate(first):
        places[letter] |= 1 << place
    everywhere, last, found = (1 << len(first)) - 1, 1 << (len(first) - 1), len(first)
    up, down = everywhere, 0  # where the column rises and falls by 1 from one letter to the next
    for equal in map(places.__getitem__, second):
        straight = (((equal & up) + up) ^ up) | equal | down
        grows, shrinks = down | ((straight | up) ^ everywhere) & everywhere, up & straight
        found += bool(grows & last) - bool(shrinks & last)
        grows, equal = (grows << 1) | 1, equal | down
        up, down = ((shrinks << 1) | ((equal | grows) ^ everywhere)) & everywhere, grows & equal
    return found


def difference(first: bytes, second: bytes) -> float:
    """The edit distance over the longer length, 0 (equal) to 1 (nothing in common); 1 minus it is the identity.

    >>> difference(b"ACGT", b"ACGA")
    0.25
    """
    return edit_distance(first, second) / max(len(first), len(second), 1)


def diversity(sequences: Sequence[bytes], most: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """The ``difference`` of each pair of two different ones of N sequences (their mean is what is called diversity).

    All pairs where there are at most ``most``, else so many drawn with replacement. A sequence is never compared with
    itself; that would make what is small smaller. InputError for fewer than two sequences.
    """
    count = len(sequences)
    if count < 2:
        raise InputError(f"diversity: found {count} sequences; it is a mean over pairs of them")
    first_P, second_P = np.triu_indices(count, 1)
    if len(first_P) > most:
        stream, draws = key(seed, "diversity"), np.arange(most)
        first_P = integers(stream, count, draws, 0)
        second_P = (first_P + 1 + integers(stream, count - 1, draws, 1)) % count
    pairs = zip(first_P.tolist(), second_P.tolist(), strict=True)
    return np.array([difference(sequences[i], sequences[j]) for i, j in pairs])
