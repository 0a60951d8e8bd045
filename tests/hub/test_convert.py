"""RoBERTa models of transformers become models of nuclex and the other way, or are refused with a reason."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from nuclex.bundle import Record, write_bundle
from nuclex.core.errors import InputError, OutsideError
from nuclex.models import LanguageModel, Layout, RobertaConfig, rinalmo
from nuclex.tokenizers import CodonConfig, NucleotideConfig

pytestmark = pytest.mark.slow  # imports transformers

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("nuclex.hub")


@pytest.fixture(scope="module")
def foreign(hub):
    """A model that transformers made, with RoBERTa's 22-token cousin's sizes."""
    from transformers import RobertaConfig as ForeignConfig
    from transformers import RobertaForMaskedLM

    def make(**changes):
        torch.manual_seed(3)
        config = ForeignConfig(
            **{"vocab_size": 22, "max_position_embeddings": 40, "pad_token_id": 1, **SMALL, **changes}
        )
        model = RobertaForMaskedLM(config).eval()
        for value in model.parameters():
            torch.nn.init.normal_(value, std=0.3)
        return model

    return make


def same_logits(model, theirs):
    ids_T = torch.tensor([0, 5, 6, 4, 8, 20, 7, 2])
    with torch.no_grad():
        ours_TV, theirs_TV = model(ids_T, Layout.of([8])), theirs(ids_T[None]).logits[0]
    assert float(theirs_TV.abs().max()) > 0.5
    return bool((ours_TV - theirs_TV).abs().max() <= 1e-5)


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}, {"pad_token_id": 3}, {"layer_norm_eps": 1e-3}])
def test_import_and_export_give_the_weights_back(hub, foreign, changes):
    theirs = foreign(**changes)
    model = hub.from_transformers(theirs, mask_id=4)
    assert same_logits(model, theirs)
    assert model.config.position_offset == theirs.config.pad_token_id + 1
    assert not model.training
    state = torch.random.get_rng_state()
    back = hub.to_transformers(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert back.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        unused = name == "lm_head.bias" and not model.config.tied
        assert unused or torch.equal(value, back.state_dict()[name]), name
    assert same_logits(model, back)
    for key, value in theirs.config.to_dict().items():
        if key not in {"architectures", "dtype", "transformers_version", "_name_or_path"}:
            assert back.config.to_dict()[key] == value, key


def test_the_copy_is_independent(hub, foreign):
    theirs = foreign()
    model = hub.from_transformers(theirs, mask_id=4)
    with torch.no_grad():
        theirs.lm_head.bias.add_(5)
    assert not same_logits(model, theirs)


def test_half_precision_is_read_into_float32(hub, foreign):
    theirs = foreign().half()
    model = hub.from_transformers(theirs, mask_id=4)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert same_logits(model, theirs.float())


@pytest.mark.parametrize("changes", [{"hidden_act": "relu"}, {"is_decoder": True}])
def test_another_variant_is_refused(hub, foreign, changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        hub.from_transformers(foreign(**changes), mask_id=4)


def test_what_is_not_roberta_is_not_exported(hub):
    model = LanguageModel(
        rinalmo("nano").model_copy(update={"depth": 1}).backbone(), vocabulary_size=22, pad_id=1, mask_id=4
    )
    with pytest.raises(InputError, match=r"transformers has no such network .roberta: attention_bias is False"):
        hub.to_transformers(model)


def test_positions_that_begin_elsewhere_are_not_exported(hub):
    config = RobertaConfig(depth=1, width=8, heads=2, inner=8).backbone()
    with pytest.raises(InputError, match="roberta: position_offset is 2, where only 4 fits"):
        hub.to_transformers(LanguageModel(config, vocabulary_size=22, pad_id=3, mask_id=4))


@pytest.fixture
def folder(tmp_path, foreign):
    """What save_pretrained leaves, without a tokenizer."""
    foreign().save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def test_a_folder_is_read_with_a_tokenizer_of_nuclex(hub, folder, foreign):
    model = hub.import_transformers(folder, tokenizer=NucleotideConfig().build())
    assert same_logits(model, foreign())
    assert model.mask_id == 4
    write_bundle(folder.parent / "b", model, NucleotideConfig().build(), Record({}, {}, {}, None, "imported"))


def test_a_bundle_is_read_with_the_tokenizer_beside_it(hub, foreign, tmp_path):
    model = hub.from_transformers(foreign(), mask_id=4)
    write_bundle(tmp_path / "b", model, NucleotideConfig().build(), Record({}, {}, {}, None, "x"))
    again = hub.import_transformers(tmp_path / "b")
    assert (again.mask_id, again.config) == (4, model.config)
    assert same_logits(again, foreign())


def test_a_tokenizer_that_does_not_fit_is_refused(hub, folder):
    with pytest.raises(InputError, match="has 22 tokens, the tokenizer given 70"):
        hub.import_transformers(folder, tokenizer=CodonConfig(frame=0).build())


def test_a_padding_id_that_disagrees_with_the_tokenizers_is_refused(hub, folder):
    """TinyDNABERT's mistake: pad id 1 in the model, 3 in the tokenizer, so that positions skip every </s>."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 3}))
    with pytest.raises(InputError, match="the padding id is 1 in the tokenizer, 3 in the model"):
        hub.import_transformers(folder, tokenizer=NucleotideConfig().build())


def test_a_missing_weight_is_refused_and_not_made_up(hub, folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("roberta.encoder.layer.1.output.dense.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks the weight 'roberta\.encoder\.layer\.1\.output\.dense\.weight'"):
        hub.import_transformers(folder, tokenizer=NucleotideConfig().build())


def test_an_empty_folder_is_the_users_mistake_and_a_missing_repository_is_outside(hub, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot be read by transformers"):
        hub.import_transformers(tmp_path)
    with pytest.raises(OutsideError, match="cannot be read by transformers"):
        hub.import_transformers(tmp_path / "nothing")
