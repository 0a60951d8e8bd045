"""Mamba against transformers' mixer with the same weights, and its published start. See also the mixers' contract."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.blocks import scan
from nuclex.models.blocks.state_space import Mamba, StateSpaceConfig
from nuclex.models.layout import Layout

LENGTHS = [5, 70, 1, 33, 2, 130]
LAYOUT = Layout.of(LENGTHS)
PUBLISHED = {"into": "in_proj", "convolution": "conv1d", "select": "x_proj", "delta": "dt_proj", "output": "out_proj"}
CASES = {
    "published": StateSpaceConfig(),
    "other sizes": StateSpaceConfig(state_size=5, expansion=3, kernel=3, rank=7),
    "all biases": StateSpaceConfig(bias=True),
    "no biases": StateSpaceConfig(convolution_bias=False, kernel=1),
}


def peer(width: int, config: StateSpaceConfig) -> nn.Module:
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    theirs = MambaConfig(
        hidden_size=width,
        state_size=config.state_size,
        expand=config.expansion,
        conv_kernel=config.kernel,
        time_step_rank=config.rank or "auto",
        use_bias=config.bias,
        use_conv_bias=config.convolution_bias,
    )
    return MambaMixer(theirs, layer_idx=0)


def their_name(name: str) -> str:
    first, dot, rest = name.partition(".")
    return PUBLISHED.get(first, first) + dot + rest


def pair(width: int, config: StateSpaceConfig) -> tuple[Mamba, nn.Module]:
    """Both mixers with the same weights, all of them random."""
    torch.manual_seed(0)
    ours, theirs = Mamba(width, config), peer(width, config)
    for name, parameter in ours.named_parameters():
        with torch.no_grad():
            if "bias" in name or name == "D":
                parameter.add_(0.3 * torch.randn_like(parameter))
            theirs.get_parameter(their_name(name)).copy_(
                parameter.reshape(theirs.get_parameter(their_name(name)).shape)
            )
    return ours, theirs


def close(found: Tensor, wanted: Tensor, tolerance: float = 3e-6) -> bool:
    return bool((found - wanted).abs().max() <= tolerance * wanted.abs().max())


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("numba", [True, False], ids=["numba", "chunks"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_transformers(
    case: str, numba: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not numba:
        monkeypatch.setattr(scan, "_on_cpu", lambda: (scan.chunked_scan, ""))
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
        assert close(parameter.grad, theirs.get_parameter(their_name(name)).grad.reshape(parameter.shape)), name


def test_steps_in_single_precision_stay_with_the_whole_pass() -> None:
    ours, _ = pair(32, StateSpaceConfig())
    given = normal(300, 32)
    with torch.no_grad():
        wanted = ours(given, Layout.of([300]))
        _, state = ours.prefill(given[:20], Layout.of([20]))
        found = torch.cat([ours.step(given[place : place + 1], state) for place in range(20, 300)])
    assert close(found, wanted[20:], 1e-5)
    assert (state["memory"].shape, state["convolution"].shape) == ((1, 64, 16), (1, 3, 64))


def test_special_weights_start_as_published() -> None:
    torch.manual_seed(0)
    config = StateSpaceConfig(rank=9)
    mixer = Mamba(512, config)
    assert torch.allclose(-mixer.A_log.exp(), -torch.arange(1.0, 17).expand(1024, 16))
    assert (mixer.D == 1).all()
    assert mixer.delta.weight.abs().max() <= 1 / 3
    assert float(mixer.delta.weight.detach().std()) == pytest.approx(1 / 3 / math.sqrt(3), rel=0.02)
    steps = F.softplus(mixer.delta.bias.detach())
    assert 0.001 * 0.999 <= steps.min() < 0.0012
    assert 0.08 < steps.max() <= 0.1 * 1.001
    place = (steps.log().sort().values - math.log(0.001)) / math.log(100)  # uniform: the i-th of n near i/n
    assert (place - torch.linspace(0, 1, 1024)).abs().max() < 1.63 / math.sqrt(1024)  # Kolmogorov-Smirnov, 1 %


def test_what_is_special_is_drawn_anew_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    mixer = Mamba(16, StateSpaceConfig())
    fresh = {name: parameter.clone() for name, parameter in mixer.named_parameters()}
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.fill_(7)
    mixer.reset_special()
    special = {name for name, parameter in mixer.named_parameters() if not (parameter == 7).all()}
    assert special == {"A_log", "D", "delta.weight", "delta.bias"}
    assert torch.equal(mixer.A_log, fresh["A_log"])
    assert not torch.equal(mixer.delta.bias, fresh["delta.bias"])


def test_no_step_size_starts_below_the_floor() -> None:
    steps = F.softplus(StateSpaceConfig(delta_min=1e-6, delta_max=1e-3, delta_floor=5e-4).drawn_steps(1000))
    assert float(steps.min()) == pytest.approx(5e-4, rel=1e-3)
    assert (steps > 6e-4).any()


def test_as_many_parameters_as_published() -> None:
    """Width 768: in 768·3072, conv 1536·(4+1), x 1536·(48+32), dt 1536·(48+1), A 1536·16, D 1536, out 1536·768."""
    mixer = Mamba(768, StateSpaceConfig())
    assert sum(parameter.numel() for parameter in mixer.parameters()) == 3_770_880


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"delta_min": 0.2}, "delta_min 0.2 is above delta_max 0.1"),
        ({"kernel": 0}, "greater than or equal to 1"),
        ({"state_size": 0}, "greater than or equal to 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StateSpaceConfig(**wrong)
