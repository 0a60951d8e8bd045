"""LoRA: at first nothing changes, the formula is the paper's, every kind of model has it, and the export is merged."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import nuclex
from learners import write_tiny_bundle
from nuclex.bundle import load
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.models import (
    Gpt2Config,
    HyenaModelConfig,
    LanguageModel,
    Layout,
    MambaConfig,
    ModelConfig,
    RinalmoConfig,
)
from nuclex.training.adapter import AdapterConfig, adapting, lay_in, merge
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.scalars import ScalarAnswers

pytest.importorskip("peft")

MODELS: dict[str, ModelConfig] = {
    "rinalmo": RinalmoConfig(depth=2, width=16, heads=2),
    "gpt2": Gpt2Config(depth=2, width=16, heads=2),
    "mamba": MambaConfig(depth=2, width=16),
    "bimamba": MambaConfig(depth=2, width=16, causal=False),
    "hyena": HyenaModelConfig(depth=2, width=16),
}
LENGTHS = [7, 4]


def built(config: ModelConfig) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(config.backbone(), vocabulary_size=22, pad_id=1, mask_id=4).double().eval()


def read(model: LanguageModel) -> torch.Tensor:
    tokens_T = torch.arange(sum(LENGTHS)) % 4 + 5
    return model.encode(tokens_T, Layout.of(LENGTHS)).detach()


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_of_every_model_is_changed_and_merged(name: str) -> None:
    model, config = built(MODELS[name]), AdapterConfig(rank=3, alpha=6)
    before, names = read(model), set(model.state_dict())
    layers = config.layers(model)
    assert len(layers) >= 4
    lay_in(model, config, seed=1)
    torch.testing.assert_close(read(model), before, rtol=0, atol=0)
    learning = [name for name, value in model.named_parameters() if value.requires_grad]
    assert len(learning) == 2 * len(layers)
    assert sum(value.numel() for value in adapting(model)) == config.parameters(built(MODELS[name]))
    for layer, _ in layers:
        weight = model.get_parameter(f"{layer}.lora_B.default.weight")
        torch.nn.init.normal_(weight, std=0.3)
        assert (read(model) - before).abs().max() > 1e-11, f"{layer} does not notice what is laid beside it"
        torch.nn.init.zeros_(weight)
    for parameter in adapting(model):
        torch.nn.init.normal_(parameter, std=0.2)
    changed = read(model)
    merge(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(read(model), changed, rtol=1e-9, atol=1e-9)
    assert (changed - before).abs().max() > 1e-3


@pytest.mark.parametrize("rslora", [False, True])
def test_a_layer_is_changed_by_the_papers_formula(rslora: bool) -> None:
    model = built(MODELS["rinalmo"])
    weight = model.get_parameter("blocks.1.mixer.output.weight").clone()
    lay_in(model, AdapterConfig(rank=4, alpha=6, targets=("output",), rslora=rslora), seed=1)
    names = [name for name, value in model.named_parameters() if value.requires_grad]
    assert {name.split(".lora_")[0] for name in names} == {
        f"blocks.{block}.{part}.output" for block in (0, 1) for part in ("mixer", "feedforward")
    }
    for parameter in adapting(model):
        torch.nn.init.normal_(parameter)
    down_RD, up_DR = (model.get_parameter(f"blocks.1.mixer.output.lora_{part}.default.weight") for part in "AB")
    expected = weight + 6 / (math.sqrt(4) if rslora else 4) * up_DR @ down_RD
    merge(model)
    torch.testing.assert_close(model.get_parameter("blocks.1.mixer.output.weight"), expected)


def test_what_it_begins_with_follows_from_the_seed() -> None:
    def begun(seed: int) -> torch.Tensor:
        model = built(MODELS["rinalmo"])
        torch.rand(seed)
        lay_in(model, AdapterConfig(), seed)
        return torch.cat([parameter.detach().flatten() for parameter in adapting(model)])

    state = torch.get_rng_state()
    assert (begun(1) == begun(1)).all()
    assert (begun(1) != begun(2)).any()
    torch.set_rng_state(state)


def test_a_layer_that_is_not_there_is_refused() -> None:
    sentence = "adapter.targets: found 'query'; layers of this model: gate, into, output, query_key_value"
    with pytest.raises(InputError) as caught:
        AdapterConfig(targets=("query",)).layers(built(MODELS["rinalmo"]))
    assert str(caught.value) == sentence
    with pytest.raises(InputError, match="found 'delta'"):
        AdapterConfig(targets=("delta",)).layers(built(MODELS["mamba"]))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("pretrained"), depth=2, width=16)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, random = tmp_path_factory.mktemp("data") / "own.csv", np.random.default_rng(0)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sequence", "label"])
        for _ in range(40):
            letters = "".join(random.choice(list("ACGU"), size=int(random.integers(8, 20))))
            writer.writerow([letters, letters.count("GC")])
    return path


def recipe(bundle: Path | None, table: Path, **changes: Any) -> FinetuneConfig:
    given: dict[str, Any] = {
        "bundle": None if bundle is None else str(bundle),
        "task": {"kind": "table-scalar", "train": str(table)},
        "adapter": {"rank": 2, "dropout": 0.2},
        "training": {"steps": 6, "evaluate_every": 2, "checkpoint_every": 2, "schedule": {"rate": 3e-2}},
        "controls": ["frozen", "scratch"],
    }
    found: FinetuneConfig = load_config(FinetuneConfig, None, {**given, **changes})
    return found


@pytest.fixture(scope="module")
def whole(bundle: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    finetune(recipe(bundle, table), run)
    return run


def test_the_exported_bundle_is_what_was_measured(whole: Path, bundle: Path, table: Path) -> None:
    before, after = load(bundle).model.state_dict(), load(whole / "bundle").model.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"{name}.weight" for name, _ in AdapterConfig().layers(load(bundle).model)}
    nuclex.predict(whole / "bundle", table, whole.parent / "predicted.csv")
    with (whole.parent / "predicted.csv").open(newline="") as handle:
        rows = {row["id"]: row for row in csv.DictReader(handle)}
    tested = [json.loads(line) for line in (whole / "test.jsonl").read_text().splitlines()]
    for row in tested:
        assert float(rows[row["id"]]["value"]) == pytest.approx(row["predicted"], abs=1e-4)
    plan = json.loads((whole / "plan.json").read_text())
    assert plan["adapter_parameters"] == AdapterConfig(rank=2).parameters(load(bundle).model)


def test_controls_have_none(whole: Path, bundle: Path) -> None:
    scratch = load_file(whole / "scratch" / "checkpoints" / "best" / "model.safetensors")
    assert not any("lora" in name for name in scratch)
    frozen, before = load(whole / "frozen" / "bundle").model.state_dict(), load(bundle).model.state_dict()
    assert all(torch.equal(frozen[name], before[name]) for name in before)


def test_stopped_and_resumed_is_bit_for_bit_the_same(
    whole: Path, bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, calls = ScalarAnswers.loss, []

    def failing(self: ScalarAnswers, model: Any, index_N: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("the machine went off")
        return loss(self, model, index_N)

    monkeypatch.setattr(ScalarAnswers, "loss", failing)
    config = recipe(bundle, table, controls=[])
    with pytest.raises(RuntimeError, match="went off"):
        finetune(config, tmp_path / "run")
    finetune(config, tmp_path / "run", resume=True)
    found, expected = (load_file(run / "bundle" / "model.safetensors") for run in (tmp_path / "run", whole))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"thaw": [{"step": 0, "blocks": 0}]}, "adapter: with it the model's own weights never learn; leave out the"),
        (
            {"model": {"kind": "rinalmo"}, "tokenizer": {"kind": "nucleotide"}, "controls": []},
            "adapter: changes a pre-trained bundle; random weights have to learn themselves",
        ),
    ],
)
def test_what_contradicts_it_is_refused(bundle: Path, table: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        recipe(None if "model" in changes else bundle, table, **changes)
