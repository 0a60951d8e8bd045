"""Attention among the tokens of one sequence, for many sequences packed end to end.

One signature, two back ends: runs of sequences of equal length through PyTorch's scaled dot-product attention
(any device and precision), and the variable-length flash kernel on CUDA in half precision. What a sequence gets
never depends on what else is in the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.blocks.rotary import rotate
from nuclex.models.layout import Layout


def packed_attention(
    query_THK: Tensor, key_THK: Tensor, value_THK: Tensor, layout: Layout, *, causal: bool = False, dropout: float = 0.0
) -> Tensor:
    """Softmax attention with scale 1/sqrt(K) inside each sequence of ``layout``; returns (T, H, K)."""
    if query_THK.is_cuda and query_THK.dtype in (torch.float16, torch.bfloat16) and dropout == 0.0:
        return _varlen(query_THK, key_THK, value_THK, layout, causal)
    parts = []
    for first, count, length in layout.groups:
        query, key, value = (
            part_THK[first : first + count * length].unflatten(0, (count, length)).transpose(1, 2)
            for part_THK in (query_THK, key_THK, value_THK)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=causal)
        parts.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)


def _varlen(query_THK: Tensor, key_THK: Tensor, value_THK: Tensor, layout: Layout, causal: bool) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = layout.boundaries_N1.to(torch.int32), layout.longest
    window = (-1, 0) if causal else (-1, -1)
    mixed = varlen_attn(query_THK, key_THK, value_THK, bounds, bounds, longest, longest, window_size=window)
    return mixed if isinstance(mixed, Tensor) else mixed[0]


class Attention(nn.Module):
    """Multi-head self-attention over packed sequences: (T, D) to (T, D)."""

    def __init__(self, width: int, heads: int, *, bias: bool, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.query_key_value = nn.Linear(width, 3 * width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Mix each sequence's tokens; ``cos_sin`` are rotary angles of the positions, None for no rotation."""
        query, key, value = self.query_key_value(hidden_TD).unflatten(-1, (3, self.heads, -1)).unbind(1)
        if cos_sin is not None:
            query, key = rotate(query, cos_sin), rotate(key, cos_sin)
        dropout = self.dropout if self.training else 0.0
        mixed_THK = packed_attention(query, key, value, layout, causal=self.causal, dropout=dropout)
        return self.output(mixed_THK.flatten(1))
