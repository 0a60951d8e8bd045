"""Names and keys of Hugging Face's RoBERTa, without the library."""

from pathlib import Path

import pytest
import torch

from nuclex.bundle.roberta import backbone_of, from_roberta, is_roberta, roberta_keys, to_roberta
from nuclex.bundle.weights import unshared
from nuclex.core.errors import CorruptError, InputError
from nuclex.models import BackboneConfig, rinalmo, roberta

ORIGIN = Path("somewhere")


def full_keys(model):
    return {**roberta_keys(model), "add_cross_attention": False}


@pytest.mark.parametrize("name", ["roberta", "untied roberta"])
def test_names_there_and_back_give_the_same_tensors(making, name):
    model = making.model(name)
    tensors = unshared(model)
    renamed = to_roberta(tensors, model.config)
    back = from_roberta(renamed, model.config, ORIGIN)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(value, back[key]) for key, value in tensors.items())
    assert ("lm_head.decoder.weight" in renamed) == (not model.config.tied)
    pointers = [value.data_ptr() for value in renamed.values()]
    assert len(set(pointers)) == len(pointers)


def test_query_key_and_value_are_the_thirds_of_the_fused_weight(making):
    model = making.model()
    renamed = to_roberta(unshared(model), model.config)
    fused = model.blocks[1].mixer.query_key_value
    for part, name in enumerate(("query", "key", "value")):
        place = f"roberta.encoder.layer.1.attention.self.{name}"
        assert torch.equal(renamed[f"{place}.weight"], fused.weight[16 * part : 16 * (part + 1)])
        assert torch.equal(renamed[f"{place}.bias"], fused.bias[16 * part : 16 * (part + 1)])


def test_keys_there_and_back_give_the_same_network(making):
    for name in ("roberta", "untied roberta"):
        model = making.model(name)
        assert backbone_of(full_keys(model)) == model.config


@pytest.mark.parametrize(
    ("changes", "pad_id", "expected"),
    [
        ({}, 1, True),
        ({"tied": False}, 1, True),
        ({"initialisation": "torch"}, 1, True),
        ({}, 3, False),
        ({"position_offset": 4}, 3, True),
        ({"causal": True}, 1, False),
        ({"norm": "pre"}, 1, False),
        ({"embedding_dropout": 0.0}, 1, False),
        ({"token_types": 0}, 1, False),
        ({"token_dropout": 0.1}, 1, False),
        ({"feedforward_bias": False}, 1, False),
        ({"activation": "swiglu"}, 1, False),
        ({"final_norm": True}, 1, False),
    ],
)
def test_what_is_roberta(changes, pad_id, expected):
    config = BackboneConfig(**{**roberta(2, 8, 2, 16).backbone().to_data(), **changes})
    assert is_roberta(config, pad_id) == expected


def test_rinalmo_is_not_roberta():
    assert not is_roberta(rinalmo("nano").backbone(), 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "relu"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("model_type", "bert"),
        ("pad_token_id", None),
    ],
)
def test_another_kind_of_network_is_refused(making, key, value):
    with pytest.raises(InputError, match=f"config.json: {key}: found"):
        backbone_of({**full_keys(making.model()), key: value})


def test_weights_that_do_not_fit_are_refused(making):
    model = making.model("untied roberta")
    tensors = to_roberta(unshared(model), model.config)
    with pytest.raises(CorruptError, match=r"lacks the weight 'lm_head\.bias'"):
        from_roberta({name: value for name, value in tensors.items() if name != "lm_head.bias"}, model.config, ORIGIN)
    with pytest.raises(CorruptError, match=r"holds the weight 'roberta\.pooler'"):
        from_roberta({**tensors, "roberta.pooler": torch.ones(1)}, model.config, ORIGIN)
    with pytest.raises(CorruptError, match="differs from the other copy"):
        from_roberta({**tensors, "lm_head.bias": torch.ones(22)}, model.config, ORIGIN)
