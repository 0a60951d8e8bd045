"""The sequences of one split as token ids, end to end in one flat array: random access costs one slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.tokenizers.base import Tokenizer

_BLOCK = 1024
"""Sequences that are encoded at a time."""


@dataclass(frozen=True)
class TokenTable:
    """Token ids of N sequences without special tokens; sequence i is ``ids[offsets[i]:offsets[i + 1]]``.

    ``rows_N`` are the sequences' rows in the corpus (they key every random draw), ``clusters_N`` their clusters.
    """

    ids: NDArray[np.unsignedinteger]
    offsets: NDArray[np.int64]
    rows_N: NDArray[np.int64]
    clusters_N: NDArray[np.int64]

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Tokens in each sequence, special tokens not counted."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.rows_N)


def tokenize(
    sequences: Iterable[bytes | str],
    tokenizer: Tokenizer,
    rows_N: Sequence[int] | NDArray[np.int64] | None = None,
    clusters_N: Sequence[int] | NDArray[np.int64] | None = None,
    name_of: Callable[[int], str] | None = None,
) -> TokenTable:
    """Encode sequences into a table; rows default to 0, 1, 2, …, clusters to one a sequence.

    InputError for a sequence that the tokenizer refuses; ``name_of`` its index says where that sequence stands.
    """
    kind = np.min_scalar_type(len(tokenizer))
    pieces: list[NDArray[np.integer]] = [np.zeros(0, dtype=kind)]
    lengths: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
    waiting, first = iter(sequences), 0
    while block := list(islice(waiting, _BLOCK)):
        ids, counts = tokenizer.encode_many(block) or _one_by_one(block, tokenizer, first, name_of)
        pieces.append(ids.astype(kind, copy=False))
        lengths.append(counts)
        first += len(block)
    offsets = np.cumsum(np.concatenate(lengths))
    rows = np.arange(first, dtype=np.int64) if rows_N is None else np.asarray(rows_N, dtype=np.int64)
    clusters = rows if clusters_N is None else np.asarray(clusters_N, dtype=np.int64)
    return TokenTable(np.concatenate(pieces), offsets, rows, clusters)


def _one_by_one(
    sequences: Sequence[bytes | str], tokenizer: Tokenizer, first: int, name_of: Callable[[int], str] | None
) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """The ids of each sequence; InputError says which one the tokenizer refuses."""
    pieces = []
    for index, sequence in enumerate(sequences, start=first):
        try:
            pieces.append(tokenizer.encode(sequence, start=False, end=False))
        except InputError as error:
            where = f"sequence {index}" if name_of is None else name_of(index)
            raise InputError(f"{where}: {str(error).removeprefix('sequence: ')}") from None
    return np.concatenate(pieces), np.array([len(piece) for piece in pieces], dtype=np.int64)
