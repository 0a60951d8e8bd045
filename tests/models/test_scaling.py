"""μP in the network: what grew, how large weights begin, and that the base width is the standard parametrisation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from nuclex.models import (
    BackboneConfig,
    BertConfig,
    Gpt2Config,
    HyenaModelConfig,
    LanguageModel,
    Layout,
    MambaConfig,
    ModelConfig,
    RinalmoConfig,
    RobertaConfig,
)
from nuclex.models.answering import head_over
from nuclex.models.heads import ClassHeadConfig, LinearHeadConfig, PairHeadConfig, TextConvolutionHeadConfig
from nuclex.models.scaling import Growth

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "mup_reference.json").read_text())
SIZES = {"base": (32, 96), "wide": (64, 192), "wider": (128, 384), "narrow": (16, 32)}
FAMILIES: dict[str, ModelConfig] = {
    "bert": BertConfig(depth=2, width=64, heads=4, inner=128),
    "gpt2": Gpt2Config(depth=2, width=64, heads=4, inner=128),
    "rinalmo": RinalmoConfig(depth=2, width=64, heads=4),
    "mamba": MambaConfig(depth=2, width=64),
    "mamba2": MambaConfig(version=2, depth=2, width=64),
    "bimamba": MambaConfig(depth=2, width=64, causal=False, embedding_gate=True, inner=128),
    "hyena": HyenaModelConfig(depth=2, width=64, inner=128),
    "hybrid": MambaConfig(depth=2, width=64, attention_every=2, heads=4),
    "relative": Gpt2Config(depth=2, width=64, heads=4, inner=128, positions="relative"),
    "concatenated": Gpt2Config(
        depth=2, width=64, heads=4, inner=128, tied=False, position_use="concatenate", position_width=16
    ),
}


def made(config: ModelConfig, seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(config.backbone(), vocabulary_size=22, pad_id=1, mask_id=4)


def wider(config: ModelConfig, by: int) -> ModelConfig:
    """The same network ``by`` times as wide, with its own width as base."""
    sizes = {name: by * getattr(config, name) for name in ("width", "inner", "position_width") if hasattr(config, name)}
    return config.model_copy(update={**sizes, "base_width": config.width})  # type: ignore[attr-defined]


def size(values: torch.Tensor) -> float:
    return float(values.detach().square().mean().sqrt())


def luck(values: torch.Tensor) -> float:
    """How far the size of so few random numbers may be off."""
    return 0.02 + 3 / values.numel() ** 0.5


@pytest.mark.parametrize(
    ("grown", "first", "adam", "sgd"),
    [
        (Growth(4, 4), 0.5, 0.25, 1),
        (Growth(4, 8), 0.5, 0.25, 2),
        (Growth(4, 1), 0.25, 0.25, 0.25),
        (Growth(4, 1, multiplied=True), 1, 1, 4),
        (Growth(1, 4), 1, 1, 4),
        (Growth(), 1, 1, 1),
    ],
)
def test_the_table_of_rules(grown: Growth, first: float, adam: float, sgd: float) -> None:
    assert (grown.size, grown.share("adam"), grown.share("sgd")) == (first, adam, sgd)
    for rule in ("adam", "sgd"):
        assert grown.decay(rule) * grown.share(rule) == 1


def roberta(which: str, *, tied: bool, **more: Any) -> BackboneConfig:
    (width, inner), (base, base_inner) = SIZES[which], SIZES["base"]
    config = RobertaConfig(
        depth=2, width=width, heads=4, inner=inner, max_positions=20, dropout=0, attention_dropout=0, tied=tied,
        base_width=base, base_inner=base_inner,
    )  # fmt: skip
    return config.backbone().model_copy(update=more)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("which", SIZES)
def test_first_weights_are_those_of_the_package_mup(which: str, tied: bool) -> None:
    """By its init.normal_, and (untied) by what it makes of the weights that PyTorch draws."""
    reference = REFERENCE[f"{which}, {'tied' if tied else 'untied'}"]
    for kind, name in (("normal", "normal"), ("torch", "default")) if not tied else (("normal", "normal"),):
        config = roberta(which, tied=tied, initialisation=kind)
        usual, ours = made(config.model_copy(update={"base_width": 0, "base_inner": 0})), made(config)
        before = dict(usual.named_parameters())
        for weight, scale in reference[name].items():
            found = dict(ours.named_parameters())[weight].detach()
            assert torch.allclose(found, before[weight].detach() * scale, rtol=1e-5, atol=0), weight


@pytest.mark.parametrize("name", FAMILIES)
def test_at_its_base_width_a_network_is_the_standard_one_to_the_bit(name: str) -> None:
    config = FAMILIES[name]
    usual, ours = made(config), made(wider(config, 1))
    for (key, one), other in zip(usual.named_parameters(), ours.parameters(), strict=True):
        assert torch.equal(one, other), key
    ids, layout = torch.arange(5, 20), Layout.of([9, 6])
    same = torch.equal if name in ("mamba", "mamba2", "bimamba", "hyena") else torch.allclose  # √d/d is not 1/√d
    assert same(usual.eval()(ids, layout), ours.eval()(ids, layout))
    grown = ours.growth()
    assert grown is not None
    assert set(grown.values()) <= {Growth(), Growth(multiplied=True)}
    assert usual.growth() is None


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_keeps_the_size_that_its_rule_says(name: str) -> None:
    """At four times the width: nothing is larger, and what grew on both sides is half as large in the mean square."""
    narrow, wide = made(FAMILIES[name]), made(wider(FAMILIES[name], 4))
    grown, twins = wide.growth(), dict(narrow.named_parameters())
    assert grown is not None
    for key, weight in wide.named_parameters():
        if key.split(".")[-2:] in (["select", "weight"], ["into", "weight"]) and "mixer" in key:
            continue  # rows of two kinds: below
        wanted = size(twins[key]) * grown[key].size
        wanted = size(twins[key]) * grown[key].size
        assert size(weight) == pytest.approx(wanted, rel=luck(twins[key])), key


@pytest.mark.parametrize(("version", "name", "fixed"), [(1, "select", 2), (2, "into", 2)])
def test_rows_of_mamba_that_do_not_grow_are_read_outs(version: int, name: str, fixed: int) -> None:
    """Four times the width: what is written and read begins four times as small, step sizes and channels twice."""
    config = MambaConfig(version=version, depth=1, width=64)
    narrow, wide = (made(one).blocks[0].mixer for one in (config, wider(config, 4)))
    rows, fewer = (mixer.stacked()[f"{name}.weight"] for mixer in (wide, narrow))
    assert sum(rows) == len(getattr(wide, name).weight)
    assert sum(one == other for one, other in zip(rows, fewer, strict=True)) == fixed
    parts = (getattr(wide, name).weight.split(rows), getattr(narrow, name).weight.split(fewer))
    for part, before in zip(*parts, strict=True):
        factor = 1 / 4 if len(part) == len(before) else 1 / 2
        assert size(part) == pytest.approx(size(before) * factor, rel=luck(before))


def test_heads_of_mamba2_forget_as_fast_at_every_width() -> None:
    """A = -1 … -H would make a wide network forget faster."""
    config = MambaConfig(version=2, depth=1, width=64)
    narrow, wide = (made(one).blocks[0].mixer.A_log.detach().exp() for one in (config, wider(config, 3)))
    assert narrow.tolist() == pytest.approx([1, 2])
    assert wide.tolist() == pytest.approx([1, 1, 1, 2, 2, 2])
    assert len(made(config.model_copy(update={"width": 192})).blocks[0].mixer.A_log) == 6


def test_special_weights_of_mamba_and_hyena_are_drawn_alike_at_every_width() -> None:
    wide = made(wider(MambaConfig(depth=1, width=64), 4)).blocks[0].mixer
    assert torch.equal(wide.A_log.detach()[7], torch.arange(1.0, 17.0).log())
    assert wide.D.detach().unique().tolist() == [1]
    steps = torch.nn.functional.softplus(wide.delta.bias.detach())
    assert 0.001 <= float(steps.min()) < 0.002
    assert 0.05 < float(steps.max()) <= 0.1001
    assert float(wide.delta.weight.detach().abs().max()) == pytest.approx(16**-0.5, rel=0.01)
    grown = made(wider(HyenaModelConfig(depth=1, width=64, inner=128), 4)).growth()
    assert grown is not None
    of_filter = {name.split("filter.")[1]: value for name, value in grown.items() if ".filter." in name}
    assert of_filter.pop("output.weight") == Growth(1, 4)
    assert set(of_filter.values()) == {Growth()}


def test_attention_divides_by_the_head_size_and_is_pinned_at_the_base() -> None:
    config = RobertaConfig(depth=1, width=128, heads=16, inner=1024, base_width=512, base_inner=3072).backbone()
    assert (config.attention_scale, config.attention_multiplier) == ("1/d", math.sqrt(32))
    assert config.attention.factor(8) == math.sqrt(32) / 8
    assert config.attention.factor(32) == pytest.approx(1 / math.sqrt(32), rel=1e-15)
    said = BackboneConfig(
        depth=1, width=16, heads=2, inner=16, base_width=8, attention_scale="1/sqrt(d)", attention_multiplier=3
    )
    assert (said.attention_scale, said.attention_multiplier) == ("1/sqrt(d)", 3)
    assert BackboneConfig(depth=1, width=16, heads=2, inner=16).attention_multiplier == 1
    assert BackboneConfig.from_data(config.to_data()) == config


def test_what_the_last_matrix_reads_is_multiplied() -> None:
    config = wider(FAMILIES["gpt2"], 4)
    model = made(config).eval()
    hidden = torch.randn(3, 256, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model.scores(hidden), hidden @ model.head.decoder.weight.T / 4, atol=1e-6)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"inner": 250, "base_width": 48}, "inner 250 does not shrink from width 64 with it; give base_inner"),
        ({"base_width": 42}, "width 42 is not a multiple of heads 4"),
        ({"base_inner": 4}, "base_inner goes with base_width and inner, found 4 without them"),
        ({"positions": "learned", "position_width": 10, "base_width": 16}, "position_width 10 does not shrink"),
    ],
)
def test_a_base_that_is_no_network_is_refused(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        BackboneConfig(**{"depth": 1, "width": 64, "heads": 4, "inner": 256, **keys})


def test_a_base_that_cuts_a_head_of_mamba2_is_refused() -> None:
    with pytest.raises(ValidationError, match="base_width 16 makes no network: inner width 32 is not a multiple"):
        MambaConfig(version=2, width=256, base_width=16)


@pytest.mark.parametrize(
    "config",
    [ClassHeadConfig(hidden=96), LinearHeadConfig(), PairHeadConfig(channels=48), TextConvolutionHeadConfig(maps=40)],
)
def test_what_reads_hidden_vectors_in_a_head_is_a_read_out(config: Any) -> None:
    """What grew only in its inputs is four times as small, its biases as large as at the base, the rest untouched."""
    narrow, wide = made(FAMILIES["bert"]), made(wider(FAMILIES["bert"], 4))
    outputs = 1 if isinstance(config, PairHeadConfig) else 3
    before, nothing = head_over(config, narrow, outputs, 0)
    after, grown = head_over(config, wide, outputs, 0)
    assert nothing == {}
    assert any(value.inputs == 4 for value in grown.values())
    twins = dict(before.named_parameters())
    for name, weight in after.named_parameters():
        if weight.numel() > 40:
            assert size(weight) == pytest.approx(size(twins[name]) * grown[name].size, rel=0.15), name
