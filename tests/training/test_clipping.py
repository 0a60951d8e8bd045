from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nuclex.training.clipping import LEAST_NORM, clip_adaptively, clip_gradients
from nuclex.training.optimizer import OptimizerConfig


class Small(nn.Module):
    """A matrix, a vector and a head, with gradients that are set by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        self.vector = nn.Parameter(torch.tensor([0.6, 0.8]))
        self.head = nn.Linear(1, 1, bias=False)
        self.matrix.grad = torch.tensor([[6.0, 8.0], [0.3, 0.4]])
        self.vector.grad = torch.tensor([0.03, -0.04])
        self.head.weight.grad = torch.tensor([[9.0]])

    def gradients(self) -> list[float]:
        return [
            number for value in self.parameters() if value.grad is not None for number in value.grad.flatten().tolist()
        ]


WHOLE = math.sqrt(36 + 64 + 0.25 + 0.0025 + 81)


def test_the_norm_of_all_gradients() -> None:
    model = Small()
    before = model.gradients()
    assert clip_gradients(model, OptimizerConfig(clip=2.0)) == pytest.approx(WHOLE)
    assert model.gradients() == pytest.approx([number * 2 / WHOLE for number in before], rel=1e-5)


@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
@pytest.mark.parametrize("limit", [None, 0.0])
def test_without_a_limit_nothing_changes(mode: str, limit: float | None) -> None:
    model = Small()
    before = model.gradients()
    config = OptimizerConfig.from_data({"clip": limit, "clip_mode": mode})
    assert clip_gradients(model, config) == pytest.approx(WHOLE)
    assert model.gradients() == before


def test_every_number_by_itself() -> None:
    model = Small()
    assert clip_gradients(model, OptimizerConfig(clip=0.5, clip_mode="value")) == pytest.approx(WHOLE)
    assert model.gradients() == pytest.approx([0.5, 0.5, 0.3, 0.4, 0.03, -0.04, 0.5])


def test_rows_beside_their_weights_by_hand() -> None:
    """Row 1: weights 5, gradient 10, so 0.1 · 5 / 10; row 2: weights 0 count 0.001; the vector and the head stay."""
    model = Small()
    assert clip_gradients(model, OptimizerConfig(clip=0.1, clip_mode="agc")) == pytest.approx(WHOLE)
    least = 0.1 * LEAST_NORM
    assert model.gradients() == pytest.approx([0.3, 0.4, least * 0.6, least * 0.8, 0.03, -0.04, 9.0], rel=1e-5)


def test_a_kernel_is_limited_by_output_and_a_vector_as_a_whole() -> None:
    kernel, vector = nn.Parameter(torch.ones(2, 3, 2)), nn.Parameter(torch.tensor([3.0, 4.0]))
    kernel.grad, vector.grad = torch.full((2, 3, 2), 2.0), torch.tensor([30.0, 40.0])
    kernel.grad[1] = 0.01
    clip_adaptively([kernel, vector, nn.Parameter(torch.ones(1))], 0.5)
    assert kernel.grad[0].flatten().tolist() == pytest.approx([0.5] * 6)
    assert kernel.grad[1].flatten().tolist() == pytest.approx([0.01] * 6)
    assert vector.grad.tolist() == pytest.approx([1.5, 2.0])


@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
def test_a_gradient_that_is_no_number_is_told_of(mode: str) -> None:
    model = Small()
    assert model.vector.grad is not None
    model.vector.grad[0] = math.nan
    assert math.isnan(clip_gradients(model, OptimizerConfig.from_data({"clip": 1.0, "clip_mode": mode})))
