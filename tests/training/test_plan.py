from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from nuclex.data.sample import SamplingConfig
from nuclex.models import BackboneConfig, LanguageModel, Layout, RinalmoConfig, RobertaConfig, rinalmo
from nuclex.models.published import RINALMO_SIZES
from nuclex.training.plan import GPUS, activation_bytes, count_parameters, flops_per_token, make_plan

VOCABULARY, LENGTH, SEQUENCES = 300, 128, 3
TOKENS = LENGTH * SEQUENCES
ASKED = TOKENS * 15 // 100
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}
NETWORKS = {
    "rinalmo": RinalmoConfig(depth=3, width=96, heads=4, **NO_DROPOUT).backbone(),
    "roberta": RobertaConfig(depth=2, width=96, heads=4, inner=300, **NO_DROPOUT).backbone(),
    "swiglu": BackboneConfig(depth=3, width=64, heads=4, inner=200, activation="swiglu", positions="none"),
    "causal": BackboneConfig(depth=3, width=64, heads=2, inner=100, causal=True, tied=False),
}


def loss_of(config: BackboneConfig) -> tuple[LanguageModel, torch.Tensor]:
    torch.manual_seed(0)
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    tokens, selected = torch.randint(5, VOCABULARY, (TOKENS,)), torch.randperm(TOKENS)[:ASKED]
    logits = model(tokens, Layout.of([LENGTH] * SEQUENCES), selected)
    return model, cross_entropy(logits, tokens[selected], reduction="sum")


@pytest.mark.parametrize("name", NETWORKS)
def test_arithmetic_is_what_torch_counts(name: str) -> None:
    config = NETWORKS[name]
    # The counter knows no fused attention on a CPU, so attention is spelled out; it sees only matrix products, while
    # the plan takes 6 operations for every parameter of the blocks, norms and biases (1 or 2 % here) included.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss_of(config)[1].backward()
    counted = counter.get_total_flops() / TOKENS
    planned = flops_per_token(config, count_parameters(config, VOCABULARY), VOCABULARY, LENGTH, ASKED / TOKENS)
    if config.causal:  # spelled out, causal attention computes the half that it then hides
        planned += 6 * config.depth * config.width * LENGTH
    assert 1.0 <= planned / counted < 1.02


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_are_what_autograd_keeps(name: str) -> None:
    kept: dict[int, int] = {}
    model = LanguageModel(NETWORKS[name], vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)

    def note(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    tokens, selected = torch.randint(5, VOCABULARY, (TOKENS,)), torch.randperm(TOKENS)[:ASKED]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        loss = cross_entropy(model(tokens, Layout.of([LENGTH] * SEQUENCES), selected), tokens[selected])
    assert loss.item() > 0
    measured = sum(size for place, size in kept.items() if place not in weights)
    planned = activation_bytes(NETWORKS[name], VOCABULARY, TOKENS, ASKED / TOKENS)
    assert planned / measured == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_the_network(name: str) -> None:
    config = NETWORKS[name]
    parts = count_parameters(config, VOCABULARY)
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    assert sum(parts.values()) == sum(value.numel() for value in model.parameters())
    assert parts["blocks"] == sum(value.numel() for value in model.blocks.parameters())


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("nano", 7_508_824), ("micro", 33_491_074), ("mega", 148_056_972), ("giga", 650_901_793)],
)
def test_the_published_sizes_of_rinalmo(size: str, parameters: int) -> None:
    plan = make_plan(rinalmo(size), 22)  # type: ignore[arg-type]
    assert plan.parameters == parameters
    assert plan.tokens_compute_optimal == 20 * parameters
    assert plan.memory_bytes > 16 * parameters
    assert size in RINALMO_SIZES


def test_hours_are_operations_over_speed() -> None:
    sampling = SamplingConfig(max_tokens=500, batch_tokens=2000, micro_tokens=1000)
    model = RinalmoConfig(depth=2, width=64, heads=4)
    plan = make_plan(model, 22, sampling=sampling, steps=1000, length=120.0, head_share=0.2)
    assert plan.tokens == 2_000_000
    assert plan.length == 120
    peak, _ = GPUS["h100"]
    assert plan.hours["h100"] == pytest.approx(plan.flops_per_token * 2e6 / (0.4 * peak) / 3600)
    assert plan.hours["a100"] / plan.hours["h100"] == pytest.approx(989 / 312)
    assert plan.memory_bytes == 16 * plan.parameters + activation_bytes(model.backbone(), 22, 1000, 0.2)
    without = make_plan(model, 22, sampling=sampling, length=9999.0)
    assert (without.steps, without.tokens) == (None, None)
    assert without.length == 500, "no piece is longer than the recipe allows"
    assert without.hours["h100"] == pytest.approx(
        without.flops_per_token * without.tokens_compute_optimal / (0.4 * peak) / 3600
    )


def test_a_plan_is_plain_data() -> None:
    plan = make_plan(RinalmoConfig(depth=1, width=16, heads=2), 22)
    assert type(plan).from_data(plan.to_data()) == plan
    wanted = {"parameters", "flops_per_token", "memory_bytes", "tokens_compute_optimal"}
    assert wanted <= plan.to_data().keys(), "names that the design promises"
