"""config.json: the whole network, readable without weights, and without a word that contradicts another."""

import json

import pytest

from nuclex.bundle.architecture import bare_network, config_keys, refuse_contradiction
from nuclex.core.artifact import write_json
from nuclex.core.errors import CorruptError, InputError


@pytest.mark.parametrize("name", ["roberta", "rinalmo", "untied roberta", "tied rinalmo"])
def test_the_network_comes_back_without_memory(making, tmp_path, name):
    model = making.model(name)
    write_json(tmp_path / "config.json", config_keys(model, making.tokenizer()))
    bare = bare_network(tmp_path / "config.json")
    assert bare.config == model.config
    assert (bare.vocabulary_size, bare.pad_id, bare.mask_id) == (22, 1, 4)
    assert {value.device.type for value in bare.parameters()} == {"meta"}
    assert {key: value.shape for key, value in bare.state_dict().items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    refuse_contradiction(tmp_path / "config.json", bare, making.tokenizer())


def test_roberta_is_described_in_the_words_of_transformers(making):
    keys = config_keys(making.model(), making.tokenizer())
    assert keys["architectures"] == ["RobertaForMaskedLM"]
    expected = {
        "model_type": "roberta",
        "vocab_size": 22,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 24,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 50,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
        "is_decoder": False,
    }
    assert {key: keys[key] for key in expected} == expected


def test_other_networks_are_described_as_nuclexs_own(making):
    keys = config_keys(making.model("rinalmo"), making.tokenizer())
    assert (keys["model_type"], keys["architectures"]) == ("nuclex", ["NuclexForMaskedLM"])
    assert keys["nuclex"]["backbone"] == making.configs["rinalmo"].to_data()


@pytest.mark.parametrize("text", ["[]", "{}", '{"model_type": "roberta", "vocab_size": 3}', '{"nuclex": 3}'])
def test_a_config_of_another_program_is_no_bundles(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="has no key 'nuclex'"):
        bare_network(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vocab_size", "many", "wrong one"),
        ("vocab_size", None, "wrong one"),
        ("nuclex", {}, "lacks a key"),
        ("nuclex", {"backbone": {"kind": "backbone"}, "mask_token_id": 4}, "Field required"),
    ],
)
def test_a_damaged_config_is_refused(making, tmp_path, key, value, message):
    write_json(tmp_path / "config.json", {**config_keys(making.model(), making.tokenizer()), key: value})
    with pytest.raises(CorruptError, match=message):
        bare_network(tmp_path / "config.json")


def test_a_config_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CorruptError, match="not readable JSON"):
        bare_network(tmp_path / "config.json")


def test_a_config_with_fewer_keys_is_still_read(making, tmp_path):
    model, tokenizer = making.model(), making.tokenizer()
    keys = config_keys(model, tokenizer)
    keys.pop("hidden_act")
    (tmp_path / "config.json").write_text(json.dumps(keys))
    refuse_contradiction(tmp_path / "config.json", model, tokenizer)
    assert bare_network(tmp_path / "config.json").config == model.config
