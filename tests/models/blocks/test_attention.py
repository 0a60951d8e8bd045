from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nuclex.models.blocks.attention import Attention, AttentionConfig, packed_attention
from nuclex.models.blocks.rotary import rotation
from nuclex.models.layout import Layout

LENGTHS = [3, 3, 1, 7, 2, 2, 2]
LAYOUT = Layout.of(LENGTHS)


def heads(seed: int) -> Tensor:
    return torch.randn(LAYOUT.tokens, 2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax_attention(query_LHK: Tensor, key_LHK: Tensor, value_LHK: Tensor, causal: bool) -> Tensor:
    """One sequence, written down: exp(q k / sqrt K) as weights, position by position and head by head."""
    length, count, size = query_LHK.shape
    mixed_LHK = torch.zeros_like(query_LHK)
    for head in range(count):
        for here in range(length):
            seen = range(here + 1) if causal else range(length)
            weights = [
                math.exp(float(query_LHK[here, head] @ key_LHK[there, head]) / math.sqrt(size)) for there in seen
            ]
            for weight, there in zip(weights, seen, strict=True):
                mixed_LHK[here, head] += weight / sum(weights) * value_LHK[there, head]
    return mixed_LHK


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_softmax_inside_each_sequence(causal: bool) -> None:
    query, key, value = heads(0), heads(1), heads(2)
    found = packed_attention(query, key, value, LAYOUT, AttentionConfig(heads=2, causal=causal))
    parts = zip(*(part.split(LENGTHS) for part in (query, key, value)), strict=True)
    wanted = torch.cat([softmax_attention(*part, causal) for part in parts])
    assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_no_gradient_crosses_from_one_sequence_to_another(causal: bool) -> None:
    query, key, value = (part.requires_grad_() for part in (heads(0), heads(1), heads(2)))
    packed_attention(query, key, value, LAYOUT, AttentionConfig(heads=2, causal=causal))[
        7:14
    ].square().sum().backward()  # the fourth sequence
    for part in (query, key, value):
        assert part.grad is not None
        assert part.grad[:7].abs().max() == part.grad[14:].abs().max() == 0
        assert part.grad[7:14].abs().max() > 0


def test_dropout_acts_in_training_only_and_keeps_the_mean() -> None:
    layer = Attention(8, AttentionConfig(heads=2, dropout=0.5))
    hidden = torch.randn(LAYOUT.tokens, 8, generator=torch.Generator().manual_seed(0))
    layer.eval()
    sure = layer(hidden, LAYOUT)
    assert torch.equal(sure, layer(hidden, LAYOUT))
    layer.train()
    torch.manual_seed(0)
    many = torch.stack([layer(hidden, LAYOUT) for _ in range(1000)])
    assert not torch.equal(many[0], many[1])
    spread = many.std(0) / math.sqrt(1000)
    assert ((many.mean(0) - sure).abs() < 6 * spread + 1e-6).all()


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_projects_mixes_and_projects_back(bias: bool) -> None:
    torch.manual_seed(1)
    layer = Attention(8, AttentionConfig(heads=2, bias=bias)).double().eval()
    hidden = torch.randn(LAYOUT.tokens, 8, dtype=torch.float64)
    projected = hidden @ layer.query_key_value.weight.T
    if bias:
        projected = projected + layer.query_key_value.bias
    query, key, value = (part.reshape(-1, 2, 4) for part in projected.split(8, dim=1))
    mixed = packed_attention(query, key, value, LAYOUT, AttentionConfig(heads=2)).reshape(-1, 8) @ layer.output.weight.T
    wanted = mixed + layer.output.bias if bias else mixed
    assert torch.allclose(layer(hidden, LAYOUT), wanted, atol=1e-12)
    assert (layer.output.bias is not None) == bias


def test_rotary_angles_turn_queries_and_keys_but_not_values() -> None:
    torch.manual_seed(2)
    layer = Attention(8, AttentionConfig(heads=2, bias=False)).eval()
    hidden = torch.randn(LAYOUT.tokens, 8)
    here, later = (rotation(LAYOUT.positions_T + shift, 4) for shift in (0, 11))
    assert not torch.allclose(layer(hidden, LAYOUT, here), layer(hidden, LAYOUT), atol=1e-3)
    assert torch.allclose(layer(hidden, LAYOUT, here), layer(hidden, LAYOUT, later), atol=1e-5), "only distances count"
    alone = Layout.of([1] * LAYOUT.tokens)  # a token that sees only itself keeps its value, whatever its angle
    assert torch.allclose(layer(hidden, alone, here), layer(hidden, alone), atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernel_for_gpus_gives_the_same(causal: bool) -> None:
    layout = Layout.of(LENGTHS, "cuda")
    query, key, value = (heads(seed).to("cuda", torch.bfloat16).repeat(1, 1, 16) for seed in range(3))
    found = packed_attention(query, key, value, layout, AttentionConfig(heads=32, causal=causal))
    wanted = packed_attention(
        query.float(), key.float(), value.float(), layout, AttentionConfig(heads=32, causal=causal)
    )
    assert torch.allclose(found.float(), wanted, atol=0.02)
