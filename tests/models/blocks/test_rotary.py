from __future__ import annotations

import cmath

import pytest
import torch

from nuclex.models.blocks.rotary import rotate, rotation


def features(tokens: int, size: int) -> torch.Tensor:
    return torch.randn(tokens, 3, size, generator=torch.Generator().manual_seed(0))


def test_features_turn_as_complex_numbers() -> None:
    positions, size = torch.tensor([0, 1, 5, 900]), 6
    turned = rotate(features(4, size), rotation(positions, size))
    for token, position in enumerate(positions.tolist()):
        for pair in range(size // 2):
            angle = position * 10_000 ** (-2 * pair / size)
            for head in range(3):
                first, second = features(4, size)[token, head, [pair, pair + size // 2]].tolist()
                wanted = complex(first, second) * cmath.exp(1j * angle)
                assert turned[token, head, pair].item() == pytest.approx(wanted.real, abs=2e-4)
                assert turned[token, head, pair + size // 2].item() == pytest.approx(wanted.imag, abs=2e-4)


def test_position_zero_and_lengths_stay() -> None:
    plain = features(6, 8)
    turned = rotate(plain, rotation(torch.arange(6), 8))
    assert torch.equal(turned[0], plain[0])
    assert torch.allclose(turned.norm(dim=-1), plain.norm(dim=-1), atol=1e-5)


def test_products_depend_on_the_distance_alone() -> None:
    query, key = features(1, 8), features(2, 8)[1:]

    def product(here: int, there: int) -> float:
        first = rotate(query, rotation(torch.tensor([here]), 8))
        second = rotate(key, rotation(torch.tensor([there]), 8))
        return float((first * second).sum())

    assert product(2, 9) == pytest.approx(product(40, 47), abs=1e-4)
    assert product(2, 9) != pytest.approx(product(2, 10), abs=1e-2)


def test_angles_are_computed_in_float32_whatever_turns() -> None:
    cos, sin = rotation(torch.arange(5), 8)
    assert cos.dtype == sin.dtype == torch.float32
    assert rotate(features(5, 8).bfloat16(), (cos, sin)).dtype == torch.bfloat16
