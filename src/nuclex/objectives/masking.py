"""Which tokens are hidden and what stands in their place: at random for training, each once for scoring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nuclex.core.randomness import bits, integers, key, uniform
from nuclex.data.pack import PackedBatch
from nuclex.objectives.question import Question
from nuclex.objectives.selection import Selection, selected_tokens
from nuclex.tokenizers.base import Tokenizer


def mask_tokens(
    batch: PackedBatch, shares: tuple[float, float, float], tokenizer: Tokenizer, seed: int, epoch: int
) -> Question:
    """Hide tokens for training, each by itself; see ``hide`` and ``selected_tokens``.

    ``shares`` are: of all tokens, those to predict; of these, those shown as ``<mask>`` and those shown as a random
    token.
    """
    share, *fates = shares
    selected_T = selected_tokens(batch, Selection(share), seed, epoch)
    return hide(batch, selected_T, (fates[0], fates[1]), tokenizer, seed, epoch)


def hide(
    batch: PackedBatch,
    selected_T: NDArray[np.bool_],
    fates: tuple[float, float],
    tokenizer: Tokenizer,
    seed: int,
    epoch: int,
) -> Question:
    """Hide the selected tokens; each one's fate depends on (seed, epoch, sequence, position) and nothing else.

    ``fates`` are the shares shown as ``<mask>`` and as a random token of ``tokenizer.random_ids``; the rest is shown
    as it is.
    """
    mask, random = fates
    selected_M = np.flatnonzero(selected_T)
    where = (batch.row_T[selected_M], batch.position_T[selected_M])
    fate_M = uniform(key(seed, epoch, "fate"), *where)
    choice_M = integers(key(seed, epoch, "replace"), len(tokenizer.random_ids), *where)
    targets_M = batch.tokens_T[selected_M]
    shown_M = np.where(fate_M < mask + random, tokenizer.random_ids[choice_M], targets_M)
    shown_M = np.where(fate_M < mask, tokenizer.mask_id, shown_M)
    inputs_T = batch.tokens_T.copy()
    inputs_T[selected_M] = shown_M
    return Question(inputs_T, selected_M, targets_M)


def folds_of(batch: PackedBatch, folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Deal every token of each sequence to one of ``folds`` turns, evenly and at random; special tokens get -1.

    Masking one turn after the other scores every position exactly once, with 1/folds of the sequence hidden.
    """
    piece_T = np.repeat(np.arange(len(batch.lengths_N)), batch.lengths_N)
    inside = np.flatnonzero(~batch.special_T)
    draw = bits(key(seed, "fold"), batch.row_T[inside], batch.position_T[inside])
    order = inside[np.lexsort((draw, piece_T[inside]))]
    counts = np.bincount(piece_T[inside], minlength=len(batch.lengths_N))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    fold_T = np.full(len(batch.tokens_T), -1, dtype=np.int64)
    fold_T[order] = rank % folds
    return fold_T


def mask_fold(batch: PackedBatch, fold_T: NDArray[np.int64], fold: int, mask_id: int) -> Question:
    """Hide exactly the tokens of one turn, all behind ``<mask>``."""
    selected_M = np.flatnonzero(fold_T == fold)
    inputs_T = batch.tokens_T.copy()
    inputs_T[selected_M] = mask_id
    return Question(inputs_T, selected_M, batch.tokens_T[selected_M])
