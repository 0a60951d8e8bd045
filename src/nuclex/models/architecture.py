"""Every choice that makes one network different from another, as one value."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from nuclex.models.base import MODELS, Layers, ModelConfig, Size
from nuclex.models.blocks.attention import AttentionConfig, Scale
from nuclex.models.blocks.feedforward import Activation
from nuclex.models.blocks.hyena import HyenaConfig
from nuclex.models.blocks.state_space import StateSpaceConfig

MixerName = Literal["attention", "mamba", "mamba2", "hyena"]
BASE_WIDTH: Any = Field(
    default=0, ge=0, le=1 << 20, description="the width whose learning rates hold at this one (μP); 0 = standard"
)
INITIALIZER_RANGE: Any = Field(
    default=0.02, gt=0, le=10, description="standard deviation of first weights, as transformers calls it"
)
BASE_INNER: Any = Field(
    default=0, ge=0, le=1 << 20, description="feed-forward width at base_width; 0 = in proportion to the width"
)


def _usual_scale(given: dict[str, Any]) -> Scale:
    return "1/d" if given.get("base_width") else "1/sqrt(d)"


def _usual_multiplier(given: dict[str, Any]) -> float:
    """What makes 1/d the usual 1/sqrt(d) at the base width, where there is one and nothing else was said."""
    wide = given.get("base_width") and given.get("attention_scale") == "1/d"
    return math.sqrt(given["base_width"] / given["heads"]) if wide and "heads" in given else 1.0


@MODELS.register
class BackboneConfig(ModelConfig):
    """The whole description of a network; only the vocabulary is missing, which comes from the tokenizer.

    Attention uses the keys from ``heads`` to ``attention_dropout``, ``mamba`` and ``mamba2`` those of ``state_space``,
    ``hyena`` those of ``hyena``. ``base_width`` is that of the maximal update parametrisation (``models/scaling``). A
    state space looks back only: where ``causal`` is false, each of its layers is two,
    one of which reads the sequence backwards, as in HELM's bidirectional Mamba (arXiv:2410.12459).
    """

    kind: Literal["backbone"] = "backbone"
    depth: Layers
    width: Size
    base_width: int = BASE_WIDTH
    mixer: MixerName = "attention"
    attention_every: int = Field(
        default=0, ge=0, le=1024, description="hybrids: every so many layers attention mixes instead; 0 = never"
    )
    state_space: StateSpaceConfig = StateSpaceConfig()
    hyena: HyenaConfig = HyenaConfig()
    heads: Size = 1
    attention_bias: bool = True
    attention_scale: Scale = Field(default_factory=_usual_scale)
    attention_multiplier: float = Field(default_factory=_usual_multiplier, gt=0)
    """Where nothing is said: 1/sqrt(d) and 1, with ``base_width`` 1/d and the root of the head size at that width."""
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    inner: int = Field(ge=0, le=1 << 20, description="feed-forward width F; 0 = blocks without feed-forward")
    base_inner: int = BASE_INNER
    activation: Activation = "gelu"
    feedforward_bias: bool = True
    norm: Literal["pre", "post", "rinalmo"] = "pre"
    """``rinalmo``: the attention residual is the normalised stream, the feed-forward is ordinary pre-norm."""
    norm_kind: Literal["layer", "rms"] = "layer"
    norm_epsilon: float = Field(default=1e-5, gt=0)
    final_norm: bool = True
    positions: Literal["rotary", "learned", "relative", "none"] = "rotary"
    """``relative``: sines and cosines of the distance, scored inside attention (arXiv:1901.02860)."""
    rotary_base: float = Field(default=10_000.0, gt=1, description="the longest rotary wave is about 6 times this")
    max_positions: Size = Field(default=1024, ge=1, description="rows of the learned position table")
    position_offset: int = Field(default=0, ge=0, le=1024, description="row of the first position (RoBERTa: pad + 1)")
    position_use: Literal["add", "concatenate"] = "add"
    """How learned positions enter: added to the token's vector, or as the last ``position_width`` numbers of it."""
    position_width: int = Field(
        default=0, ge=0, le=1 << 20, description="numbers of a learned position; 0 = as many as ``width``"
    )
    token_types: int = Field(
        default=0, ge=0, le=1024, description="rows of RoBERTa's token-type table, of which only row 0 is used"
    )
    embedding_norm: bool = False
    embedding_gate: bool = False
    """Multiply each token's vector with the sigmoid of a linear map of it."""
    causal: bool = False
    head: Literal["dense", "linear", "none"] = "dense"
    """``dense``: Linear, GELU, norm, Linear, as in BERT; ``linear``: one matrix without bias, as in GPT-2; ``none``:
    an encoder, which has hidden vectors and no scores."""
    tied: bool = True
    vocabulary_multiple: int = Field(
        default=1, ge=1, le=4096, description="rows of the token table are rounded up to a multiple of this"
    )
    """Rows without a token are scored like the others, as in ``transformers``; that none occurs is learned."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1)
    token_dropout: float = Field(default=0.0, ge=0, lt=1, description="expected share of <mask> tokens (RiNALMo: 0.12)")
    initialisation: Literal["normal", "gpt2", "torch"] = "normal"
    """``normal``: BERT's; ``gpt2``: the same, but what writes into the stream is smaller by sqrt(2 depth)."""
    initializer_range: float = INITIALIZER_RANGE

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.attends:
            refuse_uneven(self.width, self.heads, even=self.positions == "rotary")
        if self.norm == "rinalmo" and self.mixer != "attention":
            raise ValueError(f"norm 'rinalmo' is that of attention blocks, found mixer {self.mixer!r}")
        if not self.inner and self.norm != "pre":
            raise ValueError(f"blocks without feed-forward (inner 0) have norm 'pre', found {self.norm!r}")
        if self.norm_kind == "rms" and self.norm == "post":
            raise ValueError("norm_kind 'rms' goes with norm 'pre' or 'rinalmo', found 'post'")
        if self.initialisation == "torch" and self.initializer_range != 0.02:
            raise ValueError(f"initializer_range {self.initializer_range} is not for PyTorch's own first weights")
        self._refuse_what_cannot_be()
        self._refuse_odd_positions()
        self._refuse_no_base()
        return self

    def _refuse_what_cannot_be(self) -> None:
        state_space = {"mamba", "mamba2"} & set(self.mixers)
        if "mamba2" in state_space:
            self.state_space.heads(self.width)  # says what does not divide
        if self.norm == "post" and state_space and not self.causal:
            raise ValueError("state spaces that read both ways have norm 'pre', found 'post'")
        if self.causal and self.token_dropout:
            raise ValueError(
                f"token_dropout counts the masks of the whole sequence, those ahead too; with causal it is 0, "
                f"found {self.token_dropout}"
            )
        if self.attention_every > self.depth:
            raise ValueError(
                f"attention_every {self.attention_every} is more than the depth {self.depth}: no layer would attend"
            )

    def _refuse_odd_positions(self) -> None:
        size = self.position_width
        if self.positions == "learned" and self.position_offset >= self.max_positions:
            raise ValueError(
                f"position_offset {self.position_offset} leaves none of the {self.max_positions} positions"
            )
        if self.positions == "relative" and not self.attends:
            raise ValueError(f"positions 'relative' are scored by attention, found mixer {self.mixer!r}")
        if size and self.positions != "learned":
            raise ValueError(f"position_width is for positions 'learned', found {self.positions!r}")
        if self.position_use == "concatenate" and not (0 < size < self.width and not self.tied):
            raise ValueError(
                f"position_use 'concatenate' needs tied false and 0 < position_width < width {self.width}, found "
                f"position_width {size} and tied {str(self.tied).lower()}"
            )

    def _refuse_no_base(self) -> None:
        if self.base_inner and not (self.base_width and self.inner):
            raise ValueError(f"base_inner goes with base_width and inner, found {self.base_inner} without them")
        try:
            _ = self.base
        except ValueError as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            why = why.removeprefix("Value error, ")
            raise ValueError(f"base_width {self.base_width} makes no network: {why}") from None

    @property
    def base(self) -> BackboneConfig | None:
        """The network of ``base_width``, in standard parametrisation; None where this one is standard, too.

        ValueError where a size does not shrink to a whole number with the width.
        """
        if not self.base_width:
            return None
        found: dict[str, Any] = {"width": self.base_width, "base_width": 0, "base_inner": 0}
        for name in ("inner", "position_width"):
            found[name], left = divmod(getattr(self, name) * self.base_width, self.width)
            if name == "inner" and self.base_inner:
                found[name], left = self.base_inner, 0
            if left:
                hint = "; give base_inner" if name == "inner" else ""
                raise ValueError(f"{name} {getattr(self, name)} does not shrink from width {self.width} with it{hint}")
        return BackboneConfig(**{**dict(self), **found})

    def backbone(self) -> BackboneConfig:
        """This value itself."""
        return self

    @property
    def attends(self) -> bool:
        """Whether some layer is attention."""
        return "attention" in self.mixers

    @property
    def mixers(self) -> tuple[MixerName, ...]:
        """The mixer of each layer.

        >>> BackboneConfig(depth=4, width=8, inner=8, heads=2, mixer="mamba", attention_every=2).mixers
        ('mamba', 'attention', 'mamba', 'attention')
        """
        every = self.attention_every
        return tuple("attention" if every and (number + 1) % every == 0 else self.mixer for number in range(self.depth))

    @property
    def attention(self) -> AttentionConfig:
        """What a layer of attention is made from."""
        return AttentionConfig(
            heads=self.heads,
            bias=self.attention_bias,
            dropout=self.attention_dropout,
            causal=self.causal,
            scale=self.attention_scale,
            multiplier=self.attention_multiplier,
            relative=self.positions == "relative",
        )

    @property
    def longest(self) -> int | None:
        """The longest input in tokens, or None where neither positions nor long convolutions have a limit."""
        limits = [self.max_positions - self.position_offset] if self.positions == "learned" else []
        if "hyena" in self.mixers and self.hyena.max_length is not None:
            limits.append(self.hyena.max_length)
        return min(limits, default=None)

    def rows(self, tokens: int) -> int:
        """Rows of the token table for a vocabulary of so many tokens.

        >>> BackboneConfig(depth=1, width=8, inner=8, vocabulary_multiple=8).rows(70)
        72
        """
        return -(-tokens // self.vocabulary_multiple) * self.vocabulary_multiple


def refuse_uneven(width: int, heads: int, *, even: bool = False) -> None:
    """ValueError where ``width`` cannot be divided among ``heads``, or the head size must be even and is not."""
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
    if even and (width // heads) % 2:
        raise ValueError(f"rotary positions need an even head size, found {width // heads}")
