"""After ``import nuclex.hub`` the Auto classes of transformers open every bundle and give what nuclex gives."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from nuclex.bundle import Record, TaskPart, load, write_bundle
from nuclex.core.errors import CorruptError, InputError
from nuclex.models import Gpt2Config, HyenaModelConfig, LanguageModel, Layout, MambaConfig, RinalmoConfig, helm
from nuclex.tokenizers import CodonConfig, NucleotideConfig

pytestmark = pytest.mark.slow  # imports transformers

SEQUENCES = ["ACGTTGCAACGT", "GG", "ACGTN" * 6, ""]


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("nuclex.hub")


@pytest.fixture(scope="module")
def auto(hub):
    import transformers

    return transformers


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def path(request, tmp_path):
    """A bundle of a small RiNALMo whose weights are all random."""
    config = RinalmoConfig(depth=2, width=16, heads=4).backbone().model_copy(update={"tied": request.param})
    tokenizer = NucleotideConfig().build()
    model = LanguageModel(config, vocabulary_size=22, pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.4 + (value.ndim == 1))
    write_bundle(tmp_path / "b", model, tokenizer, Record({}, {}, {}, None, "small"))
    return tmp_path / "b"


def batch(auto, path, sequences=SEQUENCES, side="right"):
    tokenizer = auto.AutoTokenizer.from_pretrained(path, padding_side=side)
    return tokenizer(list(sequences), return_tensors="pt", padding=True)


def ours(path, sequences=SEQUENCES, layer=None):
    bundle = load(path)
    ids = [torch.from_numpy(bundle.tokenizer.encode(sequence)) for sequence in sequences]
    layout = Layout.of([len(part) for part in ids])
    with torch.no_grad():
        hidden_TD = bundle.model.encode(torch.cat(ids), layout, layer=layer)
        return hidden_TD.split(layout.lengths), bundle.model.head(hidden_TD).split(layout.lengths)


@pytest.mark.parametrize("side", ["right", "left"])
def test_logits_equal_nuclexs_with_padding_on_either_side(auto, path, side):
    model, loading = auto.AutoModelForMaskedLM.from_pretrained(path, output_loading_info=True)
    assert type(model).__name__ == "NuclexForMaskedLM"
    assert not any(loading.values())
    assert not model.training
    inputs = batch(auto, path, side=side)
    with torch.no_grad():
        logits_BLV = model(**inputs).logits
    for row, mask, wanted in zip(logits_BLV, inputs["attention_mask"].bool(), ours(path)[1], strict=True):
        torch.testing.assert_close(row[mask], wanted, rtol=1e-5, atol=1e-5)
        assert not row[~mask].any()


def test_hidden_states_equal_nuclexs(auto, path):
    model = auto.AutoModel.from_pretrained(path)
    inputs = batch(auto, path)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
    assert len(output.hidden_states) == 3
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for layer, hidden_BLD in zip((0, 1, None), output.hidden_states, strict=True):
        for row, mask, wanted in zip(
            hidden_BLD, inputs["attention_mask"].bool(), ours(path, layer=layer)[0], strict=True
        ):
            torch.testing.assert_close(row[mask], wanted, rtol=1e-5, atol=1e-5)
    assert model(**inputs).hidden_states is None


def test_without_a_mask_the_padding_is_not_read(auto, path):
    model, inputs = auto.AutoModelForMaskedLM.from_pretrained(path), batch(auto, path)
    with torch.no_grad():
        assert torch.equal(model(inputs["input_ids"]).logits, model(**inputs).logits)


def test_rows_without_tokens_are_zero_and_a_batch_without_any_is_refused(auto, path):
    model, inputs = auto.AutoModelForMaskedLM.from_pretrained(path), batch(auto, path)
    mask = inputs["attention_mask"].clone()
    mask[1] = 0
    with torch.no_grad():
        some, every = model(inputs["input_ids"], mask).logits, model(**inputs).logits
    assert not some[1].any()
    torch.testing.assert_close(some[[0, 2, 3]], every[[0, 2, 3]], rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="no token to read"):
        model(inputs["input_ids"], torch.zeros_like(mask))


def test_the_loss_is_the_mean_over_labelled_positions_and_has_gradients(auto, path):
    model, inputs = auto.AutoModelForMaskedLM.from_pretrained(path), batch(auto, path)
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[0, 3], labels[2, 7] = 6, 8
    output = model(**inputs, labels=labels)
    log_p = output.logits.log_softmax(-1)
    torch.testing.assert_close(output.loss, -(log_p[0, 3, 6] + log_p[2, 7, 8]) / 2)
    output.loss.backward()
    assert all(value.grad is not None for value in model.parameters())
    loss, logits = model(**inputs, labels=labels, return_dict=False)
    assert torch.equal(loss, output.loss)
    assert torch.equal(logits, output.logits)


def test_what_transformers_saves_it_opens_again(auto, path, tmp_path):
    model, inputs = auto.AutoModelForMaskedLM.from_pretrained(path), batch(auto, path)
    model.save_pretrained(tmp_path / "again")
    again, loading = auto.AutoModelForMaskedLM.from_pretrained(tmp_path / "again", output_loading_info=True)
    assert not any(loading.values())
    assert load_file(tmp_path / "again/model.safetensors").keys() == load_file(path / "model.safetensors").keys()
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_a_missing_weight_is_refused_and_not_made_up(auto, path):
    tensors = load_file(path / "model.safetensors")
    tensors.pop("nuclex.blocks.1.feedforward.beta")
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CorruptError, match=r"lacks a weight of 'nuclex\.blocks\.1\.feedforward'"):
        auto.AutoModelForMaskedLM.from_pretrained(path)


def test_a_new_model_has_nuclexs_own_initialisation(auto, path):
    config = auto.AutoConfig.from_pretrained(path)
    model = auto.AutoModelForMaskedLM.from_config(config)
    block = model.nuclex.blocks[0]
    assert block.feedforward.beta.tolist() == [1.0]
    assert float(block.mixer.query_key_value.weight.detach().abs().max()) <= 16**-0.5  # Kaiming-uniform, not N(0, 0.02)
    assert float(block.mixer.query_key_value.weight.detach().std()) > 0.1
    decoder, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert (decoder is embedding) == config.tie_word_embeddings


def test_a_fine_tuned_bundle_opens_without_its_head(auto, path):
    bundle = load(path)
    task = TaskPart({"labels": ["a"]}, {"weight": torch.ones(1, 16)})
    write_bundle(path, bundle.model, bundle.tokenizer, bundle.record, task=task, replace=True)
    model, loading = auto.AutoModelForMaskedLM.from_pretrained(path, output_loading_info=True)
    assert loading["unexpected_keys"] == {"task_head.weight"}
    assert not loading["missing_keys"]
    assert model(**batch(auto, path)).logits.shape == (4, 32, 22)


def test_a_codon_bundle_opens_too(auto, tmp_path):
    tokenizer = CodonConfig(frame=0).build()
    config = RinalmoConfig(depth=1, width=16, heads=4).backbone()
    model = LanguageModel(config, vocabulary_size=70, pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id)
    write_bundle(tmp_path / "b", model, tokenizer, Record({}, {}, {}, None, "codons"))
    opened, sequences = auto.AutoModelForMaskedLM.from_pretrained(tmp_path / "b"), ["ATGGCCTAA", "ATG"]
    inputs = batch(auto, tmp_path / "b", sequences)
    with torch.no_grad():
        logits_BLV = opened(**inputs).logits
    for row, mask, wanted in zip(
        logits_BLV, inputs["attention_mask"].bool(), ours(tmp_path / "b", sequences)[1], strict=True
    ):
        torch.testing.assert_close(row[mask], wanted, rtol=1e-5, atol=1e-5)


OTHERS = {
    "rotary GPT-2": Gpt2Config(depth=2, width=16, heads=2, inner=24, positions="rotary"),
    "Mamba with feed-forward": MambaConfig(depth=2, width=16, inner=24, vocabulary_multiple=8),
    "hybrid": MambaConfig(depth=2, width=16, version=1, attention_every=2, heads=2),
    "Hyena": HyenaModelConfig(depth=2, width=16, inner=24, tied=False),
    "bidirectional Mamba": MambaConfig(depth=2, width=16, causal=False, embedding_gate=True),
}
LETTERS = ["ACGTTGCAACGT", "GG", "ACGTN" * 6]


def written(config, folder, **changes):
    """A bundle of a network with random weights."""
    tokenizer = NucleotideConfig().build()
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    model = LanguageModel(config.backbone().model_copy(update=changes), vocabulary_size=22, **ids)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3 + (value.ndim == 1))
    write_bundle(folder / "b", model, tokenizer, Record({}, {}, {}, None, "small"))
    return folder / "b"


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_network_opens_with_its_own_class(auto, tmp_path, name):
    causal = OTHERS[name].causal
    path = written(OTHERS[name], tmp_path)
    opener, wrong = (auto.AutoModelForCausalLM, auto.AutoModelForMaskedLM)[:: 1 if causal else -1]
    model, loading = opener.from_pretrained(path, output_loading_info=True)
    assert type(model).__name__ == ("NuclexForCausalLM" if causal else "NuclexForMaskedLM")
    assert not any(loading.values())
    inputs = batch(auto, path, LETTERS)
    with torch.no_grad():
        logits_BLV = model(**inputs).logits
    for row, mask, wanted in zip(logits_BLV, inputs["attention_mask"].bool(), ours(path, LETTERS)[1], strict=True):
        torch.testing.assert_close(row[mask], wanted, rtol=1e-5, atol=2e-5)
        assert not row[~mask].any()
    with pytest.raises(InputError, match=r"nuclex\.backbone\.causal: found"):
        wrong.from_pretrained(path)


@pytest.mark.parametrize("name", ["rotary GPT-2", "bidirectional Mamba"])
def test_an_encoder_without_a_head_opens_as_a_model_alone(auto, tmp_path, name):
    path = written(OTHERS[name], tmp_path, head="none")
    model, loading = auto.AutoModel.from_pretrained(path, output_loading_info=True)
    assert type(model).__name__ == "NuclexModel"
    assert not any(loading.values())
    inputs, bundle = batch(auto, path, LETTERS), load(path)
    with torch.no_grad():
        hidden_BLD = model(**inputs).last_hidden_state
        for row, text in zip(hidden_BLD, LETTERS, strict=True):
            ids = torch.from_numpy(bundle.tokenizer.encode(text))
            torch.testing.assert_close(
                row[: len(ids)], bundle.model.encode(ids, Layout.of([len(ids)])), rtol=1e-5, atol=2e-5
            )
    with pytest.raises(InputError, match="an encoder without a language head; AutoModel opens it"):
        auto.AutoModelForMaskedLM.from_pretrained(path)


def test_the_causal_loss_is_of_the_next_token(auto, tmp_path):
    path = written(OTHERS["rotary GPT-2"], tmp_path)
    model, inputs = auto.AutoModelForCausalLM.from_pretrained(path), batch(auto, path, LETTERS)
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    output = model(**inputs, labels=labels)
    log_p = output.logits.log_softmax(-1)
    terms = [-log_p[row, at - 1, labels[row, at]] for row in range(3) for at in range(1, 32) if labels[row, at] >= 0]
    torch.testing.assert_close(output.loss, torch.stack(terms).mean())
    output.loss.backward()
    assert all(value.grad is not None for value in model.parameters())
    loss, logits = model(**inputs, labels=labels, return_dict=False)
    assert torch.equal(loss, output.loss)
    assert torch.equal(logits, output.logits)


@pytest.mark.parametrize("name", ["rotary GPT-2", "Mamba with feed-forward"])
def test_generate_continues_each_prompt_as_if_alone(auto, tmp_path, name):
    path = written(OTHERS[name], tmp_path)
    model, tokenizer = auto.AutoModelForCausalLM.from_pretrained(path), load(path).tokenizer
    prompts = [torch.from_numpy(tokenizer.encode(text, end=False)) for text in ("ACG", "GATTACA")]
    longest = max(len(ids) for ids in prompts)
    ids_BL = torch.stack([torch.nn.functional.pad(ids, (longest - len(ids), 0), value=1) for ids in prompts])
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    together = model.generate(ids_BL, attention_mask=(ids_BL != 1).long(), **options)
    assert together.shape == (2, longest + 6)
    for row, ids in zip(together, prompts, strict=True):
        wanted = ids
        for _ in range(6):
            with torch.no_grad():
                logits_TV = load(path).model(wanted, Layout.of([len(wanted)]))
            wanted = torch.cat([wanted, logits_TV[-1].argmax()[None]])
        assert row[-6:].tolist() == wanted[-6:].tolist()


def test_the_pipelines_of_transformers_work(auto, tmp_path):
    path = written(RinalmoConfig(depth=2, width=16, heads=4), tmp_path / "rinalmo")
    answers = auto.pipeline("fill-mask", model=str(path))("ACG<mask>ACG", top_k=3)
    ids = torch.from_numpy(load(path).tokenizer.encode("ACGNACG"))
    ids[4] = 4
    with torch.no_grad():
        probability_V = load(path).model(ids, Layout.of([len(ids)]))[4].softmax(-1)
    assert [answer["token"] for answer in answers] == probability_V.topk(3).indices.tolist()
    assert answers[0]["score"] == pytest.approx(float(probability_V.max()), rel=1e-4)
    path = written(OTHERS["hybrid"], tmp_path / "hybrid")
    made = auto.pipeline("text-generation", model=str(path))
    assert made("ACG", max_new_tokens=4, do_sample=False)[0]["generated_text"].startswith("ACG")


def test_helms_bidirectional_mamba_of_50_million_opens(auto, tmp_path):
    config = helm("bimamba").model_copy(update={"depth": 2})
    model = auto.AutoModelForMaskedLM.from_pretrained(written(config, tmp_path))
    assert model.nuclex.config == config.backbone()


def test_a_config_without_the_network_is_refused(hub):
    with pytest.raises(InputError, match="has no key 'nuclex'"):
        hub.NuclexForMaskedLM(hub.NuclexConfig())


def test_without_transformers_the_import_names_what_to_install():
    code = "import sys; sys.modules['transformers'] = None\nimport nuclex.hub"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("pip install 'nuclex[hub]'")


def test_nothing_below_the_hub_imports_transformers():
    code = "import sys, nuclex.bundle, nuclex.models; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
