"""Counts, arithmetic and memory against what torch counts and keeps, for every kind of layer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from nuclex.models import BackboneConfig, LanguageModel, Layout, RinalmoConfig, RobertaConfig
from nuclex.models.blocks import scan
from nuclex.training.costs import count_parameters, flops_per_token, mixing, optimizer_bytes
from nuclex.training.memory import Pass, activation_bytes
from nuclex.training.optimizer import OptimizerConfig, build_optimizer

VOCABULARY, LENGTH, SEQUENCES = 300, 128, 5
TOKENS = LENGTH * SEQUENCES
ASKED = TOKENS * 15 // 100
PASS = Pass(TOKENS, LENGTH, ASKED / TOKENS, "fp32", on_cpu=True)
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}
BASE: dict[str, Any] = {"depth": 3, "width": 64, "heads": 4, "inner": 200, "causal": True, "head": "linear"}
MAMBA = {"positions": "none", "norm_kind": "rms", "activation": "swiglu"}
DUAL = {"mixer": "mamba2", "state_space": {"state_size": 32, "head_size": 16, "chunk": 32}}
SETTINGS: dict[str, dict[str, Any]] = {
    "swiglu": {"activation": "swiglu", "positions": "none", "causal": False, "head": "dense"},
    "causal": {"heads": 2, "inner": 100, "tied": False, "head": "dense"},
    "gpt2": {"positions": "learned", "activation": "gelu-tanh", "position_width": 16},
    "relative": {"positions": "relative", "activation": "gelu-tanh", "width": 96},
    "relative, both sides": {"positions": "relative", "causal": False},
    "without feed-forward": {"inner": 0, "norm_kind": "rms"},
    "gate": {"embedding_gate": True, "vocabulary_multiple": 64, "causal": False},
    "mamba": {**MAMBA, "mixer": "mamba"},
    "mamba without feed-forward": {**MAMBA, "mixer": "mamba", "inner": 0},
    "mamba, both ways": {**MAMBA, "mixer": "mamba", "causal": False, "embedding_gate": True},
    "mamba 2": {**MAMBA, **DUAL},
    "mamba 2, both ways, without feed-forward": {**MAMBA, **DUAL, "inner": 0, "causal": False},
    "hyena": {"mixer": "hyena", "positions": "none", "activation": "gelu-tanh", "width": 96},
    "hyena of order 3, both sides": {"mixer": "hyena", "positions": "none", "causal": False, "hyena": {"order": 3}},
    "hybrid": {**MAMBA, "mixer": "mamba", "positions": "rotary", "attention_every": 3},
}  # fmt: skip
ONCE = ("filter", "relative.projection")
"""Weights used once for each distance between two tokens; the plan counts them for each token."""
NETWORKS = {
    "rinalmo": RinalmoConfig(depth=3, width=96, heads=4, **NO_DROPOUT).backbone(),
    "roberta": RobertaConfig(depth=2, width=96, heads=4, inner=300, **NO_DROPOUT).backbone(),
    **{name: BackboneConfig.from_data({**BASE, **settings}) for name, settings in SETTINGS.items()},
}


def made(config: BackboneConfig) -> tuple[LanguageModel, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    return model, torch.randint(5, VOCABULARY, (TOKENS,)), torch.randperm(TOKENS)[:ASKED]


def no_products(model: LanguageModel, config: BackboneConfig) -> float:
    """What the plan counts for a token and torch does not, since it is no matrix product, as weights."""
    single = ("A_log", "convolution", "short", *ONCE)
    weights = dict(model.blocks.named_parameters())
    alone = sum(value.numel() for name, value in weights.items() if value.ndim < 2 or any(n in name for n in single))
    return alone + sum(mixing(name, config, LENGTH) for name in config.mixers if name in ("mamba", "hyena"))


@pytest.mark.parametrize("name", NETWORKS)
def test_arithmetic_is_what_torch_counts(name: str) -> None:
    config = NETWORKS[name]
    model, tokens, selected = made(config)
    # The counter knows no fused attention on a CPU, so attention is spelled out.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        cross_entropy(model(tokens, Layout.of([LENGTH] * SEQUENCES), selected), tokens[selected]).backward()
    counted = counter.get_total_flops()
    for key, value in model.named_parameters():
        if value.ndim == 2 and any(name in key for name in ONCE):  # what comes first needs no gradient of its input
            first = "relative" in key or "layers.0" in key
            distances = 2 * LENGTH - 1 if "relative" in key else LENGTH
            counted -= (4 if first else 6) * distances * value.numel()
    planned = flops_per_token(config, count_parameters(config, VOCABULARY), VOCABULARY, LENGTH, ASKED / TOKENS)
    planned -= 6 * no_products(model, config)
    if config.causal and config.positions != "relative":  # spelled out, it computes the half that it then hides
        planned += 6 * config.mixers.count("attention") * config.width * LENGTH
    assert planned == pytest.approx(counted / TOKENS, rel=0.005)


def kept_by(config: BackboneConfig) -> int:
    """Bytes of what autograd keeps, weights left out, each piece of memory once."""
    kept: dict[int, int] = {}
    alive = []
    model, tokens, selected = made(config)

    def note(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(value)  # no other tensor may get its place
        return value

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        loss = cross_entropy(model(tokens, Layout.of([LENGTH] * SEQUENCES), selected), tokens[selected])
    assert loss.item() > 0
    return sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_are_what_autograd_keeps(name: str) -> None:
    planned = activation_bytes(NETWORKS[name], VOCABULARY, PASS)
    assert planned / kept_by(NETWORKS[name]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["mamba", "mamba, both ways"])
def test_a_scan_in_plain_torch_keeps_no_more(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_chosen", lambda device, dtype: (scan.chunked_scan, "plain"))
    assert TOKENS > scan.SEGMENT, "else it keeps all that it computes"
    planned = activation_bytes(NETWORKS[name], VOCABULARY, PASS)
    assert planned / kept_by(NETWORKS[name]) == pytest.approx(1, abs=0.1)


def test_an_encoder_without_head_costs_nothing_for_scores() -> None:
    encoder, linear = (BackboneConfig.from_data({**BASE, "head": head, "tied": False}) for head in ("none", "linear"))
    parts = [count_parameters(config, VOCABULARY) for config in (encoder, linear)]
    assert "head" not in parts[0]
    assert parts[1]["head"] == 64 * VOCABULARY
    arithmetic = [flops_per_token(c, p, VOCABULARY, 10, 0.5) for c, p in zip((encoder, linear), parts, strict=True)]
    assert arithmetic[1] - arithmetic[0] == 6 * 0.5 * 64 * VOCABULARY
    memory = [activation_bytes(config, VOCABULARY, Pass(100, 10, 0.5)) for config in (encoder, linear)]
    assert memory[1] - memory[0] == 4 * 100 * 0.5 * (64 + VOCABULARY)


def test_mixing_by_hand() -> None:
    def layer(mixer: str, length: float, **settings: Any) -> float:
        config = BackboneConfig.from_data({**BASE, "positions": "none", "mixer": mixer, **settings})
        return mixing(mixer, config, length)  # type: ignore[arg-type]

    assert layer("attention", 100) == 64 * 100, "scores and their sum, D L each, of which causal attention needs half"
    assert layer("attention", 100, causal=False) == 2 * 64 * 100
    assert layer("mamba", 100) == 2.5 * 128 * 16, "however long the sequence is"
    assert layer("mamba", 100, causal=False) == 2 * layer("mamba", 100)
    dual = {"state_space": {"state_size": 8, "head_size": 16, "chunk": 4, "groups": 2}}
    assert layer("mamba2", 100, **dual) == 4 * (128 + 2 * 8) + 2 * 128 * 8
    # two transforms of 2 L numbers, 5/2 n log2 n operations each, and a complex product of 6 for each of L numbers
    operations = 2 * 2.5 * 256 * math.log2(256) + 6 * 128
    assert layer("hyena", 128) == pytest.approx(64 * operations / 128 / 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_the_network(name: str) -> None:
    config = NETWORKS[name]
    parts = count_parameters(config, VOCABULARY)
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    assert sum(parts.values()) == sum(value.numel() for value in model.parameters())
    assert parts["blocks"] == sum(value.numel() for value in model.blocks.parameters())


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop", "adagrad", "muon"])
def test_what_an_optimizer_remembers_is_what_it_keeps(name: str) -> None:
    config = OptimizerConfig(name=name)
    model, _, _ = made(NETWORKS["gate"])
    optimizer = build_optimizer(model.named_parameters(), config)
    for value in model.parameters():
        value.grad = torch.ones_like(value)
    optimizer.step()
    parts = [part for state in optimizer.state.values() for part in state.values() if isinstance(part, torch.Tensor)]
    found, _ = optimizer_bytes(NETWORKS["gate"], VOCABULARY, config)
    assert found == pytest.approx(sum(part.nbytes for part in parts if part.ndim), rel=0.001)
