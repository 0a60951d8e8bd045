"""Mamba: what a sequence remembers, and for how long, is chosen token by token (arXiv:2312.00752).

It reads a sequence once, from left to right, in time proportional to its length.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.core.config import Config
from nuclex.models.base import Size
from nuclex.models.blocks.convolution import ShortConvolution
from nuclex.models.blocks.mixer import CosSin, Mixer, State
from nuclex.models.blocks.scan import at_least_single, selective_scan
from nuclex.models.layout import Layout


class StateSpaceConfig(Config):
    """The sizes of a state-space mixer, Mamba or Mamba-2; the width is the model's."""

    state_size: Size = Field(default=16, description="numbers of memory a channel (published: Mamba 16, Mamba-2 128)")
    expansion: int = Field(default=2, ge=1, le=64, description="inner width E as a multiple of the width D")
    kernel: int = Field(default=4, ge=1, le=64, description="tokens that the short convolution sees")
    rank: int = Field(default=0, ge=0, le=1 << 20, description="rank of the step sizes, 0 = width/16 (Mamba only)")
    bias: bool = Field(default=False, description="biases of the matrices into and out of the mixer")
    convolution_bias: bool = True
    delta_min: float = Field(default=0.001, gt=0, description="the smallest step size that is drawn at the start")
    delta_max: float = Field(default=0.1, gt=0, description="the largest step size that is drawn at the start")
    delta_floor: float = Field(default=1e-4, gt=0, description="no step size starts below this")
    head_size: Size = Field(default=64, description="channels that fade together (Mamba-2 only)")
    groups: Size = Field(default=1, description="groups of heads that share what is written and read (Mamba-2 only)")
    chunk: int = Field(default=64, ge=1, le=4096, description="tokens in one matrix product (Mamba-2 only)")
    norm_epsilon: float = Field(default=1e-5, gt=0, description="of the norm before the last matrix (Mamba-2 only)")
    norm_before_gate: bool = Field(default=False, description="published weights: the gate first (Mamba-2 only)")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.delta_min > self.delta_max:
            raise ValueError(f"delta_min {self.delta_min} is above delta_max {self.delta_max}")
        return self

    def inner(self, width: int) -> int:
        """Inner width E of a mixer ``width`` wide."""
        return self.expansion * width

    def heads(self, width: int) -> int:
        """Number of Mamba-2 heads in a mixer ``width`` wide; ValueError where sizes do not divide each other."""
        heads, left = divmod(self.inner(width), self.head_size)
        if left:
            raise ValueError(f"inner width {self.inner(width)} is not a multiple of head_size {self.head_size}")
        if heads % self.groups:
            raise ValueError(f"{heads} heads (inner width / head_size) are not a multiple of groups {self.groups}")
        return heads

    def drawn_steps(self, count: int) -> Tensor:
        """``count`` values whose softplus, the step size, is log-uniform between ``delta_min`` and ``delta_max``."""
        low, high = math.log(self.delta_min), math.log(self.delta_max)
        delta = torch.empty(count).uniform_(low, high).exp().clamp(min=self.delta_floor)
        return delta + torch.log(-torch.expm1(-delta))  # the inverse of softplus


class Mamba(Mixer):
    """The selective state space of the first Mamba paper, over packed sequences: (T, D) to (T, D)."""

    def __init__(self, width: int, config: StateSpaceConfig) -> None:
        super().__init__()
        inner, rank = config.inner(width), config.rank or math.ceil(width / 16)
        self.config, self.sizes = config, (rank, config.state_size, config.state_size)
        self.into = nn.Linear(width, 2 * inner, bias=config.bias)
        self.convolution = ShortConvolution(inner, config.kernel, bias=config.convolution_bias)
        self.select = nn.Linear(inner, sum(self.sizes), bias=False)
        self.delta = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.empty(inner, config.state_size))
        self.D = nn.Parameter(torch.empty(inner))
        self.output = nn.Linear(inner, width, bias=config.bias)
        self.reset_special()

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> Tensor:
        return self._read(hidden_TD, layout)[0]

    def prefill(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> tuple[Tensor, State]:
        mixed_TD, values_TE, memory = self._read(hidden_TD, layout)
        return mixed_TD, {"convolution": self.convolution.tail(values_TE, layout), "memory": memory}

    def step(self, hidden_ND: Tensor, state: State, cos_sin: CosSin | None = None) -> Tensor:
        values_NE, gate_NE = self.into(hidden_ND).chunk(2, dim=-1)
        values_NE = F.silu(self.convolution.step(values_NE, state["convolution"]))
        delta_NE, B_NS, C_NS = self._selection(values_NE)
        decay_NES = torch.exp(delta_NE[..., None] * self._decay())
        written_NES = (delta_NE * values_NE)[..., None] * B_NS[:, None]
        memory_NES = state["memory"].copy_(state["memory"] * decay_NES + written_NES)
        mixed_NE = (memory_NES * C_NS[:, None]).sum(-1) + self.D * values_NE
        return self.output(mixed_NE.to(gate_NE.dtype) * F.silu(gate_NE))

    def reset_special(self) -> None:
        """As published: A = -1 … -S, D = 1, step sizes log-uniform, their matrix uniform within rank^-1/2."""
        rank, state_size, _ = self.sizes
        with torch.no_grad():
            self.A_log.copy_(torch.arange(1, state_size + 1).log().expand_as(self.A_log))
            self.D.fill_(1)
            self.delta.weight.uniform_(-(rank**-0.5), rank**-0.5)
            self.delta.bias.copy_(self.config.drawn_steps(len(self.delta.bias)))

    def stacked(self) -> dict[str, tuple[int, ...]]:
        """Step sizes, whose rank grows with the width, and what is written and read, whose number does not."""
        return {"select.weight": self.sizes}

    def _decay(self) -> Tensor:
        return -torch.exp(at_least_single(self.A_log))

    def _read(self, hidden_TD: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """The mixed tokens (T, D), what went into the convolution (T, E), and the last memories (N, E, S)."""
        before_TE, gate_TE = self.into(hidden_TD).chunk(2, dim=-1)
        values_TE = F.silu(self.convolution(before_TE, layout))
        delta_TE, B_TS, C_TS = self._selection(values_TE)
        mixed_TE, memory_NES = selective_scan(values_TE, delta_TE, self._decay(), B_TS, C_TS, layout)
        mixed_TE = torch.addcmul(mixed_TE, values_TE, self.D).to(gate_TE.dtype) * F.silu(gate_TE)
        return self.output(mixed_TE), before_TE, memory_NES

    def _selection(self, values_TE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each token its step sizes (T, E), what it writes (T, S) and what it reads (T, S)."""
        steps_TR, B_TS, C_TS = self.select(values_TE).split(self.sizes, dim=-1)
        steps_TE = at_least_single(F.linear(steps_TR, self.delta.weight))
        return F.softplus(steps_TE + self.delta.bias), B_TS, C_TS
