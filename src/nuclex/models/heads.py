"""The parts on top of a language model that answer a question: a class, a number, a label a base, which bases pair.

A head reads the hidden vectors of whole sequences, ``<cls>`` first and ``<eos>`` last. Each sequence is read by itself,
so an answer never depends on what else is in the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from nuclex.core.config import Config
from nuclex.core.registry import Registry
from nuclex.models.base import Size
from nuclex.models.borders import BorderHead
from nuclex.models.layout import Layout
from nuclex.models.sequence_blocks import SequenceBlock
from nuclex.models.text_convolution import TextConvolutionHead

if TYPE_CHECKING:
    from nuclex.models.answering import Head

RECOMPUTED_FROM = 1 << 25
"""Numbers in a map of pairs (channels × L × L, 724 nt with 64 channels) from which learning does not keep them all."""

STRIPS_FROM = 1 << 31
"""Bytes of a map from which a convolution on a CPU takes it in strips."""


class HeadConfig(Config, ABC):
    """A way to answer one shape of question; ``kind`` names it."""

    kind: str

    @abstractmethod
    def build(self, width: int, outputs: int) -> Head:
        """The head for hidden vectors of ``width``, with PyTorch's random weights."""


HEADS: Registry[HeadConfig] = Registry("heads", HeadConfig)  # type: ignore[type-abstract]

AnyHeadConfig = Annotated[SerializeAsAny[HeadConfig], BeforeValidator(HEADS.validator())]
"""The type of a config field that takes any registered head."""


@HEADS.register
class ClassHeadConfig(HeadConfig):
    """One vector a sequence, then two layers; RiNALMo's classifier (doi:10.1038/s41467-025-60872-5)."""

    kind: Literal["class"] = "class"
    pooling: Literal["cls", "mean"] = "cls"
    """``cls``: the vector of the start token; ``mean``: the mean over the nucleotides, start and end left out."""
    hidden: Size = 256
    dropout: float = Field(default=0.0, ge=0, lt=1)
    one_output: bool = Field(default=False, description="two classes from one number z, scores 0 and z (a sigmoid)")

    def build(self, width: int, outputs: int) -> PooledHead:
        """The head for ``outputs`` classes."""
        if self.one_output and outputs != 2:
            raise ValueError(f"head.one_output is for 2 classes, found {outputs}")
        return PooledHead(self, width, outputs)


@HEADS.register
class ScalarHeadConfig(HeadConfig):
    """One vector a sequence, then two layers that end in a number."""

    kind: Literal["scalar"] = "scalar"
    pooling: Literal["cls", "mean"] = "mean"
    """As for classes; the mean also says something where a model reads from left to right."""
    hidden: Size = 256
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def build(self, width: int, outputs: int) -> PooledHead:
        """The head for ``outputs`` numbers."""
        return PooledHead(self, width, outputs)


@HEADS.register
class LinearHeadConfig(HeadConfig):
    """One vector a sequence, then one layer: classes or a number, as far as a straight line tells them."""

    kind: Literal["linear"] = "linear"
    pooling: Literal["cls", "mean"] = "mean"
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def build(self, width: int, outputs: int) -> PooledHead:
        """The head for ``outputs`` classes or numbers."""
        return PooledHead(self, width, outputs)


PooledHeadConfig = ClassHeadConfig | ScalarHeadConfig | LinearHeadConfig


class PooledHead(nn.Module):
    """Hidden vectors to one score a class, or to numbers: pool, Linear, exact GELU, Linear; or pool and Linear."""

    def __init__(self, config: PooledHeadConfig, width: int, outputs: int) -> None:
        super().__init__()
        self.pooling = config.pooling
        self.one_output = isinstance(config, ClassHeadConfig) and config.one_output
        hidden = None if isinstance(config, LinearHeadConfig) else config.hidden
        self.dense = None if hidden is None else nn.Linear(width, hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.Linear(hidden or width, 1 if self.one_output else outputs)

    def forward(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """(T, D) of N whole sequences to (N, C) scores."""
        pooled_ND = self._pool(hidden_TD, layout)
        scores_NC = self.decoder(self.dropout(pooled_ND if self.dense is None else F.gelu(self.dense(pooled_ND))))
        return F.pad(scores_NC, (1, 0)) if self.one_output else scores_NC

    def _pool(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        if self.pooling == "cls":
            return hidden_TD[layout.boundaries_N1[:-1]]
        return mean_inside(hidden_TD, layout)


def mean_inside(hidden_TD: Tensor, layout: Layout) -> Tensor:
    """The mean vector (N, D) of each sequence's tokens, start and end left out."""
    inside_T1 = inside(layout)[:, None].to(hidden_TD.dtype)
    return layout.sequence_mean(hidden_TD * inside_T1) / layout.sequence_mean(inside_T1).clamp(min=1e-6)


def inside(layout: Layout) -> Tensor:
    """Which tokens are no start and no end: (T,) bool."""
    inside_T = torch.ones_like(layout.sequence_T, dtype=torch.bool)
    inside_T[layout.boundaries_N1[:-1]] = inside_T[layout.boundaries_N1[1:] - 1] = False
    return inside_T


@HEADS.register
class RibosomeLoadHeadConfig(HeadConfig):
    """Residual blocks of convolutions along the sequence, then a number; RiNALMo's head for ribosome load."""

    kind: Literal["ribosome-load"] = "ribosome-load"
    channels: Size = 32
    blocks: int = Field(default=6, ge=0, le=1024)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    def build(self, width: int, outputs: int) -> RibosomeLoadHead:
        """The head for ``outputs`` numbers."""
        return RibosomeLoadHead(self, width, outputs)


class RibosomeLoadHead(nn.Module):
    """Hidden vectors to numbers: Linear, residual blocks of two convolutions, mean, dropout, Linear.

    The mean is over all tokens, ``<cls>`` and ``<eos>`` included, as RiNALMo's is (doi:10.1038/s41467-025-60872-5).
    """

    def __init__(self, config: RibosomeLoadHeadConfig, width: int, outputs: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, config.channels)
        self.blocks = nn.ModuleList(SequenceBlock(config.channels) for _ in range(config.blocks))
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.Linear(config.channels, outputs)

    def forward(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """(T, D) of N whole sequences to (N, outputs)."""
        values_TC = self.projection(hidden_TD)
        for block in self.blocks:
            values_TC = block(values_TC, layout)
        return self.decoder(self.dropout(layout.sequence_mean(values_TC)))


@HEADS.register
class TextConvolutionHeadConfig(HeadConfig):
    """HELM's TextCNN for classes or a number: convolutions over 2D channels, of each filter the greatest answer."""

    kind: Literal["text-cnn"] = "text-cnn"
    kernels: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(default=(3, 4, 5), min_length=1)
    maps: Size = Field(default=100, description="filters of each kernel")
    dropout: float = Field(default=0.2, ge=0, lt=1)

    def build(self, width: int, outputs: int) -> TextConvolutionHead:
        """The head for ``outputs`` classes or numbers."""
        return TextConvolutionHead(width, outputs, self.kernels, self.maps, self.dropout)


@HEADS.register
class PositionHeadConfig(HeadConfig):
    """The same layers for every token by itself: Linear, or Linear, exact GELU and Linear."""

    kind: Literal["position"] = "position"
    hidden: Size | None = Field(default=256, description="None = one layer, straight from the hidden vector")
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def build(self, width: int, outputs: int) -> PositionHead:
        """The head for ``outputs`` classes or numbers a token."""
        return PositionHead(self, width, outputs)


class PositionHead(nn.Module):
    """Each hidden vector by itself to scores."""

    def __init__(self, config: PositionHeadConfig, width: int, outputs: int) -> None:
        super().__init__()
        self.dense = None if config.hidden is None else nn.Linear(width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.Linear(width if config.hidden is None else config.hidden, outputs)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """(T, D) to (T, outputs)."""
        return self.decoder(self.dropout(hidden_TD if self.dense is None else F.gelu(self.dense(hidden_TD))))


@HEADS.register
class BorderHeadConfig(HeadConfig):
    """Each border of the regions of a sequence as one class among places, as HELM's code has it for antibodies.

    Its name has no default, because a label a token (``position``) is what finds borders.
    """

    kind: Literal["borders"] = "borders"
    compatibility: Literal["helm-released"]
    positions: int = Field(default=902, ge=2, le=1 << 14, description="places: 0 to this less 1 tokens from the start")

    def build(self, width: int, outputs: int) -> BorderHead:
        """The head for so many regions."""
        return BorderHead(width, outputs, self.positions)


@HEADS.register
class PairHeadConfig(HeadConfig):
    """Two residual blocks of convolutions over the map of all pairs; RiNALMo's structure head."""

    kind: Literal["pair"] = "pair"
    channels: Size = 64
    blocks: int = Field(default=2, ge=0, le=1024)
    kernel: int = Field(default=3, ge=1, le=1023, description="odd; rows and columns that a convolution looks at")

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; an odd number is needed, so that it has a middle")
        return self

    def build(self, width: int, outputs: int) -> PairHead:
        """The head; a pair map has one output a pair."""
        if outputs != 1:
            raise ValueError(f"a pair head has 1 output, found {outputs}")
        return PairHead(self, width)


class PairBlock(nn.Module):
    """Three times convolution, instance norm, ReLU (1×1, k×k, 1×1), added to what came in."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        sizes = (1, kernel, 1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, size, padding="same", bias=False) for size in sizes
        )

    def forward(self, map_1CLL: Tensor) -> Tensor:
        """(1, channels, L, L) to the same shape."""
        mixed_1CLL = map_1CLL
        for convolution in self.convolutions:
            mixed_1CLL = _frugally(partial(_mixed, convolution), mixed_1CLL)
        return map_1CLL + mixed_1CLL


class PairHead(nn.Module):
    """Hidden vectors of ONE molecule to the score of every base pair (doi:10.1038/s41467-025-60872-5).

    A pair (i, j) begins as Linear(2D → channels) of the two vectors laid side by side. That is the sum of one linear
    map of each, so it is computed row by row and added: the L × L × 2D map is never built. Norms are over the map of
    this one molecule, never over padding. Where maps are large, learning computes them again rather than keeping them:
    the same numbers, at 1 000 nt with 4.0 GB where it took 6.5, in a tenth more time.
    """

    def __init__(self, config: PairHeadConfig, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(2 * width, config.channels)
        self.blocks = nn.ModuleList(PairBlock(config.channels, config.kernel) for _ in range(config.blocks))
        self.decoder = nn.Conv2d(config.channels, 1, config.kernel, padding="same")

    def forward(self, hidden_LD: Tensor) -> Tensor:
        """(L, D), ``<cls>`` and ``<eos>`` left out, to symmetric (L, L) logits; the diagonal says nothing and is 0."""
        length, width = hidden_LD.shape
        if length < 2:  # no two bases, and no spread for a norm to divide by
            return hidden_LD.new_zeros(length, length)
        left_LC = F.linear(hidden_LD, self.projection.weight[:, :width], self.projection.bias)
        right_LC = F.linear(hidden_LD, self.projection.weight[:, width:])
        map_1CLL = (left_LC.T[:, :, None] + right_LC.T[:, None, :])[None]
        for block in self.blocks:
            map_1CLL = _frugally(block, map_1CLL)
        upper_LL = _convolved(self.decoder, map_1CLL)[0, 0].triu(1)
        return upper_LL + upper_LL.T


def _mixed(convolution: nn.Module, map_1CLL: Tensor) -> Tensor:
    assert isinstance(convolution, nn.Conv2d)
    return F.relu_(_instance_norm(_convolved(convolution, map_1CLL)))


def _convolved(convolution: nn.Conv2d, map_1CLL: Tensor) -> Tensor:
    """The convolution; of a map of 2 GiB and more in strips of rows, each with the rows beside it that it looks at.

    oneDNN learns from larger ones with its reference kernel, which took more than ten times as long at 3 000 nt.
    """
    size = map_1CLL.nbytes
    if map_1CLL.device.type != "cpu" or size < STRIPS_FROM:
        found: Tensor = convolution(map_1CLL)
        return found
    length, reach = map_1CLL.shape[2], convolution.kernel_size[0] // 2
    rows = max(length // (size // STRIPS_FROM * 2 + 2), 1)
    strips = []
    for first in range(0, length, rows):
        last = min(first + rows, length)
        above, below = max(first - reach, 0), min(last + reach, length)
        outside = (0, 0, reach - (first - above), reach - (below - last))
        strip_1CRL = F.pad(map_1CLL[:, :, above:below], outside)
        strips.append(F.conv2d(strip_1CRL, convolution.weight, convolution.bias, padding=(0, reach)))
    return torch.cat(strips, 2)


def _frugally(function: Callable[[Tensor], Tensor], map_1CLL: Tensor) -> Tensor:
    """``function`` of the map; of a large one that learns only the map is kept, and the rest computed again."""
    if map_1CLL.requires_grad and map_1CLL.numel() >= RECOMPUTED_FROM:
        found: Tensor = checkpoint(function, map_1CLL, use_reentrant=False, preserve_rng_state=False)
        return found
    return function(map_1CLL)


def _instance_norm(map_1CLL: Tensor) -> Tensor:
    """Each channel to mean 0 and variance 1; as a group norm, which PyTorch computes faster on a CPU."""
    return F.group_norm(map_1CLL, map_1CLL.shape[1])


def build_head(config: HeadConfig, width: int, outputs: int, seed: int) -> Head:
    """A head with the random weights that ``seed`` gives; nothing outside notices."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return config.build(width, outputs)
