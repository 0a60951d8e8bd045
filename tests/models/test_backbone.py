"""The backbone against references: a plain RiNALMo written here, transformers' RoBERTa, and itself without packing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from nuclex.models import BackboneConfig, LanguageModel, Layout, RinalmoConfig, RobertaConfig

VOCABULARY, MASK = 22, 4
LENGTHS = (9, 2, 17, 9, 9, 1, 30, 5)
CONFIGS = {
    "roberta": RobertaConfig(depth=3, width=32, heads=4, inner=48, max_positions=64).backbone(),
    "rinalmo": RinalmoConfig(depth=3, width=40, heads=4).backbone(),
    "pre-norm": BackboneConfig(depth=2, width=24, heads=3, inner=40, activation="swiglu", positions="none"),
    "causal": BackboneConfig(depth=2, width=24, heads=3, inner=40, causal=True),
}


def made(config: BackboneConfig, pad_id: int = 1, seed: int = 0) -> LanguageModel:
    """A model in evaluation mode whose every weight is random and matters, biases, norms and betas included."""
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=pad_id, mask_id=MASK).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim == 2:
                value.copy_(noise if name.startswith("embedding") else noise * 1.5 / math.sqrt(value.shape[1]))
            else:
                value.copy_(0.3 * noise + (1.0 if "norm.weight" in name or "beta" in name else 0.0))
    return model


def sentences(lengths=LENGTHS, seed=0, pad_id=1) -> list[torch.Tensor]:
    """Random ids without padding: a first token, then nucleotides and some masks."""
    generator = torch.Generator().manual_seed(seed)
    made_of = torch.tensor([MASK, *range(5, VOCABULARY)])
    drawn = [made_of[torch.randint(len(made_of), (length,), generator=generator)] for length in lengths]
    assert all(pad_id not in ids for ids in drawn)
    return drawn


def close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Equal to ``tolerance``, absolutely or, where numbers are larger than 1, relative to the largest."""
    found, wanted = found.detach(), wanted.detach()
    return bool((found - wanted).abs().max() <= tolerance * max(1.0, float(wanted.abs().max())))


# ---- RiNALMo, written down from its published description: padded, softmax spelled out, in float64 ----


def norm(x, weights, name):
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def turned(x_BHLK):
    """Half-split rotary positions as multiplication by e^(i * position * 10000^(-2j/K))."""
    half = x_BHLK.shape[-1] // 2
    complex_BHLJ = torch.complex(x_BHLK[..., :half], x_BHLK[..., half:])
    j, position = torch.arange(half, dtype=torch.float64), torch.arange(x_BHLK.shape[-2], dtype=torch.float64)
    angle_LJ = position[:, None] * 10_000.0 ** (-2 * j / x_BHLK.shape[-1])
    result = complex_BHLJ * torch.exp(1j * angle_LJ)
    return torch.cat([result.real, result.imag], dim=-1)


def reference_block(x_BLD, real_BL, weights, name, heads):
    batch, length, width = x_BLD.shape
    x_BLD = norm(x_BLD, weights, f"{name}.mixer_norm")
    q, k, v = (x_BLD @ weights[f"{name}.mixer.query_key_value.weight"].T).chunk(3, dim=-1)
    q, k, v = (part.view(batch, length, heads, width // heads).transpose(1, 2) for part in (q, k, v))
    scores = turned(q) @ turned(k).transpose(2, 3) / math.sqrt(width // heads)
    scores = torch.exp(scores - scores.max()) * real_BL[:, None, None, :]
    mixed = (scores / scores.sum(-1, keepdim=True)) @ v
    x_BLD = x_BLD + mixed.transpose(1, 2).reshape(batch, length, width) @ weights[f"{name}.mixer.output.weight"].T

    z = norm(x_BLD, weights, f"{name}.feedforward_norm")
    w1, b1, w2, b2, w3, b3 = (
        weights[f"{name}.feedforward.{part}.{kind}"]
        for part in ("into", "gate", "output")
        for kind in ("weight", "bias")
    )
    a, beta = z @ w1.T + b1, weights[f"{name}.feedforward.beta"]
    swish = a / (1 + torch.exp(-beta * a))
    return x_BLD + (swish * (z @ w2.T + b2)) @ w3.T + b3


def reference_rinalmo(model, sequences):
    """Logits of each sequence, from one padded batch."""
    weights = {name: value.detach().double() for name, value in model.state_dict().items()}
    longest = max(len(ids) for ids in sequences)
    ids_BL = torch.stack([nn.functional.pad(ids, (0, longest - len(ids)), value=1) for ids in sequences])
    real_BL = (ids_BL != 1).double()
    masked_BL = (ids_BL == MASK).double()
    share_B = masked_BL.sum(1) / real_BL.sum(1)
    x_BLD = weights["embedding.tokens.weight"][ids_BL] * (1 - masked_BL[..., None])
    x_BLD = x_BLD * ((1 - 0.15 * 0.8) / (1 - share_B))[:, None, None]
    for layer in range(model.config.depth):
        x_BLD = reference_block(x_BLD, real_BL, weights, f"blocks.{layer}", model.config.heads)
    x_BLD = norm(x_BLD, weights, "norm")
    x_BLD = x_BLD @ weights["head.dense.weight"].T + weights["head.dense.bias"]
    x_BLD = norm(0.5 * x_BLD * (1 + torch.erf(x_BLD / math.sqrt(2))), weights, "head.norm")
    logits_BLV = x_BLD @ weights["head.decoder.weight"].T + weights["head.decoder.bias"]
    return [logits_LV[: len(ids)] for logits_LV, ids in zip(logits_BLV, sequences, strict=True)]


def test_rinalmo_equals_a_plain_padded_reference():
    model = made(CONFIGS["rinalmo"])
    sequences = [ids for ids in sentences() if bool((ids != MASK).any())]  # of masks alone, nothing is left to scale
    logits_TV = model(torch.cat(sequences), Layout.of([len(ids) for ids in sequences]))
    assert float(logits_TV.detach().abs().max()) > 1
    for found, wanted in zip(
        logits_TV.split([len(ids) for ids in sequences]), reference_rinalmo(model, sequences), strict=True
    ):
        assert close(found.double(), wanted)


def test_without_masks_rinalmos_embedding_is_scaled_by_088():
    model = made(CONFIGS["rinalmo"])
    ids_T = torch.tensor([0, 5, 6, 7, 8, 2])
    hidden_TD = model.encode(ids_T, Layout.of([6]), layer=0)
    torch.testing.assert_close(hidden_TD, 0.88 * model.embedding.tokens.weight[ids_T])


def test_half_masked_sequences_are_scaled_for_themselves():
    model = made(CONFIGS["rinalmo"])
    ids_T = torch.tensor([5, MASK, 6, MASK, 5, 5])  # two sequences: half masked, not masked
    hidden_TD = model.encode(ids_T, Layout.of([4, 2]), layer=0)
    table = model.embedding.tokens.weight
    scales_T1 = torch.tensor([0.88 / 0.5, 0, 0.88 / 0.5, 0, 0.88, 0.88])[:, None]
    torch.testing.assert_close(hidden_TD, table[ids_T] * scales_T1)


# ---- RoBERTa of transformers ----


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("nuclex.hub")


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["import", "export"])
@pytest.mark.parametrize("pad_id", [1, 3])
def test_roberta_equals_that_of_transformers_in_every_layer(hub, direction, pad_id):
    preset = RobertaConfig(depth=3, width=32, heads=4, inner=48, max_positions=64, position_offset=pad_id + 1)
    model = made(preset.backbone(), pad_id=pad_id)
    foreign = hub.to_transformers(model)
    if direction == "import":  # weights that were never nuclex's own
        torch.manual_seed(1)
        for value in foreign.parameters():
            nn.init.normal_(value, std=0.3)
        model = hub.from_transformers(foreign, mask_id=MASK)
    assert model.config.position_offset == pad_id + 1
    sequences = sentences(pad_id=pad_id)
    longest = max(LENGTHS)
    ids_BL = torch.stack([nn.functional.pad(ids, (0, longest - len(ids)), value=pad_id) for ids in sequences])
    layout = Layout.of(LENGTHS)
    with torch.no_grad():
        theirs = foreign(ids_BL, attention_mask=(ids_BL != pad_id).long(), output_hidden_states=True)
        tokens_T = torch.cat(sequences)
        for layer, hidden_BLD in enumerate(theirs.hidden_states):
            ours = model.encode(tokens_T, layout, layer=layer).split(LENGTHS)
            for found, padded, length in zip(ours, hidden_BLD, LENGTHS, strict=True):
                assert close(found, padded[:length]), layer
        logits = model(tokens_T, layout).split(LENGTHS)
    assert len(theirs.hidden_states) == 4
    assert float(theirs.logits.abs().max()) > 1
    for found, padded, length in zip(logits, theirs.logits, LENGTHS, strict=True):
        assert close(found, padded[:length])


# ---- packing changes nothing ----


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_equals_one_by_one_in_values(name):
    model, sequences = made(CONFIGS[name]), sentences()
    packed = model(torch.cat(sequences), Layout.of(LENGTHS)).split(LENGTHS)
    for found, ids in zip(packed, sequences, strict=True):
        assert close(found, model(ids, Layout.of([len(ids)])))


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", CONFIGS)
def test_packed_equals_one_by_one_in_gradients(name, precision, tolerance):
    sequences = sentences()
    weights = torch.randn(sum(LENGTHS), VOCABULARY, generator=torch.Generator().manual_seed(2)) / sum(LENGTHS)
    packed, single = made(CONFIGS[name]).to(precision), made(CONFIGS[name]).to(precision)
    (packed(torch.cat(sequences), Layout.of(LENGTHS)) * weights).sum().backward()
    for ids, part in zip(sequences, weights.split(LENGTHS), strict=True):
        (single(ids, Layout.of([len(ids)])) * part).sum().backward()
    gradients = {key: value.grad for key, value in single.named_parameters() if value.grad is not None}
    assert len(gradients) >= 10
    for key, value in packed.named_parameters():
        if key in gradients:
            assert close(value.grad, gradients[key], tolerance), key
    assert {key for key, value in packed.named_parameters() if value.grad is not None} == gradients.keys()


@pytest.mark.parametrize("name", ["roberta", "rinalmo"])
@given(order=st.permutations(range(len(LENGTHS))), kept=st.integers(1, len(LENGTHS)))
@settings(max_examples=15)
def test_a_result_depends_neither_on_batch_mates_nor_on_their_order(name, order, kept):
    model, sequences = made(CONFIGS[name]), sentences()
    alone = {number: model(sequences[number], Layout.of([LENGTHS[number]])) for number in order[:kept]}
    lengths = [LENGTHS[number] for number in order[:kept]]
    together = model(torch.cat([sequences[number] for number in order[:kept]]), Layout.of(lengths)).split(lengths)
    for number, found in zip(order[:kept], together, strict=True):
        assert close(found, alone[number])


def test_selected_positions_get_the_logits_they_get_among_all():
    model, sequences = made(CONFIGS["roberta"]), sentences()
    tokens_T, layout = torch.cat(sequences), Layout.of(LENGTHS)
    selected_M = torch.tensor([0, 3, 11, len(tokens_T) - 1])
    assert close(model(tokens_T, layout, selected_M), model(tokens_T, layout)[selected_M])


def test_layers_are_the_embedding_then_each_block_and_the_final_norm_is_not_among_them():
    model, ids = made(CONFIGS["rinalmo"]), sentences()[2]
    layout = Layout.of([len(ids)])
    last = model.encode(ids, layout, layer=3)
    assert close(model.norm(last), model.encode(ids, layout))
    assert not close(last, model.encode(ids, layout), 1e-2)
    assert not close(model.encode(ids, layout, layer=2), last, 1e-2)


@pytest.mark.parametrize(("name", "sees_ahead"), [("causal", False), ("rinalmo", True)])
def test_a_causal_model_does_not_see_ahead(name, sees_ahead):
    model, ids = made(CONFIGS[name]), sentences()[2].clone()
    layout = Layout.of([len(ids)])
    before = model(ids, layout)
    ids[-1] = 5 if ids[-1] != 5 else 6
    after = model(ids, layout)
    assert close(before[:-1], after[:-1]) != sees_ahead
    assert not close(before[-1], after[-1], 1e-3)


def test_dropout_acts_in_training_only():
    model, ids = made(CONFIGS["roberta"]), sentences()[2]
    layout = Layout.of([len(ids)])
    assert torch.equal(model(ids, layout), model(ids, layout))
    model.train()
    assert not close(model(ids, layout), model(ids, layout), 1e-2)


@pytest.mark.parametrize("wrong", [{"width": 25, "heads": 3}, {"width": 9, "heads": 3}])
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError, match=r"multiple of heads|even head size"):
        BackboneConfig(**{"depth": 1, "inner": 4, **wrong})


@pytest.mark.parametrize("wrong", [{"depth": 1025}, {"width": 1 << 21}, {"inner": 1 << 21}, {"max_positions": 1 << 30}])
def test_absurd_sizes_are_refused_before_anything_is_built(wrong):
    with pytest.raises(ValidationError, match="less than or equal to"):
        BackboneConfig(**{"depth": 1, "width": 8, "heads": 1, "inner": 4, **wrong})


# ---- attention maps: the slow path that spells the weights out ----

ATTENTIVE = {
    **{
        positions: {"positions": positions, "max_positions": 64}
        for positions in ("rotary", "learned", "relative", "none")
    },
    "1/d": {"attention_scale": "1/d", "attention_multiplier": 1.7},
    "no biases": {"attention_bias": False},
    "post": {"norm": "post", "final_norm": False},
    "rinalmo": {"norm": "rinalmo", "token_dropout": 0.12, "activation": "swiglu-beta"},
    "hybrid": {"mixer": "mamba", "attention_every": 2},
}


@pytest.mark.parametrize(
    ("name", "causal"),
    [
        (name, causal)
        for name, keys in ATTENTIVE.items()
        for causal in (False, True)
        if not causal or "token_dropout" not in keys
    ],
)
def test_maps_times_values_are_what_the_fast_path_computes(name, causal):
    config = BackboneConfig.from_data(
        {"depth": 4, "width": 24, "heads": 3, "inner": 40, "causal": causal, **ATTENTIVE[name]}
    )
    model, sequences = made(config), sentences()
    tokens_T, layout, seen = torch.cat(sequences), Layout.of(LENGTHS), []

    def see(mixer, given, mixed_TD):
        seen.append((mixer, given[0], mixed_TD))

    attentions = [block.mixer for kind, block in zip(config.mixers, model.blocks, strict=True) if kind == "attention"]
    handles = [mixer.register_forward_hook(see) for mixer in attentions]
    with torch.no_grad():
        model.encode(tokens_T, layout)
        for handle in handles:
            handle.remove()
        maps = model.attention_maps(tokens_T, layout)
        assert len(maps) == len(seen) == (2 if name == "hybrid" else 4)
        for weights_N, (mixer, read_TD, mixed_TD) in zip(maps, seen, strict=True):
            values_TD = mixer.query_key_value(read_TD)[:, 48:]
            parts = zip(weights_N, values_TD.split(LENGTHS), mixed_TD.split(LENGTHS), strict=True)
            for weights_HLL, values_LD, wanted_LD in parts:
                assert close(weights_HLL.sum(-1), torch.ones(weights_HLL.shape[:2]))
                mixed_HLK = weights_HLL @ values_LD.unflatten(-1, (3, 8)).transpose(0, 1)
                assert close(mixer.output(mixed_HLK.transpose(0, 1).flatten(1)), wanted_LD)
                if causal:
                    assert weights_HLL.triu(1).abs().max() == 0
                elif weights_HLL.shape[-1] > 2:
                    assert weights_HLL.triu(1).max() > 0
