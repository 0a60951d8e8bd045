"""Mamba-2 against its recurrence in float64 and transformers' mixer with the same weights. See also the contract."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.blocks import state_space_dual
from nuclex.models.blocks.state_space import StateSpaceConfig
from nuclex.models.blocks.state_space_dual import GatedNorm, Mamba2, dual_path, dual_scan
from nuclex.models.layout import Layout
from oracles import farthest

LENGTHS = [5, 70, 1, 33, 2, 130]
LAYOUT = Layout.of(LENGTHS)
NAMES = ("outputs", "memories", "by written", "by fade", "by B", "by C")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---- the scan ----


def sequential(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """The recurrence as it is defined, one token after the other, every head with the B and C of its group."""
    written_THK, fade_TH, B_TRS, C_TRS = parts
    B_THS, C_THS = (part.repeat_interleave(fade_TH.shape[1] // part.shape[1], 1) for part in (B_TRS, C_TRS))
    outputs, memories = [], []
    for token in range(layout.tokens):
        if layout.positions_T[token] == 0:
            memory_HKS = torch.zeros_like(written_THK[0, :, :, None] * B_THS[0, :, None])
        memory_HKS = fade_TH[token].exp()[:, None, None] * memory_HKS
        memory_HKS = memory_HKS + written_THK[token, :, :, None] * B_THS[token, :, None]
        outputs.append((memory_HKS * C_THS[token, :, None]).sum(-1))
        if token + 1 in layout.boundaries_N1:
            memories.append(memory_HKS)
    return torch.stack(outputs), torch.stack(memories)


def results(parts: list[Tensor], layout: Layout, chunk: int | None) -> list[Tensor]:
    """Outputs, memories and the gradients of a random sum of the outputs; by the recurrence where ``chunk`` is None."""
    leaves = [part.clone().requires_grad_() for part in parts]
    if chunk is None:
        outputs, memories = sequential(leaves, layout)
    else:
        outputs, last = dual_scan(*leaves, layout, chunk)
        memories = last()
        assert not memories.requires_grad
    (outputs * normal(*outputs.shape, seed=99).to(outputs.dtype)).sum().backward()
    return [outputs.detach(), memories.detach(), *(leaf.grad for leaf in leaves)]


def drawn(layout: Layout, heads: int, groups: int, *, fade: float = 0.5) -> list[Tensor]:
    tokens = layout.tokens
    fades = -fade * F.softplus(normal(tokens, heads, seed=1))
    return [normal(tokens, heads, 5), fades, normal(tokens, groups, 3, seed=2), normal(tokens, groups, 3, seed=3)]


@pytest.mark.parametrize("fade", [1e-5, 0.05, 0.5, 1e4])
@pytest.mark.parametrize("chunk", [1, 16, 64, 500])
@pytest.mark.parametrize(("heads", "groups"), [(1, 1), (4, 2), (3, 3)])
def test_values_and_gradients_are_those_of_the_recurrence(chunk: int, fade: float, heads: int, groups: int) -> None:
    parts = drawn(LAYOUT, heads, groups, fade=fade)
    exact = [part.double() for part in parts]
    wanted = results(exact, LAYOUT, None)
    assert farthest(NAMES, results(parts, LAYOUT, chunk), wanted)[0] <= 3e-6
    assert farthest(NAMES, results(exact, LAYOUT, chunk), wanted)[0] <= 1e-13


@pytest.mark.parametrize("chunk", [1, 4, 16])
def test_the_gradient_is_the_derivative(chunk: int) -> None:
    layout = Layout.of([3, 1, 9])
    parts = [part.double().requires_grad_() for part in drawn(layout, 2, 1)]
    assert torch.autograd.gradcheck(lambda *given: dual_scan(*given, layout, chunk)[0], parts)


def test_no_gradient_crosses_within_a_chunk() -> None:
    layout = Layout.of([9, 3, 20, 5])
    leaves = [part.requires_grad_() for part in drawn(layout, 2, 1)]
    dual_scan(*leaves, layout, 64)[0][12:32].square().sum().backward()
    for leaf in leaves:
        assert leaf.grad[:12].abs().max() == leaf.grad[32:].abs().max() == 0
        assert leaf.grad[13:32].abs().amax(tuple(range(1, leaf.ndim))).min() > 0


def test_short_numbers_are_added_up_in_long_ones() -> None:
    parts = [part.bfloat16() for part in drawn(LAYOUT, 2, 1)]
    wanted, memories = sequential([part.double() for part in parts], LAYOUT)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, last = dual_scan(*parts, LAYOUT, 64)
    assert outputs.dtype == last().dtype == torch.float32
    assert torch.allclose(outputs.double(), wanted, atol=1e-4)
    assert torch.allclose(last().double(), memories, atol=1e-4)


# ---- the norm ----


@pytest.mark.parametrize("before_gate", [False, True])
def test_the_norm_is_what_its_formula_says(before_gate: bool) -> None:
    values, gate = normal(6, 8).double(), normal(6, 8, seed=1).double()
    norm = GatedNorm(8, 2, epsilon=1e-3, before_gate=before_gate).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1, 9))
    gates = gate / (1 + (-gate).exp())
    entering = values if before_gate else values * gates
    wanted = torch.empty_like(values)
    for group in (slice(0, 4), slice(4, 8)):
        root = ((entering[:, group] ** 2).mean(1, keepdim=True) + 1e-3).sqrt()
        wanted[:, group] = entering[:, group] / root * norm.weight[group].detach()
    assert torch.allclose(norm(values, gate), wanted * gates if before_gate else wanted)


# ---- the mixer ----

PUBLISHED = {"into": "in_proj", "convolution": "conv1d", "delta_bias": "dt_bias", "output": "out_proj"}
CASES = {
    "one group": StateSpaceConfig(head_size=8),
    "groups": StateSpaceConfig(head_size=8, groups=4, state_size=5, chunk=16),
    "all biases": StateSpaceConfig(head_size=16, bias=True, kernel=3, expansion=3, norm_epsilon=1e-2),
    "no biases": StateSpaceConfig(head_size=64, convolution_bias=False, state_size=24),
}


def peer(width: int, config: StateSpaceConfig) -> nn.Module:
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    theirs = Mamba2Config(
        hidden_size=width,
        state_size=config.state_size,
        expand=config.expansion,
        conv_kernel=config.kernel,
        num_heads=config.heads(width),
        head_dim=config.head_size,
        n_groups=config.groups,
        chunk_size=32,
        layer_norm_epsilon=config.norm_epsilon,
        use_bias=config.bias,
        use_conv_bias=config.convolution_bias,
    )
    return Mamba2Mixer(theirs, layer_idx=0)


def their_name(name: str) -> str:
    first, dot, rest = name.partition(".")
    return PUBLISHED.get(first, first) + dot + rest


def pair(width: int, config: StateSpaceConfig) -> tuple[Mamba2, nn.Module]:
    """Both mixers with the same weights, all of them random."""
    torch.manual_seed(0)
    ours, theirs = Mamba2(width, config), peer(width, config)
    for name, parameter in ours.named_parameters():
        with torch.no_grad():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            same = theirs.get_parameter(their_name(name))
            same.copy_(parameter.reshape(same.shape))
    return ours, theirs


def close(found: Tensor, wanted: Tensor, tolerance: float = 5e-6) -> bool:
    return bool((found - wanted).abs().max() <= tolerance * wanted.abs().max())


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_transformers(case: str) -> None:
    ours, theirs = pair(32, CASES[case])
    given, same = normal(LAYOUT.tokens, 32).requires_grad_(), normal(LAYOUT.tokens, 32).requires_grad_()
    weights = normal(LAYOUT.tokens, 32, seed=1)
    found = ours(given, LAYOUT)
    wanted = torch.cat([theirs(part[None])[0] for part in same.split(LENGTHS)])
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    assert close(found, wanted)
    assert close(given.grad, same.grad)
    for name, parameter in ours.named_parameters():
        gradient = theirs.get_parameter(their_name(name)).grad.reshape(parameter.shape)
        assert close(parameter.grad, gradient, 2e-5), name  # sums over all tokens whose terms cancel


def test_steps_in_single_precision_stay_with_the_whole_pass() -> None:
    ours, _ = pair(32, CASES["groups"])
    given = normal(300, 32)
    with torch.no_grad():
        wanted = ours(given, Layout.of([300]))
        _, state = ours.prefill(given[:20], Layout.of([20]))
        found = torch.cat([ours.step(given[place : place + 1], state) for place in range(20, 300)])
    assert close(found, wanted[20:], 1e-5)
    assert (state["memory"].shape, state["convolution"].shape) == ((1, 8, 8, 5), (1, 3, 104))


def test_special_weights_start_as_in_transformers_and_are_drawn_anew() -> None:
    torch.manual_seed(0)
    mixer = Mamba2(512, StateSpaceConfig(head_size=4))
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.fill_(7)
    mixer.reset_special()
    special = {name for name, parameter in mixer.named_parameters() if not (parameter == 7).all()}
    assert special == {"A_log", "D", "delta_bias", "norm.weight"}
    assert torch.allclose(-mixer.A_log.exp(), -torch.arange(1.0, 257))
    assert (mixer.D == 1).all()
    assert (mixer.norm.weight == 1).all()
    steps = F.softplus(mixer.delta_bias)
    assert 0.001 * 0.999 <= steps.min() < 0.0012
    assert 0.08 < steps.max() <= 0.1 * 1.001


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"head_size": 48}, "inner width 64 is not a multiple of head_size 48"),
        ({"head_size": 16, "groups": 3}, "4 heads .* are not a multiple of groups 3"),
    ],
)
def test_sizes_that_do_not_divide_each_other_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mamba2(32, StateSpaceConfig(**wrong))


def test_the_path_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dual_path("cpu") == "matrix products in plain torch"
    monkeypatch.setattr(state_space_dual, "installed", lambda name: name == "fla")
    assert "flash-linear-attention" in dual_path("cuda")
    assert dual_path("cpu") == "matrix products in plain torch"
