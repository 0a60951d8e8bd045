"""What only the compiled kernel has: chunks, blocks of channels, threads, an exponential of its own."""

from __future__ import annotations

import errno
import math

import numpy as np
import pytest
import torch

from nuclex.models.layout import Layout

pytest.importorskip("numba")

import numba

from nuclex.models.blocks.scan_kernel import (
    BLOCK,
    CHUNK,
    _blocks,
    _chunks,
    _compile,
    _fade,
    _jit,
    _share,
    compiled_scan,
)


def test_chunks_hold_one_sequence_each() -> None:
    starts, sequences = _chunks((3, 2 * CHUNK + 1, CHUNK))
    first = 3 + 2 * CHUNK + 1
    assert starts.tolist() == [0, 3, 3 + CHUNK, 3 + 2 * CHUNK, first, first + CHUNK]
    assert sequences.tolist() == [0, 1, 1, 1, 2]


def test_blocks_are_every_channel_once_and_enough_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for channels, threads, count in (
        (5, 1, 1),
        (512, 1, 1),
        (1300, 1, 3),
        (512, 2, 2),
        (130, 8, 3),
        (2048, 3, 6),
        (1300, 2, 4),
    ):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        blocks = _blocks(channels)
        assert [channel for first, last in blocks for channel in range(first, last)] == list(range(channels))
        assert len(blocks) == count


def test_the_exponential_is_exact_to_float32() -> None:
    for x in np.concatenate([np.linspace(-87, 0, 5000), -np.logspace(-8, 1.9, 500)]).astype(np.float32):
        assert _fade(x) == pytest.approx(math.exp(float(x)), rel=5e-7)
    assert _fade(np.float32(0)) == 1
    assert _fade(np.float32(-87.1)) == _fade(np.float32(-1e30)) == _fade(np.float32(-math.inf)) == 0
    assert math.isnan(_fade(np.float32(math.nan)))


def test_the_number_of_threads_changes_only_how_sums_over_channels_are_rounded() -> None:
    layout = Layout.of([50, 40])
    generator = torch.Generator().manual_seed(0)
    channels = BLOCK + 165
    shapes = ((90, channels), (90, channels), (channels, 3), (90, 3), (90, 3))
    parts = [torch.rand(shape, generator=generator) for shape in shapes]
    parts[2].neg_()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaves = [part.clone().requires_grad_() for part in parts]
            outputs, memories = compiled_scan(leaves, layout)
            outputs.square().sum().backward()
            found.append([outputs, memories, *(leaf.grad for leaf in leaves)])
    finally:
        torch.set_num_threads(before)
    *alike, by_B, by_C = zip(*found, strict=True)
    assert all(torch.equal(one, three) for one, three in alike)
    assert all(torch.allclose(one, three, rtol=1e-5) for one, three in (by_B, by_C))


def test_what_goes_wrong_in_a_thread_is_raised() -> None:
    before = torch.get_num_threads()

    def fail(number: int) -> None:
        raise ValueError(f"block {number}")

    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with pytest.raises(ValueError, match="block 0"):
                _share(fail, 2)
    finally:
        torch.set_num_threads(before)


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler, asked = numba.njit, []

    def nowhere(cache: bool = False, nogil: bool = False, fastmath: object = None, error_model: str = "") -> object:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(nogil=nogil, fastmath=fastmath, error_model=error_model)

    monkeypatch.setattr(numba, "njit", nowhere)
    assert _jit(lambda x: x + 1)(1) == 2
    assert asked == [True, False]


def test_a_full_disk_does_not_keep_it_from_being_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = numba.njit(lambda x: x + 1)

    class Full:
        def load_overload(self, signature: object, context: object) -> None:
            return None

        def save_overload(self, signature: object, result: object) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(kernel, "_cache", Full())
    _compile(kernel, (numba.float32,))
    assert kernel.signatures == [(numba.float32,)]
    assert kernel(np.float32(1)) == 2
