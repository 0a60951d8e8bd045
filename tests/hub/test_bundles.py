"""Whatever another program made becomes a bundle that nuclex proves, or is refused with the names that are wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import nuclex
from nuclex.bundle import Record, TaskPart, load, write_bundle
from nuclex.bundle.rinalmo import PREFIXES, Released, write_released
from nuclex.bundle.weights import unshared
from nuclex.core.artifact import sha256_file
from nuclex.core.errors import InputError, OutsideError
from nuclex.models.heads import ClassHeadConfig, PairHeadConfig
from nuclex.tokenizers import NucleotideConfig
from oracles import made

pytestmark = pytest.mark.slow  # imports transformers
NAME = "RiNALMo, 3 layers of 40"
PAIR, CLASS = PairHeadConfig(channels=8), ClassHeadConfig(hidden=12)


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("nuclex.hub")


def head_of(config, outputs):
    torch.manual_seed(0)
    return dict(unshared(config.build(40, outputs)))


def released(folder, head=None, outputs=1, threshold=None):
    model = made(NAME)
    weights = None if head is None else head_of(head, outputs)
    write_released(
        folder / "rinalmo_test.pt", Released(model.config, unshared(model), head, weights, outputs, threshold)
    )
    return folder / "rinalmo_test.pt"


def test_a_pretrained_file_becomes_a_bundle(hub, tmp_path):
    path = released(tmp_path)
    bundle = hub.import_bundle(path, tmp_path / "b", heads=4, licence="cc-by-4.0")
    assert bundle.model.config.heads == 4
    assert all(torch.equal(value, bundle.model.state_dict()[key]) for key, value in made(NAME).state_dict().items())
    assert (len(bundle.tokenizer), bundle.task) == (22, None)
    assert (bundle.record.name, bundle.record.licence) == ("rinalmo_test", "cc-by-4.0")
    assert bundle.record.notes == ("Imported from RiNALMo's file rinalmo_test.pt.",)
    assert list(bundle.record.provenance["sha256"]) == ["rinalmo_test.pt"]
    assert load(tmp_path / "b").record == bundle.record


def test_a_structure_file_folds_with_its_threshold(hub, tmp_path):
    bundle = hub.import_bundle(released(tmp_path, PAIR, threshold=0.17), tmp_path / "b", heads=4)
    settings = bundle.task.config["settings"]
    assert settings["threshold"] == pytest.approx(0.17)
    assert settings["decoding"]["min_loop"] == 3
    (tmp_path / "a.fa").write_text(">a\nGGGGAAAACCCCUUUUGGGG\n")
    nuclex.predict(tmp_path / "b", tmp_path / "a.fa", tmp_path / "a.dbn")
    lines = (tmp_path / "a.dbn").read_text().splitlines()
    assert len(lines[2]) == 20
    assert set(lines[2]) <= set("().[]{}<>")


def test_a_file_of_classes_predicts_them_by_name(hub, tmp_path):
    path = released(tmp_path, CLASS, outputs=3)
    bundle = hub.import_bundle(path, tmp_path / "b", heads=4, classes=("tRNA", "5S", "SRP"))
    assert bundle.task.config["classes"] == ["tRNA", "5S", "SRP"]
    (tmp_path / "a.fa").write_text(">a\nGGGGAAAACCCC\n")
    nuclex.predict(tmp_path / "b", tmp_path / "a.fa", tmp_path / "a.tsv")
    header, row = (line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines())
    assert header == ["id", "class", "p_tRNA", "p_5S", "p_SRP"]
    np.testing.assert_allclose(sum(map(float, row[2:])), 1, atol=1e-5)
    unnamed = hub.import_bundle(path, tmp_path / "c", heads=4)
    assert unnamed.task.config["classes"] == ["0", "1", "2"]
    assert "does not name its classes" in unnamed.record.notes[1]


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "b")])
def test_as_many_different_names_as_classes_are_needed(hub, tmp_path, classes):
    with pytest.raises(InputError, match=r"classes: found 2 names; .* has 3 classes"):
        hub.import_bundle(released(tmp_path, CLASS, outputs=3), tmp_path / "b", heads=4, classes=classes)


@pytest.mark.parametrize(
    ("head", "outputs", "threshold"),
    [(None, 1, None), (PAIR, 1, 0.25), (CLASS, 3, None)],
    ids=["plain", "pairs", "classes"],
)
def test_out_and_in_and_out_again_is_the_same_file(hub, tmp_path, head, outputs, threshold):
    path = released(tmp_path, head, outputs, threshold)
    hub.import_bundle(path, tmp_path / "b", heads=4)
    result = nuclex.export(tmp_path / "b", format="rinalmo", out=tmp_path / "again")
    assert result["files"] == ["rinalmo.pt"]
    assert result["head"] == (head and head.kind)
    first, again = (torch.load(file, weights_only=True) for file in (path, tmp_path / "again" / "rinalmo.pt"))
    assert first.keys() == again.keys()
    assert all(torch.equal(torch.as_tensor(value), torch.as_tensor(again[name])) for name, value in first.items())
    assert (head is None) or all(name.startswith((PREFIXES[head.kind], "pred_head.", "threshold")) for name in again)


def test_weights_of_another_shape_are_refused(hub, tmp_path):
    path = released(tmp_path, PAIR, threshold=0.1)
    entries = torch.load(path, weights_only=True)
    for name, value in (
        ("pred_head.linear_in.bias", torch.ones(9)),
        ("lm.transformer.final_layer_norm.bias", torch.ones(3)),
    ):
        torch.save({**entries, name: value}, path)
        with pytest.raises(InputError, match=r"has shape \(\d,\), the config says"):
            hub.import_bundle(path, tmp_path / "b", heads=4)
    assert not (tmp_path / "b").exists()


# ---- multimolecule's folders, without that library ----


@pytest.fixture
def theirs(tmp_path):
    write_bundle(tmp_path / "bundle", made(NAME), NucleotideConfig().build(), Record({}, {}, {}, None, "x"))
    nuclex.export(tmp_path / "bundle", format="multimolecule", out=tmp_path / "theirs")
    return tmp_path / "theirs"


def change(theirs, by):
    (theirs / "manifest.json").unlink()
    tensors = load_file(theirs / "model.safetensors")
    by(tensors)
    save_file(tensors, theirs / "model.safetensors")


def test_a_folder_of_multimolecule_becomes_a_bundle(hub, theirs):
    bundle = hub.import_bundle(theirs, theirs.parent / "b")
    assert all(torch.equal(value, bundle.model.state_dict()[key]) for key, value in made(NAME).state_dict().items())
    assert bundle.tokenizer.config.alphabet == "rna"
    assert list(bundle.record.provenance["sha256"]) == ["model.safetensors"]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (
            lambda tensors: tensors.pop("model.encoder.layer.1.intermediate.bias"),
            r"lacks the weight 'model\.encoder\.layer\.1\.intermediate\.bias'",
        ),
        (lambda tensors: tensors.update(odd=torch.ones(1)), "holds the weight 'odd'"),
        (
            lambda tensors: tensors["lm_head.decoder.bias"].add_(1),
            r"differs from the other copy of 'head\.decoder\.bias'",
        ),
        (lambda tensors: tensors.update({"ss_head.odd": torch.ones(1)}), r"lacks the weight 'ss_head\.projection"),
        (
            lambda tensors: tensors.update({"model.embeddings.word_embeddings.weight": torch.ones(26, 40)}),
            "is not a whole RiNALMo of multimolecule",
        ),
    ],
)
def test_a_wrong_folder_of_multimolecule_is_refused(hub, theirs, by, message):
    change(theirs, by)
    with pytest.raises(InputError, match=message):
        hub.import_bundle(theirs, theirs.parent / "b")
    assert not (theirs.parent / "b").exists()


def test_a_pooler_of_multimolecule_is_left_out(hub, theirs):
    change(theirs, lambda tensors: tensors.update({"model.pooler.dense.weight": torch.ones(40, 40)}))
    hub.import_bundle(theirs, theirs.parent / "b")
    assert load(theirs.parent / "b").model.config.depth == 3


def test_another_alphabet_is_refused(hub, theirs):
    (theirs / "vocab.txt").write_text("<pad>\nA\n")
    with pytest.raises(InputError, match=r"vocab\.txt is not multimolecule's RNA alphabet of 28 tokens"):
        hub.import_bundle(theirs, theirs.parent / "b")


def test_weights_in_pickles_are_not_read(hub, theirs):
    (theirs / "model.safetensors").rename(theirs / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"has no model\.safetensors; weights in pickles"):
        hub.import_bundle(theirs, theirs.parent / "b")


FETCHED = """
import sys
from nuclex.hub import import_bundle
from nuclex.tokenizers import NucleotideConfig
bundle = import_bundle(sys.argv[1], sys.argv[2], tokenizer=NucleotideConfig().build())
record, alphabet = bundle.record, bundle.tokenizer.config.alphabet
print(record.name, bundle.model.config.depth, alphabet, record.provenance["imported_from"])
print(record.provenance["sha256"]["model.safetensors"])
print(record.notes[0])
"""


@pytest.mark.parametrize("kind", ["multimolecule", "roberta"])
def test_an_id_of_the_hub_is_read_like_a_folder(hub, tmp_path, kind):
    """From a cache as the hub's own client leaves it, since nothing is fetched in tests."""
    snapshot = tmp_path / "cache" / "models--lab--small" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    write_bundle(
        tmp_path / "bundle",
        made(NAME if kind == "multimolecule" else "RoBERTa"),
        NucleotideConfig().build(),
        Record({}, {}, {}, None, "x"),
    )
    nuclex.export(tmp_path / "bundle", format=kind, out=snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FETCHED, "lab/small", str(tmp_path / "b")]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    alphabet = "rna" if kind == "multimolecule" else "dna"
    told, digest, note = result.stdout.splitlines()
    assert told == f"small 3 {alphabet} lab/small@{'0' * 40}"
    assert digest == sha256_file(snapshot / "model.safetensors")
    assert f"lab/small@{'0' * 40}" in note
    assert str(tmp_path) not in note
    assert f"lab/small: main is commit {'0' * 40}" in result.stderr
    command[3:] = [f"lab/small@{'0' * 40}", str(tmp_path / "c")]
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.stdout == result.stdout
    command[3:] = [f"lab/small@{'1' * 40}", str(tmp_path / "d")]
    assert (
        "OutsideError: lab/small@1" in subprocess.run(command, capture_output=True, text=True, env=environment).stderr
    )


# ---- transformers' folders ----


@pytest.mark.parametrize("name", ["BERT", "GPT-2", "Mamba-2"])
def test_a_folder_of_transformers_needs_a_tokenizer_and_becomes_a_bundle(hub, tmp_path, name):
    hub.to_transformers(made(name)).save_pretrained(tmp_path / "theirs")
    with pytest.raises(InputError, match="has no tokenizer of nuclex beside it"):
        hub.import_bundle(tmp_path / "theirs", tmp_path / "b")
    bundle = hub.import_bundle(tmp_path / "theirs", tmp_path / "b", tokenizer=NucleotideConfig().build())
    assert all(torch.equal(value, bundle.model.state_dict()[key]) for key, value in made(name).state_dict().items())
    nuclex.export(bundle, format={"BERT": "bert", "GPT-2": "gpt2", "Mamba-2": "mamba2"}[name], out=tmp_path / "again")
    again = hub.import_bundle(tmp_path / "again", tmp_path / "c")  # with the tokenizer that nuclex wrote
    assert all(torch.equal(value, again.model.state_dict()[key]) for key, value in bundle.model.state_dict().items())


def test_what_is_nowhere_and_what_is_nothing_known(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for nowhere in (tmp_path / "nothing", f"{tmp_path}/nothing", "../nothing", "rinalmo.pt", "a/b/c"):
        with pytest.raises(InputError, match="no such file or folder"):
            hub.import_bundle(nowhere, tmp_path / "b")
    with pytest.raises(InputError, match="a commit, branch or tag is needed behind @"):
        hub.import_bundle("lab/nothing@", tmp_path / "b")
    with pytest.raises(OutsideError, match="no-user-of-this-name/nothing: cannot be fetched"):
        hub.import_bundle("no-user-of-this-name/nothing", tmp_path / "b")
    (tmp_path / "theirs").mkdir()
    with pytest.raises(InputError, match=r"has no config\.json"):
        hub.import_bundle(tmp_path / "theirs", tmp_path / "b")
    (tmp_path / "theirs" / "config.json").write_text('{"model_type": "distilbert"}')
    with pytest.raises(InputError, match="found 'distilbert'; nuclex reads"):
        hub.import_bundle(tmp_path / "theirs", tmp_path / "b", tokenizer=NucleotideConfig().build())


def test_a_head_is_checked_before_anything_is_written(hub, tmp_path):
    part = TaskPart({"shape": "class", "classes": ["a", "b"], "head": CLASS.to_data()}, head_of(CLASS, 2))
    write_bundle(tmp_path / "b", made(NAME), NucleotideConfig().build(), Record({}, {}, {}, None, "x"), task=part)
    nuclex.export(tmp_path / "b", format="rinalmo", out=tmp_path / "out")
    bundle = hub.import_bundle(tmp_path / "out" / "rinalmo.pt", tmp_path / "c", heads=4)
    assert len(bundle.task.config["classes"]) == 2  # by way of one number, the log-odds
    weights, again = part.weights["decoder.weight"], bundle.task.weights["decoder.weight"]
    torch.testing.assert_close(again[1] - again[0], weights[1] - weights[0])


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: agpl-3.0\ntags: [rna]\n---\n# A model\n", "agpl-3.0"),
        ("---\r\nlicense: other\r\nlicense_name: academic-only\r\n---\r\n", "academic-only"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        ("---\n- license\n---\n", None),
        ("# license: mit\n", None),
        (None, None),
    ],
)
def test_imported_weights_bring_the_licence_of_their_card(hub, theirs, card, licence):
    (theirs / "manifest.json").unlink()
    (theirs / "README.md").unlink(missing_ok=True)
    if card is not None:
        (theirs / "README.md").write_bytes(card.encode())
    bundle = hub.import_bundle(theirs, theirs.parent / "b")
    assert bundle.record.licence == licence
    told = [note for note in bundle.record.notes if note.startswith("The licence of")]
    assert len(told) == (licence is not None)
    text = (theirs.parent / "b" / "README.md").read_text()
    assert f"The weights: {licence or 'no licence is stated'}." in text
    named = "license_name" if licence in ("academic-only", "other") else "license"  # of the hub, or not
    assert (f"{named}: {licence}\n" in text) == (licence is not None)


def test_a_given_licence_is_not_overruled_by_a_card(hub, theirs):
    (theirs / "manifest.json").unlink()
    (theirs / "README.md").write_text("---\nlicense: mit\n---\n")
    bundle = hub.import_bundle(theirs, theirs.parent / "b", licence="cc-by-4.0")
    assert bundle.record.licence == "cc-by-4.0"
    assert not [note for note in bundle.record.notes if note.startswith("The licence of")]
