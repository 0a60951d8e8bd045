"""A short causal convolution of each channel by itself, within each sequence of a packed batch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nuclex.models.blocks.long_convolution import last_values
from nuclex.models.layout import Layout


class _Shifts(torch.autograd.Function):
    """The weighted sum, with few passes over the tokens: the copy that is shifted loses tokens as it goes."""

    @staticmethod
    def forward(ctx: Any, values_TE: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout) -> Tensor:
        """Add what lies 1, 2, … tokens back; what has no such follower in its sequence is 0 by then."""
        ctx.save_for_backward(values_TE, weight)
        ctx.layout, ctx.has_bias = layout, bias is not None
        weight_KE = weight.T.contiguous()
        mixed_TE = values_TE * weight_KE[-1] if bias is None else torch.addcmul(bias, values_TE, weight_KE[-1])
        giving_TE = values_TE.clone()
        for back in range(1, min(len(weight_KE), layout.longest)):
            giving_TE.index_fill_(0, _from_end(layout, back), 0)
            mixed_TE[back:].addcmul_(giving_TE[:-back], weight_KE[-1 - back])
        return mixed_TE

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor | None, ...]:
        """The same the other way round: what has nothing that far back in its sequence is 0."""
        (by_mixed_TE,), (values_TE, weight), layout = by, ctx.saved_tensors, ctx.layout
        weight_KE, by_weight_KE = weight.T.contiguous(), weight.new_zeros(weight.T.shape)
        by_values_TE = by_mixed_TE * weight_KE[-1]
        by_weight_KE[-1] = (by_mixed_TE * values_TE).sum(0)
        taking_TE = by_mixed_TE.clone()
        for back in range(1, min(len(weight_KE), layout.longest)):
            taking_TE.index_fill_(0, _from_start(layout, back), 0)
            by_values_TE[:-back].addcmul_(taking_TE[back:], weight_KE[-1 - back])
            by_weight_KE[-1 - back] = (taking_TE[back:] * values_TE[:-back]).sum(0)
        return by_values_TE, by_weight_KE.T, by_mixed_TE.sum(0) if ctx.has_bias else None, None


def _from_end(layout: Layout, count: int) -> Tensor:
    """The place of each sequence's ``count``-th token from its end, of shorter ones the last."""
    ends_N = layout.boundaries_N1[1:]
    places_N = ends_N - count
    return torch.where(places_N >= layout.boundaries_N1[:-1], places_N, ends_N - 1)


def _from_start(layout: Layout, count: int) -> Tensor:
    """The place of each sequence's ``count``-th token, of shorter ones the first."""
    starts_N = layout.boundaries_N1[:-1]
    places_N = starts_N + count - 1
    return torch.where(places_N < layout.boundaries_N1[1:], places_N, starts_N)


class ShortConvolution(nn.Module):
    """Each channel of (T, E) becomes a weighted sum of its last ``kernel`` values of the same sequence.

    ``weight[e, k]`` belongs to the value ``kernel - 1 - k`` tokens back, as in a ``Conv1d`` with one group a channel
    and padding on the left. What lies before a sequence is 0.
    """

    def __init__(self, channels: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(kernel)  # PyTorch's own for one input channel a group
        self.weight = nn.Parameter(torch.empty(channels, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound)) if bias else None

    def forward(self, values_TE: Tensor, layout: Layout) -> Tensor:
        """(T, E) to (T, E), in the dtype that values and weights have in common."""
        values_TE = values_TE.to(torch.promote_types(values_TE.dtype, self.weight.dtype))
        return _Shifts.apply(values_TE, self.weight, self.bias, layout)

    def tail(self, values_TE: Tensor, layout: Layout) -> Tensor:
        """The last ``kernel - 1`` values of each sequence (N, kernel - 1, E), oldest first, 0 before its start."""
        return last_values(values_TE, layout, self.weight.shape[1] - 1)

    def step(self, values_NE: Tensor, tail: Tensor) -> Tensor:
        """One more value of N sequences (N, E); ``tail`` as given by ``tail`` is changed in place."""
        window = torch.cat([tail, values_NE[:, None]], dim=1)
        tail.copy_(window[:, 1:])
        mixed_NE = (window * self.weight.T).sum(1)
        return mixed_NE if self.bias is None else mixed_NE + self.bias
