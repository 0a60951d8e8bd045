"""What happens to each token alone: the classic two-layer network, or the gated SwiGLU (arXiv:2002.05202)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeedForward(nn.Module):
    """Linear, exact GELU, Linear: (T, D) to (T, D) through (T, F)."""

    def __init__(self, width: int, inner: int, *, bias: bool = True) -> None:
        super().__init__()
        self.into = nn.Linear(width, inner, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """Transform each token by itself."""
        return self.output(F.gelu(self.into(hidden_TD)))


class SwiGLU(nn.Module):
    """Swish_beta(W1 x) * (W2 x), then W3; ``learnable`` makes beta one trained scalar per layer, as RiNALMo has it."""

    def __init__(self, width: int, inner: int, *, bias: bool = True, learnable: bool = False) -> None:
        super().__init__()
        self.into = nn.Linear(width, inner, bias=bias)
        self.gate = nn.Linear(width, inner, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)
        self.beta = nn.Parameter(torch.ones(1)) if learnable else None

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """Transform each token by itself."""
        inner_TF = self.into(hidden_TD)
        swish_TF = F.silu(inner_TF) if self.beta is None else inner_TF * torch.sigmoid(self.beta * inner_TF)
        return self.output(swish_TF * self.gate(hidden_TD))
