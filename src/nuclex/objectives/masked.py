"""Masked language modelling: hide some tokens, predict them from both sides (BERT, arXiv:1810.04805)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nuclex.data.pack import PackedBatch
from nuclex.objectives.base import OBJECTIVES, ObjectiveConfig
from nuclex.objectives.masking import mask_tokens
from nuclex.objectives.question import Question
from nuclex.tokenizers.base import Tokenizer


@OBJECTIVES.register
class MaskedConfig(ObjectiveConfig):
    """15 % of the tokens, 80/10/10; random tokens are drawn by RiNALMo's rule (A, C, G, T, N only)."""

    kind: Literal["masked"] = "masked"
    share: float = Field(default=0.15, gt=0, lt=1, description="share of tokens to predict; special tokens never")
    mask: float = Field(default=0.8, ge=0, le=1, description="share of those that become <mask>")
    random: float = Field(default=0.1, ge=0, le=1, description="share of those that become a random token")

    @model_validator(mode="after")
    def _sums(self) -> Self:
        if self.mask + self.random > 1:
            raise ValueError(f"mask {self.mask} and random {self.random} are more than 1 together")
        return self

    @property
    def causal(self) -> bool:
        """False: the model sees both sides of what is hidden."""
        return False

    def ask(self, batch: PackedBatch, tokenizer: Tokenizer, seed: int, epoch: int) -> Question:
        """Hide tokens of the batch."""
        return mask_tokens(batch, (self.share, self.mask, self.random), tokenizer, seed, epoch)

    def expected_share(self) -> float:
        """The share of tokens to predict."""
        return self.share
