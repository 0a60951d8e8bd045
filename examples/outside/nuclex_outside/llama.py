"""The arrangement of LLaMA (arXiv:2302.13971), reading one way or both: RMS norms, SwiGLU, rotary positions."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nuclex.models import BackboneConfig, ModelConfig


class LlamaConfig(ModelConfig):
    """LLaMA's blocks at any size; ``causal = false`` makes an encoder of them.

    >>> LlamaConfig(depth=2, width=48, heads=4).backbone().inner
    128
    """

    kind: Literal["llama"] = "llama"
    depth: int = Field(default=6, ge=1, le=1024)
    width: int = Field(default=256, ge=1, le=1 << 20)
    heads: int = Field(default=8, ge=1, le=1 << 20)
    causal: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.backbone()  # says what is wrong with the sizes before anything is built
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for; the gated feed-forward is int(2/3 * 4 * width) wide."""
        return BackboneConfig(
            depth=self.depth,
            width=self.width,
            heads=self.heads,
            inner=int(2 / 3 * 4 * self.width),
            norm="pre",
            norm_kind="rms",
            activation="swiglu",
            positions="rotary",
            attention_bias=False,
            feedforward_bias=False,
            head="linear",
            tied=False,
            causal=self.causal,
            dropout=self.dropout,
        )
