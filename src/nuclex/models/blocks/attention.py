"""Attention among the tokens of one sequence, for many sequences packed end to end.

One signature, two back ends: runs of sequences of equal length through PyTorch's scaled dot-product attention
(any device and precision), and the variable-length flash kernel on CUDA in half precision. What a sequence gets
never depends on what else is in the batch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.core.config import Config
from nuclex.models.blocks.mixer import CosSin, Mixer, State
from nuclex.models.blocks.relative import RelativePositions
from nuclex.models.blocks.rotary import rotate
from nuclex.models.layout import Layout

Scale = Literal["1/sqrt(d)", "1/d"]
_FIRST_ROOM = 16


class AttentionConfig(Config):
    """How a layer attends; ``width`` is the model's."""

    heads: int = Field(ge=1)
    bias: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)
    causal: bool = False
    scale: Scale = "1/sqrt(d)"
    """``1/d`` is that of maximal update parametrisation (arXiv:2203.03466)."""
    multiplier: float = Field(default=1.0, gt=0, description="scores are multiplied by it besides")
    relative: bool = False

    def factor(self, head_size: int) -> float:
        """What products of queries and keys are multiplied with."""
        return self.multiplier / (head_size if self.scale == "1/d" else math.sqrt(head_size))


def packed_attention(
    query_THK: Tensor, key_THK: Tensor, value_THK: Tensor, layout: Layout, config: AttentionConfig, dropout: float = 0.0
) -> Tensor:
    """Softmax attention inside each sequence of ``layout``; returns (T, H, K)."""
    scale = config.factor(query_THK.shape[-1])
    if query_THK.is_cuda and query_THK.dtype in (torch.float16, torch.bfloat16) and dropout == 0.0:
        return _varlen(query_THK, key_THK, value_THK, layout, (scale, config.causal))
    # PyTorch's backward pass on a CPU is several times as slow in bfloat16 as in float32 (docs/log.md)
    widened = query_THK.device.type == "cpu" and query_THK.dtype is torch.bfloat16 and query_THK.requires_grad
    parts_THK = (query_THK, key_THK, value_THK)
    parts = []
    with torch.autocast("cpu", enabled=False) if widened else contextlib.nullcontext():
        for query, key, value in _rectangles(tuple(map(Tensor.float, parts_THK)) if widened else parts_THK, layout):
            mixed = F.scaled_dot_product_attention(
                query, key, value, dropout_p=dropout, is_causal=config.causal, scale=scale
            )
            parts.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts).to(query_THK.dtype)


def _rectangles(parts_THK: tuple[Tensor, ...], layout: Layout) -> Iterator[tuple[Tensor, ...]]:
    """Runs of sequences of equal length, each part as (N, H, L, K)."""
    sizes = [count * length for _, count, length in layout.groups]
    runs = zip(*(part_THK.split(sizes) for part_THK in parts_THK), strict=True)  # slices would each fill a gradient
    for (_, count, length), run in zip(layout.groups, runs, strict=True):
        yield tuple(part_XHK.unflatten(0, (count, length)).transpose(1, 2) for part_XHK in run)


def _varlen(query_THK: Tensor, key_THK: Tensor, value_THK: Tensor, layout: Layout, how: tuple[float, bool]) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    scale, causal = how
    bounds, longest = layout.boundaries_N1.to(torch.int32), layout.longest
    window = (-1, 0) if causal else (-1, -1)
    mixed = varlen_attn(
        query_THK, key_THK, value_THK, bounds, bounds, longest, longest, scale=scale, window_size=window
    )
    return mixed if isinstance(mixed, Tensor) else mixed[0]


class Attention(Mixer):
    """Multi-head self-attention over packed sequences: (T, D) to (T, D)."""

    def __init__(self, width: int, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.query_key_value = nn.Linear(width, 3 * width, bias=config.bias)
        self.output = nn.Linear(width, width, bias=config.bias)
        self.relative = RelativePositions(width, config.heads) if config.relative else None

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> Tensor:
        """Mix each sequence's tokens; ``cos_sin`` are rotary angles of the positions, None for no rotation."""
        query, key, value = self._projected(hidden_TD, cos_sin)
        dropout = self.config.dropout if self.training else 0.0
        if self.relative is None:
            mixed_THK = packed_attention(query, key, value, layout, self.config, dropout)
        else:
            mixed_THK = self._relative(query, key, value, layout, dropout)
        return self.output(mixed_THK.flatten(1))

    def maps(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> list[Tensor]:
        """The weights that ``forward`` mixes with, spelled out: (H, L, L) for each sequence, rows sum to 1.

        Memory is H L² numbers a sequence, which ``forward`` never takes. Dropout is left out.
        """
        query, key, _ = self._projected(hidden_TD, cos_sin)
        found = []
        for query_NHLK, key_NHLK in _rectangles((query, key), layout):
            scores_NHLL = (query_NHLK.float() @ key_NHLK.float().transpose(2, 3)) * self.config.factor(query.shape[-1])
            if (bias := self._bias(query_NHLK, key_NHLK)) is not None:
                scores_NHLL = scores_NHLL + bias.float()
            elif self.config.causal:
                scores_NHLL = scores_NHLL + _ahead(scores_NHLL)
            found += list(scores_NHLL.softmax(-1))
        return found

    def padded(self, hidden_TD: Tensor, read_BL: Tensor, cos_sin: CosSin | None = None) -> Tensor:
        """As ``forward`` without dropout, over a padded batch laid end to end (T = B L), of which ``read_BL`` is read.

        What comes out at padding means nothing. Only for attention that looks both ways.
        """
        query, key, value = (
            part_THK.unflatten(0, read_BL.shape).transpose(1, 2) for part_THK in self._projected(hidden_TD, cos_sin)
        )
        scores_BHLL = query @ key.mT * self.config.factor(query.shape[-1])
        if (bias := self._bias(query, key)) is not None:
            scores_BHLL = scores_BHLL + bias
        unread_B11L = ~read_BL[:, None, None]
        weights_BHLL = scores_BHLL.masked_fill(unread_B11L, torch.finfo(scores_BHLL.dtype).min).softmax(-1)
        return self.output((weights_BHLL @ value).transpose(1, 2).flatten(2).flatten(0, 1))

    def prefill(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> tuple[Tensor, State]:
        """Keys and values of all tokens so far, (N, room, H, K) each, and how many there are (N,)."""
        mixed_TD = self.forward(hidden_TD, layout, cos_sin)
        _, key_THK, value_THK = self._projected(hidden_TD, cos_sin)
        lengths_N = layout.boundaries_N1.diff()
        room = layout.longest + _FIRST_ROOM
        state: State = {"length": lengths_N}
        for name, part_THK in (("key", key_THK), ("value", value_THK)):
            kept = part_THK.new_zeros(len(lengths_N), room, *part_THK.shape[1:])
            kept[layout.sequence_T, layout.positions_T] = part_THK
            state[name] = kept
        return mixed_TD, state

    def step(self, hidden_ND: Tensor, state: State, cos_sin: CosSin | None = None) -> Tensor:
        """One more token of each sequence attends to all before it and to itself."""
        query_NHK, key_NHK, value_NHK = self._projected(hidden_ND, cos_sin)
        rows_N, length_N = torch.arange(len(hidden_ND), device=hidden_ND.device), state["length"]
        longest = int(length_N.max()) + 1
        for name, part_NHK in (("key", key_NHK), ("value", value_NHK)):
            if longest > state[name].shape[1]:
                state[name] = F.pad(state[name], (0, 0, 0, 0, 0, longest))
            state[name][rows_N, length_N] = part_NHK
        key_NHSK, value_NHSK = (state[name][:, :longest].transpose(1, 2) for name in ("key", "value"))
        seen_N11S = (torch.arange(longest, device=hidden_ND.device) <= length_N[:, None])[:, None, None]
        mask: Tensor = seen_N11S
        query_NH1K, factor = query_NHK[:, :, None], self.config.factor(query_NHK.shape[-1])
        if self.relative is not None:
            bias_NH1S = self.relative.bias(query_NH1K, longest, length_N) + self.relative.content(key_NHSK)
            mask = (bias_NH1S * factor).masked_fill(~seen_N11S, float("-inf"))
        mixed = F.scaled_dot_product_attention(query_NH1K, key_NHSK, value_NHSK, attn_mask=mask, scale=factor)
        state["length"] = length_N + 1
        return self.output(mixed[:, :, 0].flatten(1))

    def _projected(self, hidden_TD: Tensor, cos_sin: CosSin | None) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.query_key_value(hidden_TD).unflatten(-1, (3, self.config.heads, -1)).unbind(1)
        if cos_sin is not None:
            query, key = rotate(query, cos_sin), rotate(key, cos_sin)
        return query, key, value

    def _relative(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float) -> Tensor:
        """With a score for each distance, which no fused kernel adds."""
        parts = []
        for query_NHLK, key_NHLK, value_NHLK in _rectangles((query, key, value), layout):
            mixed = F.scaled_dot_product_attention(
                query_NHLK,
                key_NHLK,
                value_NHLK,
                attn_mask=self._bias(query_NHLK, key_NHLK),
                dropout_p=dropout,
                scale=self.config.factor(query.shape[-1]),
            )
            parts.append(mixed.transpose(1, 2).flatten(0, 1))
        return torch.cat(parts)

    def _bias(self, query_NHLK: Tensor, key_NHLK: Tensor) -> Tensor | None:
        """What is added to the scaled scores for distances, -inf ahead of a causal token; None without distances."""
        if self.relative is None:
            return None
        factor = self.config.factor(query_NHLK.shape[-1])
        bias = self.relative.bias(query_NHLK, query_NHLK.shape[2]) + self.relative.content(key_NHLK)
        bias = bias * factor
        return bias + _ahead(bias) if self.config.causal else bias


def _ahead(scores_NHLL: Tensor) -> Tensor:
    """-inf where a token would look ahead, else 0: (L, L)."""
    length = scores_NHLL.shape[-1]
    return torch.full((length, length), float("-inf"), dtype=scores_NHLL.dtype, device=scores_NHLL.device).triu(1)
