"""A bundle for other programs: whole or not there, equal to what nuclex has, and refused where it would not be."""

import json

import pytest
import torch
from safetensors.torch import load_file

import nuclex
from nuclex.bundle import TaskPart, load
from nuclex.bundle.export import misfit
from nuclex.bundle.foreign import to_foreign
from nuclex.bundle.formats import FORMATS
from nuclex.bundle.weights import unshared
from nuclex.core.artifact import verify_folder
from nuclex.core.errors import InputError
from nuclex.models.heads import ClassHeadConfig, PairHeadConfig

FITS = {
    "roberta": {"roberta", "onnx"},
    "untied roberta": {"roberta", "onnx"},
    "headless roberta": {"roberta", "onnx"},
    "bert": {"bert", "onnx"},
    "gpt2": {"gpt2"},
    "rotary gpt2": set(),
    "mamba": {"mamba"},
    "mamba2": {"mamba2"},
    "bimamba": set(),
    "hybrid": set(),
    "hyena": set(),
    "rinalmo": {"rinalmo", "multimolecule", "onnx"},
    "headless rinalmo": {"multimolecule", "onnx"},
    "tied rinalmo": {"onnx"},
}
ALL = ("roberta", "bert", "gpt2", "mamba", "mamba2", "rinalmo", "multimolecule", "onnx")


@pytest.mark.parametrize("name", FITS)
def test_what_fits_is_known_and_what_does_not_is_refused_with_what_would(making, name):
    path = making.bundle(name)
    bundle = load(path)
    assert {form for form in ALL if misfit(bundle, form) is None} == FITS[name]
    refused = next(form for form in ALL if form not in FITS[name])
    instead = "it fits " + (", ".join(form for form in ALL if form in FITS[name]) or "no format but its own")
    with pytest.raises(InputError, match=f"cannot be written as {refused}: .+; {instead}"):
        nuclex.export(path, format=refused, out=making.folder / "out")
    assert not (making.folder / "out").exists()


@pytest.mark.parametrize("name", ["roberta", "headless roberta", "bert", "gpt2", "mamba", "untied mamba2"])
def test_a_folder_of_transformers_has_their_names_and_no_word_of_nuclex(making, name):
    path, form = making.bundle(name), FORMATS[name.split()[-1]]
    result = nuclex.export(path, format=form.name, out=making.folder / "out")
    out = making.folder / "out"
    verify_folder(out)
    assert result == {
        "out": str(out),
        "format": form.name,
        "files": ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
        "class": making.classes[name],
    }
    keys = json.loads((out / "config.json").read_text())
    assert keys["architectures"] == [making.classes[name]]
    assert "nuclex" not in keys
    model = making.model(name)
    wanted = to_foreign(unshared(model), form.weights(model.config))
    found = load_file(out / "model.safetensors")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, found[key]) for key, value in wanted.items())


def test_a_tokenizer_with_other_tokens_is_no_rinalmos(making):
    bundle = load(making.bundle("rinalmo", "codon").rename(making.folder / "codon"))
    for form in ("rinalmo", "multimolecule"):
        assert misfit(bundle, form).startswith("its tokens are 'codon' and its rows 70")
    assert misfit(load(making.bundle("rinalmo", "rna")), "rinalmo") is None


def head(config, outputs, **settings):
    torch.manual_seed(0)
    described = {"name": "mine", "shape": "?", "classes": ["a", "b", "c"][:outputs], "head": config.to_data()}
    return TaskPart({**described, "settings": settings}, dict(unshared(config.build(16, outputs))))


def test_a_fine_tuned_head_goes_where_it_is_understood(making, capsys):
    path = making.bundle("rinalmo", task=head(PairHeadConfig(), 1, threshold=0.2))
    for form, kind, words in (
        ("rinalmo", "pair", ""),
        ("multimolecule", "pair", "keeps no threshold"),
    ):
        assert nuclex.export(path, format=form, out=making.folder / form)["head"] == kind
        assert words in capsys.readouterr().err
    entries = torch.load(making.folder / "rinalmo" / "rinalmo.pt", weights_only=True)
    assert entries["threshold"] == 0.2


def test_leaving_a_head_out_is_said(making, capsys):
    path = making.bundle("roberta", task=head(ClassHeadConfig(), 3))
    nuclex.export(path, format="roberta", out=making.folder / "out")
    assert "the fine-tuned head for mine is left out; roberta does not have it" in capsys.readouterr().err
    assert not any(name.startswith("task_head") for name in load_file(making.folder / "out" / "model.safetensors"))


def test_a_head_that_rinalmo_does_not_have_is_refused(making):
    bundle = load(making.bundle("rinalmo", task=head(ClassHeadConfig(pooling="mean"), 3)))
    assert misfit(bundle, "rinalmo") == "its head pools by 'mean', where only 'cls' fits"


def test_a_loaded_bundle_is_taken_too_and_stays_as_it_is(making):
    bundle = load(making.bundle("rinalmo"))
    bundle.model.train()
    before = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    nuclex.export(bundle, format="rinalmo", out=making.folder / "out")
    assert bundle.model.training
    assert all(torch.equal(value, before[name]) for name, value in bundle.model.state_dict().items())


def test_what_is_there_is_not_replaced_and_an_unknown_format_is_named(making):
    path = making.bundle()
    (making.folder / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        nuclex.export(path, format="roberta", out=making.folder / "out")
    with pytest.raises(InputError, match="format: found 'keras'; allowed: roberta, bert, gpt2, mamba"):
        nuclex.export(path, format="keras", out=making.folder / "new")


@pytest.mark.slow
def test_onnx_has_a_graph_and_a_tokenizer(making):
    pytest.importorskip("onnxruntime")
    result = nuclex.export(making.bundle(), format="onnx", out=making.folder / "out")
    assert {"model.onnx", "tokenizer.json", "tokenizer_config.json"} <= set(result["files"])
    assert 0 <= result["largest_difference"] <= 1e-5
    verify_folder(making.folder / "out")
