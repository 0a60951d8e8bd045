"""Architectures by name: each preset is a function of a few sizes to one value of BackboneConfig."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nuclex.models.architecture import BASE_INNER, BASE_WIDTH, INITIALIZER_RANGE, BackboneConfig, refuse_uneven
from nuclex.models.base import MODELS, Layers, ModelConfig, Size
from nuclex.models.blocks.hyena import HyenaConfig
from nuclex.models.blocks.state_space import StateSpaceConfig

Share = Field(default=0.0, ge=0, lt=1)


class _Encoder(ModelConfig):
    """What RoBERTa and BERT have in common: learned positions, norms behind each part, GELU, a tied head."""

    depth: Layers = 12
    width: Size = 768
    base_width: int = BASE_WIDTH
    heads: Size = 12
    inner: Size = 3072
    base_inner: int = BASE_INNER
    norm_epsilon: float = Field(default=1e-12, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    token_types: int = Field(default=2, ge=0, le=1024)
    tied: bool = True
    initializer_range: float = INITIALIZER_RANGE
    vocabulary_multiple: int = Field(default=1, ge=1, le=4096)
    head: Literal["dense", "none"] = "dense"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_uneven(self.width, self.heads)
        self.backbone()
        return self

    def _network(self, max_positions: int, offset: int, *, causal: bool = False) -> BackboneConfig:
        return BackboneConfig(
            **{name: getattr(self, name) for name in _Encoder.model_fields if name != "kind"},
            causal=causal,
            norm="post",
            final_norm=False,
            positions="learned",
            max_positions=max_positions,
            position_offset=offset,
            embedding_norm=True,
            activation="gelu",
            embedding_dropout=self.dropout,
        )


@MODELS.register
class RobertaConfig(_Encoder):
    """RoBERTa (arXiv:1907.11692) as Hugging Face implements it: learned positions, post-norm, GELU, tied head."""

    kind: Literal["roberta"] = "roberta"
    max_positions: Size = Field(default=514, ge=3)
    position_offset: int = Field(default=2, ge=1, le=1024, description="pad id + 1; 2 where <pad> is 1, as in RoBERTa")

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for."""
        return self._network(self.max_positions, self.position_offset)


@MODELS.register
class BertConfig(_Encoder):
    """BERT (arXiv:1810.04805) as Hugging Face implements it: RoBERTa's network whose positions begin at row 0.

    ``causal`` makes it look back only, as HELM trains it on next codons (arXiv:2410.12459).
    """

    kind: Literal["bert"] = "bert"
    max_positions: Size = Field(default=512, ge=1)
    causal: bool = False

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for."""
        return self._network(self.max_positions, 0, causal=self.causal)


@MODELS.register
class RinalmoConfig(ModelConfig):
    """RiNALMo (arXiv:2403.00043): rotary positions, SwiGLU with learnable beta, its residual after the norm."""

    kind: Literal["rinalmo"] = "rinalmo"
    depth: Layers = 12
    width: Size = 480
    base_width: int = BASE_WIDTH
    heads: Size = 20
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    token_dropout: float = Field(default=0.12, ge=0, lt=1)
    norm: Literal["pre", "rinalmo"] = "rinalmo"
    positions: Literal["rotary", "learned"] = "rotary"
    """``learned`` is the paper's ablation: a table of absolute positions instead of rotary ones."""
    max_positions: Size = Field(default=1024, ge=3, description="rows of the learned table")
    rotary_base: float = Field(default=10_000.0, gt=1)
    activation: Literal["swiglu-beta", "gelu"] = "swiglu-beta"
    """``gelu`` is the paper's other ablation: two matrices instead of three, and 4 * width between them."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_uneven(self.width, self.heads, even=self.positions == "rotary")
        self.backbone()
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for; the feed-forward is int(2/3 * 4 * width) wide."""
        return BackboneConfig(
            depth=self.depth,
            width=self.width,
            heads=self.heads,
            inner=self._inner(self.width),
            base_width=self.base_width,
            base_inner=self._inner(self.base_width),
            norm=self.norm,
            positions=self.positions,
            max_positions=self.max_positions,
            rotary_base=self.rotary_base,
            activation=self.activation,
            attention_bias=False,
            tied=False,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            token_dropout=self.token_dropout,
            initialisation="torch",
        )

    def _inner(self, width: int) -> int:
        return int(2 / 3 * 4 * width) if self.activation == "swiglu-beta" else 4 * width


@MODELS.register
class Gpt2Config(ModelConfig):
    """GPT-2 (Radford et al. 2019) as Hugging Face implements it: causal, norms before each part, one matrix as head."""

    kind: Literal["gpt2"] = "gpt2"
    depth: Layers = 12
    width: Size = 768
    base_width: int = BASE_WIDTH
    heads: Size = 12
    inner: Size = 3072
    base_inner: int = BASE_INNER
    positions: Literal["learned", "rotary", "relative", "none"] = "learned"
    max_positions: Size = Field(default=1024, ge=1)
    position_use: Literal["add", "concatenate"] = "add"
    position_width: int = Field(default=0, ge=0, le=1 << 20)
    norm_epsilon: float = Field(default=1e-5, gt=0)
    causal: bool = True
    tied: bool = True
    initializer_range: float = INITIALIZER_RANGE
    vocabulary_multiple: int = Field(default=1, ge=1, le=4096)
    dropout: float = Share
    attention_dropout: float = Share

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.backbone()
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for."""
        return BackboneConfig(
            **{name: getattr(self, name) for name in Gpt2Config.model_fields if name != "kind"},
            activation="gelu-tanh",
            head="linear",
            embedding_dropout=self.dropout,
            initialisation="gpt2",
        )


@MODELS.register
class MambaConfig(ModelConfig):
    """Mamba (arXiv:2312.00752) and Mamba-2 (arXiv:2405.21060), with or without feed-forward; hybrids with attention.

    ``causal = false`` makes it bidirectional: every layer reads the sequence forwards and backwards.
    """

    kind: Literal["mamba"] = "mamba"
    version: Literal[1, 2] = 1
    depth: Layers = 24
    width: Size = 768
    base_width: int = BASE_WIDTH
    inner: int = Field(default=0, ge=0, le=1 << 20, description="width of the gated feed-forward; 0 = none")
    base_inner: int = BASE_INNER
    state_space: StateSpaceConfig = StateSpaceConfig()
    attention_every: int = Field(default=0, ge=0, le=1024)
    heads: Size = Field(default=8, description="of those layers that are attention")
    causal: bool = True
    embedding_gate: bool = False
    norm_epsilon: float = Field(default=1e-5, gt=0)
    tied: bool = True
    initializer_range: float = INITIALIZER_RANGE
    vocabulary_multiple: int = Field(default=1, ge=1, le=4096)
    dropout: float = Share

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.backbone()
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for; attention, where there is some, has rotary positions and no biases."""
        own = {name: getattr(self, name) for name in MambaConfig.model_fields if name not in ("kind", "version")}
        return BackboneConfig(
            **own,
            mixer="mamba" if self.version == 1 else "mamba2",
            positions="rotary" if self.attention_every else "none",
            norm_kind="rms",
            activation="swiglu",
            attention_bias=False,
            feedforward_bias=False,
            head="linear",
            initialisation="gpt2",
        )


@MODELS.register
class HyenaModelConfig(ModelConfig):
    """Hyena (arXiv:2302.10866): long convolutions with implicit filters, norms before each part, GELU feed-forward."""

    kind: Literal["hyena"] = "hyena"
    depth: Layers = 7
    width: Size = 768
    base_width: int = BASE_WIDTH
    inner: Size = 3072
    base_inner: int = BASE_INNER
    hyena: HyenaConfig = HyenaConfig()
    attention_every: int = Field(default=0, ge=0, le=1024)
    heads: Size = Field(default=8, description="of those layers that are attention")
    causal: bool = True
    norm_epsilon: float = Field(default=1e-5, gt=0)
    tied: bool = True
    initializer_range: float = INITIALIZER_RANGE
    vocabulary_multiple: int = Field(default=1, ge=1, le=4096)
    dropout: float = Share

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.backbone()
        return self

    def backbone(self) -> BackboneConfig:
        """The network these sizes stand for; attention, where there is some, has rotary positions."""
        return BackboneConfig(
            **{name: getattr(self, name) for name in HyenaModelConfig.model_fields if name != "kind"},
            mixer="hyena",
            positions="rotary" if self.attention_every else "none",
            activation="gelu-tanh",
            head="linear",
            embedding_dropout=self.dropout,
            initialisation="gpt2",
        )


def roberta(depth: int, width: int, heads: int, inner: int, *, max_positions: int = 514) -> RobertaConfig:
    """RoBERTa with these sizes, Hugging Face's defaults elsewhere.

    >>> roberta(6, 512, 8, 2048).backbone().norm
    'post'
    """
    return RobertaConfig(depth=depth, width=width, heads=heads, inner=inner, max_positions=max_positions)
