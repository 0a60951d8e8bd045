"""Models of transformers become models of nuclex and the other way, or are refused with a reason.

That both compute the same, gradients included, is held in tests/references.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import nuclex
from nuclex.bundle import Record, write_bundle
from nuclex.core.errors import InputError, OutsideError
from nuclex.models import (
    BertConfig,
    Gpt2Config,
    LanguageModel,
    Layout,
    MambaConfig,
    RobertaConfig,
    rinalmo,
)
from nuclex.tokenizers import CodonConfig, NucleotideConfig
from oracles import HEADLESS, PRESETS, made, ours, padded, sentences

pytestmark = pytest.mark.slow  # imports transformers

ROBERTA = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
UNTOLD = {"architectures", "dtype", "transformers_version", "_name_or_path", "bos_token_id", "eos_token_id"}


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("nuclex.hub")


@pytest.fixture(scope="module")
def foreign(hub):
    """A RoBERTa that transformers made, with the sizes of the 22 tokens."""
    from transformers import RobertaConfig as ForeignConfig
    from transformers import RobertaForMaskedLM

    def make(**changes):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            config = ForeignConfig(
                **{"vocab_size": 22, "max_position_embeddings": 40, "pad_token_id": 1, **ROBERTA, **changes}
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


@pytest.mark.parametrize("name", [*PRESETS, *(f"{name}, encoder alone" for name in HEADLESS)])
def test_export_and_import_give_the_weights_back(hub, name):
    model = made(name)
    state = torch.random.get_rng_state()
    theirs = hub.to_transformers(model)
    again = hub.from_transformers(theirs, mask_id=4, pad_id=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not theirs.training
    assert not again.training
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    assert again.state_dict().keys() == model.state_dict().keys()
    assert (again.vocabulary_size, again.pad_id, again.mask_id) == (model.vocabulary_size, 1, 4)
    twice = hub.to_transformers(again)
    assert twice.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, twice.state_dict()[key]) for key, value in theirs.state_dict().items())
    for key, value in theirs.config.to_dict().items():
        assert key in UNTOLD or twice.config.to_dict()[key] == value, key


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}, {"pad_token_id": 3}, {"layer_norm_eps": 1e-3}])
def test_a_roberta_that_was_never_nuclexs(hub, foreign, changes):
    theirs = foreign(**changes)
    model = hub.from_transformers(theirs, mask_id=4)
    assert same_logits(model, theirs)
    assert model.config.position_offset == theirs.config.pad_token_id + 1
    back = hub.to_transformers(model)
    assert back.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        unused = name == "lm_head.bias" and not model.config.tied
        assert unused or torch.equal(value, back.state_dict()[name]), name


def test_mu_ps_scale_where_it_is_the_usual_one_is_exported(hub):
    """RNA-BERTa's attention is q·k √32 / 32, which is q·k / √32."""
    config = RobertaConfig(depth=1, width=32, heads=1, inner=8, max_positions=64).backbone()
    config = config.model_copy(update={"attention_scale": "1/d", "attention_multiplier": 32**0.5})
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()
    assert same_logits_of(model, hub.to_transformers(model))


WIDE = {
    "roberta": RobertaConfig(depth=2, width=64, heads=2, inner=96, max_positions=64, base_width=16),
    "untied roberta": RobertaConfig(depth=2, width=64, heads=2, inner=96, max_positions=64, tied=False, base_width=16),
    "narrow bert": BertConfig(depth=2, width=16, heads=2, inner=32, base_width=64, base_inner=96),
    "gpt2": Gpt2Config(depth=2, width=64, heads=2, inner=96, max_positions=64, base_width=16),
    "untied gpt2": Gpt2Config(depth=2, width=64, heads=2, inner=96, max_positions=64, tied=False, base_width=16),
    "mamba": MambaConfig(depth=2, width=64, base_width=16),
    "mamba2": MambaConfig(version=2, depth=2, width=128, base_width=32),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_network_away_from_its_base_width_opens_in_plain_transformers(hub, name, tmp_path):
    """What plain transformers reads from an export gives nuclex's logits; at the base width nothing is folded."""
    import transformers

    config = WIDE[name].backbone()
    torch.manual_seed(0)
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    assert same_logits_of(model, hub.to_transformers(model))
    write_bundle(tmp_path / "bundle", model, NucleotideConfig().build(), Record({}, {}, {}, None, "wide", None, ()))
    form = name.split()[-1]
    result = nuclex.export(tmp_path / "bundle", format=form, out=tmp_path / "out")
    theirs = getattr(transformers, result["class"]).from_pretrained(tmp_path / "out").eval()
    assert same_logits_of(model, theirs)
    auto = transformers.AutoModelForCausalLM if config.causal else transformers.AutoModelForMaskedLM
    assert same_logits_of(model, auto.from_pretrained(tmp_path / "bundle").eval())


@pytest.mark.parametrize("preset", [RobertaConfig, BertConfig, Gpt2Config])
def test_at_the_base_width_a_bundle_is_one_of_transformers_itself(hub, preset, tmp_path):
    config = preset(depth=1, width=16, heads=2, inner=24, max_positions=64, base_width=16)
    model = LanguageModel(config.backbone(), vocabulary_size=22, pad_id=1, mask_id=4).eval()
    write_bundle(tmp_path / "bundle", model, NucleotideConfig().build(), Record({}, {}, {}, None, "base", None, ()))
    keys = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert keys["model_type"] == config.kind
    import transformers

    theirs = getattr(transformers, keys["architectures"][0]).from_pretrained(tmp_path / "bundle").eval()
    assert same_logits_of(model, theirs)


def same_logits_of(model, theirs):
    ids_BL, mask_BL = padded(sentences())
    with torch.no_grad():
        found = theirs(ids_BL, attention_mask=mask_BL).logits[mask_BL.bool()]
        return bool((found - ours(model, sentences())).abs().max() <= 1e-5)


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


def test_another_class_or_family_is_refused(hub):
    from transformers import DistilBertConfig, DistilBertModel, RobertaForTokenClassification
    from transformers import RobertaConfig as ForeignConfig

    small = ForeignConfig(vocab_size=22, max_position_embeddings=20, **ROBERTA)
    with pytest.raises(InputError, match=r"RobertaForTokenClassification: cannot be read; .* RobertaModel"):
        hub.from_transformers(RobertaForTokenClassification(small), mask_id=4)
    other = DistilBertConfig(vocab_size=22, dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=20)
    with pytest.raises(InputError, match="model_type: found 'distilbert'; nuclex reads roberta, bert, gpt2, mamba"):
        hub.from_transformers(DistilBertModel(other), mask_id=4)


def test_a_gpt2_without_a_padding_token_needs_one_named(hub):
    theirs = hub.to_transformers(made("GPT-2"))
    theirs.config.pad_token_id = None
    with pytest.raises(InputError, match="names no padding token; give pad_id"):
        hub.from_transformers(theirs, mask_id=4)
    assert hub.from_transformers(theirs, mask_id=4, pad_id=1).pad_id == 1


def test_what_transformers_does_not_have_is_not_exported(hub):
    config = rinalmo("nano").model_copy(update={"depth": 1}).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    with pytest.raises(InputError, match=r"no such network \(roberta: attention_bias is False, .*; mamba2: its layers"):
        hub.to_transformers(model)


def test_positions_that_begin_elsewhere_are_not_exported(hub):
    config = RobertaConfig(depth=1, width=8, heads=2, inner=8).backbone()
    with pytest.raises(InputError, match="roberta: position_offset is 2, where only 4 fits"):
        hub.to_transformers(LanguageModel(config, vocabulary_size=22, pad_id=3, mask_id=4))


# ---- folders ----


@pytest.fixture
def folder(tmp_path, foreign):
    """What save_pretrained leaves, without a tokenizer."""
    foreign().save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.mark.parametrize("name", ["BERT", "GPT-2", "Mamba", "Mamba-2", "RoBERTa, untied", "BERT, encoder alone"])
def test_a_folder_of_each_family_is_read(hub, tmp_path, name):
    model = made(name)
    hub.to_transformers(model).save_pretrained(tmp_path / "theirs")
    again = hub.import_transformers(tmp_path / "theirs", tokenizer=NucleotideConfig().build())
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    assert again.config.head == model.config.head


def test_a_folder_is_read_with_a_tokenizer_of_nuclex(hub, folder, foreign):
    model = hub.import_transformers(folder, tokenizer=NucleotideConfig().build())
    assert same_logits(model, foreign())
    assert model.mask_id == 4
    write_bundle(folder.parent / "b", model, NucleotideConfig().build(), Record({}, {}, {}, None, "imported"))


def test_rows_that_were_rounded_up_are_known_to_be_so(hub, foreign, tmp_path):
    foreign(vocab_size=24).save_pretrained(tmp_path / "theirs")
    tokenizer = NucleotideConfig().build()
    model = hub.import_transformers(tmp_path / "theirs", tokenizer=tokenizer)
    assert (model.vocabulary_size, model.config.rows(22)) == (24, 24)
    write_bundle(tmp_path / "b", model, tokenizer, Record({}, {}, {}, None, "imported"))


def test_a_bundle_is_read_with_the_tokenizer_beside_it(hub, foreign, tmp_path):
    model = hub.from_transformers(foreign(), mask_id=4)
    write_bundle(tmp_path / "b", model, NucleotideConfig().build(), Record({}, {}, {}, None, "x"))
    again = hub.import_transformers(tmp_path / "b")
    assert (again.mask_id, again.config) == (4, model.config)
    assert same_logits(again, foreign())


def test_a_pooler_and_the_next_sentence_head_are_left_out(hub, tmp_path):
    from transformers import BertConfig, BertForPreTraining

    config = BertConfig(vocab_size=22, max_position_embeddings=20, pad_token_id=1, **ROBERTA)
    with torch.random.fork_rng(devices=[]):
        theirs = BertForPreTraining(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    model = hub.import_transformers(tmp_path / "theirs", tokenizer=NucleotideConfig().build())
    ids_T = torch.tensor([0, 5, 6, 4, 2])
    with torch.no_grad():
        found, wanted = model(ids_T, Layout.of([5])), theirs(ids_T[None]).prediction_logits[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_a_tokenizer_that_does_not_fit_is_refused(hub, folder):
    with pytest.raises(InputError, match="has 22 tokens, the tokenizer given 70"):
        hub.import_transformers(folder, tokenizer=CodonConfig(frame=0).build())


def test_a_padding_id_that_disagrees_with_the_tokenizers_is_refused(hub, folder):
    """TinyDNABERT's mistake: pad id 1 in the model, 3 in the tokenizer, so that positions skip every </s>."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 3}))
    with pytest.raises(InputError, match="the padding id is 1 in the tokenizer, 3 in the model"):
        hub.import_transformers(folder, tokenizer=NucleotideConfig().build())


def spoilt(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_missing_weight_is_refused_and_not_made_up(hub, folder):
    spoilt(folder, lambda tensors: tensors.pop("roberta.encoder.layer.1.output.dense.weight"))
    with pytest.raises(
        InputError, match=r"lacks the weight 'roberta\.encoder\.layer\.1\.output\.dense\.weight'; it would"
    ):
        hub.import_transformers(folder, tokenizer=NucleotideConfig().build())


def test_a_weight_left_over_is_refused_by_its_name(hub, folder):
    spoilt(folder, lambda tensors: tensors.update({"classifier.dense.weight": torch.ones(2, 16)}))
    with pytest.raises(InputError, match=r"holds the weight 'classifier\.dense\.weight', which RobertaForMaskedLM"):
        hub.import_transformers(folder, tokenizer=NucleotideConfig().build())


def test_a_weight_of_another_shape_is_refused(hub, folder):
    spoilt(folder, lambda tensors: tensors.update({"lm_head.dense.bias": torch.ones(3)}))
    with pytest.raises(InputError, match="cannot be read by transformers"):
        hub.import_transformers(folder, tokenizer=NucleotideConfig().build())


def test_the_body_of_another_purpose_is_refused(hub, tmp_path):
    """A classifier's folder has no language head; what would be made up is named."""
    from transformers import RobertaConfig as ForeignConfig
    from transformers import RobertaForSequenceClassification

    config = ForeignConfig(vocab_size=22, max_position_embeddings=20, **ROBERTA)
    RobertaForSequenceClassification(config).save_pretrained(tmp_path / "theirs")
    with pytest.raises(InputError, match=r"lacks the weight 'lm_head\.bias'"):
        hub.import_transformers(tmp_path / "theirs", tokenizer=NucleotideConfig().build())


def test_an_empty_folder_is_the_users_mistake_and_a_missing_repository_is_outside(hub, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot be read by transformers"):
        hub.import_transformers(tmp_path)
    with pytest.raises(OutsideError, match="cannot be read by transformers"):
        hub.import_transformers(tmp_path / "nothing")
