"""Sequences as symbols laid end to end: letters or codons, "other", and the boundary between two sequences.

Letters are A, C, G and T (or U); "other" are IUPAC codes, N and gaps, and codons that hold one of these.
Upper and lower case are alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError

Integers = NDArray[np.int64]

SYMBOLS = ("A", "C", "G", "T", "other")

_SEPARATOR = b"\n"
_STREAM_SYMBOLS = 1 << 22
_CODES = np.full(256, SYMBOLS.index("other"), dtype=np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODES[list(_letters)] = _code
_CODES[ord(_SEPARATOR)] = len(SYMBOLS)


class Symbols(ABC):
    """What a sequence is a row of; the number of a symbol is its place in ``names``, and the boundary comes last."""

    names: ClassVar[tuple[str, ...]]
    max_order: ClassVar[int]
    """The longest context whose windows can all be counted in memory."""

    @property
    def boundary(self) -> int:
        """The number of what stands between sequences."""
        return len(self.names)

    @property
    def radix(self) -> int:
        """How many numbers there are, the boundary's included."""
        return len(self.names) + 1

    @property
    def meanings(self) -> Integers:
        """What each symbol and the boundary mean, as numbers; two symbols of one number mean the same."""
        return np.arange(self.radix)

    @abstractmethod
    def lay(self, batch: list[bytes], width: int) -> Stream:
        """Sequences end to end; InputError for a line break inside one."""


@dataclass(frozen=True)
class Letters(Symbols):
    """Each letter by itself."""

    names: ClassVar[tuple[str, ...]] = SYMBOLS
    max_order: ClassVar[int] = 8

    def lay(self, batch: list[bytes], width: int) -> Stream:
        """One look-up for all of them."""
        padding = _SEPARATOR * width
        symbols = _CODES[np.frombuffer(padding + padding.join(batch) + padding, dtype=np.uint8)]
        lengths = np.array([len(sequence) for sequence in batch], dtype=np.int64)
        if int((symbols == self.boundary).sum()) != width * (len(batch) + 1):
            raise InputError("baseline: found a line break inside a sequence; a sequence is one line of letters")
        return Stream(symbols, np.cumsum(lengths + width) - lengths, lengths)


@dataclass(frozen=True)
class Codons(Symbols):
    """Triplets from ``frame`` on; what is left behind the last one is passed over. They mean amino acids, or a stop.

    ``code`` is the genetic code, as the NCBI numbers them.
    """

    frame: int = 0
    code: int = 1
    names: ClassVar[tuple[str, ...]] = (*CODONS, "other")
    max_order: ClassVar[int] = 2

    @property
    def meanings(self) -> Integers:
        """The letter of the amino acid (or of the stop); "other" and the boundary mean themselves."""
        letters = GeneticCode.ncbi(self.code).amino_acids
        return np.array([*letters.encode("ascii"), self.boundary - 1, self.boundary], dtype=np.int64)

    def lay(self, batch: list[bytes], width: int) -> Stream:
        """The letters first, then three at a time."""
        letters = Letters().lay(batch, 1)
        lengths = np.maximum(letters.lengths - self.frame, 0) // 3
        starts = np.cumsum(lengths + width) - lengths
        symbols = np.full(int(lengths.sum()) + width * (len(batch) + 1), self.boundary, dtype=np.uint8)
        turn_T = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        first_T = np.repeat(letters.starts + self.frame, lengths) + 3 * turn_T
        codes_T3 = letters.symbols[first_T[:, None] + np.arange(3)].astype(np.int64)
        codons_T = codes_T3 @ np.array([16, 4, 1])
        symbols[np.repeat(starts, lengths) + turn_T] = np.where((codes_T3 < 4).all(1), codons_T, len(CODONS))
        return Stream(symbols, starts, lengths)


LETTERS = Letters()


@dataclass(frozen=True, eq=False)
class Stream:
    """Sequences laid end to end, ``width`` boundary symbols before each and after the last."""

    symbols: NDArray[np.uint8]
    starts: Integers
    lengths: Integers


def streams(sequences: Iterable[bytes], width: int, of: Symbols = LETTERS) -> Iterator[Stream]:
    """Sequences in their order, some millions of letters at a time; InputError for a line break inside one."""
    batch: list[bytes] = []
    letters = 0
    for sequence in sequences:
        batch.append(sequence)
        letters += len(sequence) + width
        if letters >= _STREAM_SYMBOLS:
            yield of.lay(batch, width)
            batch, letters = [], 0
    if batch:
        yield of.lay(batch, width)


def window_codes(symbols_T: NDArray[np.uint8], order: int, radix: int) -> NDArray[np.int32]:
    """The number in base ``radix`` of each symbol with ``order`` before it; the first ``order`` are incomplete."""
    codes_T = symbols_T.astype(np.int32)
    for back in range(1, order + 1):
        codes_T[back:] += symbols_T[:-back] * np.int32(radix**back)
    return codes_T


def window_counts(sequences: Iterable[bytes], width: int, of: Symbols = LETTERS) -> Integers:
    """How often each window of ``width`` + 1 symbols occurs, by its number in base ``radix``, padding included."""
    counts = np.zeros(of.radix ** (width + 1), dtype=np.int64)
    for stream in streams(sequences, width, of):
        for start in range(width, len(stream.symbols), _STREAM_SYMBOLS):
            piece_T = stream.symbols[start - width : start + _STREAM_SYMBOLS]
            counts += np.bincount(window_codes(piece_T, width, of.radix)[width:], minlength=len(counts))
    return counts
