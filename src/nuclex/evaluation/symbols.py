"""Sequences as symbols laid end to end: A, C, G, T (or U), "other", and the boundary between two sequences.

"Other" are IUPAC codes, N and gaps; upper and lower case are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError

Integers = NDArray[np.int64]

SYMBOLS = ("A", "C", "G", "T", "other")
BOUNDARY = len(SYMBOLS)
RADIX = BOUNDARY + 1

_SEPARATOR = b"\n"
_STREAM_SYMBOLS = 1 << 22
_CODES = np.full(256, SYMBOLS.index("other"), dtype=np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODES[list(_letters)] = _code
_CODES[ord(_SEPARATOR)] = BOUNDARY


@dataclass(frozen=True, eq=False)
class Stream:
    """Sequences laid end to end, ``width`` boundary symbols before each and after the last."""

    symbols: NDArray[np.uint8]
    starts: Integers
    lengths: Integers


def streams(sequences: Iterable[bytes], width: int) -> Iterator[Stream]:
    """Sequences in their order, some millions of symbols at a time; InputError for a line break inside one."""
    batch: list[bytes] = []
    symbols = 0
    for sequence in sequences:
        batch.append(sequence)
        symbols += len(sequence) + width
        if symbols >= _STREAM_SYMBOLS:
            yield _stream(batch, width)
            batch, symbols = [], 0
    if batch:
        yield _stream(batch, width)


def _stream(batch: list[bytes], width: int) -> Stream:
    padding = _SEPARATOR * width
    symbols = _CODES[np.frombuffer(padding + padding.join(batch) + padding, dtype=np.uint8)]
    lengths = np.array([len(sequence) for sequence in batch], dtype=np.int64)
    if int((symbols == BOUNDARY).sum()) != width * (len(batch) + 1):
        raise InputError("baseline: found a line break inside a sequence; a sequence is one line of letters")
    return Stream(symbols, np.cumsum(lengths + width) - lengths, lengths)


def window_codes(symbols_T: NDArray[np.uint8], order: int) -> NDArray[np.int32]:
    """The number in base 6 of each symbol with the ``order`` before it; the first ``order`` entries are incomplete."""
    codes_T = symbols_T.astype(np.int32)
    for back in range(1, order + 1):
        codes_T[back:] += symbols_T[:-back] * np.int32(RADIX**back)
    return codes_T


def window_counts(sequences: Iterable[bytes], width: int) -> Integers:
    """How often each window of ``width`` + 1 symbols occurs, by its number in base 6, padding included."""
    counts = np.zeros(RADIX ** (width + 1), dtype=np.int64)
    for stream in streams(sequences, width):
        for start in range(width, len(stream.symbols), _STREAM_SYMBOLS):
            piece_T = stream.symbols[start - width : start + _STREAM_SYMBOLS]
            counts += np.bincount(window_codes(piece_T, width)[width:], minlength=len(counts))
    return counts
