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
import importlib.abc, json, sys

class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "nuclex":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
try:
    import nuclex
    raise SystemExit("nuclex can be imported here")
except ModuleNotFoundError:
    pass
import torch
import transformers

def opened(path, sequences, tokenizer_class, model_class):
    tokenizer = getattr(transformers, tokenizer_class).from_pretrained(path)
    model, loading = getattr(transformers, model_class).from_pretrained(path, output_loading_info=True)
    assert not model.training
    batch = tokenizer(sequences, return_tensors="pt", padding=True)
    with torch.no_grad():
        output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        rows = output.logits if hasattr(output, "logits") else output.last_hidden_state
        more = []
        if model.can_generate():
            prompt = batch["input_ids"][0][batch["attention_mask"][0].bool()][:-1][None]
            more = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False,
                                  eos_token_id=None)[0, -4:].tolist()
    return {
        "class": type(model).__name__,
        "problems": [f"{kind}: {sorted(value)}" for kind, value in loading.items() if value],
        "tokens": len(tokenizer),
        "longest": tokenizer.model_max_length,
        "special": [tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id],
        "ids": [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"])],
        "rows": [row[mask.bool()].tolist() for row, mask in zip(rows, batch["attention_mask"])],
        "generated": more,
    }

asked = json.loads(sys.stdin.read())
print(json.dumps({path: [opened(path, sequences, *way) for way in ways] for path, sequences, ways in asked}))
"""
SEQUENCES = ("ACGTACGTACGGTACCATGA", "GG", "ACGTACGTAC" * 4, "A")
ROBERTAS = [["AutoTokenizer", "AutoModelForMaskedLM"], ["RobertaTokenizerFast", "RobertaForMaskedLM"]]
CAUSAL, PLAIN = ["AutoTokenizer", "AutoModelForCausalLM"], "PreTrainedTokenizerFast"
OPENED = [  # the bundle, its tokenizer, and how it is opened where nuclex is not installed
    ("roberta", "nucleotide", ROBERTAS),
    ("roberta", "bpe", ROBERTAS),
    ("untied roberta", "rna", ROBERTAS),
    ("rounded roberta", "nucleotide", ROBERTAS),
    ("headless roberta", "nucleotide", [["AutoTokenizer", "AutoModel"], ["RobertaTokenizerFast", "RobertaModel"]]),
    ("bert", "nucleotide", [["AutoTokenizer", "AutoModelForMaskedLM"], [PLAIN, "BertForMaskedLM"]]),
    ("headless bert", "nucleotide", [[PLAIN, "BertModel"]]),
    ("gpt2", "nucleotide", [CAUSAL, ["GPT2TokenizerFast", "GPT2LMHeadModel"]]),
    ("untied gpt2", "bpe", [CAUSAL]),
    ("headless gpt2", "nucleotide", [[PLAIN, "GPT2Model"]]),
    ("mamba", "nucleotide", [CAUSAL, [PLAIN, "MambaForCausalLM"]]),
    ("headless mamba", "nucleotide", [[PLAIN, "MambaModel"]]),
    ("mamba2", "nucleotide", [CAUSAL, [PLAIN, "Mamba2ForCausalLM"]]),
    ("untied mamba2", "rna", [CAUSAL]),
]


@pytest.mark.slow
def test_transformers_opens_it_without_nuclex_and_computes_the_same(making):
    asked = []
    for name, kind, ways in OPENED:
        path = making.bundle(name, kind).rename(making.folder / f"{name} {kind}")
        sequences = [sequence.replace("T", "U") if kind == "rna" else sequence for sequence in SEQUENCES]
        asked.append((str(path), sequences, ways))
    command, given = [sys.executable, "-I", "-c", ELSEWHERE], json.dumps(asked)
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, input=given, capture_output=True, text=True, env=offline, check=False)
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    for (path, sequences, ways), (name, _, _) in zip(asked, OPENED, strict=True):
        assert len(answers[path]) == len(ways)
        for answer in answers[path]:
            assert answer["class"] == making.classes[name]
            agrees(load(path), sequences, answer)


def agrees(bundle, sequences, answer):
    tokenizer, model = bundle.tokenizer, bundle.model
    pooled = answer["class"] in (
        "RobertaModel",
        "BertModel",
    )  # which add a pooler that nobody trained, unless told not to
    assert answer["problems"] == (["missing_keys: ['pooler.dense.bias', 'pooler.dense.weight']"] if pooled else [])
    assert answer["tokens"] == len(tokenizer)
    assert model.config.longest is None or answer["longest"] == 48
    assert answer["special"] == [tokenizer.cls_id, tokenizer.pad_id, tokenizer.eos_id, tokenizer.mask_id]
    for sequence, ids, rows in zip(sequences, answer["ids"], answer["rows"], strict=True):
        tokens = torch.from_numpy(tokenizer.encode(sequence))
        assert ids == tokens.tolist()
        ours = (model.encode if model.head is None else model)(tokens, Layout.of([len(tokens)])).detach()
        assert float(ours.abs().max()) > 0.5
        torch.testing.assert_close(torch.tensor(rows), ours, rtol=1e-5, atol=1e-5)
    tokens = torch.tensor(answer["ids"][0][:-1])
    for token in answer["generated"]:
        assert int(model(tokens, Layout.of([len(tokens)]))[-1].argmax()) == token
        tokens = torch.cat([tokens, torch.tensor([token])])
    assert len(answer["generated"]) == (4 if model.config.causal and model.head is not None else 0)


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
