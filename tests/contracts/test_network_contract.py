"""What every registered architecture must keep at a small size; those of installed outside packages are asked, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nuclex.bundle import Record, load, write_bundle
from nuclex.models import MODELS, LanguageModel, Layout, ModelConfig
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.plan import make_plan

SMALL = {"depth": 2, "width": 32, "heads": 2, "inner": 48}
LENGTHS = [9, 31, 4]


def small(kind: str) -> ModelConfig:
    """The kind at a small size; other keys are as they are by default."""
    sizes = {name: value for name, value in SMALL.items() if name in MODELS[kind].model_fields}
    return MODELS.parse({"kind": kind, **sizes})


def built(kind: str) -> LanguageModel:
    tokenizer, network = NucleotideConfig().build(), small(kind).backbone()
    torch.manual_seed(0)
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    return LanguageModel(network, vocabulary_size=network.rows(len(tokenizer)), **ids).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", MODELS.names())
def test_what_a_sequence_gets_does_not_depend_on_its_neighbours(kind: str) -> None:
    model = built(kind)
    tokens = torch.randint(5, 9, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    together = model(tokens, Layout.of(LENGTHS))
    alone = torch.cat([model(part, Layout.of([len(part)])) for part in tokens.split(LENGTHS)])
    assert together.isfinite().all()
    assert torch.allclose(together, alone, rtol=0, atol=1e-4 * float(together.abs().max()))


@pytest.mark.parametrize("kind", MODELS.names())
def test_the_plan_counts_its_parameters(kind: str) -> None:
    planned = make_plan(small(kind), len(NucleotideConfig().build()))
    assert planned.parameters == sum(parameter.numel() for parameter in built(kind).parameters())
    assert planned.flops_per_token > 0


@pytest.mark.parametrize("kind", MODELS.names())
def test_a_bundle_of_it_opens_without_its_name(kind: str, tmp_path: Path) -> None:
    model, tokens = built(kind), torch.randint(5, 9, (40,), generator=torch.Generator().manual_seed(2))
    write_bundle(tmp_path / "bundle", model, NucleotideConfig().build(), Record({}, {}, {}, None, "small"))
    loaded = load(tmp_path / "bundle").model
    assert loaded.config == model.config == small(kind).backbone()
    assert torch.equal(loaded(tokens, Layout.of([40])), model(tokens, Layout.of([40])))


@pytest.mark.parametrize("kind", MODELS.names())
def test_it_survives_plain_data(kind: str) -> None:
    config = small(kind)
    assert MODELS.parse(config.to_data()) == config
    assert MODELS.parse(config.to_data()).digest() == config.digest()
