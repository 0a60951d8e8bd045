"""The one network behind every architecture: embedding, blocks, language head; a value of BackboneConfig each.

RoBERTa, RiNALMo and their relatives differ in where the norms stand, how positions enter, which feed-forward they
use and which biases they have; each difference is a named key. Inputs are packed (``Layout``), never padded.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.base import MODELS, Layers, ModelConfig, Size
from nuclex.models.blocks.attention import Attention
from nuclex.models.blocks.feedforward import FeedForward, SwiGLU
from nuclex.models.blocks.rotary import rotation
from nuclex.models.layout import Layout


@MODELS.register
class BackboneConfig(ModelConfig):
    """Every choice that makes one architecture different from another."""

    kind: Literal["backbone"] = "backbone"
    depth: Layers
    width: Size
    heads: Size
    inner: Size = Field(description="feed-forward width F")
    norm: Literal["pre", "post", "rinalmo"] = "pre"
    """``rinalmo``: the attention residual is the normalised stream, the feed-forward is ordinary pre-norm."""
    norm_epsilon: float = 1e-5
    final_norm: bool = True
    positions: Literal["rotary", "learned", "none"] = "rotary"
    rotary_base: float = Field(default=10_000.0, gt=1, description="the longest rotary wave is about 6 times this")
    max_positions: Size = Field(default=1024, ge=1, description="rows of the learned position table")
    position_offset: int = Field(default=0, ge=0, le=1024, description="row of the first position (RoBERTa: pad + 1)")
    token_types: int = Field(
        default=0, ge=0, le=1024, description="rows of RoBERTa's token-type table, of which only row 0 is used"
    )
    embedding_norm: bool = False
    activation: Literal["gelu", "swiglu", "swiglu-beta"] = "gelu"
    attention_bias: bool = True
    feedforward_bias: bool = True
    causal: bool = False
    tied: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1)
    token_dropout: float = Field(default=0.0, ge=0, lt=1, description="expected share of <mask> tokens (RiNALMo: 0.12)")
    initialisation: Literal["normal", "torch"] = "normal"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse_uneven(self.width, self.heads, even=self.positions == "rotary")
        return self

    def backbone(self) -> BackboneConfig:
        """This value itself."""
        return self

    @property
    def longest(self) -> int | None:
        """The longest input in tokens, or None where positions have no table."""
        return self.max_positions - self.position_offset if self.positions == "learned" else None


def refuse_uneven(width: int, heads: int, *, even: bool = False) -> None:
    """ValueError where ``width`` cannot be divided among ``heads``, or the head size must be even and is not."""
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
    if even and (width // heads) % 2:
        raise ValueError(f"rotary positions need an even head size, found {width // heads}")


class Embedding(nn.Module):
    """Token ids to vectors, with learned positions, token types, norm and token dropout where the config says so."""

    def __init__(self, config: BackboneConfig, vocabulary_size: int, pad_id: int, mask_id: int) -> None:
        super().__init__()
        self.token_dropout, self.mask_id, self.offset = config.token_dropout, mask_id, config.position_offset
        self.tokens = nn.Embedding(vocabulary_size, config.width, padding_idx=pad_id)
        learned = config.positions == "learned"
        self.positions = nn.Embedding(config.max_positions, config.width) if learned else None
        self.types = nn.Embedding(config.token_types, config.width) if config.token_types else None
        self.norm = nn.LayerNorm(config.width, eps=config.norm_epsilon) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.embedding_dropout)

    def forward(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """(T,) ids to (T, D)."""
        hidden_TD = self.tokens(tokens_T)
        if self.token_dropout:
            hidden_TD = self._drop_masks(hidden_TD, tokens_T, layout)
        if self.types is not None:
            hidden_TD = hidden_TD + self.types.weight[0]
        if self.positions is not None:
            hidden_TD = hidden_TD + self.positions(layout.positions_T + self.offset)
        if self.norm is not None:
            hidden_TD = self.norm(hidden_TD)
        return self.dropout(hidden_TD)

    def _drop_masks(self, hidden_TD: Tensor, tokens_T: Tensor, layout: Layout) -> Tensor:
        """Zero the ``<mask>`` vectors and rescale each sequence by (1 - expected) / (1 - observed mask share)."""
        masked_T1 = (tokens_T == self.mask_id).to(hidden_TD.dtype)[:, None]
        share_N1 = layout.sequence_mean(masked_T1)
        scale_N1 = (1 - self.token_dropout) / (1 - share_N1).clamp(min=1e-6)
        return hidden_TD * (1 - masked_T1) * scale_N1[layout.sequence_T]


class Block(nn.Module):
    """One layer: attention among tokens, then a feed-forward on each, with norms where ``config.norm`` puts them."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.arrangement = config.norm
        self.attention_norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.attention = Attention(
            config.width,
            config.heads,
            bias=config.attention_bias,
            dropout=config.attention_dropout,
            causal=config.causal,
        )
        self.feedforward_norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.feedforward: FeedForward | SwiGLU
        if config.activation == "gelu":
            self.feedforward = FeedForward(config.width, config.inner, bias=config.feedforward_bias)
        else:
            learnable = config.activation == "swiglu-beta"
            self.feedforward = SwiGLU(config.width, config.inner, bias=config.feedforward_bias, learnable=learnable)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: tuple[Tensor, Tensor] | None) -> Tensor:
        """(T, D) to (T, D)."""
        if self.arrangement == "post":
            mixed_TD = self.attention(hidden_TD, layout, cos_sin)
            hidden_TD = self.attention_norm(hidden_TD + self.dropout(mixed_TD))
            return self.feedforward_norm(hidden_TD + self.dropout(self.feedforward(hidden_TD)))
        normed_TD = self.attention_norm(hidden_TD)
        stream_TD = normed_TD if self.arrangement == "rinalmo" else hidden_TD
        hidden_TD = stream_TD + self.dropout(self.attention(normed_TD, layout, cos_sin))
        return hidden_TD + self.dropout(self.feedforward(self.feedforward_norm(hidden_TD)))


class LanguageHead(nn.Module):
    """Hidden vectors to scores over the vocabulary: Linear, exact GELU, LayerNorm, Linear (tied or not)."""

    def __init__(self, config: BackboneConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.decoder = nn.Linear(config.width, vocabulary_size)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """(M, D) to (M, V)."""
        return self.decoder(self.norm(F.gelu(self.dense(hidden_MD))))


class LanguageModel(nn.Module):
    """A whole language model over packed sequences; see ``forward`` for logits and ``encode`` for hidden vectors."""

    def __init__(self, config: BackboneConfig, *, vocabulary_size: int, pad_id: int, mask_id: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary_size, self.pad_id, self.mask_id = vocabulary_size, pad_id, mask_id
        self.embedding = Embedding(config, vocabulary_size, pad_id, mask_id)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=config.norm_epsilon) if config.final_norm else nn.Identity()
        self.head = LanguageHead(config, vocabulary_size)
        if config.initialisation == "normal":
            self.apply(_normal_initialisation)
        if config.tied:
            self.head.decoder.weight = self.embedding.tokens.weight

    def encode(self, tokens_T: Tensor, layout: Layout, *, layer: int | None = None) -> Tensor:
        """(T,) ids to (T, D) hidden vectors after the last norm, or after block ``layer`` (0 = embedding)."""
        cos_sin = None
        if self.config.positions == "rotary":
            cos_sin = rotation(layout.positions_T, self.config.width // self.config.heads, self.config.rotary_base)
        hidden_TD = self.embedding(tokens_T, layout)
        for number, block in enumerate(self.blocks):
            if number == layer:
                return hidden_TD
            hidden_TD = block(hidden_TD, layout, cos_sin)
        return hidden_TD if layer == len(self.blocks) else self.norm(hidden_TD)

    def forward(self, tokens_T: Tensor, layout: Layout, selected_M: Tensor | None = None) -> Tensor:
        """(T,) ids to logits: (M, V) at the ``selected_M`` token positions, or (T, V) at all."""
        hidden_TD = self.encode(tokens_T, layout)
        return self.head(hidden_TD if selected_M is None else hidden_TD[selected_M])


def _normal_initialisation(module: nn.Module) -> None:
    """BERT's: weights N(0, 0.02), biases 0, the padding row 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
