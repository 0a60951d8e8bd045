"""The parts on top of a language model that answer a question: which class a sequence is, which bases pair.

A head reads the hidden vectors of whole sequences, ``<cls>`` first and ``<eos>`` last. Each sequence is read by itself,
so an answer never depends on what else is in the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.core.config import Config
from nuclex.core.registry import Registry
from nuclex.models.backbone import LanguageModel
from nuclex.models.base import Size
from nuclex.models.layout import Layout


class HeadConfig(Config, ABC):
    """A way to answer one shape of question; ``kind`` names it."""

    kind: str

    @abstractmethod
    def build(self, width: int, outputs: int) -> ClassHead | PairHead:
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

    def build(self, width: int, outputs: int) -> ClassHead:
        """The head for ``outputs`` classes."""
        return ClassHead(self, width, outputs)


class ClassHead(nn.Module):
    """Hidden vectors to one score a class: pool, Linear, exact GELU, Linear."""

    def __init__(self, config: ClassHeadConfig, width: int, classes: int) -> None:
        super().__init__()
        self.pooling = config.pooling
        self.dense = nn.Linear(width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.Linear(config.hidden, classes)

    def forward(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """(T, D) of N whole sequences to (N, C) scores."""
        return self.decoder(self.dropout(F.gelu(self.dense(self._pool(hidden_TD, layout)))))

    def _pool(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        first_N, last_N = layout.boundaries_N1[:-1], layout.boundaries_N1[1:] - 1
        if self.pooling == "cls":
            return hidden_TD[first_N]
        inside_T1 = hidden_TD.new_ones(len(hidden_TD), 1)
        inside_T1[first_N] = inside_T1[last_N] = 0
        return layout.sequence_mean(hidden_TD * inside_T1) / layout.sequence_mean(inside_T1).clamp(min=1e-6)


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
            mixed_1CLL = F.relu(_instance_norm(convolution(mixed_1CLL)))
        return map_1CLL + mixed_1CLL


class PairHead(nn.Module):
    """Hidden vectors of ONE molecule to the score of every base pair (doi:10.1038/s41467-025-60872-5).

    A pair (i, j) begins as Linear(2D → channels) of the two vectors laid side by side. That is the sum of one linear
    map of each, so it is computed row by row and added: the L × L × 2D map is never built. Norms are over the map of
    this one molecule, never over padding.
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
            map_1CLL = block(map_1CLL)
        upper_LL = self.decoder(map_1CLL)[0, 0].triu(1)
        return upper_LL + upper_LL.T


def _instance_norm(map_1CLL: Tensor) -> Tensor:
    """Each channel to mean 0 and variance 1; as a group norm, which PyTorch computes faster on a CPU."""
    return F.group_norm(map_1CLL, map_1CLL.shape[1])


class AnsweringModel(nn.Module):
    """A language model with a head: what fine-tuning trains and prediction asks."""

    def __init__(self, model: LanguageModel, head: ClassHead | PairHead) -> None:
        super().__init__()
        self.model, self.head = model, head

    def class_logits(self, tokens_T: Tensor, layout: Layout) -> Tensor:
        """Scores (N, C) of N whole sequences."""
        return self.head(self.model.encode(tokens_T, layout), layout)

    def pair_logits(self, tokens_T: Tensor) -> Tensor:
        """Scores (L, L) of the base pairs of one whole molecule of L + 2 tokens."""
        layout = Layout.of([len(tokens_T)], tokens_T.device)
        return self.head(self.model.encode(tokens_T, layout)[1:-1])


def build_head(config: HeadConfig, width: int, outputs: int, seed: int) -> ClassHead | PairHead:
    """A head with the random weights that ``seed`` gives; nothing outside notices."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return config.build(width, outputs)
