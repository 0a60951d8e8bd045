"""multimolecule's names and its 28 tokens, without that library; what it computes is held against it elsewhere."""

import pytest
import torch

from nuclex.bundle.architecture import foreign_keys
from nuclex.bundle.foreign import essence, from_foreign, to_foreign
from nuclex.bundle.multimolecule import (
    DROPPED,
    MULTIMOLECULE,
    NO_SCORE,
    OURS,
    VOCABULARY,
    config_of,
    own_rows,
    their_rows,
    tokenizer_files,
    with_both_biases,
)
from nuclex.bundle.weights import unshared
from nuclex.core.errors import InputError
from nuclex.models import rinalmo
from nuclex.tokenizers import NucleotideConfig

TABLES = ("embedding.tokens.weight", "head.decoder.weight", "head.decoder.bias")


def test_the_vocabularies_are_as_published():
    assert " ".join(VOCABULARY) == "<pad> <cls> <eos> <unk> <mask> <null> A C G U N R Y S W K M B D H V I X | . * - ?"
    assert NucleotideConfig(alphabet="rna").build().vocabulary == OURS
    assert DROPPED == ("<null>", "X", "|", ".", "*", "?")


def test_rows_go_there_and_come_back(making):
    tensors = unshared(making.model("rinalmo"))
    theirs = their_rows(tensors)
    back = own_rows(theirs)
    assert {name for name in tensors if theirs[name].shape != tensors[name].shape} == set(TABLES)
    assert all(torch.equal(back[name], value) for name, value in tensors.items())
    table, own = theirs["embedding.tokens.weight"], tensors["embedding.tokens.weight"]
    assert torch.equal(table[VOCABULARY.index("U")], own[8])  # RiNALMo's row of T
    assert torch.equal(table[VOCABULARY.index("<pad>")], own[1])
    torch.testing.assert_close(table[VOCABULARY.index("X")], own[[5, 6, 7, 8]].mean(0))
    assert torch.equal(table[VOCABULARY.index("*")], own[3])
    for token in DROPPED:
        assert not theirs["head.decoder.weight"][VOCABULARY.index(token)].any()
        assert float(theirs["head.decoder.bias"][VOCABULARY.index(token)]) == NO_SCORE


@pytest.mark.parametrize("name", ["rinalmo", "headless rinalmo"])
def test_names_and_keys_go_there_and_come_back(making, name):
    model = making.model(name)
    tensors, weights = unshared(model), MULTIMOLECULE.weights(model.config)
    renamed = to_foreign(tensors, weights)
    back = from_foreign(renamed, weights, None)
    assert all(torch.equal(back[key], value) for key, value in tensors.items())
    keys = config_of(foreign_keys(model, MULTIMOLECULE), pair_head=False)
    again = MULTIMOLECULE.network(keys).model_copy(update={"head": model.config.head})
    assert essence(again) == essence(model.config)
    assert keys["architectures"] == ["RiNALMoModel" if model.head is None else "RiNALMoForMaskedLM"]
    ids = {key: keys[f"{key}_token_id"] for key in ("pad", "bos", "eos", "unk", "mask", "null")}
    assert ids == {"pad": 0, "bos": 1, "eos": 2, "unk": 3, "mask": 4, "null": 5}
    assert ("lm_head.bias" in renamed) == (model.head is not None)


def test_the_published_sizes_have_the_published_intermediate_sizes():
    sizes = {size: rinalmo(size).backbone() for size in ("nano", "micro", "mega", "giga")}
    found = {size: MULTIMOLECULE.keys(config, 1)["intermediate_size"] for size, config in sizes.items()}
    assert found == {"nano": 1280, "micro": 1920, "mega": 2560, "giga": 5120}
    assert all(MULTIMOLECULE.misfit(config, 1) is None for config in sizes.values())
    odd = sizes["nano"].model_copy(update={"inner": 777})
    assert MULTIMOLECULE.network(MULTIMOLECULE.keys(odd, 1)).inner == 777


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"norm": "pre"}, "norm is 'pre'"),
        ({"tied": True}, "tied is True"),
        ({"token_dropout": 0.0}, "token_dropout is 0.0"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"rotary_base": 5e4}, "rotary_base is 50000.0"),
    ],
)
def test_other_networks_do_not_fit(changes, reason):
    config = rinalmo("nano").backbone().model_copy(update=changes)
    assert MULTIMOLECULE.misfit(config, 1).startswith(reason)


@pytest.mark.parametrize(
    ("key", "value"),
    [("learnable_beta", False), ("token_dropout", False), ("vocab_size", 26), ("layer_norm_eps", 1e-12)],
)
def test_their_variants_are_refused(making, key, value):
    keys = foreign_keys(making.model("rinalmo"), MULTIMOLECULE)
    with pytest.raises(InputError, match=f"config.json: {key}: found"):
        MULTIMOLECULE.network({**keys, "vocab_size": 28, key: value})


def test_a_bias_that_stands_once_or_twice_is_read():
    once, twice = (
        {"lm_head.bias": torch.ones(2)},
        {"lm_head.bias": torch.ones(2), "lm_head.decoder.bias": torch.zeros(2)},
    )
    assert with_both_biases(once).keys() == twice.keys()
    assert torch.equal(with_both_biases(twice)["lm_head.decoder.bias"], torch.zeros(2))
    assert with_both_biases({"x": torch.ones(1)}).keys() == {"x"}


def test_their_tokenizers_files():
    vocabulary, config = tokenizer_files()
    assert tuple(vocabulary.split()) == VOCABULARY
    assert (config["tokenizer_class"], config["mask_token"], config["replace_T_with_U"]) == (
        "RnaTokenizer",
        "<mask>",
        True,
    )
