"""Which tokens are hidden and what stands in their place, for training at random and for scoring every position once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.core.config import Config
from nuclex.core.randomness import bits, integers, key, uniform
from nuclex.data.pack import PackedBatch
from nuclex.tokenizers.base import Tokenizer


class MaskingConfig(Config):
    """BERT's masked language modelling (arXiv:1810.04805) with RiNALMo's rule for random tokens."""

    kind: Literal["masked"] = "masked"
    share: float = Field(default=0.15, gt=0, lt=1, description="share of tokens to predict; special tokens never")
    mask: float = Field(default=0.8, ge=0, le=1, description="share of those that become <mask>")
    random: float = Field(default=0.1, ge=0, le=1, description="share of those that become a random token")

    @model_validator(mode="after")
    def _sums(self) -> Self:
        if self.mask + self.random > 1:
            raise ValueError(f"mask {self.mask} and random {self.random} are more than 1 together")
        return self


@dataclass(frozen=True)
class Masked:
    """What the model reads (T,), where it is asked (M,), and the true tokens there (M,)."""

    inputs_T: NDArray[np.int64]
    selected_M: NDArray[np.int64]
    targets_M: NDArray[np.int64]


def mask_tokens(batch: PackedBatch, config: MaskingConfig, tokenizer: Tokenizer, seed: int, epoch: int) -> Masked:
    """Hide tokens for training; each token's fate depends on (seed, epoch, sequence, position) and nothing else."""
    where = (batch.row_T, batch.position_T)
    selected_T = (uniform(key(seed, epoch, "select"), *where) < config.share) & ~batch.special_T
    selected_M = np.flatnonzero(selected_T)
    where = (batch.row_T[selected_M], batch.position_T[selected_M])
    fate_M = uniform(key(seed, epoch, "fate"), *where)
    choice_M = integers(key(seed, epoch, "replace"), len(tokenizer.random_ids), *where)
    targets_M = batch.tokens_T[selected_M]
    shown_M = np.where(fate_M < config.mask + config.random, tokenizer.random_ids[choice_M], targets_M)
    shown_M = np.where(fate_M < config.mask, tokenizer.mask_id, shown_M)
    inputs_T = batch.tokens_T.copy()
    inputs_T[selected_M] = shown_M
    return Masked(inputs_T, selected_M, targets_M)


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


def mask_fold(batch: PackedBatch, fold_T: NDArray[np.int64], fold: int, mask_id: int) -> Masked:
    """Hide exactly the tokens of one turn, all behind ``<mask>``."""
    selected_M = np.flatnonzero(fold_T == fold)
    inputs_T = batch.tokens_T.copy()
    inputs_T[selected_M] = mask_id
    return Masked(inputs_T, selected_M, batch.tokens_T[selected_M])
