"""A bundle comes back as it was written, and any other folder is refused with a sentence."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from nuclex.bundle import fill_bundle, load, write_bundle
from nuclex.core.artifact import atomic_folder, write_json, write_manifest
from nuclex.core.errors import CorruptError, InputError
from nuclex.models import Layout
from nuclex.tokenizers import save_tokenizer, tokenizer_hash

from .conftest import CLASSES

FILES = [
    "README.md",
    "config.json",
    "manifest.json",
    "model.safetensors",
    "nuclex.json",
    "tokenizer.json",
    "tokenizer_config.json",
]


def logits(model, tokenizer):
    """The scores of a sequence, or its hidden vectors where the network has no head."""
    ids = torch.from_numpy(tokenizer.encode("AACGTACGTACCA"))
    return (model.encode if model.head is None else model)(ids, Layout.of([len(ids)]))


COMBINATIONS = [
    *((name, kind) for name in ("roberta", "rinalmo") for kind in ("nucleotide", "rna", "codon", "bpe")),
    *((name, "nucleotide") for name in CLASSES if name not in ("roberta", "rinalmo")),
]


@pytest.mark.parametrize(("name", "kind"), COMBINATIONS)
def test_what_was_written_comes_back_bit_for_bit(making, name, kind):
    model, tokenizer = making.model(name, kind).eval(), making.tokenizer(kind)
    path = making.bundle(name, kind)
    state = torch.random.get_rng_state()
    bundle = load(path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert sorted(file.name for file in path.iterdir()) == FILES
    assert not bundle.model.training
    assert bundle.model.config == model.config
    assert tokenizer_hash(bundle.tokenizer) == tokenizer_hash(tokenizer)
    assert bundle.record == making.record
    assert (bundle.task, bundle.path) == (None, path)
    assert torch.equal(logits(bundle.model, bundle.tokenizer), logits(model, tokenizer))
    wanted, found = model.state_dict(), bundle.model.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(value, found[key]) for key, value in wanted.items())
    if model.head is not None:
        assert (bundle.model.head.decoder.weight is bundle.model.embedding.tokens.weight) == model.config.tied
    written = json.loads((path / "config.json").read_text())
    assert written["architectures"] == [CLASSES[name]]
    assert written["vocab_size"] == model.vocabulary_size == model.config.rows(len(tokenizer))


def test_an_encoder_without_a_head_gives_no_scores_and_says_so(making):
    bundle = load(making.bundle("headless roberta"))
    tokens = torch.from_numpy(bundle.tokenizer.encode("ACGT"))
    assert bundle.model.encode(tokens, Layout.of([6])).shape == (6, 16)
    with pytest.raises(InputError, match="an encoder without a language head"):
        bundle.model(tokens, Layout.of([6]))


@pytest.mark.parametrize("name", ["roberta", "rinalmo"])
def test_a_fine_tuned_head_comes_back(making, name):
    bundle = load(making.bundle(name, task=making.head))
    assert bundle.task is not None
    assert bundle.task.config == making.head.config
    assert bundle.task.weights.keys() == {"weight"}
    assert torch.equal(bundle.task.weights["weight"], making.head.weights["weight"])


def test_a_loaded_model_can_be_trained(making):
    bundle = load(making.bundle())
    logits(bundle.model, bundle.tokenizer).sum().backward()
    assert all(value.grad is not None for value in bundle.model.blocks.parameters())


def test_a_loaded_model_does_not_hang_on_its_file(making):
    path = making.bundle()
    bundle = load(path)
    before = logits(bundle.model, bundle.tokenizer)
    (path / "model.safetensors").write_bytes(bytes((path / "model.safetensors").stat().st_size))
    assert torch.equal(logits(bundle.model, bundle.tokenizer), before)


# ---- damage that the manifest sees ----


@pytest.mark.parametrize("name", ["roberta", "rinalmo"])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("where", [0.0, 0.31, 0.64, 0.98])
def test_a_flipped_bit_is_seen_in_every_file(making, name, file, where):
    path = making.bundle(name)
    content = bytearray((path / file).read_bytes())
    content[int(where * len(content))] ^= 0x04
    (path / file).write_bytes(content)
    with pytest.raises(CorruptError, match=r"manifest|README|sha256|missing"):
        load(path)


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_seen(making, file):
    path = making.bundle()
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptError):
        load(path)


@pytest.mark.parametrize("file", FILES)
def test_a_deleted_file_is_seen(making, file):
    path = making.bundle()
    (path / file).unlink()
    with pytest.raises(CorruptError, match=file):
        load(path)


def test_a_file_too_many_is_seen(making):
    path = making.bundle()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(CorruptError, match=r"notes\.txt"):
        load(path)


# ---- changes whose author also wrote a manifest that agrees with them ----


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("roberta", ("num_attention_heads",), 2, "num_attention_heads: found 2"),
        ("roberta", ("layer_norm_eps",), 1e-3, "layer_norm_eps"),
        ("roberta", ("architectures",), ["BertForMaskedLM"], "architectures: found"),
        ("roberta", ("pad_token_id",), 0, "model_type: found 'roberta', which nuclex.backbone is not: position_offset"),
        ("roberta", ("model_type",), "bert", "model_type: found 'bert', which nuclex.backbone is not"),
        ("roberta", ("model_type",), "nuclex", "weight 'lm_head.bias', which this architecture does not have"),
        ("roberta", ("tie_word_embeddings",), False, "tie_word_embeddings"),
        ("rinalmo", ("model_type",), "roberta", "model_type"),
        ("rinalmo", ("vocab_size",), 23, "shape"),
        ("rinalmo", ("vocab_size",), -1, "pad_token_id: found 1, there are -1 tokens"),
        ("rinalmo", ("pad_token_id",), 1000, "pad_token_id: found 1000"),
        ("rinalmo", ("nuclex", "backbone", "depth"), 1, "holds the weight 'blocks.1"),
        ("rinalmo", ("nuclex", "backbone", "depth"), 3, "lacks the weight 'blocks.2"),
        ("rinalmo", ("nuclex", "backbone", "inner"), 43, "shape"),
        ("rinalmo", ("nuclex", "backbone", "norm"), "pre", "other scores"),
        ("rinalmo", ("nuclex", "backbone", "norm_epsilon"), 0.1, "other scores"),
        ("rinalmo", ("nuclex", "backbone", "positions"), "none", "other scores"),
        ("rinalmo", ("nuclex", "backbone", "token_dropout"), 0.0, "other scores"),
        ("rinalmo", ("nuclex", "backbone", "causal"), True, "nuclex.backbone: token_dropout counts"),
        ("rinalmo", ("nuclex", "backbone", "norm"), "sideways", "norm"),
        ("rinalmo", ("nuclex", "backbone", "colour"), "blue", "colour"),
        ("rinalmo", ("nuclex", "mask_token_id"), 3, "mask"),
        ("rinalmo", ("nuclex", "mask_token_id"), None, "wrong one"),
    ],
)
def test_an_edited_config_is_refused(making, edit, name, key, value, message):
    path = making.bundle(name)

    def change(stored):
        for part in key[:-1]:
            stored = stored[part]
        assert stored.get(key[-1]) != value
        stored[key[-1]] = value

    edit(path / "config.json", change)
    with pytest.raises(CorruptError, match=message):
        load(path)


def test_another_number_of_heads_has_the_same_weights_and_is_still_refused(making, edit):
    path = making.bundle("rinalmo")

    def change(stored):
        stored["num_attention_heads"] = stored["nuclex"]["backbone"]["heads"] = 2

    edit(path / "config.json", change)
    with pytest.raises(CorruptError, match="other scores"):
        load(path)


@pytest.mark.parametrize("options", [{"alphabet": "rna"}, {"case": "keep"}])
def test_another_tokenizer_is_refused(making, options):
    path = making.bundle()
    other = type(making.tokenizer().config)(**options).build()
    assert len(other) == len(making.tokenizer())
    (path / "manifest.json").unlink()  # into a whole artefact nothing is written
    save_tokenizer(other, path, max_length=48)
    write_manifest(path)
    with pytest.raises(CorruptError, match="tokenizer is not the one"):
        load(path)


def test_another_share_of_unknowns_is_another_tokenizer_config_but_gives_the_same_ids(making, edit):
    path = making.bundle()
    edit(path / "tokenizer_config.json", lambda stored: stored["nuclex"].update(max_unknown_share=0.5))
    assert load(path).tokenizer.config.max_unknown_share == 0.5


def rewrite(path, change):
    tensors = load_file(path / "model.safetensors")
    tensors = {key: value.clone() for key, value in tensors.items()}
    change(tensors)
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    write_manifest(path)


QUERY = "roberta.encoder.layer.0.attention.self.query.weight"
KEY = "roberta.encoder.layer.0.attention.self.key.weight"
OUTPUT = ("nuclex.blocks.0.mixer.output.weight", "nuclex.blocks.1.mixer.output.weight")


def swap(tensors, first, second):
    tensors[first], tensors[second] = tensors[second], tensors[first]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("roberta", lambda tensors: tensors.pop(QUERY), f"lacks the weight '{QUERY}'"),
        ("roberta", lambda tensors: tensors.update(pooler=torch.ones(1)), "holds the weight 'pooler'"),
        ("roberta", lambda tensors: tensors.update({QUERY: torch.ones(16, 15)}), "differ in shape"),
        ("roberta", lambda tensors: swap(tensors, QUERY, KEY), "weights are not those"),
        ("roberta", lambda tensors: tensors["lm_head.bias"].add_(1e-6), "weights are not those"),
        ("roberta", lambda tensors: tensors.update({QUERY: tensors[QUERY].half()}), "float"),
        ("untied roberta", lambda tensors: tensors["lm_head.bias"].add_(1), "differs from the other copy"),
        ("rinalmo", lambda tensors: tensors.pop(OUTPUT[0]), "lacks the weight 'blocks.0.mixer.output.weight'"),
        ("rinalmo", lambda tensors: tensors.update(pooler=torch.ones(1)), "holds the weight 'pooler'"),
        ("rinalmo", lambda tensors: tensors.update({"nuclex.x": torch.ones(1)}), "holds the weight 'x'"),
        ("rinalmo", lambda tensors: swap(tensors, *OUTPUT), "weights are not those"),
        ("rinalmo", lambda tensors: tensors[OUTPUT[0]].normal_(), "weights are not those"),
        ("rinalmo", lambda tensors: tensors.update({OUTPUT[0]: tensors[OUTPUT[0]].double()}), "float"),
        ("rinalmo", lambda tensors: tensors.update({"task_head.weight": torch.ones(1)}), "names no task"),
    ],
)
def test_changed_weights_are_refused(making, name, change, message):
    path = making.bundle(name)
    rewrite(path, change)
    with pytest.raises(CorruptError, match=message):
        load(path)


def test_a_changed_head_is_refused(making):
    path = making.bundle(task=making.head)
    rewrite(path, lambda tensors: tensors["task_head.weight"].add_(1))
    with pytest.raises(CorruptError, match="weights are not those"):
        load(path)


def test_weights_that_are_no_safetensors_are_refused(making):
    path = making.bundle()
    (path / "model.safetensors").write_bytes(b"not at all")
    write_manifest(path)
    with pytest.raises(CorruptError, match="not a readable safetensors file"):
        load(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1}', '{"format": 1, "recipe": 3}'])
def test_an_unreadable_record_is_refused(making, text):
    path = making.bundle()
    (path / "nuclex.json").write_text(text)
    write_manifest(path)
    with pytest.raises(CorruptError, match="not a readable record"):
        load(path)


def test_a_format_of_the_future_is_refused(making, edit):
    path = making.bundle()
    edit(path / "nuclex.json", lambda stored: stored.update(format=99))
    with pytest.raises(InputError, match="format 99 is not known"):
        load(path)


# ---- what is no bundle ----


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder; a bundle is a folder that holds"):
        load(tmp_path / "nothing")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model.fa").write_text(">a\nACGT\n")
    with pytest.raises(InputError, match="no such folder"):
        load(tmp_path / "model.fa")


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"is not a bundle: it lacks config\.json, model\.safetensors"):
        load(tmp_path)


def test_another_artefact_of_nuclex(tmp_path):
    with atomic_folder(tmp_path / "corpus") as folder:
        write_json(folder / "corpus.json", {})
    with pytest.raises(InputError, match="is not a bundle"):
        load(tmp_path / "corpus")


def test_a_run_folder_names_its_bundle(making):
    path = making.bundle()
    with pytest.raises(InputError, match=f"did you mean {path}"):
        load(path.parent)


def test_a_model_of_another_program_is_no_bundle(making):
    path = making.bundle()
    (path / "manifest.json").unlink()
    (path / "nuclex.json").unlink()
    with pytest.raises(InputError, match=r"it lacks nuclex\.json"):
        load(path)


# ---- a bundle inside a bundle, as training leaves it ----


def test_last_and_best_are_written_at_once_and_opened_each(making, tmp_path):
    last, best, tokenizer = making.model(seed=1), making.model(seed=2), making.tokenizer()
    with atomic_folder(tmp_path / "bundle") as folder:
        fill_bundle(folder, last, tokenizer, making.record)
        fill_bundle(folder / "best", best, tokenizer, making.record)
    for path, model in ((tmp_path / "bundle", last), (tmp_path / "bundle" / "best", best)):
        assert torch.equal(logits(load(path).model, tokenizer), logits(model.eval(), tokenizer))
    listed = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["files"]
    assert {"best/model.safetensors", "best/manifest.json", "model.safetensors"} <= listed.keys()
    shutil.copytree(tmp_path / "bundle" / "best", tmp_path / "alone")
    assert load(tmp_path / "alone").record == making.record
    (tmp_path / "bundle" / "best" / "README.md").write_text("edited")
    with pytest.raises(CorruptError):
        load(tmp_path / "bundle")


def test_a_bundle_of_a_loaded_bundle_is_the_same_file_by_file(making, tmp_path):
    path = making.bundle("rinalmo", task=making.head)
    bundle = load(path)
    write_bundle(tmp_path / "again", bundle.model, bundle.tokenizer, bundle.record, task=bundle.task)
    for file in FILES:
        assert (path / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


@pytest.mark.parametrize(
    ("name", "before", "after", "sentence"),
    [
        ("config.json", '"vocab_size": 22', '"vocab_size": 1e400', "config.json: is not readable JSON"),
        ("config.json", '"vocab_size": 22', f'"vocab_size": {10**30}', "config.json: lacks a key or holds a wrong one"),
        (
            "config.json",
            '"vocab_size": 22',
            '"vocab_size": 22.0',
            "config.json: lacks a key or holds a wrong one: 22.0",
        ),
        ("config.json", '"width": 16', f'"width": 16, "{"x" * 5000}": 1', "config.json: nuclex.backbone.xxx"),
        ("config.json", '"vocab_size": 22', f'"vocab_size": {"[" * 5000}', "config.json: is not readable JSON"),
        ("nuclex.json", '"notes": [', f'"notes": [{"[" * 5000}', "nuclex.json: is not a readable record"),
        ("nuclex.json", '"notes": [', '"notes": [], "notes": [', "nuclex.json: is not a readable record"),
        ("tokenizer_config.json", '"kind"', '"k\\u0000ind"', "tokenizer_config.json: nuclex: tokenizers: a table with"),
        ("tokenizer_config.json", '"case"', '"c\\u0000ase"', r"tokenizer_config.json: nuclex.c\x00ase: Extra inputs"),
    ],
)
def test_what_fuzzing_found(making, name, before, after, sentence):
    path = making.bundle()
    text = (path / name).read_text()
    assert before in text
    (path / name).write_text(text.replace(before, after, 1))
    write_manifest(path)
    with pytest.raises((CorruptError, InputError), match=re.escape(sentence)) as caught:
        load(path)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
