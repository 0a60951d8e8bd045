"""Scores of distances against the formula of Transformer-XL, written out pair by pair."""

import math

import pytest
import torch
from torch import Tensor, nn

from nuclex.models.blocks.attention import Attention, AttentionConfig
from nuclex.models.blocks.relative import sinusoids
from nuclex.models.layout import Layout

WIDTH, HEADS, SIZE = 8, 2, 4
LENGTHS = (5, 1, 5, 3)


def layer(*, causal: bool, scale: str = "1/sqrt(d)") -> Attention:
    torch.manual_seed(0)
    made = Attention(WIDTH, AttentionConfig(heads=HEADS, causal=causal, relative=True, scale=scale)).double().eval()
    for value in made.parameters():
        nn.init.normal_(value, std=0.7)
    return made


def wave(distance: int) -> Tensor:
    angles = [distance / 10_000 ** (2 * i / WIDTH) for i in range(WIDTH // 2)]
    return torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=torch.float64)


def reference(made: Attention, hidden_LD: Tensor) -> Tensor:
    query, key, value = made.query_key_value(hidden_LD).unflatten(-1, (3, HEADS, SIZE)).unbind(1)
    relative, length = made.relative, len(hidden_LD)
    assert relative is not None
    factor = 1 / (SIZE if made.config.scale == "1/d" else math.sqrt(SIZE))
    mixed = torch.zeros_like(query)
    for head in range(HEADS):
        for i in range(length):
            seen = range(i + 1) if made.config.causal else range(length)
            scores = []
            for j in seen:
                place = (relative.projection.weight @ wave(i - j)).unflatten(0, (HEADS, SIZE))[head]
                score = (query[i, head] + relative.content_HK[head]) @ key[j, head]
                scores.append((score + (query[i, head] + relative.position_HK[head]) @ place) * factor)
            weights = torch.stack(scores).softmax(0)
            mixed[i, head] = sum(weight * value[j, head] for weight, j in zip(weights, seen, strict=True))
    return made.output(mixed.flatten(1))


def test_sinusoids_are_sines_then_cosines_of_the_distance() -> None:
    found = sinusoids(torch.tensor([-3, 0, 7]), WIDTH)
    for row, distance in zip(found, (-3, 0, 7), strict=True):
        assert torch.allclose(row.double(), wave(distance), atol=1e-6)


@pytest.mark.parametrize("scale", ["1/sqrt(d)", "1/d"])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_distances_is_that_of_the_formula(causal: bool, scale: str) -> None:
    made = layer(causal=causal, scale=scale)
    hidden = torch.randn(sum(LENGTHS), WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = made(hidden, Layout.of(LENGTHS)).split(LENGTHS)
    for part, row in zip(hidden.split(LENGTHS), found, strict=True):
        assert torch.allclose(row, reference(made, part), atol=1e-6)  # the sines are float32


@pytest.mark.parametrize("causal", [False, True])
def test_the_maps_are_the_weights_of_the_fast_path(causal: bool) -> None:
    made = layer(causal=causal)
    hidden = torch.randn(sum(LENGTHS), WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fast = made(hidden, Layout.of(LENGTHS)).split(LENGTHS)
    values = made.query_key_value(hidden).chunk(3, dim=-1)[2].split(LENGTHS)
    for weights, value, wanted in zip(made.maps(hidden, Layout.of(LENGTHS)), values, fast, strict=True):
        mixed = torch.einsum("hij,jhk->ihk", weights.double(), value.unflatten(-1, (HEADS, SIZE)))
        assert torch.allclose(made.output(mixed.flatten(1)), wanted, atol=1e-5)
