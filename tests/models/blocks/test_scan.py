"""Every way of the selective scan against the recurrence written down token by token in float64."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from nuclex.models.blocks import scan
from nuclex.models.blocks.scan import SEGMENT, Scan, chunked_scan, recurrence, scan_path, selective_scan
from nuclex.models.layout import Layout
from oracles import farthest

numba_only = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
NAMES = ("outputs", "memories", "by inputs", "by delta", "by A", "by B", "by C")


def compiled_scan(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    from nuclex.models.blocks.scan_kernel import compiled_scan

    return compiled_scan(parts, layout)


SCANS = [pytest.param(chunked_scan, id="chunks"), pytest.param(compiled_scan, id="numba", marks=numba_only)]


def sequential(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """The recurrence as it is defined, one token after the other."""
    inputs_TE, delta_TE, A_ES, B_TS, C_TS = parts
    outputs, memories = [], []
    for token in range(layout.tokens):
        if layout.positions_T[token] == 0:
            memory_ES = torch.zeros_like(A_ES)
        written_ES = (delta_TE[token] * inputs_TE[token])[:, None] * B_TS[token]
        memory_ES = torch.exp(delta_TE[token][:, None] * A_ES) * memory_ES + written_ES
        outputs.append(memory_ES @ C_TS[token])
        if token + 1 in layout.boundaries_N1:
            memories.append(memory_ES)
    return torch.stack(outputs), torch.stack(memories)


def drawn(layout: Layout, channels: int, size: int, *, seed: int = 0, delta: float = 1.0) -> list[Tensor]:
    """Inputs, delta, A, B and C at random, delta around ``delta``; float32 numbers."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    inputs_TE, delta_TE = normal(layout.tokens, channels), delta * F.softplus(normal(layout.tokens, channels))
    A_ES = -torch.exp(normal(channels, size) + 0.5)
    return [inputs_TE, delta_TE, A_ES, normal(layout.tokens, size), normal(layout.tokens, size)]


def results(run: Scan, parts: list[Tensor], layout: Layout) -> list[Tensor]:
    """Outputs, memories, and the gradients of a random sum of the outputs."""
    leaves = [part.clone().requires_grad_() for part in parts]
    outputs_TE, memories_NES = run(leaves, layout)
    weights_TE = torch.randn(outputs_TE.shape, generator=torch.Generator().manual_seed(99)).to(outputs_TE.dtype)
    (outputs_TE * weights_TE).sum().backward()
    return [outputs_TE.detach(), memories_NES.detach(), *(leaf.grad for leaf in leaves)]


CASES = {
    "unequal lengths": ([5, 70, 1, 33, 2, 130], 5, 3, 1.0),
    "one number of memory": ([40, 31, 64], 7, 1, 1.0),
    "published size": ([64, 32, 33], 130, 16, 0.05),
    "many channels": ([12, 50], 300, 4, 1.0),
    "forgets at once": ([20, 90, 3], 6, 8, 1e4),
    "hardly forgets": ([100, 300], 6, 8, 1e-5),
    "several stretches": ([SEGMENT - 3, 2, 2 * SEGMENT + 5, 1], 3, 2, 0.05),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("run", SCANS)
def test_values_and_gradients_are_those_of_the_recurrence(run: Scan, case: str) -> None:
    lengths, channels, size, delta = CASES[case]
    layout = Layout.of(lengths)
    parts = drawn(layout, channels, size, delta=delta)
    wanted = results(sequential, [part.double() for part in parts], layout)
    assert farthest(NAMES, results(run, parts, layout), wanted)[0] <= 3e-6


@pytest.mark.parametrize("case", CASES)
def test_the_torch_path_is_as_exact_as_its_numbers(case: str) -> None:
    lengths, channels, size, delta = CASES[case]
    layout = Layout.of(lengths)
    parts = [part.double() for part in drawn(layout, channels, size, delta=delta)]
    found, wanted = (results(run, parts, layout) for run in (chunked_scan, sequential))
    assert farthest(NAMES, found, wanted)[0] <= 1e-13


@numba_only
@given(
    st.lists(st.integers(1, 80), min_size=1, max_size=6), st.integers(4, 140), st.integers(2, 20), st.integers(0, 99)
)
@settings(max_examples=25)
def test_the_compiled_path_is_the_torch_path(lengths: list[int], channels: int, size: int, seed: int) -> None:
    layout = Layout.of(lengths)
    parts = drawn(layout, channels, size, seed=seed)
    wanted = results(chunked_scan, [part.double() for part in parts], layout)
    found = results(compiled_scan, parts, layout)
    assert farthest(NAMES, found, wanted)[0] <= 3e-5  # gradients by A are sums whose terms may cancel


@pytest.mark.parametrize("run", SCANS)
def test_a_token_with_delta_0_changes_nothing_and_one_with_endless_delta_forgets(run: Scan) -> None:
    layout = Layout.of([9])
    inputs, delta, A, B, C = drawn(layout, 3, 4)
    C = C[:1].expand(9, 4)  # always the same question
    delta = delta.index_fill(0, torch.tensor(4), 0).index_fill(0, torch.tensor(7), 1e30)
    inputs = inputs.index_fill(0, torch.tensor(7), 0)
    outputs, _ = run([inputs, delta, A, B, C], layout)
    assert torch.equal(outputs[4], outputs[3])
    assert outputs[6].abs().min() > 1e-4
    assert outputs[7].abs().max() < 1e-30


@pytest.mark.parametrize("run", SCANS)
def test_what_is_not_a_number_shows(run: Scan) -> None:
    layout = Layout.of([6])
    for place in range(5):
        parts = drawn(layout, 2, 3)
        parts[place] = parts[place].clone()
        parts[place][0, 0] = torch.nan
        assert run(parts, layout)[0].isnan().any(), NAMES[place + 2]


# ---- packing ----


@pytest.mark.parametrize("run", SCANS)
def test_no_gradient_crosses_from_one_sequence_to_another(run: Scan) -> None:
    layout = Layout.of([40, 3, 70, 5])
    leaves = [part.requires_grad_() for part in drawn(layout, 4, 3)]
    run(leaves, layout)[0][43:113].square().sum().backward()  # the third sequence
    for leaf in (*leaves[:2], *leaves[3:]):
        assert leaf.grad is not None
        assert leaf.grad[:43].abs().max() == leaf.grad[113:].abs().max() == 0
        assert leaf.grad[43:113].abs().min() > 0


@pytest.mark.parametrize("run", SCANS)
def test_what_a_sequence_gets_does_not_depend_on_its_neighbours(run: Scan) -> None:
    lengths = [40, 3, 70, 5]
    layout = Layout.of(lengths)
    parts = drawn(layout, 4, 3)
    outputs, memories = run(parts, layout)
    for number, (alone, piece) in enumerate(zip(outputs.split(lengths), memories, strict=True)):
        own = [part if place == 2 else part.split(lengths)[number] for place, part in enumerate(parts)]
        wanted, memory = run(own, Layout.of([lengths[number]]))
        assert torch.allclose(alone, wanted, atol=2e-6)
        assert torch.allclose(piece, memory[0], atol=2e-6)


@pytest.mark.parametrize("run", SCANS)
def test_the_future_does_not_count(run: Scan) -> None:
    layout = Layout.of([90, 30])
    parts = drawn(layout, 4, 3)
    changed = [part if place == 2 else torch.cat([part[:50], part[50:] * 1.5]) for place, part in enumerate(parts)]
    before, after = run(parts, layout)[0], run(changed, layout)[0]
    assert torch.equal(before[:50], after[:50])
    assert (before[50:] != after[50:]).all()


# ---- the public function ----


def test_the_gradient_is_the_derivative() -> None:
    layout = Layout.of([3, 1, 18])
    parts = [part.double().requires_grad_() for part in drawn(layout, 2, 2)]
    assert torch.autograd.gradcheck(lambda *given: selective_scan(*given, layout)[0], parts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_outputs_have_the_dtype_of_the_inputs_and_short_numbers_are_added_up_in_long_ones(dtype: torch.dtype) -> None:
    layout = Layout.of([200, 31])
    parts = [part.to(dtype) for part in drawn(layout, 5, 4, delta=0.05)]
    wanted, memories = sequential([part.double() for part in parts], layout)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, found = selective_scan(*parts, layout)
    assert outputs.dtype == dtype
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    assert torch.allclose(found.double(), memories, atol=1e-5)
    assert torch.allclose(outputs.double(), wanted, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


def test_no_gradient_flows_through_the_memories() -> None:
    layout = Layout.of([4])
    outputs, memories = selective_scan(*(part.requires_grad_() for part in drawn(layout, 2, 2)), layout)
    assert outputs.requires_grad
    assert not memories.requires_grad


def test_the_recurrence_broadcasts_its_decay() -> None:
    generator = torch.Generator().manual_seed(3)
    decay = torch.rand(6, 2, 1, generator=generator, dtype=torch.float64).requires_grad_()
    inputs = torch.randn(6, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(recurrence, (decay, inputs))
    state = torch.zeros(2, 3, dtype=torch.float64)
    for here, found in enumerate(recurrence(decay, inputs)):
        state = decay[here] * state + inputs[here]
        assert torch.allclose(found, state)


# ---- which way is taken ----


@pytest.fixture
def chosen_anew() -> Iterator[None]:
    """The choice on the CPU is remembered; forget it before and after."""
    scan._on_cpu.cache_clear()
    yield
    scan._on_cpu.cache_clear()


@numba_only
def test_numba_is_taken_where_it_is(chosen_anew: None) -> None:
    assert scan_path("cpu") == "compiled by numba"
    assert scan_path("meta") == "chunks in plain torch"


def test_without_numba_the_torch_path_is_taken(chosen_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "installed", lambda name: False)
    assert "pip install 'nuclex[scan]'" in scan_path("cpu")
    layout = Layout.of([30, 4])
    parts = drawn(layout, 5, 3)
    assert torch.equal(selective_scan(*parts, layout)[0], chunked_scan(parts, layout)[0])


def test_a_numba_that_does_not_load_is_said(chosen_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "installed", lambda name: True)
    monkeypatch.setitem(sys.modules, "nuclex.models.blocks.scan_kernel", None)
    assert "numba is installed but does not load" in scan_path("cpu")


def test_kernels_for_gpus_are_taken_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan_path("cuda") == "chunks in plain torch"
    monkeypatch.setattr(scan, "installed", lambda name: name == "mamba_ssm")
    assert scan_path("cuda") == "kernels of mamba-ssm (untested on hardware)"


@pytest.mark.slow
def test_nothing_optional_is_imported_before_it_is_used() -> None:
    code = "import sys, nuclex.models; sys.stderr.write(' '.join({'numba', 'fla', 'mamba_ssm'} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")
