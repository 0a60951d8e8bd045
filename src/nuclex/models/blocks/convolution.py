"""A short causal convolution of each channel by itself, within each sequence of a packed batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nuclex.models.layout import Layout


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
        """(T, E) to (T, E)."""
        kernel = self.weight.shape[1]
        mixed_TE = values_TE * self.weight[:, -1]
        for back in range(1, min(kernel, layout.longest)):
            inside_T1 = (layout.positions_T[back:] >= back)[:, None]
            shifted_TE = torch.where(inside_T1, values_TE[:-back], 0)
            mixed_TE = mixed_TE + nn.functional.pad(shifted_TE * self.weight[:, -1 - back], (0, 0, back, 0))
        return mixed_TE if self.bias is None else mixed_TE + self.bias

    def tail(self, values_TE: Tensor, layout: Layout) -> Tensor:
        """The last ``kernel - 1`` values of each sequence (N, kernel - 1, E), oldest first, 0 before its start."""
        back = torch.arange(self.weight.shape[1] - 1, 0, -1, device=values_TE.device)
        ends_N1 = layout.boundaries_N1[1:, None]
        places = ends_N1 - back
        inside = places >= layout.boundaries_N1[:-1, None]
        return torch.where(inside[..., None], values_TE[places.clamp(min=0)], 0)

    def step(self, values_NE: Tensor, tail: Tensor) -> Tensor:
        """One more value of N sequences (N, E); ``tail`` as given by ``tail`` is changed in place."""
        window = torch.cat([tail, values_NE[:, None]], dim=1)
        tail.copy_(window[:, 1:])
        mixed_NE = (window * self.weight.T).sum(1)
        return mixed_NE if self.bias is None else mixed_NE + self.bias
