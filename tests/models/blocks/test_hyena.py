from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from nuclex.core.errors import InputError
from nuclex.models.blocks.hyena import Hyena, HyenaConfig, ImplicitFilter
from nuclex.models.blocks.mixer import State
from nuclex.models.layout import Layout

LENGTHS = [5, 1, 12, 5, 33, 2]
LAYOUT = Layout.of(LENGTHS)
WIDTH = 6
DEFAULT = HyenaConfig(reference_length=20)
OTHER = HyenaConfig(
    order=3,
    filter_order=5,
    filter_layers=0,
    features=7,
    sine_frequency=3.0,
    short_kernel=4,
    reference_length=13,
    decay_fast=0.2,
    decay_slow=0.9,
    decay_target=0.1,
    decay_shift=0.0,
)


def made(config: HyenaConfig = DEFAULT, *, causal: bool = True, seed: int = 0) -> Hyena:
    torch.manual_seed(seed)
    return Hyena(WIDTH, config, causal=causal).double().eval()


def drawn(tokens: int = LAYOUT.tokens, seed: int = 1) -> Tensor:
    return torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- the layer written down once more: one sequence, one token, one channel after the other ----


def weights_at(layer: Hyena, lag: int) -> list[list[float]]:
    """The weight of every filter and channel for a value so many tokens away, without the skip weights."""
    config, network = layer.config, layer.filter
    time, turn = lag / (config.reference_length - 1), 2 * math.pi * lag / config.reference_length
    bands = [1e-4 + (band * (config.features // 2 - 1 - 1e-4)) / max(config.features // 2 - 1, 1)
             for band in range(config.features // 2)]  # fmt: skip
    hidden = [time, *(math.cos(band * turn) for band in bands), *(math.sin(-band * turn) for band in bands)]
    frequency = network.frequency.tolist()
    for linear in network.layers:
        matrix, bias = (part.tolist() for part in (linear.weight, linear.bias))
        sums = [sum(a * b for a, b in zip(row, hidden, strict=True)) + c for row, c in zip(matrix, bias, strict=True)]
        hidden = [math.sin(w * value) for w, value in zip(frequency, sums, strict=True)]
    flat = [sum(a * b for a, b in zip(row, hidden, strict=True)) for row in network.output.weight.tolist()]
    slow, fast = 1 / config.decay_slow, 1 / config.decay_fast
    window = [config.decay_target ** (time * (slow + (fast - slow) * channel / (WIDTH - 1))) + config.decay_shift
              for channel in range(WIDTH)]  # fmt: skip
    return [
        [flat[first + channel] * window[channel] for channel in range(WIDTH)] for first in range(0, len(flat), WIDTH)
    ]


def written_down(layer: Hyena, hidden_LD: Tensor) -> Tensor:
    order, length, width = layer.config.order, len(hidden_LD), WIDTH
    projected = hidden_LD @ layer.into.weight.T + layer.into.bias
    assert layer.short.bias is not None
    short = torch.zeros_like(projected)
    for here in range(length):
        short[here] = layer.short.bias
        for back in range(min(layer.config.short_kernel, here + 1)):
            short[here] += layer.short.weight[:, layer.config.short_kernel - 1 - back] * projected[here - back]
    parts = [short[:, first : first + width] for first in range(0, (order + 1) * width, width)]
    table = torch.tensor([weights_at(layer, lag) for lag in range(length)], dtype=torch.float64)  # lags, filters, D
    value = parts[order]
    for number in range(order - 1):
        entering = value * parts[order - 1 - number]
        value = layer.skip[number] * entering
        for here in range(length):
            for there in range(length if not layer.causal else here + 1):
                filter_ = number if there <= here else number + order - 1
                value[here] += table[abs(here - there), filter_] * entering[there]
    return (value * parts[0]) @ layer.output.weight.T + layer.output.bias


@pytest.mark.parametrize("config", [DEFAULT, OTHER], ids=["default", "other"])
@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_the_layer_is_what_its_definition_says(config: HyenaConfig, causal: bool) -> None:
    layer, hidden = made(config, causal=causal), drawn()
    wanted = torch.cat([written_down(layer, part) for part in hidden.split(LENGTHS)])
    assert wanted.std() > 0.05
    assert torch.allclose(layer(hidden, LAYOUT), wanted, atol=1e-12)


def test_a_window_is_at_its_target_when_the_config_says() -> None:
    config = HyenaConfig(reference_length=1001, decay_fast=0.3, decay_slow=1.5, decay_target=0.01, decay_shift=0.25)
    network = ImplicitFilter(1, 2, config).double()
    with torch.no_grad():
        weights = network(torch.tensor([300, 1500]))[0]
        flat = ImplicitFilter(1, 2, config.model_copy(update={"decay_fast": 1e12, "decay_slow": 1e12})).double()
        flat.load_state_dict(network.state_dict())
        window = weights / flat(torch.tensor([300, 1500]))[0] * 1.25  # a window that never falls is 1 + shift
    assert window[0, 1] == pytest.approx(0.26, rel=1e-6), "the fastest channel, 0.3 units back"
    assert window[1, 0] == pytest.approx(0.26, rel=1e-6), "the slowest channel, 1.5 units back"


def test_as_many_parameters_as_the_published_layer_of_width_768() -> None:
    into, short, output = 768 * 3 * 768 + 3 * 768, 3 * 768 * 3 + 3 * 768, 768 * 768 + 768
    network = (3 * 64 + 64) + 2 * (64 * 64 + 64) + 64 + 64 * 768
    layer = Hyena(768, HyenaConfig())
    assert sum(part.numel() for part in layer.parameters()) == into + short + output + network + 768 == 2_430_144


# ---- what a sequence gets depends on itself alone, and on its past alone ----


@torch.no_grad()
def test_filters_depend_on_the_lag_alone() -> None:
    network = made().filter
    few, many = network(torch.arange(10)), network(torch.arange(1000))
    assert torch.allclose(few, many[:, :10], rtol=0, atol=1e-15)
    assert torch.allclose(network(torch.tensor([999, 3])), many[:, [999, 3]], rtol=0, atol=1e-15)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
@torch.no_grad()
def test_packing_and_batch_mates_do_not_matter(causal: bool, dtype: torch.dtype, tolerance: float) -> None:
    layer, hidden = made(causal=causal).to(dtype), drawn().to(dtype)
    together = layer(hidden, LAYOUT).split(LENGTHS)
    parts = hidden.split(LENGTHS)
    turned = layer(torch.cat(parts[::-1]), Layout.of(LENGTHS[::-1])).split(LENGTHS[::-1])[::-1]
    for part, among, elsewhere in zip(parts, together, turned, strict=True):
        alone = layer(part, Layout.of([len(part)]))
        assert torch.allclose(among, alone, rtol=0, atol=tolerance)
        assert torch.allclose(elsewhere, alone, rtol=0, atol=tolerance)


@pytest.mark.parametrize("causal", [True, False])
def test_no_gradient_crosses_from_one_sequence_to_another(causal: bool) -> None:
    layer, hidden = made(causal=causal), drawn().requires_grad_()
    layer(hidden, LAYOUT)[6:18].square().sum().backward()  # the third sequence
    assert hidden.grad is not None
    assert hidden.grad[:6].abs().max() == hidden.grad[18:].abs().max() == 0
    assert hidden.grad[6:18].abs().min() > 0


@torch.no_grad()
def test_the_future_is_seen_only_where_the_layer_is_not_causal() -> None:
    hidden = drawn(40)
    changed = hidden.clone()
    changed[25:] += 1
    for causal in (True, False):
        before, after = (made(causal=causal)(part, Layout.of([40])) for part in (hidden, changed))
        assert torch.allclose(before[:25], after[:25], rtol=0, atol=1e-12) == causal
        assert (before[25:] - after[25:]).abs().max() > 0.01


# ---- token by token ----


def continued(layer: Hyena, hidden: Tensor, known: list[int]) -> tuple[list[Tensor], State]:
    """All outputs of sequences of equal length of which the first ``known`` tokens are read at once."""
    rows = hidden.unflatten(0, (len(known), -1))
    first = torch.cat([row[:count] for row, count in zip(rows, known, strict=True)])
    mixed, state = layer.prefill(first, Layout.of(known))
    found = [list(part) for part in mixed.split(known)]
    for number in range(rows.shape[1] - min(known)):
        at = [min(count + number, rows.shape[1] - 1) for count in known]
        for place, output in enumerate(layer.step(rows[range(len(known)), at], state)):
            found[place].append(output)
    return [torch.stack(part[: rows.shape[1]]) for part in found], state


@pytest.mark.parametrize("config", [DEFAULT, OTHER], ids=["default", "other"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@torch.no_grad()
def test_going_on_token_by_token_equals_the_full_pass(
    config: HyenaConfig, dtype: torch.dtype, tolerance: float
) -> None:
    layer, hidden = made(config).to(dtype), drawn(4 * 40).to(dtype)
    wanted = layer(hidden, Layout.of([40] * 4)).split(40)
    found, state = continued(layer, hidden, [1, 7, 2, 30])
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=tolerance)
    assert {len(tensor) for tensor in state.values()} == {4}
    assert state["filters"].stride(0) == 0, "one filter bank for all sequences"


@torch.no_grad()
def test_sequences_of_a_state_can_be_chosen_and_repeated() -> None:
    layer, hidden = made(), drawn(3 * 20)
    rows = hidden.unflatten(0, (3, 20))
    _, state = layer.prefill(rows[:, :12].flatten(0, 1), Layout.of([12] * 3))
    chosen = [2, 0, 2, 1]
    state = {name: tensor[chosen] for name, tensor in state.items()}
    wanted = layer(hidden, Layout.of([20] * 3)).unflatten(0, (3, 20))[chosen]
    for place in range(12, 20):
        assert torch.allclose(layer.step(rows[chosen, place], state), wanted[:, place], rtol=0, atol=1e-12)
        assert state["filters"].stride(0) == 0
        assert state["filters"].untyped_storage().nbytes() <= 2 * 20 * WIDTH * 8


def test_a_layer_that_looks_ahead_cannot_go_on() -> None:
    layer = made(causal=False)
    _, state = layer.prefill(drawn(5), Layout.of([5]))
    with pytest.raises(ValueError, match="causal"):
        layer.step(drawn(1), state)


def test_what_is_longer_than_allowed_is_refused() -> None:
    layer = made(HyenaConfig(max_length=5))
    _, state = layer.prefill(drawn(5), Layout.of([5]))
    for refused in (lambda: layer(drawn(6), Layout.of([6])), lambda: layer.step(drawn(1), state)):
        with pytest.raises(InputError, match="max_length: found a sequence of 6 tokens; at most 5 are allowed"):
            refused()


# ---- learning ----


@pytest.mark.parametrize("causal", [True, False])
def test_every_parameter_learns_and_all_gradients_are_finite(causal: bool) -> None:
    layer, hidden = made(causal=causal).train(), drawn().requires_grad_()
    layer(hidden, LAYOUT).square().sum().backward()
    for name, part in [("input", hidden), *layer.named_parameters()]:
        assert part.grad is not None, name
        assert part.grad.isfinite().all(), name
        assert part.grad.abs().max() > 1e-6, name


def test_gradients_are_finite_far_beyond_the_reference_length() -> None:
    layer = made(HyenaConfig(reference_length=2)).float()
    hidden = drawn(3000).float().requires_grad_()
    mixed = layer(hidden, Layout.of([2999, 1]))
    mixed.sum().backward()
    assert mixed.isfinite().all()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in (hidden, *layer.parameters()))


def test_autocast_keeps_filters_and_transforms_in_single_precision() -> None:
    layer, hidden = made().float(), drawn().float()
    wanted, filters = layer(hidden, LAYOUT), layer.filter(torch.arange(40))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.filter(torch.arange(40)), filters)
        found = layer(hidden, LAYOUT)
        mixed, state = layer.prefill(hidden, LAYOUT)
        stepped = layer.step(hidden[: len(LENGTHS)], state)
    assert found.dtype == mixed.dtype == stepped.dtype == torch.bfloat16
    assert torch.equal(found, mixed)
    assert (found - wanted).abs().max() < 0.02 * wanted.abs().max()
    found.float().sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in layer.parameters())
    half = layer.bfloat16()
    assert (half(hidden.bfloat16(), LAYOUT) - wanted).abs().max() < 0.05 * wanted.abs().max()


@pytest.mark.parametrize("key", ["dropout", "filter_dropout"])
def test_dropout_acts_in_training_only_and_keeps_the_mean(key: str) -> None:
    layer = made(HyenaConfig(reference_length=20, **{key: 0.5}))
    hidden = drawn()
    with torch.no_grad():
        sure = layer(hidden, LAYOUT)
        assert torch.equal(sure, layer(hidden, LAYOUT))
        layer.train()
        torch.manual_seed(0)
        many = torch.stack([layer(hidden, LAYOUT) for _ in range(500)])
    assert not torch.equal(many[0], many[1])
    spread = many.std(0) / math.sqrt(500)
    assert ((many.mean(0) - sure).abs() < 6 * spread + 1e-9).all()


def test_what_is_special_is_drawn_anew() -> None:
    layer = made()
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
    nn.init.zeros_(layer.skip)
    nn.init.zeros_(layer.filter.frequency)
    layer.reset_special()
    assert layer.filter.frequency.unique().tolist() == [1.0]
    assert layer.skip.std() > 0.3
    for linear in (*layer.filter.layers, layer.filter.output):
        bound = 1 / math.sqrt(linear.weight.shape[1])  # PyTorch's own: uniform between -bound and bound
        assert 0.8 * bound < linear.weight.abs().max() <= bound
    assert layer.into.weight.abs().max() == layer.output.weight.abs().max() == 0, "ordinary matrices are left alone"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("features", 4),
        ("order", 1),
        ("reference_length", 1),
        ("decay_target", 1.0),
        ("decay_fast", 0),
        ("max_length", 0),
    ],
)
def test_a_config_that_cannot_be_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        HyenaConfig.model_validate({key: value})
