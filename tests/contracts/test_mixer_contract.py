"""What every mixer must keep: sequences of a batch do not touch, the future does not count, states go on exactly."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from nuclex.models import BackboneConfig, Layout
from nuclex.models.architecture import MixerName
from nuclex.models.blocks.block import build_mixer
from nuclex.models.blocks.mixer import Mixer
from nuclex.models.blocks.state_space import StateSpaceConfig

WIDTH = 24
LENGTHS = [7, 1, 40, 2, 2, 19, 70]
MIXERS = get_args(MixerName)


def made(name: MixerName, dtype: torch.dtype = torch.float64) -> Mixer:
    torch.manual_seed(0)
    spaces = StateSpaceConfig(state_size=6, head_size=8, groups=2, chunk=16)
    config = BackboneConfig(depth=1, width=WIDTH, inner=8, mixer=name, heads=3, causal=True, state_space=spaces)
    return build_mixer(name, config).to(dtype).eval()


def hidden(tokens: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", MIXERS)
def test_a_batch_is_its_sequences_in_values_and_gradients(name: MixerName) -> None:
    mixer, layout = made(name), Layout.of(LENGTHS)
    found, alone = hidden(layout.tokens).requires_grad_(), hidden(layout.tokens).requires_grad_()
    together = mixer(found, layout)
    together.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in mixer.parameters()]
    mixer.zero_grad()
    parts = torch.cat([mixer(part, Layout.of([len(part)])) for part in alone.split(LENGTHS)])
    parts.square().sum().backward()
    assert torch.allclose(together, parts, rtol=0, atol=1e-12)
    assert torch.allclose(found.grad, alone.grad, rtol=0, atol=1e-11)
    for parameter, gradient in zip(mixer.parameters(), gradients, strict=True):
        scale = float(parameter.grad.abs().max())
        assert torch.allclose(gradient, parameter.grad, rtol=0, atol=1e-11 * max(1, scale))


@pytest.mark.parametrize("name", MIXERS)
def test_no_gradient_crosses_from_one_sequence_to_another(name: MixerName) -> None:
    mixer, layout = made(name), Layout.of(LENGTHS)
    given = hidden(layout.tokens).requires_grad_()
    mixer(given, layout)[8:48].square().sum().backward()  # the third sequence
    assert given.grad[:8].abs().max() == given.grad[48:].abs().max() == 0
    assert (given.grad[8:48].abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", MIXERS)
def test_neighbours_of_another_kind_change_nothing(name: MixerName) -> None:
    mixer, lengths = made(name, torch.float32), [31, 40, 33]
    given = hidden(104, torch.float32)
    loud = torch.cat([given[:31] * 1e3, given[31:71], given[71:] * -1e3])
    quiet, heard = (mixer(values, Layout.of(lengths))[31:71] for values in (given, loud))
    assert torch.allclose(quiet, heard, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MIXERS)
def test_a_causal_mixer_does_not_see_the_future(name: MixerName) -> None:
    mixer, layout, given = made(name), Layout.of([50, 30]), hidden(80)
    before = mixer(given, layout)
    for place in (1, 17, 33, 49):
        changed = given.clone()
        changed[place] += 1
        difference = (mixer(changed, layout) - before).abs().amax(1)
        assert difference[:place].max() < 1e-13
        assert difference[place] > 1e-6
        assert difference[50:].max() < 1e-13


@pytest.mark.parametrize("name", MIXERS)
def test_prefill_and_steps_are_the_whole_pass(name: MixerName) -> None:
    mixer, longer = made(name), Layout.of([length + 5 for length in LENGTHS])
    given = hidden(longer.tokens)
    wanted, parts = mixer(given, longer).split(list(longer.lengths)), given.split(list(longer.lengths))
    found, state = mixer.prefill(torch.cat([part[:-5] for part in parts]), Layout.of(LENGTHS))
    assert torch.allclose(found, torch.cat([part[:-5] for part in wanted]), rtol=0, atol=1e-12)
    for place in range(-5, 0):
        stepped = mixer.step(torch.stack([part[place] for part in parts]), state)
        assert torch.allclose(stepped, torch.stack([part[place] for part in wanted]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MIXERS)
def test_states_of_chosen_sequences_go_on(name: MixerName) -> None:
    mixer, given = made(name), hidden(sum(LENGTHS))
    chosen = torch.tensor([4, 0, 2])
    _, state = mixer.prefill(given, Layout.of(LENGTHS))
    _, some = mixer.prefill(given, Layout.of(LENGTHS))
    some = {key: value[chosen] for key, value in some.items()}
    following = hidden(len(LENGTHS))
    assert torch.allclose(mixer.step(following[chosen], some), mixer.step(following, state)[chosen], atol=1e-13)


@pytest.mark.parametrize("name", MIXERS)
def test_half_precision_is_near_and_its_gradients_are_finite(name: MixerName) -> None:
    mixer, layout = made(name, torch.float32), Layout.of(LENGTHS)
    given = hidden(layout.tokens, torch.float32).requires_grad_()
    wanted = mixer(given, layout).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = mixer(given, layout)
    assert found.dtype == torch.bfloat16
    assert (found.float() - wanted).abs().max() < 0.04 * wanted.abs().max()
    found.float().square().sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in (given, *mixer.parameters()))
