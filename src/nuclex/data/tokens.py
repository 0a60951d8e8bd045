"""The sequences of one split as token ids, end to end in one flat array: random access costs one slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.tokenizers.base import Tokenizer


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
    pieces = []
    for index, sequence in enumerate(sequences):
        try:
            pieces.append(tokenizer.encode(sequence, start=False, end=False).astype(kind))
        except InputError as error:
            where = f"sequence {index}" if name_of is None else name_of(index)
            raise InputError(f"{where}: {str(error).removeprefix('sequence: ')}") from None
    offsets = np.zeros(len(pieces) + 1, dtype=np.int64)
    np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
    rows = np.arange(len(pieces), dtype=np.int64) if rows_N is None else np.asarray(rows_N, dtype=np.int64)
    clusters = rows if clusters_N is None else np.asarray(clusters_N, dtype=np.int64)
    ids = np.concatenate(pieces) if pieces else np.zeros(0, dtype=kind)
    return TokenTable(ids, offsets, rows, clusters)
