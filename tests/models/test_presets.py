"""Parameter counts of the published models, and what the presets stand for."""

import pytest
import torch
from torch import nn

from nuclex.models import (
    MODELS,
    BackboneConfig,
    BertConfig,
    Gpt2Config,
    HyenaModelConfig,
    LanguageModel,
    MambaConfig,
    RinalmoConfig,
    RobertaConfig,
    helm,
    rinalmo,
    roberta,
)
from nuclex.models.published import HELM_SIZES, HYENA_SIZES, MAMBA_SIZES


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


# ---- HELM's families: 70 codons; what is not marked as published is ours, written out term by term ----

CODONS, ROWS = 70, 2048
PUBLISHED = {"20M": 22.1e6, "50M": 50_636_800, "100M": 100.9e6, "150M": 153.4e6}  # facts: GPT-2, to as many digits


def transformer_block(D: int, F: int) -> int:
    attention = 3 * (D * D + D) + (D * D + D)
    return attention + (D * F + F) + (F * D + D) + 2 * 2 * D  # and two norms


@pytest.mark.parametrize("size", HELM_SIZES)
def test_helms_gpt2_has_the_published_number_of_parameters(size):
    L, D, F = HELM_SIZES[size]
    model = bare(helm("gpt2", size), CODONS)
    assert count(model) == CODONS * D + ROWS * D + L * transformer_block(D, F) + 2 * D + D * CODONS
    exact = size == "50M"
    assert count(model) == PUBLISHED[size] if exact else round(count(model) / 1e6, 1) == PUBLISHED[size] / 1e6
    assert (model.config.causal, model.config.tied, model.config.heads) == (True, False, 4)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("20M", 22_256_710), ("50M", 51_004_230), ("100M", 101_451_334), ("150M", 154_378_310)],  # ours
)
def test_helms_bert(size, expected):
    L, D, F = HELM_SIZES[size]
    embedding = CODONS * D + ROWS * D + 1 * D + 2 * D  # tokens, positions, one token type, norm
    head = (D * D + D) + 2 * D + CODONS  # dense, norm, bias of the tied decoder
    model = bare(helm("bert", size), CODONS)
    assert count(model) == embedding + L * transformer_block(D, F) + head == expected
    assert not model.config.causal
    back = MODELS.parse({**helm("bert", size).to_data(), "causal": True})
    assert back.backbone() == model.config.model_copy(update={"causal": True}), "the same network, looking back"


def mamba_mixer(D: int) -> int:
    E, S, R, K = 2 * D, 16, D // 16, 4  # inner width, memory, rank of the step sizes, kernel
    into, out = D * 2 * E, E * D
    return into + (E * K + E) + E * (R + 2 * S) + (R * E + E) + E * S + E + out


def mamba_block(D: int, F: int) -> int:
    """Two norms without bias, and a gated feed-forward of three matrices without biases."""
    return D + mamba_mixer(D) + (D + 3 * D * F if F else 0)


@pytest.mark.parametrize(
    ("size", "expected"), [("20M", 19_631_360), ("50M", 49_024_256), ("100M", 98_481_024), ("150M", 154_999_296)]
)  # ours
def test_helms_mamba(size, expected):
    L, D, F = MAMBA_SIZES[size]
    assert (L, D, F) == (40, 256, 1024) or size != "50M"
    wanted = CODONS * D + L * mamba_block(D, F) + D + D * CODONS
    assert count(bare(helm("mamba", size), CODONS)) == wanted == expected


@pytest.mark.parametrize(
    ("size", "expected"), [("20M", 20_747_776), ("50M", 51_716_608), ("100M", 103_944_192), ("150M", 163_658_752)]
)  # ours
def test_helms_bidirectional_mamba(size, expected):
    L, D, F = MAMBA_SIZES[size]
    layer = 2 * mamba_block(D, F) + (2 * D * D + D)  # one stack forwards, one backwards, and what joins them
    gate = D * D + D
    model = bare(helm("bimamba", size), CODONS)
    assert count(model) == CODONS * D + gate + L // 2 * layer + D + D * CODONS == expected
    assert not model.config.causal


def hyena_block(D: int, F: int, directions: int = 1) -> int:
    features, wide, gates = 3, 64, 2  # what the filters' network sees of a lag, its width, the order
    network = (
        (features * wide + wide) + 2 * (wide * wide + wide) + wide + wide * directions * D
    )  # sines' frequencies too
    projections = (D * (gates + 1) * D + (gates + 1) * D) + (D * D + D)
    short = (gates + 1) * D * 3 + (gates + 1) * D
    return projections + short + network + D + (D * F + F) + (F * D + D) + 2 * 2 * D  # and what skips the filters


@pytest.mark.parametrize(
    ("size", "expected"), [("20M", 21_806_592), ("50M", 50_198_592), ("100M", 100_288_128), ("150M", 152_349_952)]
)  # ours
def test_helms_hyena(size, expected):
    L, D, F = HYENA_SIZES[size]
    assert (L, D, F) == (7, 768, 3072) or size != "50M"
    wanted = CODONS * D + L * hyena_block(D, F) + 2 * D + D * CODONS
    assert count(bare(helm("hyena", size), CODONS)) == wanted == expected
    both = MODELS.parse({**helm("hyena", size).to_data(), "causal": False})
    assert count(bare(both, CODONS)) - expected == L * 64 * D, "a second filter for what lies ahead"


def test_another_family_is_none_of_them():
    for name in ("Mamba", "nope"):
        with pytest.raises(KeyError, match=name):
            helm(name)


@pytest.mark.parametrize("family", ["gpt2", "bert", "mamba", "bimamba", "hyena"])
def test_the_sizes_are_what_they_are_called(family):
    for size in HELM_SIZES:
        assert count(bare(helm(family, size), CODONS)) == pytest.approx(1e6 * int(size[:-1]), rel=0.13), size


# ---- other networks and what may vary in them, ours ----


def test_mamba_2():
    D, S, K = 64, 32, 16
    E = 2 * D
    H, X = E // K, E + 2 * S  # heads; what enters the convolution
    mixer = D * (2 * E + 2 * S + H) + (X * 4 + X) + 3 * H + E + E * D  # steps' bias, A and D; the gated norm
    config = MambaConfig(version=2, depth=3, width=D, state_space={"state_size": S, "head_size": K})
    assert count(bare(config, 22)) == 22 * D + 3 * (D + mixer) + D == 92_552


def test_a_hybrid_has_attention_instead_of_some_mixers():
    D, F = 64, 128
    attention = 3 * D * D + D * D
    config = MambaConfig(depth=6, width=D, inner=F, heads=4, attention_every=3)
    blocks = 4 * mamba_block(D, F) + 2 * (D + attention + D + 3 * D * F)
    assert count(bare(config, 22)) == 22 * D + blocks + D


SMALL = {"depth": 2, "width": 32, "heads": 4, "inner": 64}


def test_a_vocabulary_rounded_up_tied_or_not():
    for multiple, rows in ((1, 70), (8, 72), (64, 128)):
        assert bare(Gpt2Config(**SMALL, vocabulary_multiple=multiple), CODONS).vocabulary_size == rows
        tied, own = (count(bare(Gpt2Config(**SMALL, vocabulary_multiple=multiple, tied=tied), 70)) for tied in (1, 0))
        assert own - tied == rows * 32
        assert tied == rows * 32 + 1024 * 32 + 2 * transformer_block(32, 64) + 2 * 32


def test_a_tied_head_of_bert_keeps_its_bias():
    tied, own = (count(bare(BertConfig(**SMALL, tied=tied), CODONS)) for tied in (True, False))
    assert own - tied == CODONS * 32


@pytest.mark.parametrize("kind", [BertConfig, RobertaConfig])
def test_an_encoder_without_a_head(kind):
    whole, encoder = bare(kind(**SMALL), CODONS), bare(kind(**SMALL, head="none"), CODONS)
    assert encoder.head is None
    assert count(whole) - count(encoder) == (32 * 32 + 32) + 2 * 32 + CODONS


def test_positions_of_every_kind():
    def with_positions(**settings):
        return count(bare(Gpt2Config(**SMALL, max_positions=100, tied=False, **settings), CODONS))

    without = with_positions(positions="none")
    assert with_positions(positions="rotary") == without
    assert with_positions(positions="learned") == without + 100 * 32
    assert with_positions(positions="relative") == without + 2 * (32 * 32 + 2 * 32)  # in both layers: W, u and v
    narrow = {"positions": "learned", "position_width": 8}
    assert with_positions(**narrow) == without + 100 * 8 + 8 * 32, "widened by a matrix before they are added"
    assert with_positions(**narrow, position_use="concatenate") == without + 100 * 8 - CODONS * 8, "in place of tokens'"


# ---- the same counts from transformers ----


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roberta", "bert", "gpt2", "mamba", "mamba2"])
def test_transformers_counts_the_same(name):
    transformers = pytest.importorskip("transformers")
    D, L, H, F = 48, 3, 4, 80
    sizes = {"vocab_size": CODONS, "hidden_size": D, "num_hidden_layers": L}
    attention = {"num_attention_heads": H, "intermediate_size": F, "max_position_embeddings": 100}
    ours, theirs = {
        "roberta": (
            RobertaConfig(depth=L, width=D, heads=H, inner=F, max_positions=100),
            lambda: transformers.RobertaForMaskedLM(
                transformers.RobertaConfig(**sizes, **attention, type_vocab_size=2)
            ),
        ),
        "bert": (
            BertConfig(depth=L, width=D, heads=H, inner=F, max_positions=100),
            lambda: transformers.BertForMaskedLM(transformers.BertConfig(**sizes, **attention)),
        ),
        "gpt2": (
            Gpt2Config(depth=L, width=D, heads=H, inner=F, max_positions=100),
            lambda: transformers.GPT2LMHeadModel(
                transformers.GPT2Config(vocab_size=CODONS, n_embd=D, n_layer=L, n_head=H, n_inner=F, n_positions=100)
            ),
        ),
        "mamba": (
            MambaConfig(depth=L, width=D),
            lambda: transformers.MambaForCausalLM(transformers.MambaConfig(**sizes, tie_word_embeddings=True)),
        ),
        "mamba2": (
            MambaConfig(version=2, depth=L, width=D, state_space={"state_size": 16, "head_size": 8}),
            lambda: transformers.Mamba2ForCausalLM(
                transformers.Mamba2Config(
                    **sizes, head_dim=8, num_heads=12, state_size=16, n_groups=1, tie_word_embeddings=True
                )
            ),
        ),
    }[name]
    with torch.device("meta"):
        foreign = theirs()
    assert count(bare(ours, CODONS)) == count(foreign)


def test_rna_bertas_encoder_alone_has_the_published_number_of_parameters():
    model = bare(roberta(12, 512, 16, 3072), 9700)
    own_to_the_head = [value for name, value in model.head.named_parameters() if name != "decoder.weight"]
    assert count(model) - sum(value.numel() for value in own_to_the_head) == 55_655_424
    encoder = RobertaConfig(depth=12, width=512, heads=16, inner=3072, head="none")
    assert count(bare(encoder, 9700)) == 55_655_424


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
    for kind in (BertConfig, Gpt2Config, MambaConfig, HyenaModelConfig):
        assert MODELS.parse(kind(depth=3).to_data()) == kind(depth=3)
    for family in ("gpt2", "bert", "mamba", "bimamba", "hyena"):
        assert BackboneConfig.from_data(helm(family).backbone().to_data()) == helm(family).backbone()
