from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nuclex.models import LanguageModel, MambaConfig, RobertaConfig
from nuclex.training.optimizer import OptimizerConfig, build_optimizer


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.full((2, 2), 3.0))
        self.vector = nn.Parameter(torch.full((2,), 3.0))


def test_one_update_by_hand() -> None:
    model = Pair()
    config = OptimizerConfig(beta1=0.8, beta2=0.9, epsilon=0.1, weight_decay=0.5)
    optimizer = build_optimizer(model.named_parameters(), config)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    gradients = [0.2, -0.4]
    matrix, vector, first, second = 3.0, 3.0, 0.0, 0.0
    for number, gradient in enumerate(gradients, start=1):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        move = first / (1 - 0.8**number) / (math.sqrt(second / (1 - 0.9**number)) + 0.1)
        matrix, vector = matrix * (1 - 0.01 * 0.5) - 0.01 * move, vector - 0.01 * move
        assert model.matrix.flatten().tolist() == pytest.approx([matrix] * 4, rel=1e-6)
        assert model.vector.tolist() == pytest.approx([vector] * 2, rel=1e-6), "vectors do not decay"


def test_every_trained_weight_is_in_one_group() -> None:
    config = RobertaConfig(depth=2, width=16, heads=2, inner=24, max_positions=32).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    model.norm.requires_grad_(False)
    model.blocks[0].requires_grad_(False)
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig(weight_decay=0.3))
    decaying, resting = optimizer.param_groups
    assert (decaying["weight_decay"], resting["weight_decay"]) == (0.3, 0.0)
    assert {parameter.ndim for parameter in decaying["params"]} == {2}
    assert {parameter.ndim for parameter in resting["params"]} == {1}
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert len(held) == len(set(held)), "the tied decoder is there once"
    assert set(held) == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert (decaying["betas"], decaying["eps"]) == ((0.9, 0.999), 1e-8)


def test_a_model_of_matrices_alone_has_one_group() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2, bias=False).named_parameters(), OptimizerConfig())
    assert len(optimizer.param_groups) == 1


def test_how_fast_a_state_space_forgets_does_not_decay() -> None:
    config = MambaConfig(depth=1, width=16).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig(weight_decay=0.3))
    decaying, resting = ({id(value) for value in group["params"]} for group in optimizer.param_groups)
    mixer = model.blocks[0].mixer
    assert {id(mixer.A_log), id(mixer.D)} <= resting
    assert id(mixer.output.weight) in decaying
