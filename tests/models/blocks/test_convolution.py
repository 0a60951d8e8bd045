"""The short convolution against the sum written down and against PyTorch's Conv1d, sequence by sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nuclex.models.blocks.convolution import ShortConvolution
from nuclex.models.layout import Layout

LENGTHS = [3, 1, 9, 2, 2, 5, 1]
LAYOUT = Layout.of(LENGTHS)


def made(channels: int, kernel: int, *, bias: bool = True) -> ShortConvolution:
    torch.manual_seed(kernel)
    return ShortConvolution(channels, kernel, bias=bias).double()


def values(channels: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(LAYOUT.tokens, channels, generator=generator, dtype=torch.float64)


def written_down(layer: ShortConvolution, values_TE: Tensor) -> Tensor:
    """Token by token: weight[e, k] times the value kernel - 1 - k tokens back in the same sequence."""
    mixed_TE, kernel = torch.zeros_like(values_TE), layer.weight.shape[1]
    for token, position in enumerate(LAYOUT.positions_T.tolist()):
        for back in range(min(position + 1, kernel)):
            mixed_TE[token] += layer.weight[:, kernel - 1 - back].detach() * values_TE[token - back]
    return mixed_TE if layer.bias is None else mixed_TE + layer.bias.detach()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kernel", [1, 2, 4, 12])
def test_it_is_the_weighted_sum_of_the_last_values(kernel: int, bias: bool) -> None:
    layer = made(5, kernel, bias=bias)
    assert torch.allclose(layer(values(5), LAYOUT), written_down(layer, values(5)), atol=1e-14)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kernel", [1, 3, 4])
def test_values_and_gradients_are_those_of_conv1d(kernel: int, bias: bool) -> None:
    layer = made(5, kernel, bias=bias)
    peer = nn.Conv1d(5, 5, kernel, groups=5, padding=kernel - 1, bias=bias).double()
    with torch.no_grad():
        peer.weight.copy_(layer.weight[:, None])
        if bias:
            peer.bias.copy_(layer.bias)
    ours, theirs, weights = values(5).requires_grad_(), values(5).requires_grad_(), values(5, seed=1)
    found = layer(ours, LAYOUT)
    parts = [peer(part.T[None])[0, :, : len(part)].T for part in theirs.split(LENGTHS)]
    (found * weights).sum().backward()
    (torch.cat(parts) * weights).sum().backward()
    assert torch.allclose(found, torch.cat(parts), atol=1e-14)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-14)
    assert torch.allclose(layer.weight.grad, peer.weight.grad[:, 0], atol=1e-13)
    assert layer.bias is None or torch.allclose(layer.bias.grad, peer.bias.grad, atol=1e-13)


@pytest.mark.parametrize("kernel", [1, 4])
def test_the_gradient_is_the_derivative(kernel: int) -> None:
    layer = made(2, kernel)
    weight, bias = layer.weight.detach().requires_grad_(), layer.bias.detach().requires_grad_()

    def run(values_TE: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(layer, parameters, (values_TE, LAYOUT))

    assert torch.autograd.gradcheck(run, (values(2).requires_grad_(), weight, bias))


def test_what_is_not_a_number_stays_in_its_sequence() -> None:
    layer = made(3, 4)
    spoilt = values(3)
    spoilt[4:13] = torch.nan  # the third sequence
    spoilt.requires_grad_()
    mixed = layer(spoilt, LAYOUT)
    assert mixed[4:13].isnan().all()
    assert not mixed[:4].isnan().any()
    assert not mixed[13:].isnan().any()
    (mixed * torch.where(torch.arange(LAYOUT.tokens) < 13, 1.0, torch.nan)[:, None]).sum().backward()
    assert not spoilt.grad[:13].isnan().any()
    assert spoilt.grad[13:].isnan().all()


@pytest.mark.parametrize("kernel", [1, 2, 4])
def test_steps_go_on_where_the_sequences_end(kernel: int) -> None:
    layer = made(3, kernel)
    longer = Layout.of([length + 2 for length in LENGTHS])
    generator = torch.Generator().manual_seed(5)
    all_values = torch.randn(longer.tokens, 3, generator=generator, dtype=torch.float64)
    sequences, wanted = all_values.split(list(longer.lengths)), layer(all_values, longer).split(list(longer.lengths))
    tail = layer.tail(torch.cat([sequence[:-2] for sequence in sequences]), LAYOUT)
    assert tail.shape == (len(LENGTHS), kernel - 1, 3)
    for place in (-2, -1):
        found = layer.step(torch.stack([sequence[place] for sequence in sequences]), tail)
        assert torch.allclose(found, torch.stack([mixed[place] for mixed in wanted]), atol=1e-14)


def test_short_values_are_mixed_in_the_dtype_of_the_weights() -> None:
    layer = made(3, 4).float()
    mixed = layer(values(3).bfloat16(), LAYOUT)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, layer(values(3).bfloat16().float(), LAYOUT))
