"""A network of μP and its twin in standard parametrisation compute the same, hidden vectors included."""

from __future__ import annotations

import pytest
import torch

from nuclex.bundle.standard import standard
from nuclex.models import (
    BackboneConfig,
    Gpt2Config,
    HyenaModelConfig,
    LanguageModel,
    Layout,
    MambaConfig,
    ModelConfig,
    RinalmoConfig,
    RobertaConfig,
)

SIZES = {"depth": 2, "width": 64, "base_width": 16}
NETWORKS: dict[str, ModelConfig] = {
    "roberta": RobertaConfig(**SIZES, heads=2, inner=96),
    "untied roberta": RobertaConfig(**SIZES, heads=2, inner=96, tied=False),
    "encoder": RobertaConfig(**SIZES, heads=2, inner=96, head="none"),
    "gpt2": Gpt2Config(**SIZES, heads=2, inner=96),
    "untied gpt2, relative positions": Gpt2Config(**SIZES, heads=2, inner=96, tied=False, positions="relative"),
    "rinalmo": RinalmoConfig(**SIZES, heads=4),
    "hybrid": MambaConfig(**SIZES, attention_every=2, heads=4, tied=False),
    "hyena": HyenaModelConfig(**SIZES, inner=96),
    "1/d alone": BackboneConfig(depth=2, width=64, heads=2, inner=96, attention_scale="1/d"),
}


def made(config: ModelConfig) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(config.backbone(), vocabulary_size=22, pad_id=1, mask_id=4).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_function_without_multipliers(name: str) -> None:
    model = made(NETWORKS[name])
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    twin = standard(model)
    config = twin.config
    assert (config.base_width, config.attention_scale, config.attention_multiplier) == (0, "1/sqrt(d)", 1)
    ids, layout = torch.arange(5, 20), Layout.of([9, 6])
    with torch.no_grad():
        hidden, again = model.encode(ids, layout), twin.encode(ids, layout)
        assert torch.allclose(hidden, again, atol=1e-5)
        if model.head is not None:
            ours, theirs = model(ids, layout), twin(ids, layout)
            assert torch.allclose(ours, theirs, atol=1e-5)
            assert float(ours.abs().max()) > 0.2
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in kept.items()), "the model stays as it is"


def test_a_standard_network_comes_back_itself() -> None:
    model = made(RobertaConfig(depth=1, width=16, heads=2, inner=24))
    assert standard(model) is model


def test_at_the_base_width_no_weight_changes() -> None:
    model = made(RobertaConfig(depth=1, width=24, heads=8, inner=24, base_width=24))
    twin = standard(model)
    assert twin.config == RobertaConfig(depth=1, width=24, heads=8, inner=24).backbone()
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other), name
