"""The selective scan: a memory of fixed size that each token of a sequence fades and writes into (arXiv:2312.00752).

    h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t        y_t = h_t · C_t

for every channel by itself, with h = 0 before the first token of each sequence of a packed batch. Shapes: T packed
tokens, E channels, S numbers of memory a channel, N sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from nuclex.models.layout import Layout

CHUNK, SEGMENT = 16, 512
"""Tokens that the torch path walks through one after the other, and tokens whose memory it holds at once."""

Scan = Callable[[list[Tensor], Layout], tuple[Tensor, Tensor]]
"""One way to compute ``selective_scan`` of inputs, delta, A, B and C."""


def at_least_single(values: Tensor) -> Tensor:
    """In float32 where the dtype was shorter: what adds up over a whole sequence needs the digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


@cache
def installed(package: str) -> bool:
    """Whether a package could be imported; it is not."""
    return find_spec(package) is not None


@torch.compiler.disable
def selective_scan(
    inputs_TE: Tensor, delta_TE: Tensor, A_ES: Tensor, B_TS: Tensor, C_TS: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Outputs (T, E) in the dtype of ``inputs_TE``, and each sequence's last memory (N, E, S).

    ``delta_TE`` is not negative and ``A_ES`` is negative, so that memory fades. Computed in float32, or in float64
    where the inputs are, under autocast too. No gradient flows through the last memories.
    """
    parts = [at_least_single(part) for part in (inputs_TE, delta_TE, A_ES, B_TS, C_TS)]
    scan, _ = _chosen(inputs_TE.device, parts[0].dtype)
    with torch.autocast(inputs_TE.device.type, enabled=False):
        outputs_TE, memories_NES = scan(parts, layout)
    return outputs_TE.to(inputs_TE.dtype), memories_NES.detach()


def scan_path(device: torch.device | str) -> str:
    """Which way the selective scan of float32 numbers takes on this device, in words."""
    return _chosen(torch.device(device), torch.float32)[1]


def _chosen(device: torch.device, dtype: torch.dtype) -> tuple[Scan, str]:
    if dtype == torch.float32 and device.type == "cpu":
        return _on_cpu()
    if dtype == torch.float32 and device.type == "cuda" and installed("mamba_ssm"):
        from nuclex.models.blocks.scan_gpu import selective_scan_groups

        return selective_scan_groups, "kernels of mamba-ssm (untested on hardware)"
    return chunked_scan, "chunks in plain torch"


@cache
def _on_cpu() -> tuple[Scan, str]:
    if not installed("numba"):
        return chunked_scan, "chunks in plain torch; with numba (pip install 'nuclex[scan]') some ten times faster"
    try:
        from nuclex.models.blocks.scan_kernel import compiled_scan
    except ImportError as error:
        return chunked_scan, f"chunks in plain torch, since numba is installed but does not load: {error}"
    return compiled_scan, "compiled by numba"


class _Recurrence(torch.autograd.Function):
    """h_g = decay_g h_{g-1} + x_g along the first axis, with h = 0 before it; two tensors of equal shape."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor) -> Tensor:
        """One after the other."""
        states = torch.empty_like(inputs)
        states[0] = inputs[0]
        for here in range(1, len(inputs)):
            torch.addcmul(inputs[here], decay[here], states[here - 1], out=states[here])
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """The same recurrence from the end."""
        (gradient,), (decay, states) = gradients, ctx.saved_tensors
        into = torch.empty_like(gradient)
        into[-1] = gradient[-1]
        for here in range(len(gradient) - 2, -1, -1):
            torch.addcmul(gradient[here], decay[here + 1], into[here + 1], out=into[here])
        by_decay = torch.zeros_like(decay)
        torch.mul(into[1:], states[:-1], out=by_decay[1:])
        return by_decay, into


def recurrence(decay: Tensor, inputs: Tensor) -> Tensor:
    """h_g = decay_g h_{g-1} + x_g along the first axis, with h = 0 before it; ``decay`` is broadcast to ``inputs``."""
    return _Recurrence.apply(decay.expand_as(inputs), inputs)


def chunked_scan(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """The scan in plain torch: segments one after the other, of which only inputs are kept for the gradient.

    A sequence begins with a memory multiplied by 0: numbers never cross, but what is not a number (NaN) would.
    """
    inputs_TE, delta_TE, A_ES, B_TS, C_TS = parts
    memory_ES = torch.zeros_like(A_ES)
    starts_T = layout.positions_T == 0
    lasts_N = layout.boundaries_N1[1:] - 1
    outputs, memories, keep = [], [], layout.tokens > SEGMENT and torch.is_grad_enabled()
    run = partial(checkpoint, _segment, use_reentrant=False, preserve_rng_state=False) if keep else _segment
    for first in range(0, layout.tokens, SEGMENT):
        span = slice(first, first + SEGMENT)
        here_N = lasts_N[(lasts_N >= first) & (lasts_N < first + SEGMENT)] - first
        tokens = (inputs_TE[span], delta_TE[span], B_TS[span], C_TS[span])
        outputs_QE, memories_KES, memory_ES = run(tokens, A_ES, (starts_T[span], here_N), memory_ES)
        outputs.append(outputs_QE)
        memories.append(memories_KES)
    return torch.cat(outputs), torch.cat(memories)


def _segment(
    tokens: tuple[Tensor, ...], A_ES: Tensor, places: tuple[Tensor, Tensor], memory_ES: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, memories at the ends of sequences, and the last memory of one stretch of tokens that follows another.

    The chunks of the stretch (G of them, Q tokens each) are walked through side by side, each from an empty memory;
    what each inherits is then found from chunk to chunk and added. Q is the first axis.
    """
    starts_T, ends_K = places
    length = len(starts_T)
    fill = -length % CHUNK
    inputs, delta, B, C, starts = (
        F.pad(part, (0, 0, 0, fill)).unflatten(0, (-1, CHUNK)).transpose(0, 1)
        for part in (*tokens, starts_T[:, None].to(A_ES.dtype))
    )
    decay_QGES = (delta[..., None] * A_ES).exp() * (1 - starts)[..., None]
    own_QGES = recurrence(decay_QGES, (delta * inputs)[..., None] * B[..., None, :])
    inherits_QG11 = (starts.cumsum(0) == 0)[..., None]
    through_QGES = torch.where(inherits_QG11, (delta.cumsum(0)[..., None] * A_ES).exp(), 0)
    after = recurrence(F.pad(through_QGES[-1], (0, 0, 0, 0, 1, 0)), torch.cat([memory_ES[None], own_QGES[-1]]))
    states_QGES = own_QGES + through_QGES * after[:-1]
    outputs_QGE = (states_QGES * C[..., None, :]).sum(-1)
    states_TES = states_QGES.transpose(0, 1).flatten(0, 1)
    return outputs_QGE.transpose(0, 1).flatten(0, 1)[:length], states_TES[ends_K], after[-1]
