"""Pieces of sequences laid end to end: the packed batch, the only form in which a model sees data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nuclex.data.sample import Pieces
from nuclex.data.tokens import TokenTable
from nuclex.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class PackedBatch:
    """T token ids of N pieces without padding, and what keys the random draws of each token.

    ``rows_N`` are the corpus rows of the pieces' sequences, ``position_T`` is a token's place in its whole sequence
    (0-based; meaningless at ``special_M``, the places of ``<cls>`` and ``<eos>``).
    """

    tokens_T: NDArray[np.int64]
    lengths_N: NDArray[np.int64]
    rows_N: NDArray[np.int64]
    position_T: NDArray[np.int64]
    special_M: NDArray[np.int64]

    @cached_property
    def row_T(self) -> NDArray[np.int64]:
        """The corpus row of each token's sequence."""
        return np.repeat(self.rows_N, self.lengths_N)

    @cached_property
    def special_T(self) -> NDArray[np.bool_]:
        """Whether a token is ``<cls>`` or ``<eos>``."""
        special_T = np.zeros(len(self.tokens_T), dtype=bool)
        special_T[self.special_M] = True
        return special_T


def pack(table: TokenTable, pieces: Pieces, tokenizer: Tokenizer) -> PackedBatch:
    """Lay ``pieces`` end to end, ``<cls>`` and ``<eos>`` where they touch the true ends."""
    lengths_N = pieces.lengths_P
    stops_N = np.cumsum(lengths_N)
    starts_N = stops_N - lengths_N
    place_T = np.arange(int(stops_N[-1]) if len(stops_N) else 0)
    before_N = starts_N + pieces.starts_P - pieces.first_P  # where the sequence's own token 0 would lie
    position_T = place_T - np.repeat(before_N, lengths_N)
    place_T += np.repeat(table.offsets[pieces.index_P] - before_N, lengths_N)
    ids = table.ids if len(table.ids) else np.zeros(1, dtype=table.ids.dtype)
    tokens_T = ids.take(place_T, mode="clip").astype(np.int64)  # special tokens may lie outside, and come next
    first_N, last_N = starts_N[pieces.starts_P], stops_N[pieces.ends_P] - 1
    tokens_T[first_N] = tokenizer.cls_id
    tokens_T[last_N] = tokenizer.eos_id
    return PackedBatch(tokens_T, lengths_N, table.rows_N[pieces.index_P], position_T, np.concatenate([first_N, last_N]))
