"""Masked language modelling: hide some tokens, predict them from both sides (BERT, arXiv:1810.04805)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nuclex.data.pack import PackedBatch
from nuclex.objectives.base import OBJECTIVES, ObjectiveConfig
from nuclex.objectives.masking import hide
from nuclex.objectives.question import Question
from nuclex.objectives.selection import Pattern, Selection, selected_tokens
from nuclex.tokenizers.base import Tokenizer


@OBJECTIVES.register
class MaskedConfig(ObjectiveConfig):
    """15 % of the tokens, 80/10/10; random tokens are drawn by RiNALMo's rule (A, C, G, T, N only).

    HELM shows ``<mask>`` alone: ``mask = 1``, ``random = 0``.
    """

    kind: Literal["masked"] = "masked"
    pattern: Pattern = Field(default="single", description="which tokens go together: single, double, span or codon")
    span: float = Field(default=3.0, ge=1, le=100, description="mean length of a span, in tokens")
    frame: Literal[0, 1, 2] = Field(default=0, description="codon: nucleotides before the first one")
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
        rule = Selection(self.share, self.pattern, self.span, self.frame)
        selected_T = selected_tokens(batch, rule, seed, epoch)
        return hide(batch, selected_T, (self.mask, self.random), tokenizer, seed, epoch)

    def expected_share(self) -> float:
        """The share of tokens to predict."""
        return self.share
