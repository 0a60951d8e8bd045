"""Which sequences share a stretch of letters with one of some given sequences, on either strand.

A sequence that was cut lies whole in no piece of it, but its parts do: so pieces are judged by every stretch of a
given length. Stretches are told apart by 64-bit hashes of their letters, so none that is shared is ever missed, and
low complexity costs no more than other text. Two different stretches may have one hash by chance (with 10^9 letters
against 10^7 the chance of one such meeting is below 1 in 1000), which costs a piece that could have stayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.data import store
from nuclex.data.store import letters, runs

_TABLE_BITS = 22
_BASE = 0x9E3779B97F4A7C15  # odd: the golden ratio's bits, as in SplitMix64
_LETTER = np.random.Generator(np.random.PCG64(0)).integers(1 << 63, size=256, dtype=np.uint64)


class Stretches:
    """All stretches of ``length`` letters of the given sequences, both strands: 16 bytes of memory for each letter."""

    def __init__(self, sequences: Sequence[bytes], length: int) -> None:
        self.length = length
        found = [np.unique(stretch_hashes(text, length)) for text in _joined(sequences, length)]
        self._hashes = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.uint64)
        self._present = np.zeros(1 << _TABLE_BITS, dtype=bool)  # says at once what is not among them
        self._present[self._hashes >> np.uint64(64 - _TABLE_BITS)] = True

    def shared(self, column: pa.Array) -> NDArray[np.bool_]:
        """Whether each of N sequences (upper case) holds one of the stretches, whatever else it holds."""
        data, offsets = letters(column)
        offsets_N1, shared_N = np.asarray(offsets), np.zeros(len(column), dtype=bool)
        for first, last in runs(offsets_N1) if len(self._hashes) else ():
            text = to_dna(bytes(data[offsets[first] : offsets[last]]))
            places = self._places(text)
            ends_N = offsets_N1[first + 1 : last + 1] - offsets_N1[first]
            rows = np.searchsorted(ends_N, places, side="right")
            shared_N[first + rows[places + self.length <= ends_N[rows]]] = True
        return shared_N

    def _places(self, text: bytes) -> NDArray[np.int64]:
        """Where in a text the stretches begin."""
        hashes = stretch_hashes(text, self.length)
        places = np.flatnonzero(self._present[hashes >> np.uint64(64 - _TABLE_BITS)])
        near = np.searchsorted(self._hashes, hashes[places]).clip(max=len(self._hashes) - 1)
        return places[self._hashes[near] == hashes[places]]


def stretch_hashes(text: bytes, length: int) -> NDArray[np.uint64]:
    """A hash of the ``length`` letters from each place of a text on, a polynomial in its letters modulo 2^64.

    It is put together from hashes of 1, 2, 4, … letters; a text shorter than ``length`` has none.
    """
    if len(text) < length:
        return np.zeros(0, dtype=np.uint64)
    part, width, total, done = _LETTER[np.frombuffer(text, dtype=np.uint8)], 1, np.zeros(1, dtype=np.uint64), 0
    while True:
        power = np.uint64(pow(_BASE, width, 1 << 64))
        if length & width:
            last = part[done : done + len(text) - length + 1]
            total, done = total * power + last, done + width
        if 2 * width > length:
            return total
        part, width = part[:-width] * power + part[width:], 2 * width


def _joined(sequences: Sequence[bytes], length: int) -> Iterator[bytes]:
    """The sequences and their reverse complements, many in one text; a line's end, which is no letter, parts them."""
    held: list[bytes] = []
    size = 0
    for sequence in map(to_dna, sequences):
        if len(sequence) < length:
            continue
        held += [sequence, DNA_IUPAC.reverse_complement(sequence)]
        size += 2 * len(sequence)
        if size >= store.LETTERS_AT_ONCE:
            yield b"\n".join(held)
            held, size = [], 0
    if held:
        yield b"\n".join(held)
