"""Architectures by name: each preset is a function of a few sizes to one value of BackboneConfig."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nuclex.models.backbone import BackboneConfig, refuse_uneven
from nuclex.models.base import MODELS, Layers, ModelConfig, Size

RinalmoSize = Literal["nano", "micro", "mega", "giga"]

RINALMO_SIZES: dict[str, tuple[int, int]] = {
    "nano": (6, 320),
    "micro": (12, 480),
    "mega": (30, 640),
    "giga": (33, 1280),
}
"""Depth and width of the published sizes; every one has 20 heads."""


@MODELS.register
class RobertaConfig(ModelConfig):
    """RoBERTa (arXiv:1907.11692) as Hugging Face implements it: learned positions, post-norm, GELU, tied head."""

    kind: Literal["roberta"] = "roberta"
    depth: Layers = 12
    width: Size = 768
    heads: Size = 12
    inner: Size = 3072
    max_positions: Size = Field(default=514, ge=3)
    norm_epsilon: float = 1e-12
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    token_types: int = Field(default=2, ge=0, le=1024)
    position_offset: int = Field(default=2, ge=1, le=1024, description="pad id + 1; 2 where <pad> is 1, as in RoBERTa")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_uneven(self.width, self.heads)
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for."""
        return BackboneConfig(
            depth=self.depth,
            width=self.width,
            heads=self.heads,
            inner=self.inner,
            norm="post",
            norm_epsilon=self.norm_epsilon,
            final_norm=False,
            positions="learned",
            max_positions=self.max_positions,
            position_offset=self.position_offset,
            token_types=self.token_types,
            embedding_norm=True,
            activation="gelu",
            tied=True,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            embedding_dropout=self.dropout,
        )


@MODELS.register
class RinalmoConfig(ModelConfig):
    """RiNALMo (arXiv:2403.00043): rotary positions, SwiGLU with learnable beta, its residual after the norm."""

    kind: Literal["rinalmo"] = "rinalmo"
    depth: Layers = 12
    width: Size = 480
    heads: Size = 20
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    token_dropout: float = Field(default=0.12, ge=0, lt=1)
    norm: Literal["pre", "rinalmo"] = "rinalmo"
    positions: Literal["rotary", "learned"] = "rotary"
    """``learned`` is the paper's ablation: a table of absolute positions instead of rotary ones."""
    max_positions: Size = Field(default=1024, ge=3, description="rows of the learned table")
    rotary_base: float = Field(default=10_000.0, gt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_uneven(self.width, self.heads, even=self.positions == "rotary")
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for; the feed-forward is int(2/3 * 4 * width) wide."""
        return BackboneConfig(
            depth=self.depth,
            width=self.width,
            heads=self.heads,
            inner=int(2 / 3 * 4 * self.width),
            norm=self.norm,
            positions=self.positions,
            max_positions=self.max_positions,
            rotary_base=self.rotary_base,
            activation="swiglu-beta",
            attention_bias=False,
            tied=False,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            token_dropout=self.token_dropout,
            initialisation="torch",
        )


def rinalmo(size: RinalmoSize) -> RinalmoConfig:
    """RiNALMo in one of its published sizes: nano 7.5 M, micro 33 M, mega 148 M, giga 651 M parameters.

    >>> rinalmo("giga").depth
    33
    """
    depth, width = RINALMO_SIZES[size]
    return RinalmoConfig(depth=depth, width=width)


def roberta(depth: int, width: int, heads: int, inner: int, *, max_positions: int = 514) -> RobertaConfig:
    """RoBERTa with these sizes, Hugging Face's defaults elsewhere.

    >>> roberta(6, 512, 8, 2048).backbone().norm
    'post'
    """
    return RobertaConfig(depth=depth, width=width, heads=heads, inner=inner, max_positions=max_positions)
