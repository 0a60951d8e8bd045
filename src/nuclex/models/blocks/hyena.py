"""Hyena: gates and convolutions as long as the sequence instead of attention (arXiv:2302.10866)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.models.base import Size
from nuclex.models.blocks.convolution import ShortConvolution
from nuclex.models.blocks.long_convolution import lags_needed, last_values, long_convolution
from nuclex.models.blocks.mixer import CosSin, Mixer, State
from nuclex.models.layout import Layout


class HyenaConfig(Config):
    """The sizes of a Hyena layer and the shape of its filters; the defaults are HyenaDNA's and HELM's.

    A filter is a function of the lag in tokens alone. Published code measures the lag in units of the longest input
    it was built for; here that unit is ``reference_length``, part of the config, so that the same weights give the
    same filter whatever is in the batch. Longer inputs are possible: the window decays on.
    """

    order: int = Field(default=2, ge=2, le=16, description="gates; there is one long convolution less")
    filter_order: Size = Field(default=64, description="width of the network that writes the filters")
    filter_layers: int = Field(default=2, ge=0, le=64, description="its layers between the first and the last")
    features: int = Field(default=3, ge=3, le=1025, description="what it sees of a lag: time, cosines and sines")
    sine_frequency: float = Field(
        default=1.0, gt=0, le=1e4, description="of its sine activations at the start; learned"
    )
    short_kernel: int = Field(default=3, ge=1, le=1024, description="tokens under the short convolution")
    reference_length: int = Field(default=1024, ge=2, le=1 << 24, description="tokens that are one unit of time")
    decay_fast: float = Field(default=0.3, ge=1e-6, description="units until the fastest window is at the target")
    decay_slow: float = Field(default=1.5, ge=1e-6, description="units until the slowest window is at the target")
    decay_target: float = Field(default=0.01, ge=1e-9, lt=1, description="how low a window has to be by then")
    decay_shift: float = Field(default=0.05, ge=0, le=1, description="what every window keeps for ever")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of the values that enter a long convolution")
    filter_dropout: float = Field(default=0.0, ge=0, lt=1, description="of the filters' weights")
    max_length: Size | None = Field(default=None, description="longest sequence in tokens; None for no limit")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.features % 2 == 0:
            raise ValueError(f"features must be odd (time, and a cosine and a sine a band), found {self.features}")
        return self


class ImplicitFilter(nn.Module):
    """What a value so many tokens away weighs, for each channel: a sine network of the lag under a decaying window."""

    def __init__(self, filters: int, width: int, config: HyenaConfig) -> None:
        super().__init__()
        self.config, self.filters = config, filters
        widths = [config.features, *[config.filter_order] * (config.filter_layers + 1)]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.output = nn.Linear(config.filter_order, filters * width, bias=False)
        self.frequency = nn.Parameter(torch.full((config.filter_order,), config.sine_frequency))
        self.dropout = nn.Dropout(config.filter_dropout)

    def reset(self) -> None:
        """Draw the network anew as PyTorch draws linear layers; frequencies as configured."""
        for layer in (*self.layers, self.output):
            layer.reset_parameters()
        nn.init.constant_(self.frequency, self.config.sine_frequency)

    def forward(self, lags_L: Tensor) -> Tensor:
        """The weights at these lags (tokens, 0 or more), (filters, L, D), in float32 at least."""
        dtype = torch.promote_types(self.frequency.dtype, torch.float32)
        with torch.autocast(lags_L.device.type, enabled=False):
            hidden_LF, frequency_F = self._features(lags_L, dtype), self.frequency.to(dtype)
            for layer in self.layers:
                weight, bias = (parameter.to(dtype) for parameter in layer.parameters())
                hidden_LF = torch.sin(frequency_F * F.linear(hidden_LF, weight, bias))
            weights_OLD = F.linear(hidden_LF, self.output.weight.to(dtype)).unflatten(1, (self.filters, -1))
            return self.dropout(weights_OLD.transpose(0, 1) * self._window(lags_L, weights_OLD.shape[-1], dtype))

    def _features(self, lags_L: Tensor, dtype: torch.dtype) -> Tensor:
        """Time from 0 at lag 0 to 1 at the last lag of the reference length, and exp(-i f 2 pi lag / reference)."""
        lags_L1 = lags_L.to(dtype)[:, None]
        bands = self.config.features // 2
        bands_F = torch.linspace(1e-4, bands - 1, bands, dtype=dtype, device=lags_L.device)
        angles_LF = bands_F * (2 * math.pi / self.config.reference_length) * lags_L1
        return torch.cat([lags_L1 / (self.config.reference_length - 1), angles_LF.cos(), -angles_LF.sin()], dim=1)

    def _window(self, lags_L: Tensor, width: int, dtype: torch.dtype) -> Tensor:
        """exp(-rate * time) + shift, (L, D): rates rise evenly from the slowest channel, the first, to the fastest."""
        fall = -math.log(self.config.decay_target)
        slow, fast = fall / self.config.decay_slow, fall / self.config.decay_fast
        rates_D = torch.linspace(slow, fast, width, dtype=dtype, device=lags_L.device)
        time_L1 = lags_L.to(dtype)[:, None] / (self.config.reference_length - 1)
        return torch.exp(-time_L1 * rates_D) + self.config.decay_shift


class Hyena(Mixer):
    """``order`` gates with a long convolution between each two: (T, D) to (T, D).

    With v, x1 ... xN the parts of a projection after a short convolution: v becomes filter * (v xN), then with the
    next gate, until v x1 is projected back. ``skip`` is added to the filters at lag 0.

    Where ``causal`` is False, the long convolutions have a second filter for what lies ahead; the short one looks back
    in any case. (HELM's code for masked models moves its one filter by half the sequence instead, so that a token sees
    of the others only those half a sequence away and the last few; that is not done here.)
    """

    def __init__(self, width: int, config: HyenaConfig, *, causal: bool = True) -> None:
        super().__init__()
        self.config, self.causal = config, causal
        self.into = nn.Linear(width, (config.order + 1) * width)
        self.short = ShortConvolution((config.order + 1) * width, config.short_kernel)
        self.filter = ImplicitFilter((config.order - 1) * (1 if causal else 2), width, config)
        self.skip = nn.Parameter(torch.randn(config.order - 1, width))
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(width, width)

    def reset_special(self) -> None:
        """Draw the filters' network and the skip weights anew."""
        self.filter.reset()
        nn.init.normal_(self.skip)

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> Tensor:
        """(T, D) to (T, D); InputError where a sequence is longer than ``max_length``. ``cos_sin`` is not used."""
        return self._mix(self.into(hidden_TD), layout)[0]

    def prefill(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> tuple[Tensor, State]:
        """The same as ``forward``, and the state: all that entered the convolutions, last value last, and the filters.

        ``tail`` (N, kernel - 1, E), ``inputs`` (N, O, L, D), and ``filters`` (N, O, lags, D), largest lag first, once
        for all sequences (stride 0).
        """
        projected_TE = self.into(hidden_TD)
        mixed_TD, inputs_TOD, filters_OLD = self._mix(projected_TE, layout)
        inputs_NOLD = last_values(inputs_TOD, layout, layout.longest).transpose(1, 2).contiguous()
        tail = self.short.tail(projected_TE, layout)
        return mixed_TD, {"tail": tail, "inputs": inputs_NOLD, "filters": _for_each(filters_OLD, len(layout.lengths))}

    def step(self, hidden_ND: Tensor, state: State, cos_sin: CosSin | None = None) -> Tensor:
        """One more token of each of N sequences, O(L D) for each; ValueError where the layer is not causal."""
        if not self.causal:
            raise ValueError("a Hyena layer that looks ahead cannot go on token by token; it must be causal")
        *gates, value_ND = self.short.step(self.into(hidden_ND), state["tail"]).chunk(self.config.order + 1, dim=-1)
        lags = state["inputs"].shape[2] + 1
        self._refuse_longer(lags)
        if state["filters"].shape[2] < lags:
            state["filters"] = _for_each(self._filters(2 * lags), len(hidden_ND))
        elif len(hidden_ND) > 1 and state["filters"].stride(0):  # sequences were chosen, and each got a copy
            state["filters"] = state["filters"][:1].clone().expand(len(hidden_ND), -1, -1, -1)
        inputs = []
        for number, gate_ND in enumerate(reversed(gates[1:])):
            entering_ND = value_ND * gate_ND
            inputs.append(torch.cat([state["inputs"][:, number], entering_ND[:, None]], dim=1))
            value_ND = (inputs[-1] * state["filters"][:, number, -lags:]).sum(1).to(entering_ND.dtype)
        state["inputs"] = torch.stack(inputs, dim=1)
        return self.output(value_ND * gates[0])

    def _mix(self, projected_TE: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """The layer's output, what entered its long convolutions (T, O, D), and its filters (O or 2 O, L, D)."""
        self._refuse_longer(layout.longest)
        *gates, value_TD = self.short(projected_TE, layout).chunk(self.config.order + 1, dim=-1)
        filters_OLD = self._filters(lags_needed(layout))
        ahead = [None] * (self.config.order - 1) if self.causal else filters_OLD[self.config.order - 1 :].unbind()
        inputs = []
        for gate_TD, back_LD, ahead_LD in zip(reversed(gates[1:]), filters_OLD, ahead, strict=False):
            inputs.append(self.dropout(value_TD * gate_TD))
            value_TD = long_convolution(inputs[-1], back_LD, layout, ahead_LD)
        return self.output(value_TD * gates[0]), torch.stack(inputs, dim=1), filters_OLD

    def _filters(self, lags: int) -> Tensor:
        """The weights at lags 0 to ``lags`` - 1 with the skip weights in them, (O or 2 O, L, D)."""
        filters_OLD = self.filter(torch.arange(lags, device=self.skip.device))
        here_OD = filters_OLD[:, 0]
        here_OD = torch.cat([here_OD[: len(self.skip)] + self.skip, here_OD[len(self.skip) :]])
        return torch.cat([here_OD[:, None], filters_OLD[:, 1:]], dim=1)

    def _refuse_longer(self, length: int) -> None:
        longest = self.config.max_length
        if longest is not None and length > longest:
            raise InputError(f"max_length: found a sequence of {length} tokens; at most {longest} are allowed")


def _for_each(filters_OLD: Tensor, sequences: int) -> Tensor:
    return filters_OLD.flip(1)[None].expand(sequences, -1, -1, -1)
