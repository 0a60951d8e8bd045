"""What a config means, and that every architecture keeps its sequences apart, in order, and to what it may see."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from nuclex.core.errors import InputError
from nuclex.models import MODELS, BackboneConfig, LanguageModel, Layout

VOCABULARY = 22
LENGTHS = (9, 2, 17, 9, 1, 30, 5)
SMALL = {"depth": 3, "width": 16, "heads": 2, "inner": 24}
POSITIONS = ("rotary", "learned", "relative", "none")
CAUSAL = {
    **{f"attention, {kind}": {"positions": kind} for kind in POSITIONS},
    "post-norm": {"norm": "post", "positions": "learned", "final_norm": False},
    "mamba": {"mixer": "mamba", "positions": "none", "norm_kind": "rms", "activation": "swiglu"},
    "mamba without feed-forward": {"mixer": "mamba", "positions": "none", "inner": 0},
    "mamba 2": {"mixer": "mamba2", "positions": "none", "state_space": {"head_size": 8, "chunk": 8, "state_size": 8}},
    "hyena": {"mixer": "hyena", "positions": "none"},
    "hybrid": {"mixer": "mamba", "attention_every": 2, "positions": "rotary"},
    "learned positions, concatenated": {
        "positions": "learned", "position_use": "concatenate", "position_width": 4, "tied": False, "max_positions": 64,
    },
    "narrow positions, added": {"positions": "learned", "position_width": 4, "max_positions": 64},
    "gate": {"embedding_gate": True, "head": "linear"},
}  # fmt: skip
BOTH_WAYS = ("attention, relative", "mamba", "mamba 2", "hyena", "hybrid")


def made(name: str, *, causal: bool = True) -> LanguageModel:
    """A model in evaluation mode, every weight of which matters."""
    torch.manual_seed(0)
    config = BackboneConfig.from_data({**SMALL, **CAUSAL[name], "causal": causal})
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model


def sentences(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, VOCABULARY, (length,), generator=generator) for length in LENGTHS]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", CAUSAL)
def test_packed_equals_one_by_one_in_values_and_gradients(name: str, causal: bool) -> None:
    packed, single, sequences = made(name, causal=causal), made(name, causal=causal), sentences()
    together = packed(torch.cat(sequences), Layout.of(LENGTHS))
    alone = torch.cat([single(ids, Layout.of([len(ids)])) for ids in sequences])
    assert torch.allclose(together, alone, atol=2e-5)
    weights = torch.randn(together.shape, generator=torch.Generator().manual_seed(2)) / len(together)
    (together * weights).sum().backward()
    (alone * weights).sum().backward()
    wanted = {key: value.grad for key, value in single.named_parameters()}
    for key, value in packed.named_parameters():
        assert (value.grad is None) == (wanted[key] is None), key
        assert value.grad is None or torch.allclose(value.grad, wanted[key], atol=1e-4), key


@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_model_never_sees_ahead(name: str) -> None:
    model, ids = made(name), sentences()[2]
    layout, place = Layout.of([len(ids)]), 11
    changed = ids.clone()
    changed[place] = 5 if ids[place] != 5 else 6
    before, after = model(ids, layout), model(changed, layout)
    assert torch.allclose(before[:place], after[:place], atol=1e-6)
    assert not torch.allclose(before[place], after[place], atol=1e-3)
    if name != "attention, none":
        assert not torch.allclose(before[place + 1 :], after[place + 1 :], atol=1e-4), "what comes later sees it"


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", CAUSAL)
def test_every_weight_matters(name: str, causal: bool) -> None:
    model = made(name, causal=causal)
    model(torch.cat(sentences()), Layout.of(LENGTHS)).square().sum().backward()
    assert [key for key, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_model_that_is_not_causal_sees_both_sides(name: str) -> None:
    model, ids = made(name, causal=False), sentences()[2]
    layout = Layout.of([len(ids)])
    changed = ids.clone()
    changed[8] = 5 if ids[8] != 5 else 6
    before, after = model(ids, layout), model(changed, layout)
    for side in (slice(0, 8), slice(9, None)):
        assert not torch.allclose(before[side], after[side], atol=1e-4)


@pytest.mark.parametrize("name", CAUSAL)
def test_going_on_token_by_token_equals_reading_all_at_once(name: str) -> None:
    model, whole, ahead = made(name), [ids for ids in sentences() if len(ids) > 1], 25
    generator = torch.Generator().manual_seed(5)
    further = torch.randint(5, VOCABULARY, (len(whole), ahead), generator=generator)
    with torch.no_grad():
        logits, cache = model.prefill(torch.cat(whole), Layout.of([len(ids) for ids in whole]))
        steps = [logits, *(model.step(further[:, number], cache) for number in range(ahead))]
        for row, ids in enumerate(whole):
            longer = torch.cat([ids, further[row]])
            wanted = model(longer, Layout.of([len(longer)]))[len(ids) - 1 :]
            assert torch.allclose(torch.stack([step[row] for step in steps]), wanted, atol=5e-5)
    assert cache.lengths_N.tolist() == [len(ids) + ahead for ids in whole]


def test_a_model_that_sees_both_sides_cannot_go_on() -> None:
    model = made("mamba", causal=False)
    with pytest.raises(InputError, match="sees both sides"):
        model.prefill(sentences()[0], Layout.of([LENGTHS[0]]))


def test_an_encoder_has_hidden_vectors_and_no_scores() -> None:
    config = BackboneConfig(**SMALL, head="none")
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    ids, layout = sentences()[0], Layout.of([LENGTHS[0]])
    assert model.encode(ids, layout).shape == (LENGTHS[0], 16)
    assert not any(name.startswith("head") for name, _ in model.named_parameters())
    with pytest.raises(InputError, match="without a language head"):
        model(ids, layout)


def test_attention_maps_need_attention() -> None:
    with pytest.raises(InputError, match="no attention"):
        made("mamba").attention_maps(sentences()[0], Layout.of([LENGTHS[0]]))
    maps = made("hybrid").attention_maps(torch.cat(sentences()), Layout.of(LENGTHS))
    assert [part.shape for part in maps[0]] == [(2, length, length) for length in LENGTHS]
    assert len(maps) == 1


def test_the_table_of_tokens_is_rounded_up() -> None:
    config = BackboneConfig(**SMALL, vocabulary_multiple=8)
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    assert model.vocabulary_size == len(model.embedding.tokens.weight) == 24
    assert model(sentences()[0], Layout.of([LENGTHS[0]])).shape == (LENGTHS[0], 24)


def test_mup_attention_divides_by_the_head_size() -> None:
    """With a multiplier of sqrt(d), 1/d is 1/sqrt(d), which is why RNA-BERTa opens in an ordinary RoBERTa."""
    usual = BackboneConfig(**SMALL)
    mup = BackboneConfig(**SMALL, attention_scale="1/d", attention_multiplier=8**0.5)
    torch.manual_seed(0)
    first = LanguageModel(usual, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    second = LanguageModel(mup, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    second.load_state_dict(first.state_dict())
    third = LanguageModel(
        BackboneConfig(**SMALL, attention_scale="1/d"), vocabulary_size=VOCABULARY, pad_id=1, mask_id=4
    )
    third.load_state_dict(first.state_dict())
    for model in (first, second, third):
        nn.init.normal_(
            model.blocks[0].mixer.query_key_value.weight, std=1.0, generator=torch.Generator().manual_seed(1)
        )
    ids, layout = torch.cat(sentences()), Layout.of(LENGTHS)
    assert torch.allclose(first(ids, layout), second(ids, layout), atol=1e-5)
    assert not torch.allclose(first(ids, layout), third(ids, layout), atol=1e-3)


def test_gpt2_starts_with_smaller_steps_into_the_stream() -> None:
    torch.manual_seed(0)
    config = BackboneConfig(depth=8, width=64, heads=2, inner=64, initialisation="gpt2")
    model = LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4)
    for block in model.blocks:
        assert float(block.mixer.output.weight.detach().std()) == pytest.approx(0.02 / 4, rel=0.1)
        assert float(block.feedforward.output.weight.detach().std()) == pytest.approx(0.02 / 4, rel=0.1)
        assert float(block.feedforward.into.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("kind", ["roberta", "bert", "gpt2", "mamba", "hyena"])
def test_first_weights_are_as_large_as_is_asked(kind: str) -> None:
    own = {"heads": 2} if kind in ("roberta", "bert", "gpt2") else {}
    asked = {"kind": kind, "depth": 1, "width": 64, "inner": 64, "initializer_range": 0.1, **own}
    models = []
    for std in (0.1, 0.02):
        torch.manual_seed(0)
        config = MODELS.parse({**asked, "initializer_range": std}).backbone()
        models.append(LanguageModel(config, vocabulary_size=VOCABULARY, pad_id=1, mask_id=4))
    large, usual = (model.embedding.tokens.weight.detach() for model in models)
    assert torch.allclose(large, 5 * usual)
    large, usual = (model.blocks[0].feedforward.into.weight.detach() for model in models)
    assert torch.allclose(large, 5 * usual)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"norm": "rinalmo", "mixer": "mamba"}, "attention blocks"),
        ({"inner": 0, "norm": "post"}, "blocks without feed-forward"),
        ({"norm_kind": "rms", "norm": "post"}, "'rms' goes with"),
        ({"position_width": 4}, "position_width is for positions 'learned'"),
        ({"positions": "learned", "position_use": "concatenate"}, "needs tied false and 0 < position_width"),
        ({"positions": "learned", "position_use": "concatenate", "position_width": 4}, "needs tied false"),
        ({"heads": 3}, "multiple of heads 3"),
        ({"initialisation": "torch", "initializer_range": 0.1}, "initializer_range 0.1 is not for PyTorch's own"),
        ({"initializer_range": 0}, "greater than 0"),
        ({"mixer": "mamba", "attention_every": 2, "heads": 3}, "multiple of heads 3"),
        ({"mixer": "mamba", "positions": "none", "norm": "post"}, "read both ways have norm 'pre'"),
        ({"mixer": "mamba2", "width": 10}, "inner width 20 is not a multiple of head_size 64"),
        ({"mixer": "mamba2", "width": 64, "state_space": {"groups": 3}}, "not a multiple of groups 3"),
        ({"causal": True, "token_dropout": 0.1}, "with causal it is 0"),
        ({"mixer": "mamba", "attention_every": 4}, "more than the depth 3"),
        ({"mixer": "hyena", "positions": "relative"}, "scored by attention"),
        ({"positions": "learned", "max_positions": 3, "position_offset": 5}, "leaves none of the 3 positions"),
        ({"norm_epsilon": -1.0}, "greater than 0"),
        ({"mixer": "lstm"}, "'attention', 'mamba', 'mamba2' or 'hyena'"),
    ],
)
def test_impossible_combinations_are_refused(wrong: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        BackboneConfig.from_data({**SMALL, **wrong})


def test_heads_do_not_matter_where_nothing_attends() -> None:
    assert BackboneConfig(depth=1, width=15, inner=8, heads=2, mixer="mamba").attends is False
