from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from nuclex.core.errors import InputError
from nuclex.models import LanguageModel, MambaConfig, RobertaConfig
from nuclex.training.optimizer import OptimizerConfig, build_optimizer, depth_shares, set_rate


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


# ---- others by name ----


def test_the_default_is_adamw_bit_for_bit() -> None:
    """As PyTorch builds it by hand: the same groups, the same numbers, the same updates."""
    torch.manual_seed(0)
    ours, theirs = (nn.Linear(5, 4) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(ours.named_parameters(), OptimizerConfig())
    groups = [{"params": [theirs.weight], "weight_decay": 0.01}, {"params": [theirs.bias], "weight_decay": 0.0}]
    wanted = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.999), eps=1e-8, fused=True)
    set_rate(optimizer, 0.01)
    for _ in range(5):
        points = torch.randn(6, 5)
        for model, made in ((ours, optimizer), (theirs, wanted)):
            model(points).square().sum().backward()
            made.step()
            made.zero_grad()
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)


def test_numbers_that_are_not_given_are_the_optimizers_own() -> None:
    assert OptimizerConfig().model_dump(include={"beta1", "beta2", "epsilon"}) == {
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
    }
    config = OptimizerConfig(name="adamax", beta2=0.5)
    assert (config.beta1, config.beta2, config.epsilon) == (None, 0.5, None)
    assert OptimizerConfig.from_data(config.to_data()) == config
    group = build_optimizer(Pair().named_parameters(), config).param_groups[0]
    assert (group["betas"], group["eps"]) == ((0.9, 0.5), 1e-8)
    group = build_optimizer(Pair().named_parameters(), OptimizerConfig(name="sgd", momentum=0.3)).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.3, True, 0.01)


def test_options_reach_the_optimizer() -> None:
    config = OptimizerConfig(name="rmsprop", options={"centered": True})
    assert build_optimizer(Pair().named_parameters(), config).param_groups[0]["centered"] is True
    pytest.importorskip("pytorch_optimizer")
    config = OptimizerConfig.from_data({"name": "adan", "options": {"betas": [0.9, 0.8, 0.7]}})
    assert build_optimizer(Pair().named_parameters(), config).param_groups[0]["betas"] == (0.9, 0.8, 0.7)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "sgd", "options": {"dampning": 1}}, r"options: 'sgd' has no 'dampning' there; allowed: dampening, "),
        ({"name": "sgd", "options": {"lr": 1.0}}, "options: 'sgd' has no 'lr' there"),
        ({"name": "adam", "options": {"betas": [0.1, 0.2]}}, "options: 'adam' has no 'betas' there"),
        ({"name": "sgd", "beta1": 0.5}, "beta1, beta2: found 0.5, None, which 'sgd' does not take"),
        ({"name": "sgd", "epsilon": 0.5}, "epsilon: found 0.5, which 'sgd' does not take"),
        ({"name": "adamw", "momentum": 0.5}, "momentum: found 0.5, which 'adamw' does not take"),
        ({"name": "rprop"}, "weight_decay: found 0.01, which 'rprop' does not take; set it to 0"),
    ],
)
def test_a_setting_that_it_does_not_take_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"training.optimizer.{sentence}"):
        build_optimizer(Pair().named_parameters(), OptimizerConfig.from_data(settings))


# ---- rates by depth ----


def test_the_embedding_learns_slowest_and_the_head_at_the_full_rate() -> None:
    config = RobertaConfig(depth=2, width=16, heads=2, inner=24, max_positions=32).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    names = dict(model.named_parameters())
    rates = {name: 0.1 for name in names if name.startswith("blocks.1.")}
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig(layer_decay=0.5), rates)
    set_rate(optimizer, 8.0)
    rate = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    for name, parameter in names.items():
        floor = 1.0 if name.startswith("embedding.") else 2.0 if name.startswith("blocks.0.") else 8.0
        wanted = 0.4 if name.startswith("blocks.1.") else floor
        assert rate[id(parameter)] == pytest.approx(wanted), name


def test_a_fine_tuned_models_blocks_are_found_and_its_heads_are_not() -> None:
    names = ["model.embedding.tokens.weight", "model.blocks.0.up.weight", "model.norm.weight", "head.blocks.0.weight"]
    assert list(depth_shares(names, 0.1).values()) == pytest.approx([0.01, 0.1, 1.0, 1.0])
