"""A bundle is written whole or not at all, leaves the model alone, and opens where nuclex is not installed."""

import json
import os
import subprocess
import sys

import pytest
import torch

from nuclex.bundle import TaskPart, load, write_bundle
from nuclex.core.artifact import verify_folder
from nuclex.core.errors import InputError, NonFiniteError
from nuclex.models import LanguageModel, Layout, RobertaConfig

ELSEWHERE = """
import json, sys
sys.modules["nuclex"] = None  # as if it were not installed
try:
    import nuclex
    raise SystemExit("nuclex can be imported here")
except ImportError:
    pass
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, RobertaForMaskedLM, RobertaTokenizerFast

def opened(path, sequences, tokenizer_class, model_class):
    tokenizer = tokenizer_class.from_pretrained(path)
    model, loading = model_class.from_pretrained(path, output_loading_info=True)
    assert type(model) is RobertaForMaskedLM and not model.training
    batch = tokenizer(sequences, return_tensors="pt", padding=True)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return {
        "problems": [f"{kind}: {value}" for kind, value in loading.items() if value],
        "tokens": len(tokenizer),
        "longest": tokenizer.model_max_length,
        "special": [tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id],
        "ids": [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"])],
        "logits": [rows[mask.bool()].tolist() for rows, mask in zip(logits, batch["attention_mask"])],
    }

ways = [(AutoTokenizer, AutoModelForMaskedLM), (RobertaTokenizerFast, RobertaForMaskedLM)]
asked = json.loads(sys.stdin.read())
print(json.dumps({path: [opened(path, sequences, *way) for way in ways] for path, sequences in asked.items()}))
"""
SEQUENCES = ("ACGTACGTACGGTACCATGA", "GG", "ACGTACGTAC" * 4, "A")


@pytest.mark.slow
def test_transformers_opens_it_without_nuclex_and_computes_the_same(making):
    asked = {}
    for name, kind in (("roberta", "nucleotide"), ("roberta", "bpe"), ("untied roberta", "rna")):
        path = making.bundle(name, kind).rename(making.folder / f"{name} {kind}")
        asked[str(path)] = [sequence.replace("T", "U") if kind == "rna" else sequence for sequence in SEQUENCES]
    command, given = [sys.executable, "-I", "-c", ELSEWHERE], json.dumps(asked)
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, input=given, capture_output=True, text=True, env=offline, check=False)
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    assert answers.keys() == asked.keys()
    for path, sequences in asked.items():
        for answer in answers[path]:
            agrees(load(path), sequences, answer)


def agrees(bundle, sequences, answer):
    tokenizer = bundle.tokenizer
    assert answer["problems"] == []
    assert (answer["tokens"], answer["longest"]) == (len(tokenizer), 48)
    assert answer["special"] == [tokenizer.cls_id, tokenizer.pad_id, tokenizer.eos_id, tokenizer.mask_id]
    for sequence, ids, logits in zip(sequences, answer["ids"], answer["logits"], strict=True):
        tokens = torch.from_numpy(tokenizer.encode(sequence))
        assert ids == tokens.tolist()
        ours = bundle.model(tokens, Layout.of([len(tokens)])).detach()
        assert float(ours.abs().max()) > 0.5
        torch.testing.assert_close(torch.tensor(logits), ours, rtol=0, atol=1e-5)


def test_a_written_bundle_is_whole_and_nothing_else_is_left(making):
    path = making.bundle()
    verify_folder(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["bundle"]


def test_writing_leaves_the_model_as_it_is(making):
    model, tokenizer = making.model().train(), making.tokenizer()
    before = {name: (value, value.clone()) for name, value in model.named_parameters()}
    state = torch.random.get_rng_state()
    write_bundle(making.folder / "b", model, tokenizer, making.record)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    for name, value in model.named_parameters():
        assert value is before[name][0]
        assert torch.equal(value, before[name][1])
        assert (value.requires_grad, value.grad) == (True, None)


def test_the_same_model_gives_the_same_bytes(making):
    write_bundle(making.folder / "one", making.model("rinalmo"), making.tokenizer(), making.record)
    write_bundle(making.folder / "two", making.model("rinalmo"), making.tokenizer(), making.record)
    assert (making.folder / "one/manifest.json").read_bytes() == (making.folder / "two/manifest.json").read_bytes()


def test_an_existing_folder_is_replaced_only_when_told_so(making):
    path = making.bundle()
    other = making.model(seed=5)
    with pytest.raises(InputError, match="exists already"):
        write_bundle(path, other, making.tokenizer(), making.record)
    assert torch.equal(load(path).model.head.dense.weight, making.model().head.dense.weight)
    write_bundle(path, other, making.tokenizer(), making.record, replace=True)
    assert torch.equal(load(path).model.head.dense.weight, other.head.dense.weight)


def assert_refused(making, model, tokenizer, error, message, task=None):
    with pytest.raises(error, match=message):
        write_bundle(making.folder / "b", model, tokenizer, making.record, task=task)
    assert list(making.folder.iterdir()) == []


def test_a_model_with_another_vocabulary_is_refused(making):
    model = LanguageModel(making.configs["roberta"], vocabulary_size=23, pad_id=1, mask_id=4)
    assert_refused(making, model, making.tokenizer(), InputError, "the model has 23 tokens, the tokenizer 22")


@pytest.mark.parametrize(
    ("ids", "what"), [({"pad_id": 2, "mask_id": 4}, "padding"), ({"pad_id": 1, "mask_id": 3}, "mask")]
)
def test_a_model_with_other_special_ids_is_refused(making, ids, what):
    model = LanguageModel(making.configs["roberta"], vocabulary_size=22, **ids)
    assert_refused(making, model, making.tokenizer(), InputError, f"as {what} id")


def test_half_precision_is_refused_with_a_hint(making):
    assert_refused(making, making.model().half(), making.tokenizer(), InputError, r"float16.*model\.float\(\)")


def test_weights_that_are_not_finite_are_not_written(making):
    model = making.model()
    with torch.no_grad():
        model.blocks[1].feedforward.into.bias[3] = float("inf")
    assert_refused(making, model, making.tokenizer(), NonFiniteError, "not finite")


def test_the_head_is_stored_beside_the_weights_under_its_own_prefix(making):
    from safetensors.torch import load_file

    task = TaskPart({"labels": ["a", "b"]}, {"linear.weight": torch.ones(2, 16).T, "linear.bias": torch.zeros(2)})
    path = making.bundle(task=task)
    stored = load_file(path / "model.safetensors")
    assert {"task_head.linear.weight", "task_head.linear.bias"} <= stored.keys()
    found = load(path).task
    assert torch.equal(found.weights["linear.weight"], task.weights["linear.weight"])
    assert json.loads((path / "nuclex.json").read_text())["task"] == {"labels": ["a", "b"]}


def test_a_model_with_few_positions_is_written_and_read(making):
    config = RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=5).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    write_bundle(making.folder / "b", model, making.tokenizer(), making.record)
    assert load(making.folder / "b").model.config.longest == 3
