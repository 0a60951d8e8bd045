"""Parameter counts of the published models, and what the presets stand for."""

import pytest
import torch
from torch import nn

from nuclex.models import MODELS, LanguageModel, RinalmoConfig, RobertaConfig, rinalmo, roberta


def bare(config, vocabulary_size):
    with torch.device("meta"):
        return LanguageModel(config.backbone(), vocabulary_size=vocabulary_size, pad_id=1, mask_id=4)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "expected"),
    [("nano", 7_508_824), ("micro", 33_491_074), ("mega", 148_056_972), ("giga", 650_901_793)],
)
def test_rinalmo_has_the_published_number_of_parameters(size, expected):
    model = bare(rinalmo(size), 22)
    assert count(model) == expected
    width, inner = model.config.width, model.config.inner
    per_block = 4 * width**2 + 2 * width * inner + 2 * inner + 1 + inner * width + width + 4 * width
    assert {count(block) for block in model.blocks} == {per_block}


@pytest.mark.parametrize(
    ("sizes", "vocabulary_size", "expected"),
    [
        ((6, 512, 8, 2048), 1024, 19_968_512),  # TinyDNABERT
        ((12, 512, 16, 3072), 9700, 55_928_804),  # RNA-BERTa
        ((12, 128, 16, 1024), 9700, 5_292_644),  # RNA-BERTa's proxy
    ],
)
def test_roberta_has_the_published_number_of_parameters(sizes, vocabulary_size, expected):
    assert count(bare(roberta(*sizes), vocabulary_size)) == expected


def test_rna_bertas_encoder_alone_has_the_published_number_of_parameters():
    model = bare(roberta(12, 512, 16, 3072), 9700)
    own_to_the_head = [value for name, value in model.head.named_parameters() if name != "decoder.weight"]
    assert count(model) - sum(value.numel() for value in own_to_the_head) == 55_655_424


def test_every_rinalmo_has_twenty_heads_without_bias_and_an_own_output_layer():
    for size in ("nano", "micro", "mega", "giga"):
        config = rinalmo(size).backbone()
        assert config.heads == 20
        assert not config.attention_bias
        assert not config.tied
        assert (config.norm, config.positions, config.activation) == ("rinalmo", "rotary", "swiglu-beta")
        assert config.token_dropout == 0.12
        assert config.longest is None


def test_rinalmos_feed_forward_is_as_wide_as_published():
    assert [rinalmo(size).backbone().inner for size in ("nano", "micro", "mega", "giga")] == [853, 1280, 1706, 3413]


def test_roberta_has_room_for_512_tokens():
    assert roberta(2, 8, 2, 16).backbone().longest == 512


def test_presets_are_registered_under_their_short_names():
    assert MODELS.parse({"kind": "rinalmo", "depth": 3}) == RinalmoConfig(depth=3)
    assert MODELS.parse({"kind": "roberta", "depth": 3}) == RobertaConfig(depth=3)
    assert MODELS.parse(rinalmo("nano").backbone().to_data()) == rinalmo("nano").backbone()
