"""Pieces of sequences laid end to end: the packed batch, the only form in which a model sees data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.data.sample import Pieces
from nuclex.data.tokens import TokenTable
from nuclex.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class PackedBatch:
    """T token ids of N pieces without padding, and what keys the random draws of each token.

    ``row_T`` is the corpus row of a token's sequence, ``position_T`` its place in the whole sequence (0-based;
    meaningless where ``special_T``, the mark of ``<cls>`` and ``<eos>``).
    """

    tokens_T: NDArray[np.int64]
    lengths_N: NDArray[np.int64]
    row_T: NDArray[np.int64]
    position_T: NDArray[np.int64]
    special_T: NDArray[np.bool_]


def pack(table: TokenTable, pieces: Pieces, tokenizer: Tokenizer) -> PackedBatch:
    """Lay ``pieces`` end to end, ``<cls>`` and ``<eos>`` where they touch the true ends."""
    lengths_N = pieces.lengths_P
    total, stops = int(lengths_N.sum()), np.cumsum(lengths_N)
    starts = stops - lengths_N
    special_T = np.zeros(total, dtype=bool)
    special_T[starts[pieces.starts_P]] = True
    special_T[stops[pieces.ends_P] - 1] = True
    piece_T = np.repeat(np.arange(len(pieces)), lengths_N)
    position_T = np.arange(total) - (starts + pieces.starts_P - pieces.first_P)[piece_T]
    tokens_T = np.empty(total, dtype=np.int64)
    inside_T = ~special_T
    tokens_T[inside_T] = table.ids[(table.offsets[pieces.index_P][piece_T] + position_T)[inside_T]]
    tokens_T[starts[pieces.starts_P]] = tokenizer.cls_id
    tokens_T[stops[pieces.ends_P] - 1] = tokenizer.eos_id
    return PackedBatch(tokens_T, lengths_N, table.rows_N[pieces.index_P][piece_T], position_T, special_T)
