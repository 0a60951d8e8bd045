"""Which networks plain transformers has, and their keys and names there and back, without the library."""

from pathlib import Path

import pytest
import torch

from nuclex.bundle.foreign import essence, from_foreign, to_foreign
from nuclex.bundle.formats import FORMATS, class_of, format_of, own_class
from nuclex.bundle.roberta import ROBERTA
from nuclex.bundle.weights import unshared
from nuclex.core.errors import CorruptError, InputError
from nuclex.models import BackboneConfig, BertConfig, Gpt2Config, MambaConfig, helm, rinalmo, roberta
from nuclex.models.blocks.state_space import StateSpaceConfig

ORIGIN = Path("somewhere")
FOREIGN = ("roberta", "bert", "gpt2", "mamba", "mamba2")


def test_every_network_has_its_class(making):
    assert {name: class_of(making.model(name)) for name in making.configs} == making.classes
    assert {form.name for form in FORMATS.values()} == set(FOREIGN) == FORMATS.keys()


def test_a_network_fits_one_format_at_most(making):
    for config in making.configs.values():
        assert sum(form.misfit(config, 1) is None for form in FORMATS.values()) <= 1


@pytest.mark.parametrize(
    "name",
    [
        *FOREIGN,
        "untied roberta",
        "untied bert",
        "untied gpt2",
        "untied mamba2",
        *(f"headless {name}" for name in FOREIGN),
    ],
)
def test_names_and_keys_there_and_back_give_the_same_network(making, name):
    model, form = making.model(name), FORMATS[name.split()[-1]]
    tensors, weights = unshared(model), form.weights(model.config)
    renamed = to_foreign(tensors, weights)
    back = from_foreign(renamed, weights, ORIGIN)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(value, back[key]) for key, value in tensors.items())
    pointers = [value.data_ptr() for value in renamed.values()]
    assert len(set(pointers)) == len(pointers)
    assert all(value.is_contiguous() for value in renamed.values())
    again = form.network({**form.keys(model.config, model.pad_id), "pad_token_id": model.pad_id})
    head = {"head": "none"} if name.startswith("headless ") else {}
    assert essence(again.model_copy(update=head)) == essence(model.config)


def test_query_key_and_value_are_the_thirds_of_the_fused_weight(making):
    model = making.model()
    renamed = to_foreign(unshared(model), ROBERTA.weights(model.config))
    fused = model.blocks[1].mixer.query_key_value
    for part, name in enumerate(("query", "key", "value")):
        place = f"roberta.encoder.layer.1.attention.self.{name}"
        assert torch.equal(renamed[f"{place}.weight"], fused.weight[16 * part : 16 * (part + 1)])
        assert torch.equal(renamed[f"{place}.bias"], fused.bias[16 * part : 16 * (part + 1)])


def test_gpt2s_matrices_are_turned_and_mambas_kernels_have_an_axis_more(making):
    model = making.model("gpt2")
    renamed = to_foreign(unshared(model), FORMATS["gpt2"].weights(model.config))
    assert torch.equal(renamed["transformer.h.1.mlp.c_fc.weight"], model.blocks[1].feedforward.into.weight.T)
    assert renamed["transformer.h.0.attn.c_attn.weight"].shape == (16, 48)
    model = making.model("mamba")
    renamed = to_foreign(unshared(model), FORMATS["mamba"].weights(model.config))
    kernel = renamed["backbone.layers.0.mixer.conv1d.weight"]
    assert torch.equal(kernel[:, 0], model.blocks[0].mixer.convolution.weight)
    assert kernel.shape == (32, 1, 4)


@pytest.mark.parametrize(
    ("name", "changes", "pad_id", "expected"),
    [
        ("roberta", {}, 1, None),
        ("roberta", {"tied": False}, 1, None),
        ("roberta", {"initialisation": "torch", "vocabulary_multiple": 8, "rotary_base": 5.0}, 1, None),
        ("roberta", {"attention_scale": "1/d", "attention_multiplier": 2.0}, 1, None),
        ("roberta", {"attention_scale": "1/d"}, 1, "attention_scale"),
        ("roberta", {}, 3, "position_offset is 2, where only 4 fits"),
        ("roberta", {"position_offset": 4}, 3, None),
        ("roberta", {"causal": True}, 1, "causal is True, where only False fits"),
        ("roberta", {"norm": "pre"}, 1, "norm"),
        ("roberta", {"embedding_dropout": 0.0}, 1, "embedding_dropout"),
        ("roberta", {"token_types": 0}, 1, "token_types"),
        ("roberta", {"token_dropout": 0.1}, 1, "token_dropout"),
        ("roberta", {"feedforward_bias": False}, 1, "feedforward_bias"),
        ("roberta", {"activation": "swiglu"}, 1, "activation"),
        ("roberta", {"final_norm": True}, 1, "final_norm"),
        ("bert", {"head": "linear"}, 1, "head"),
        ("bert", {"embedding_gate": True}, 1, "embedding_gate"),
        ("bert", {"causal": True}, 1, "causal is True, where only False fits"),
        ("gpt2", {"embedding_dropout": 0.5}, 1, None),
        ("gpt2", {"causal": False}, 1, "causal"),
        ("gpt2", {"positions": "relative"}, 1, "positions"),
        ("gpt2", {"position_width": 4}, 1, "position_width"),
        ("gpt2", {"position_width": 8}, 1, None),
        ("gpt2", {"activation": "gelu"}, 1, "activation"),
        ("gpt2", {"attention_bias": False}, 1, "attention_bias"),
        ("mamba", {"inner": 8}, 1, "inner is 8, where only 0 fits"),
        ("mamba", {"causal": False}, 1, "causal"),
        ("mamba", {"attention_every": 2, "heads": 2}, 1, "its layers are attention and mamba, where only mamba"),
        ("mamba", {"norm_kind": "layer"}, 1, "norm_kind"),
        ("mamba", {"dropout": 0.1}, 1, "dropout"),
        ("mamba2", {"state_space": {"head_size": 4, "norm_before_gate": True}}, 1, "state_space.norm_before_gate"),
        ("mamba2", {"state_space": {"head_size": 4, "norm_epsilon": 1e-3}}, 1, "state_space.norm_epsilon"),
        ("mamba2", {"state_space": {"head_size": 4, "chunk": 8, "rank": 3, "delta_max": 0.5}}, 1, None),
    ],
)
def test_what_fits(name, changes, pad_id, expected):
    configs = {
        "roberta": roberta(2, 8, 2, 16),
        "bert": BertConfig(depth=2, width=8, heads=2, inner=16),
        "gpt2": Gpt2Config(depth=2, width=8, heads=2, inner=16),
        "mamba": MambaConfig(depth=2, width=8),
        "mamba2": MambaConfig(depth=2, width=8, version=2, state_space=StateSpaceConfig(head_size=4)),
    }
    config = BackboneConfig.from_data({**configs[name].backbone().to_data(), **changes})
    found = FORMATS[name].misfit(config, pad_id)
    assert (found is None) == (expected is None), found
    assert expected is None or found.startswith(expected)


def test_published_networks_have_the_formats_that_they_should_have():
    fits = {
        name: [form.name for form in FORMATS.values() if form.misfit(config.backbone(), 1) is None]
        for name, config in {
            "rinalmo": rinalmo("nano"),
            "tinydnabert": roberta(6, 512, 8, 2048),
            **{name: helm(name) for name in ("gpt2", "bert", "mamba", "bimamba")},
        }.items()
    }
    assert fits == {
        "rinalmo": [],
        "tinydnabert": ["roberta"],
        "gpt2": ["gpt2"],
        "bert": ["bert"],
        "mamba": [],  # HELM's has a feed-forward
        "bimamba": [],
    }


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("roberta", "hidden_act", "relu"),
        ("roberta", "position_embedding_type", "relative_key"),
        ("roberta", "is_decoder", True),
        ("roberta", "add_cross_attention", True),
        ("roberta", "pad_token_id", None),
        ("bert", "hidden_act", "gelu_new"),
        ("gpt2", "activation_function", "gelu"),
        ("gpt2", "scale_attn_weights", False),
        ("gpt2", "scale_attn_by_inverse_layer_idx", True),
        ("mamba", "hidden_act", "relu"),
        ("mamba", "expand", 1.5),
        ("mamba2", "time_step_limit", [0.0, 0.5]),
        ("mamba2", "num_heads", 7),
    ],
)
def test_a_variant_that_nuclex_does_not_compute_is_refused(making, name, key, value):
    model, form = making.model(name), FORMATS[name]
    with pytest.raises(InputError, match=f"config.json: {key}: found"):
        form.network({**form.keys(model.config, 1), "pad_token_id": 1, key: value})


def test_weights_that_do_not_fit_are_refused_by_their_names(making):
    model = making.model("untied roberta")
    weights = ROBERTA.weights(model.config)
    tensors = to_foreign(unshared(model), weights)
    with pytest.raises(CorruptError, match=r"somewhere: lacks the weight 'lm_head\.bias'"):
        from_foreign({name: value for name, value in tensors.items() if name != "lm_head.bias"}, weights, ORIGIN)
    with pytest.raises(CorruptError, match=r"lacks the weight .*word_embeddings.weight', '.*', '.*' and 40 more"):
        from_foreign({"lm_head.bias": tensors["lm_head.bias"]}, weights, ORIGIN)
    with pytest.raises(CorruptError, match=r"holds the weight 'roberta\.pooler', 'x'"):
        from_foreign({**tensors, "x": torch.ones(1), "roberta.pooler": torch.ones(1)}, weights, ORIGIN)
    with pytest.raises(CorruptError, match="differs from the other copy"):
        from_foreign({**tensors, "lm_head.bias": torch.ones(22)}, weights, ORIGIN)


def test_a_weight_of_another_number_of_axes_is_refused(making):
    model = making.model("mamba")
    weights = FORMATS["mamba"].weights(model.config)
    tensors = to_foreign(unshared(model), weights)
    name = "backbone.layers.0.mixer.conv1d.weight"
    with pytest.raises(CorruptError, match=f"{name}' has shape"):
        from_foreign({**tensors, name: tensors[name][:, 0]}, weights, ORIGIN)


def test_an_own_class_follows_from_head_and_direction(making):
    assert own_class(making.model("gpt2")) == "NuclexForCausalLM"
    assert format_of(making.model("rotary gpt2")) is None
