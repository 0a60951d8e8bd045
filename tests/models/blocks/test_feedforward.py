from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from nuclex.models.blocks.feedforward import FeedForward, SwiGLU


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def inputs() -> Tensor:
    return 3 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_classic_network_uses_the_exact_gelu() -> None:
    torch.manual_seed(0)
    layer = FeedForward(4, 6).double()
    inner = inputs() @ layer.into.weight.T + layer.into.bias
    wanted = inner.detach().apply_(gelu) @ layer.output.weight.T + layer.output.bias
    assert torch.allclose(layer(inputs()), wanted, atol=1e-12)


def test_without_biases_there_are_none() -> None:
    assert [name for name, _ in FeedForward(4, 6, bias=False).named_parameters()] == ["into.weight", "output.weight"]
    names = [name for name, _ in SwiGLU(4, 6, bias=False, learnable=True).named_parameters()]
    assert names == ["beta", "into.weight", "gate.weight", "output.weight"]


@pytest.mark.parametrize("beta", [1.0, 0.3, -2.0])
def test_swiglu_is_swish_times_gate(beta: float) -> None:
    torch.manual_seed(0)
    layer = SwiGLU(4, 6, learnable=True).double()
    assert layer.beta is not None
    assert layer.beta.tolist() == [1.0]
    with torch.no_grad():
        layer.beta.fill_(beta)
    inner = inputs() @ layer.into.weight.T + layer.into.bias
    gate = inputs() @ layer.gate.weight.T + layer.gate.bias
    wanted = (inner / (1 + torch.exp(-beta * inner)) * gate) @ layer.output.weight.T + layer.output.bias
    found = layer(inputs())
    assert torch.allclose(found, wanted, atol=1e-12)
    found.sum().backward()
    assert layer.beta.grad is not None
    assert layer.beta.grad.abs().item() > 1e-6, "beta is learned"


def test_a_fixed_beta_is_one() -> None:
    torch.manual_seed(0)
    layer = SwiGLU(4, 6).double()
    wanted = layer.output(silu(layer.into(inputs())) * layer.gate(inputs()))
    assert torch.allclose(layer(inputs()), wanted, atol=1e-12)


def test_a_token_is_transformed_by_itself() -> None:
    for layer in (FeedForward(4, 6).double(), SwiGLU(4, 6).double()):
        together = layer(inputs())
        assert torch.allclose(torch.cat([layer(row[None]) for row in inputs()]), together, atol=1e-12)
