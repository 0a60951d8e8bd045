"""Residual convolutions along packed sequences, each within its own: the trunk of RiNALMo's head for ribosome load."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.layout import Layout


class SequenceConvolution(nn.Module):
    """Convolution over three neighbours, norm and ELU, each within its own sequence of a packed batch.

    The convolution pads with zeros; the norm gives each channel mean 0 and variance 1 over the sequence's tokens, as
    ``InstanceNorm1d`` does (0 where there is one token).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, channels, 3, bias=False)

    def forward(self, values_TC: Tensor, layout: Layout) -> Tensor:
        """(T, C) to the same shape."""
        place_T = torch.arange(len(values_TC), device=values_TC.device) + layout.sequence_T
        length = len(values_TC) + len(layout.lengths) + 1
        apart_LC = values_TC.new_zeros(length, values_TC.shape[1]).index_copy(0, place_T + 1, values_TC)
        mixed_TC = self.convolution(apart_LC.T[None])[0].T[place_T]  # a row of zeros before, between and behind
        mixed_TC = mixed_TC.to(torch.promote_types(mixed_TC.dtype, torch.float32))
        centred_TC = mixed_TC - layout.sequence_mean(mixed_TC)[layout.sequence_T]
        variance_NC = layout.sequence_mean(centred_TC.square())
        return F.elu(centred_TC * (variance_NC + 1e-5).rsqrt()[layout.sequence_T])


class SequenceBlock(nn.Module):
    """Two such convolutions one after the other, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(SequenceConvolution(channels) for _ in range(2))

    def forward(self, values_TC: Tensor, layout: Layout) -> Tensor:
        """(T, C) to the same shape."""
        mixed_TC = values_TC
        for convolution in self.convolutions:
            mixed_TC = convolution(mixed_TC, layout)
        return values_TC + mixed_TC
