"""Rates and decays by width: those of the package mup, to the first losses, and what they are multiplied with."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nuclex.core.errors import InputError
from nuclex.models import HyenaModelConfig, LanguageModel, Layout, MambaConfig, RobertaConfig
from nuclex.models.answering import AnsweringModel, head_over
from nuclex.models.heads import ClassHeadConfig
from nuclex.training.adapter import AdapterConfig, lay_in
from nuclex.training.optimizer import OptimizerConfig, build_optimizer, set_rate
from nuclex.training.width import growth_of

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "mup_reference.json").read_text())
SIZES = {"base": (32, 96), "wide": (64, 192), "wider": (128, 384), "narrow": (16, 32)}
RATES, STD, DECAY = {"adamw": 0.01, "sgd": 0.02}, 0.1, 0.1


def network(which: str, *, tied: bool = True, base: bool = True) -> LanguageModel:
    (width, inner), (base_width, base_inner) = SIZES[which], SIZES["base"] if base else (0, 0)
    config = RobertaConfig(
        depth=2, width=width, heads=4, inner=inner, max_positions=20, dropout=0, attention_dropout=0, tied=tied,
        base_width=base_width, base_inner=base_inner,
    )  # fmt: skip
    torch.manual_seed(0)
    return LanguageModel(config.backbone(), vocabulary_size=22, pad_id=1, mask_id=4)


def grouped(model: torch.nn.Module, config: OptimizerConfig, rates: dict[str, float] | None = None) -> dict[str, Any]:
    """The group of every weight by its name."""
    optimizer = build_optimizer(model.named_parameters(), config, rates, growth_of(model))
    of = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    return {name: of[id(weight)] for name, weight in model.named_parameters() if id(weight) in of}


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("which", SIZES)
def test_rates_decays_and_first_losses_are_those_of_the_package_mup(which: str, tied: bool, kind: str) -> None:
    """Nine losses of a network that plain torch and mup made, from the same first weights on the same tokens."""
    entry = REFERENCE[f"{which}, {'tied' if tied else 'untied'}"]
    model, reference = network(which, tied=tied).train(), entry[kind]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in entry["normal"]:
                numbers = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(weight.shape))
                weight.copy_(torch.from_numpy(numbers).float() * STD * entry["normal"][name])
    config = OptimizerConfig(name=kind, weight_decay=DECAY)
    groups = grouped(model, config)
    for name, group in groups.items():
        assert group["share"] == pytest.approx(reference["rates"][name], rel=1e-12), name
        assert group["weight_decay"] == pytest.approx(DECAY * reference["decays"][name], rel=1e-12), name
    optimizer = build_optimizer(model.named_parameters(), config, growth=growth_of(model))
    set_rate(optimizer, RATES[kind])
    ids = torch.from_numpy(np.random.default_rng(1).integers(5, 22, (4, 12))).flatten()
    labels = torch.from_numpy(np.random.default_rng(2).integers(5, 22, 48))
    losses = []
    for _ in reference["losses"]:
        loss = F.cross_entropy(model(ids, Layout.of([12] * 4)), labels)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == pytest.approx(reference["losses"], rel=2e-5)


def test_without_a_base_width_groups_are_what_they_were() -> None:
    model = network("wide", base=False)
    assert growth_of(model) is None
    assert {(group["share"], group["weight_decay"]) for group in grouped(model, OptimizerConfig()).values()} == {
        (1.0, 0.01),
        (1.0, 0.0),
    }


def test_rates_of_the_run_and_of_depth_are_multiplied() -> None:
    """By hand: half of the schedule's below the last block, a quarter of what is left for a matrix four times wide."""
    model = network("wider")
    rates = {name: 0.1 for name, _ in model.named_parameters() if name.startswith("blocks.1.")}
    groups = grouped(model, OptimizerConfig(layer_decay=0.5), rates)
    shares = {name: group["share"] for name, group in groups.items()}
    assert shares["head.dense.weight"] == 0.25
    assert shares["blocks.1.feedforward.into.weight"] == pytest.approx(0.5 * 0.1 / 4)
    assert shares["blocks.0.feedforward.into.weight"] == pytest.approx(0.25 / 4)
    assert shares["blocks.1.feedforward.into.bias"] == pytest.approx(0.5 * 0.1)
    assert shares["embedding.tokens.weight"] == pytest.approx(0.125)
    assert groups["blocks.0.feedforward.into.weight"]["weight_decay"] == pytest.approx(0.04)


@pytest.mark.parametrize("name", ["muon", "lamb", "radam"])
def test_optimizers_without_a_known_rule_are_refused(name: str) -> None:
    if name != "radam":
        pytest.importorskip("pytorch_optimizer")
    model = network("wide")
    with pytest.raises(InputError, match=f"how the rates of '{name}' follow the width is not known.*known are adagrad"):
        build_optimizer(model.named_parameters(), OptimizerConfig(name=name), growth=growth_of(model))


@pytest.mark.parametrize("version", [1, 2])
def test_mamba_does_not_learn_with_sgd(version: int) -> None:
    config = MambaConfig(version=version, depth=1, width=128, base_width=64).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    with pytest.raises(InputError, match=r"with 'sgd' and model\.base_width some rows of Mamba's matrices"):
        build_optimizer(model.named_parameters(), OptimizerConfig(name="sgd"), growth=growth_of(model))
    shares = {name: group["share"] for name, group in grouped(model, OptimizerConfig(name="lion")).items()}
    slow = {name.split(".")[-2] for name, share in shares.items() if share == 0.5}
    assert slow == ({"into", "select", "delta", "output"} if version == 1 else {"into", "output"})
    assert set(shares.values()) == {0.5, 1.0}


def test_the_network_that_writes_filters_of_hyena_learns_as_fast_at_every_width() -> None:
    config = HyenaModelConfig(depth=1, width=128, inner=256, base_width=32).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    shares = {name: group["share"] for name, group in grouped(model, OptimizerConfig()).items()}
    assert {share for name, share in shares.items() if ".filter." in name or ".short." in name} == {1.0}
    assert shares["blocks.0.mixer.into.weight"] == shares["blocks.0.mixer.output.weight"] == 0.25


def test_a_head_learns_as_a_read_out_and_behind_it_as_ever() -> None:
    under = network("wider")
    head, grown = head_over(ClassHeadConfig(hidden=48), under, 3, 0)
    groups = grouped(AnsweringModel(under, head, head_growth=grown), OptimizerConfig(weight_decay=0.1))
    assert groups["head.dense.weight"]["share"] == 0.25
    assert groups["head.dense.weight"]["weight_decay"] == pytest.approx(0.4)
    assert groups["head.dense.bias"]["share"] == groups["head.decoder.weight"]["share"] == 1
    assert groups["model.blocks.0.mixer.output.weight"]["share"] == 0.25
    assert groups["model.embedding.tokens.weight"]["share"] == 1


def test_of_an_adapter_the_first_matrix_reads_and_the_second_writes() -> None:
    pytest.importorskip("peft")
    under = network("wider")
    lay_in(under, AdapterConfig(rank=2), 0)
    head, grown = head_over(ClassHeadConfig(hidden=48), under, 3, 0)
    groups = grouped(AnsweringModel(under, head, head_growth=grown), OptimizerConfig())
    shares = {name: group["share"] for name, group in groups.items() if "lora" in name}
    assert {share for name, share in shares.items() if "lora_A" in name} == {0.25}
    assert {share for name, share in shares.items() if "lora_B" in name} == {1.0}
