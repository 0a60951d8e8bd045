"""Motifs anywhere in a sequence: convolutions over its hidden vectors, of each the greatest answer, then one layer.

HELM's head for properties of messenger RNA (arXiv:2410.12459), after Kim's for sentences (arXiv:1408.5882).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.layout import Layout


class TextConvolutionHead(nn.Module):
    """Hidden vectors to scores: Linear (D to 2D), convolutions, ReLU, the maximum over places, dropout, Linear.

    Each of the ``kernels`` (tokens that a convolution looks at) has ``maps`` filters over all 2D channels. A filter
    sees tokens of one sequence only, ``<cls>`` and ``<eos>`` included; behind a sequence shorter than the kernel stand
    zeros.
    """

    def __init__(self, width: int, outputs: int, kernels: Sequence[int], maps: int, dropout: float) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        self.projection = nn.Linear(width, 2 * width)
        self.convolutions = nn.ModuleList(nn.Conv1d(2 * width, maps, kernel) for kernel in kernels)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.Linear(len(kernels) * maps, outputs)

    def forward(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """(T, D) of N whole sequences to (N, outputs)."""
        gap, tokens = max(self.kernels) - 1, layout.tokens
        place_T = torch.arange(tokens, device=hidden_TD.device) + layout.sequence_T * gap
        apart_LC = hidden_TD.new_zeros(tokens + len(layout.lengths) * gap, 2 * hidden_TD.shape[1])
        apart_LC = apart_LC.index_copy(0, place_T, self.projection(hidden_TD))
        lengths_T = layout.boundaries_N1.diff()[layout.sequence_T]
        greatest = []
        for convolution, kernel in zip(self.convolutions, self.kernels, strict=True):
            found_TM = convolution(apart_LC.T[None])[0].T[place_T]  # from each token on; a gap of zeros parts sequences
            whole_T = layout.positions_T <= (lengths_T - kernel).clamp(min=0)
            greatest.append(_greatest(found_TM[whole_T], layout.sequence_T[whole_T], len(layout.lengths)))
        return self.decoder(self.dropout(F.relu(torch.cat(greatest, 1))))


def _greatest(values_TM: Tensor, sequence_T: Tensor, count: int) -> Tensor:
    """The greatest value of each column in each sequence: (T, M) to (N, M)."""
    rows_TM = sequence_T[:, None].expand_as(values_TM)
    return values_TM.new_zeros(count, values_TM.shape[1]).scatter_reduce(
        0, rows_TM, values_TM, "amax", include_self=False
    )
