"""What happens to each token alone: the classic two-layer network, or the gated SwiGLU (arXiv:2002.05202)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["gelu", "gelu-tanh", "swiglu", "swiglu-beta"]
"""``gelu-tanh`` is GPT-2's approximation of GELU; ``swiglu-beta`` has a learned scalar, as RiNALMo's."""


class FeedForward(nn.Module):
    """Linear, GELU (exact, or GPT-2's approximation with tanh), Linear: (T, D) to (T, D) through (T, F)."""

    def __init__(self, width: int, inner: int, *, bias: bool = True, approximate: bool = False) -> None:
        super().__init__()
        self.approximate: Literal["tanh", "none"] = "tanh" if approximate else "none"
        self.into = nn.Linear(width, inner, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """Transform each token by itself."""
        return self.output(F.gelu(self.into(hidden_TD), approximate=self.approximate))


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


def feed_forward(width: int, inner: int, activation: Activation, *, bias: bool) -> FeedForward | SwiGLU:
    """The network of this activation."""
    if activation in ("gelu", "gelu-tanh"):
        return FeedForward(width, inner, bias=bias, approximate=activation == "gelu-tanh")
    return SwiGLU(width, inner, bias=bias, learnable=activation == "swiglu-beta")
