"""The selective scan as machine code for the CPU: numba compiles it at the first use and keeps it for the next.

For the gradient only the memories at the start of each chunk are kept; the others are computed again, chunk by chunk.
Channels are independent of each other, so threads share them out. Outputs do not depend on how many there are, the
gradients by B and C, sums over channels, only in rounding.

This module imports numba, an optional package (extra ``scan``); ``scan`` imports it only where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from torch import Tensor

from nuclex.models.layout import Layout

if getattr(numba.config, "DISABLE_JIT", False):
    raise ImportError("NUMBA_DISABLE_JIT is set")

BLOCK, CHUNK = 512, 32
"""Most channels that one call computes, and tokens between two memories that are kept: what fits a core's cache."""

EXACT = {"contract", "reassoc", "nsz"}
"""What the compiler may do with sums; infinities and NaN stay what they are."""

LOWEST, PER_LN2, LN2 = np.float32(-87), np.float32(1 / np.log(2)), np.float32(np.log(2))
ONE, HALF, C3, C4, C5, C6, C7 = (np.float32(1 / n) for n in (1, 2, 6, 24, 120, 720, 5040))


def _jit(function: Any) -> Any:
    """numba.njit whose result is kept on the disk, where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")(function)
    except RuntimeError:  # neither beside this file nor in the user's cache may be written
        return numba.njit(nogil=True, fastmath=EXACT, error_model="numpy")(function)


@_jit
def _fade(x):  # type: ignore[no-untyped-def]
    """exp(x) of x <= 0 to within 3e-7 of itself, 0 below -87: a Taylor series and a power of two.

    Written out so that the compiler computes many at once, which it cannot do with a library's exp.
    """
    n = np.floor((LOWEST if x < LOWEST else x) * PER_LN2 + HALF)
    r = x - n * LN2
    series = ((((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + HALF) * r + ONE) * r + ONE
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(0) if x < LOWEST else series * power


@_jit
def _forward(tokens, A_SE, chunks, results, first, last):  # type: ignore[no-untyped-def]
    """Channels ``first`` to ``last`` of all tokens: outputs, the memory before each chunk and after each sequence.

    Whole rows are not assigned at once: what numba needs for that takes longer to compile than all the rest.
    """
    inputs_TE, delta_TE, B_TS, C_TS = tokens
    bounds_G, sequence_G = chunks
    outputs_TE, kept_GSE, lasts_NSE = results
    sizes, width = len(A_SE), last - first
    memory_SW, A_SW = np.zeros((sizes, width), np.float32), A_SE[:, first:last].copy()
    rows = np.empty((3, CHUNK, width), np.float32)
    delta_QW, written_QW, read_QW = rows[0], rows[1], rows[2]
    for g in range(len(sequence_G)):
        start, count = bounds_G[g], bounds_G[g + 1] - bounds_G[g]
        goes_on = g > 0 and sequence_G[g] == sequence_G[g - 1]
        for q in range(count):
            for e in range(width):
                delta_QW[q, e] = delta_TE[start + q, first + e]
                written_QW[q, e] = delta_QW[q, e] * inputs_TE[start + q, first + e]
                read_QW[q, e] = 0
        for s in range(sizes):
            for e in range(width):
                memory_SW[s, e] = memory_SW[s, e] if goes_on else np.float32(0)
                kept_GSE[g, s, first + e] = memory_SW[s, e]
            for q in range(count):
                b, c = B_TS[start + q, s], C_TS[start + q, s]
                for e in range(width):
                    memory = _fade(delta_QW[q, e] * A_SW[s, e]) * memory_SW[s, e] + written_QW[q, e] * b
                    memory_SW[s, e] = memory
                    read_QW[q, e] += c * memory
            for e in range(width):
                lasts_NSE[sequence_G[g], s, first + e] = memory_SW[s, e]  # in the end of the sequence's last chunk
        for q in range(count):
            for e in range(width):
                outputs_TE[start + q, first + e] = read_QW[q, e]


@_jit
def _backward(tokens, A_SE, chunks, gradients, first, last):  # type: ignore[no-untyped-def]
    """Gradients by inputs, delta, B and C of these channels, from the last chunk to the first; returns that by A."""
    inputs_TE, delta_TE, B_TS, C_TS, kept_GSE, by_output_TE = tokens
    bounds_G, sequence_G = chunks
    by_inputs_TE, by_delta_TE, by_B_TS, by_C_TS = gradients
    sizes, width, groups = len(A_SE), last - first, len(sequence_G)
    by_memory_SW, A_SW = np.zeros((sizes, width), np.float32), A_SE[:, first:last].copy()
    by_A_SW = np.zeros_like(A_SW)
    rows = np.empty((7, CHUNK + 1, width), np.float32)
    delta_QW, written_QW, output_QW, memory_QW, fade_QW = rows[0], rows[1], rows[2], rows[3], rows[4]
    by_written_QW, by_delta_QW = rows[5], rows[6]
    for g in range(groups - 1, -1, -1):
        start, count = bounds_G[g], bounds_G[g + 1] - bounds_G[g]
        goes_on = g + 1 < groups and sequence_G[g] == sequence_G[g + 1]
        for q in range(count):
            for e in range(width):
                delta_QW[q, e] = delta_TE[start + q, first + e]
                written_QW[q, e] = delta_QW[q, e] * inputs_TE[start + q, first + e]
                output_QW[q, e] = by_output_TE[start + q, first + e]
                by_written_QW[q, e], by_delta_QW[q, e] = 0, 0
        for s in range(sizes):
            for e in range(width):
                memory_QW[0, e] = kept_GSE[g, s, first + e]
                by_memory_SW[s, e] = by_memory_SW[s, e] if goes_on else np.float32(0)
            for q in range(count):
                b = B_TS[start + q, s]
                for e in range(width):
                    fade_QW[q, e] = _fade(delta_QW[q, e] * A_SW[s, e])
                    memory_QW[q + 1, e] = fade_QW[q, e] * memory_QW[q, e] + written_QW[q, e] * b
            for q in range(count - 1, -1, -1):
                b, c, by_b, by_c = B_TS[start + q, s], C_TS[start + q, s], np.float32(0), np.float32(0)
                for e in range(width):
                    into = by_memory_SW[s, e] + c * output_QW[q, e]
                    by_c += output_QW[q, e] * memory_QW[q + 1, e]
                    by_b += into * written_QW[q, e]
                    by_written_QW[q, e] += into * b
                    by_memory_SW[s, e] = into * fade_QW[q, e]
                    exponent = into * fade_QW[q, e] * memory_QW[q, e]
                    by_delta_QW[q, e] += exponent * A_SW[s, e]
                    by_A_SW[s, e] += exponent * delta_QW[q, e]
                by_B_TS[start + q, s], by_C_TS[start + q, s] = by_b, by_c
        for q in range(count):
            for e in range(width):
                by_inputs_TE[start + q, first + e] = by_written_QW[q, e] * delta_QW[q, e]
                by_delta_TE[start + q, first + e] = (
                    by_written_QW[q, e] * inputs_TE[start + q, first + e] + by_delta_QW[q, e]
                )
    return by_A_SW


@cache
def _compiled() -> tuple[Any, Any]:
    """Both kernels, compiled or read from the disk."""
    grid, stack = types.float32[:, ::1], types.float32[:, :, ::1]
    chunks, block = types.UniTuple(types.int64[::1], 2), (types.int64, types.int64)
    forward = (types.UniTuple(grid, 4), grid, chunks, types.Tuple([grid, stack, stack]), *block)
    tokens = types.Tuple([grid, grid, grid, grid, stack, grid])
    backward = (tokens, grid, chunks, types.UniTuple(grid, 4), *block)
    _compile(_forward, forward)
    _compile(_backward, backward)
    return _forward, _backward


def _compile(kernel: Any, signature: tuple[Any, ...]) -> None:
    try:
        kernel.compile(signature)
    except OSError:  # the disk has no room to keep it; it is compiled nevertheless, and found this time
        kernel.compile(signature)


def _blocks(channels: int) -> list[tuple[int, int]]:
    """First and last channel (exclusive) of each call: as many for every thread, since long rows are what is fast."""
    threads = torch.get_num_threads()
    calls = threads * -(-channels // (threads * BLOCK))
    width = -(-channels // calls // 64) * 64
    return [(first, min(first + width, channels)) for first in range(0, channels, width)]


def _share(call: Callable[[int], None], count: int) -> None:
    """Call with 0 … count - 1 on as many threads as torch uses; they live no longer than this."""
    threads = min(torch.get_num_threads(), count)
    if threads == 1:
        for number in range(count):
            call(number)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(call, range(count)))


def _chunks(lengths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """First token of each chunk and of what would follow, and the sequence of each chunk; none holds two sequences."""
    lengths_N = np.array(lengths, dtype=np.int64)
    counts_N = -(-lengths_N // CHUNK)
    sequence_G = np.repeat(np.arange(len(lengths)), counts_N)
    place_G = np.arange(len(sequence_G)) - (counts_N.cumsum() - counts_N)[sequence_G]
    starts_G = (lengths_N.cumsum() - lengths_N)[sequence_G] + place_G * CHUNK
    return np.append(starts_G, lengths_N.sum()), sequence_G


def compiled_scan(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """``scan.selective_scan`` of float32 tensors on the CPU."""
    return _CompiledScan.apply(*parts, layout.lengths)


class _CompiledScan(torch.autograd.Function):
    """The kernels as one step of the gradient's chain."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        """Outputs (T, E) and last memories (N, E, S) of inputs, delta, A, B, C and the lengths of the sequences."""
        *tensors, lengths = given
        inputs, delta, A, B, C = (tensor.contiguous() for tensor in tensors)
        chunks, A_SE = _chunks(lengths), A.T.contiguous()
        outputs = torch.empty_like(inputs)
        kept, lasts = A.new_empty(len(chunks[1]), *A_SE.shape), A.new_empty(len(lengths), *A_SE.shape)
        tokens, results = _arrays(inputs, delta, B, C), _arrays(outputs, kept, lasts)
        kernel, blocks, (grid,) = _compiled()[0], _blocks(len(A)), _arrays(A_SE)
        _share(lambda number: kernel(tokens, grid, chunks, results, *blocks[number]), len(blocks))
        ctx.save_for_backward(inputs, delta, B, C, kept, A_SE)
        ctx.chunks = chunks
        memories = lasts.mT.contiguous()
        ctx.mark_non_differentiable(memories)
        return outputs, memories

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by inputs, delta, A, B and C."""
        *tokens, A_SE = ctx.saved_tensors
        inputs, delta, B, C, kept = tokens
        blocks = _blocks(A_SE.shape[1])
        by_inputs, by_delta, by_A = torch.empty_like(inputs), torch.empty_like(delta), torch.empty_like(A_SE)
        by_B, by_C = B.new_empty(len(blocks), *B.shape), C.new_empty(len(blocks), *C.shape)  # added up below
        given = _arrays(inputs, delta, B, C, kept, by[0].contiguous())
        kernel, chunks, (grid,) = _compiled()[1], ctx.chunks, _arrays(A_SE)

        def call(number: int) -> None:
            gradients, (first, last) = _arrays(by_inputs, by_delta, by_B[number], by_C[number]), blocks[number]
            by_A.numpy()[:, first:last] = kernel(given, grid, chunks, gradients, first, last)

        _share(call, len(blocks))
        return by_inputs, by_delta, by_A.T, by_B.sum(0), by_C.sum(0), None


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)
