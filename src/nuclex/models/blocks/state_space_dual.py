"""Mamba-2: channels that fade together form heads, and reading becomes matrix products (arXiv:2405.21060)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.blocks.convolution import ShortConvolution
from nuclex.models.blocks.mixer import CosSin, Mixer, State
from nuclex.models.blocks.scan import at_least_single, installed, recurrence
from nuclex.models.blocks.state_space import StateSpaceConfig
from nuclex.models.layout import Layout


def dual_scan(
    written_THK: Tensor, fade_TH: Tensor, B_TRS: Tensor, C_TRS: Tensor, layout: Layout, chunk: int
) -> tuple[Tensor, Callable[[], Tensor]]:
    """h_t = exp(fade_t) h_{t-1} + written_t ⊗ B_t and y_t = h_t C_t in each head, from h = 0 in each sequence.

    ``fade_TH`` is not positive. Each of R groups of neighbouring heads shares its B and C (S numbers). Returns y
    (T, H, K), and a function that computes each sequence's last memory (N, H, K, S). Computed in float32, or in
    float64 where the inputs are, under autocast too.
    """
    parts = [at_least_single(part) for part in (written_THK, fade_TH, B_TRS, C_TRS)]
    with torch.autocast(written_THK.device.type, enabled=False):
        if _has_kernel(written_THK.device) and parts[0].dtype == torch.float32:
            from nuclex.models.blocks.scan_gpu import dual_scan_packed

            outputs_THK, memories_NHKS = dual_scan_packed(parts, layout)
            return outputs_THK, memories_NHKS.detach
        return _chunked(parts, layout, chunk)


def dual_path(device: torch.device | str) -> str:
    """Which way the scan of Mamba-2 takes for float32 numbers on this device, in words."""
    if _has_kernel(torch.device(device)):
        return "kernels of flash-linear-attention (untested on hardware)"
    return "matrix products in plain torch"


def _has_kernel(device: torch.device) -> bool:
    return device.type == "cuda" and installed("fla")


def _chunked(parts: list[Tensor], layout: Layout, chunk: int) -> tuple[Tensor, Callable[[], Tensor]]:
    """Chunks of the packed axis (G of them, Q tokens each) as matrix products, their memories one after the other.

    A chunk may hold several sequences: only pairs of tokens of the same one count, and a memory passes into a chunk
    only as far as the sequence that it came from. The others are multiplied by 0: numbers never cross, NaN would.
    """
    written_GHQK, fade_GHQ, B_GRQS, C_GRQS = (_in_chunks(part, chunk) for part in parts)
    fill, heads = -layout.tokens % chunk, fade_GHQ.shape[1]
    sequence_GQ = F.pad(layout.sequence_T, (0, fill), value=len(layout.lengths) - 1).unflatten(0, (-1, chunk))
    before_G = F.pad(sequence_GQ[:-1, -1], (1, 0), value=-1)
    inherits_GQ = sequence_GQ == before_G[:, None]
    within_GHQQ, left_GHQ = _Fading.apply(fade_GHQ, (sequence_GQ[:, :, None] == sequence_GQ[:, None]).tril())
    through_GHQ = torch.where(inherits_GQ[:, None], fade_GHQ.cumsum(-1).exp(), 0)

    kept_GHQS = _by_head(B_GRQS, left_GHQ[..., None])
    memory_GHKS = recurrence(through_GHQ[..., -1, None, None], written_GHQK.mT @ kept_GHQS)
    inherited_GHKS = F.pad(memory_GHKS[:-1], (0, 0, 0, 0, 0, 0, 1, 0))
    seen_GHQQ = _by_head(C_GRQS @ B_GRQS.mT, within_GHQQ)
    outputs_GHQK = torch.baddbmm(
        (_by_head(C_GRQS, through_GHQ[..., None]) @ inherited_GHKS.mT).flatten(0, 1),
        seen_GHQQ.flatten(0, 1),
        written_GHQK.flatten(0, 1),
    ).unflatten(0, (-1, heads))
    outputs_THK = outputs_GHQK.transpose(1, 2).flatten(0, 1)[: layout.tokens]

    pieces = (written_GHQK, within_GHQQ, B_GRQS, through_GHQ, inherited_GHKS)
    return outputs_THK, partial(_memories, tuple(piece.detach() for piece in pieces), layout.boundaries_N1[1:] - 1)


def _in_chunks(part_TX: Tensor, chunk: int) -> Tensor:
    """(T, X, …) to (G, X, Q, …), filled up with zeros."""
    fill = -len(part_TX) % chunk
    filled = F.pad(part_TX, [0] * (2 * part_TX.ndim - 1) + [fill]) if fill else part_TX
    return filled.unflatten(0, (-1, chunk)).transpose(1, 2).contiguous()


def _by_head(shared_GRQX: Tensor, factors_GHQX: Tensor) -> Tensor:
    """What the heads of a group share, times a factor of each head: (G, R, …) and (G, H, …) to (G, H, …)."""
    grouped = factors_GHQX.unflatten(1, (shared_GRQX.shape[1], -1))
    return (shared_GRQX[:, :, None] * grouped).flatten(1, 2)


class _Fading(torch.autograd.Function):
    """What is left at token i of a chunk of what was written at j: exp of the fades after j up to i, (G, H, Q, Q)."""

    @staticmethod
    def forward(ctx: Any, fade_GHQ: Tensor, counts_GQQ: Tensor) -> tuple[Tensor, Tensor]:
        """All, and once more what is left at the last token. 0 where a pair does not count.

        Summed pair by pair: differences of long sums lose what is small.
        """
        after_QQ = torch.ones_like(counts_GQQ[0]).tril(-1)
        sums_GHQQ = torch.where(after_QQ, fade_GHQ[..., None], 0).cumsum(-2)
        within_GHQQ = sums_GHQQ.masked_fill_(~counts_GQQ[:, None], -torch.inf).exp_()
        ctx.save_for_backward(within_GHQQ)
        return within_GHQQ, within_GHQQ[..., -1, :].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor, None]:
        """The fade of token k counts in all pairs with j < k <= i. (Differences would leak into other sequences.)"""
        (within_GHQQ,), (by_within_GHQQ, by_last_GHQ) = ctx.saved_tensors, by
        by_sums_GHQQ = by_within_GHQQ * within_GHQQ
        by_sums_GHQQ[..., -1, :] += by_last_GHQ * within_GHQQ[..., -1, :]
        from_here_GHQQ = by_sums_GHQQ.flip(-2).cumsum(-2).flip(-2)
        return from_here_GHQQ.tril_(-1).sum(-1), None


def _memories(pieces: tuple[Tensor, ...], places_N: Tensor) -> Tensor:
    """The memories (N, H, K, S) behind these tokens, from the pieces of ``_chunked``."""
    written_GHQK, within_GHQQ, B_GRQS, through_GHQ, inherited_GHKS = pieces
    chunk_N, place_N = places_N // within_GHQQ.shape[-1], places_N % within_GHQQ.shape[-1]
    kept_NHQS = _by_head(B_GRQS[chunk_N], within_GHQQ[chunk_N, :, place_N, :, None])
    inherited_NHKS = inherited_GHKS[chunk_N] * through_GHQ[chunk_N, :, place_N, None, None]
    return written_GHQK[chunk_N].mT @ kept_NHQS + inherited_NHKS


class GatedNorm(nn.Module):
    """Root-mean-square norm within each group of channels, of values times SiLU(gate), as Mamba-2 has it."""

    def __init__(self, inner: int, groups: int, *, epsilon: float, before_gate: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inner))
        self.groups, self.epsilon, self.before_gate = groups, epsilon, before_gate

    def forward(self, values_TE: Tensor, gate_TE: Tensor) -> Tensor:
        """(T, E) and (T, E) to (T, E) in the dtype of the gate; ``before_gate``: the gate comes after the norm."""
        gate = F.silu(at_least_single(gate_TE))
        values = values_TE if self.before_gate else values_TE * gate
        values_TRE = values.unflatten(-1, (self.groups, -1))
        normed_TE = F.rms_norm(values_TRE, values_TRE.shape[-1:], eps=self.epsilon).flatten(1) * self.weight
        return (normed_TE * gate if self.before_gate else normed_TE).to(gate_TE.dtype)


class Mamba2(Mixer):
    """The state space of the second Mamba paper, over packed sequences: (T, D) to (T, D).

    ValueError where the head size does not divide the inner width, or the groups do not divide the heads.
    """

    def __init__(self, width: int, config: StateSpaceConfig) -> None:
        super().__init__()
        inner, heads = config.inner(width), config.heads(width)
        shared = config.groups * config.state_size
        self.config, self.sizes = config, (inner, shared, shared)
        self.into = nn.Linear(width, 2 * inner + 2 * shared + heads, bias=config.bias)
        self.convolution = ShortConvolution(inner + 2 * shared, config.kernel, bias=config.convolution_bias)
        self.delta_bias = nn.Parameter(torch.empty(heads))
        self.A_log = nn.Parameter(torch.empty(heads))
        self.D = nn.Parameter(torch.empty(heads))
        self.norm = GatedNorm(inner, config.groups, epsilon=config.norm_epsilon, before_gate=config.norm_before_gate)
        self.output = nn.Linear(inner, width, bias=config.bias)
        self.reset_special()

    def forward(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> Tensor:
        return self._read(hidden_TD, layout)[0]

    def prefill(self, hidden_TD: Tensor, layout: Layout, cos_sin: CosSin | None = None) -> tuple[Tensor, State]:
        mixed_TD, before_TX, memories = self._read(hidden_TD, layout)
        return mixed_TD, {"convolution": self.convolution.tail(before_TX, layout), "memory": memories()}

    def step(self, hidden_ND: Tensor, state: State, cos_sin: CosSin | None = None) -> Tensor:
        gate_NE, before_NX, steps_NH = self._projected(hidden_ND)
        values_NHK, B_NRS, C_NRS = self._parted(self.convolution.step(before_NX, state["convolution"]))
        repeats = len(self.D) // self.config.groups
        B_NHS, C_NHS = (part.repeat_interleave(repeats, 1) for part in (B_NRS, C_NRS))
        written_NHKS = (steps_NH[..., None] * values_NHK)[..., None] * B_NHS[:, :, None]
        decay_NH = (steps_NH * self._decay()).exp()
        memory_NHKS = state["memory"].copy_(state["memory"] * decay_NH[..., None, None] + written_NHKS)
        mixed_NHK = (memory_NHKS * C_NHS[:, :, None]).sum(-1) + self.D[:, None] * values_NHK
        return self.output(self.norm(mixed_NHK.flatten(1), gate_NE))

    def reset_special(self) -> None:
        """As transformers draws them: A = -1 … -H, D = 1, step sizes log-uniform; the norm's weights are 1."""
        with torch.no_grad():
            self.A_log.copy_(torch.arange(1, len(self.A_log) + 1).log())
            self.D.fill_(1)
            self.delta_bias.copy_(self.config.drawn_steps(len(self.delta_bias)))
            self.norm.weight.fill_(1)

    def stacked(self) -> dict[str, tuple[int, ...]]:
        """Gate and values of every channel, what is written and read, a step size a head."""
        return {"into.weight": (self.sizes[0], *self.sizes, len(self.A_log))}

    def spread(self, base: Self) -> None:
        """As fast as the heads of ``base`` forget, not up to a rate that rises with their number."""
        place_H = torch.arange(len(self.A_log)) * len(base.A_log) // len(self.A_log)
        with torch.no_grad():
            self.A_log.copy_((place_H + 1).log())

    def _decay(self) -> Tensor:
        return -torch.exp(at_least_single(self.A_log))

    def _projected(self, hidden_TD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate (T, E), what goes into the convolution (T, E + 2RS), and the step sizes (T, H)."""
        sizes = (self.sizes[0], sum(self.sizes), len(self.D))
        gate_TE, before_TX, steps_TH = self.into(hidden_TD).split(sizes, dim=-1)
        return gate_TE, before_TX, F.softplus(at_least_single(steps_TH) + self.delta_bias)

    def _parted(self, mixed_TX: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What leaves the convolution as values (T, H, K), what is written (T, R, S) and what is read (T, R, S)."""
        values_TE, B_TX, C_TX = F.silu(mixed_TX).split(self.sizes, dim=-1)
        groups = (self.config.groups, -1)
        return values_TE.unflatten(1, (len(self.D), -1)), B_TX.unflatten(1, groups), C_TX.unflatten(1, groups)

    def _read(self, hidden_TD: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
        """The mixed tokens (T, D), what went into the convolution (T, E + 2RS), and a function for last memories."""
        gate_TE, before_TX, steps_TH = self._projected(hidden_TD)
        values_THK, B_TRS, C_TRS = self._parted(self.convolution(before_TX, layout))
        written_THK, fade_TH = steps_TH[..., None] * values_THK, steps_TH * self._decay()
        mixed_THK, memories = dual_scan(written_THK, fade_TH, B_TRS, C_TRS, layout, self.config.chunk)
        mixed_THK = mixed_THK + self.D[:, None] * values_THK
        return self.output(self.norm(mixed_THK.flatten(1), gate_TE)), before_TX, memories
