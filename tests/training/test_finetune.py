"""Fine-tuning as a whole: it learns, it stops and goes on bit for bit, and what it writes is what it measured."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import nuclex
from learners import write_tiny_bundle
from nuclex.bundle import load
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.metrics import precision_recall_f1
from nuclex.models import LanguageModel, Layout
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Split
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.pairs import DecodingConfig, PairAnswers
from nuclex.training.supervised import Reading, answering_model
from nuclex.training.tracking import read_metrics

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "finetune"
STRUCTURE: dict[str, Any] = {
    "task": {"kind": "simulated-structure", "simulation": {"families": 4, "members": 5}, "max_length": 110},
    "head": {"kind": "pair", "channels": 4, "blocks": 1},
    "batching": {"examples": 2},
    "training": {"steps": 6, "evaluate_every": 2, "checkpoint_every": 2, "schedule": {"rate": 3e-3}},
    "thaw": [{"step": 0, "blocks": 0}, {"step": 2, "blocks": 1}, {"step": 4, "blocks": "all"}],
    "controls": ["scratch"],
    "seed": 5,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with dropout, as pre-training would leave it."""
    return write_tiny_bundle(tmp_path_factory.mktemp("pretrained"), depth=2, width=16)


@pytest.fixture(scope="module")
def whole(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A structure run that nothing interrupted, with its control."""
    run = tmp_path_factory.mktemp("whole") / "run"
    finetune(structure(bundle), run)
    return run


def structure(bundle: Path, **changes: Any) -> FinetuneConfig:
    found: FinetuneConfig = load_config(FinetuneConfig, None, {**STRUCTURE, "bundle": str(bundle), **changes})
    return found


def state(run: Path) -> dict[str, Tensor]:
    """Weights and optimizer at the end of a run."""
    return load_file(run / "checkpoints" / "step-00000006" / "state.safetensors")


def test_a_run_leaves_what_the_design_says(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    kept = {"config.json", "plan.json", "provenance.json", "metrics.jsonl", "checkpoints", "bundle", "results.json"}
    assert names == {*kept, "test.jsonl", "arm.json", "scratch"}
    assert {"metrics.jsonl", "checkpoints", "bundle", "test.jsonl"} <= {p.name for p in (whole / "scratch").iterdir()}
    results = json.loads((whole / "results.json").read_text())
    found = results["test"]["all"]
    rows = [json.loads(line) for line in (whole / "test.jsonl").read_text().splitlines()]
    assert found["n"] == len(rows) == results["task"]["counts"]["test"]
    assert found["pretrained"]["strict_f1"]["value"] == pytest.approx(np.mean([row["strict_f1"] for row in rows]))
    gap = found["pretrained"]["strict_f1"]["value"] - found["scratch"]["strict_f1"]["value"]
    assert found["difference"]["strict_f1"]["difference"]["value"] == pytest.approx(gap)
    told = load(whole / "bundle").record.finetuned
    assert told is not None
    assert told["test"]["all"]["arms"]["pretrained"]["strict_f1"]["value"] == found["pretrained"]["strict_f1"]["value"]
    assert told["test"]["all"]["differences"]["scratch"].keys() == {"strict_f1", "relaxed_f1"}
    assert (told["shape"], told["base"]) == ("pair map", None)
    assert f"n = {len(rows)} (" in (whole / "bundle" / "README.md").read_text()
    spent = load(whole / "bundle").record.provenance["spent"]
    assert spent["device"] == "cpu"
    assert min(spent["wall_seconds"], spent["cpu_seconds"], spent["peak_memory_bytes"]) > 0
    plan = json.loads((whole / "plan.json").read_text())
    assert plan["parameters"] == sum(value.numel() for value in load(whole / "bundle").model.parameters())


def test_the_frozen_control_trains_the_head_alone(bundle: Path, tmp_path: Path) -> None:
    task = {**STRUCTURE["task"], "test_limit": 2, "validation_limit": 2}
    finetune(structure(bundle, controls=["frozen"], task=task, thaw=[]), tmp_path / "run")
    frozen, trained, before = (load(path) for path in (tmp_path / "run/frozen/bundle", tmp_path / "run/bundle", bundle))
    for name, value in before.model.state_dict().items():
        assert torch.equal(frozen.model.state_dict()[name], value), name
    after = trained.model.state_dict()
    assert any(not torch.equal(after[name], value) for name, value in before.model.state_dict().items())
    assert frozen.task is not None
    assert trained.task is not None
    assert any(not torch.equal(value, trained.task.weights[name]) for name, value in frozen.task.weights.items())
    test = json.loads((tmp_path / "run" / "results.json").read_text())["test"]["all"]
    gap = test["pretrained"]["strict_f1"]["value"] - test["frozen"]["strict_f1"]["value"]
    assert test["difference_from_frozen"]["strict_f1"]["difference"]["value"] == pytest.approx(gap)
    assert "difference" not in test
    assert not (tmp_path / "run" / "scratch").exists()


def test_what_is_frozen_to_the_end_is_read_once(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six steps of two structures, three looks and the best weights loaded again: each sequence of each split once."""
    encode, read = LanguageModel.encode, Counter[bytes]()

    def counted(self: LanguageModel, tokens_T: Tensor, layout: Layout) -> Tensor:
        if len(layout.lengths) == 1:  # the fingerprint of a bundle reads several at once
            read[tokens_T.numpy().tobytes()] += 1
        return encode(self, tokens_T, layout)

    monkeypatch.setattr(LanguageModel, "encode", counted)
    limits = {"train_limit": 5, "validation_limit": 3, "test_limit": 4}
    config = structure(bundle, controls=[], task={**STRUCTURE["task"], **limits}, thaw=[{"step": 0, "blocks": 0}])
    finetune(config, tmp_path / "run")
    assert list(read.values()) == [1] * (5 + 3 + 4)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    stored = load(tmp_path / "run" / "bundle")
    monkeypatch.undo()
    task = config.task.read()
    names: tuple[Split, ...] = ("train", "validation", "test")
    readings = {split: Reading.of(task.examples(split), stored.tokenizer, None) for split in names}
    again = PairAnswers(task, readings, DecodingConfig()).measure(
        answering_model(stored)
    )  # weights that could learn: nothing is kept here
    assert again.scores["strict_f1"].mean() == pytest.approx(results["test"]["all"]["pretrained"]["strict_f1"]["value"])


def test_rows_of_the_test_hold_the_scores_that_are_compared(whole: Path) -> None:
    results = json.loads((whole / "results.json").read_text())
    assert results["compared"] == ["strict_f1", "relaxed_f1"]
    for arm, folder in (("pretrained", whole), ("scratch", whole / "scratch")):
        rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
        for name in results["compared"]:
            mean = np.mean([row["scores"][name] for row in rows])
            assert results["test"]["all"][arm][name]["value"] == pytest.approx(mean)


def test_the_best_step_on_validation_is_the_one_measured(whole: Path) -> None:
    looked = {record["step"]: record["score"] for record in read_metrics(whole) if "score" in record}
    assert sorted(looked) == [2, 4, 6]
    results = json.loads((whole / "results.json").read_text())["runs"]["pretrained"]
    assert looked[results["validation"]["step"]] == max(looked.values())
    task = load(whole / "bundle").task
    assert task is not None
    assert task.config["settings"] == results["settings"]
    assert task.config["settings"]["threshold"] == results["validation"]["threshold"]


def test_the_one_hot_control_is_the_head_on_letters(bundle: Path, tmp_path: Path) -> None:
    finetune(structure(bundle, controls=["one-hot"]), tmp_path / "run")
    learned = state(tmp_path / "run" / "one-hot")
    weights = {name for name in learned if not name.startswith("optimizer")}
    assert weights == {name for name in weights if name.startswith("model.head.")}
    assert learned["model.head.projection.weight"].shape == (4, 2 * 22)
    assert not (tmp_path / "run/one-hot/bundle").exists(), "there is no language model to write"
    test = json.loads((tmp_path / "run/results.json").read_text())["test"]["all"]
    gap = test["pretrained"]["strict_f1"]["value"] - test["one-hot"]["strict_f1"]["value"]
    assert test["difference_from_one_hot"]["strict_f1"]["difference"]["value"] == pytest.approx(gap)
    once = (tmp_path / "run/one-hot/test.jsonl").read_bytes()
    finetune(structure(bundle, controls=["one-hot"]), tmp_path / "run", resume=True)
    assert (tmp_path / "run/one-hot/test.jsonl").read_bytes() == once


def test_what_has_nothing_of_the_bundle_is_taken_from_kin(bundle: Path, tmp_path: Path) -> None:
    brief = {**STRUCTURE["training"], "steps": 2}
    task = {"kind": "simulated-family", "simulation": {"families": 3, "members": 20}}
    keys = {"task": task, "head": None, "training": brief, "thaw": [], "controls": ["one-hot", "cnn", "k-mers"]}
    other = write_tiny_bundle(tmp_path / "other", depth=1, width=8)
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    finetune(structure(bundle, **keys), first)
    finetune(structure(other, **keys), second, kin=[tmp_path / "nowhere", first])
    finetune(structure(other, **keys, seed=6), third, kin=[first])
    for arm in ("one-hot", "cnn", "k-mers"):
        assert (second / arm / "test.jsonl").read_bytes() == (first / arm / "test.jsonl").read_bytes()
        assert not (second / arm / "checkpoints").exists(), f"{arm} was trained again"
        assert (third / arm / "checkpoints").exists(), "of another seed"
    assert (second / "test.jsonl").read_bytes() != (first / "test.jsonl").read_bytes()
    found = [json.loads((run / "results.json").read_text()) for run in (first, second)]
    assert found[0]["test"]["all"]["cnn"] == found[1]["test"]["all"]["cnn"]
    assert found[0]["runs"]["k-mers"] == found[1]["runs"]["k-mers"]


def test_frozen_parts_stay_and_the_control_is_never_frozen(bundle: Path, tmp_path: Path) -> None:
    config = structure(bundle, thaw=[{"step": 0, "blocks": 1}])
    finetune(config, tmp_path / "run")
    before = load(bundle).model.state_dict()
    tuned = {
        name.removeprefix("model.model."): value
        for name, value in state(tmp_path / "run").items()
        if name.startswith("model.model.")
    }
    moved = {name for name, value in tuned.items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(("blocks.1.", "norm.")) for name in moved)
    control = state(tmp_path / "run" / "scratch")
    assert "optimizer.model.blocks.0.mixer_norm.weight.exp_avg" in control
    assert "optimizer.model.blocks.0.mixer_norm.weight.exp_avg" not in state(tmp_path / "run")
    assert "optimizer.head.projection.weight.exp_avg" in state(tmp_path / "run")


@pytest.mark.parametrize("losses", [7, 17])
def test_stopped_and_resumed_is_bit_for_bit_the_same(
    bundle: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: int
) -> None:
    """6 steps of 2 structures an arm: the power fails after 7 losses in the first arm, after 17 in the control."""
    loss, calls = PairAnswers.loss, [0]

    def failing(self: PairAnswers, model: AnsweringModel, index_N: Any) -> Tensor:
        calls[0] += 1
        if calls[0] > losses:
            raise RuntimeError("the power failed")
        return loss(self, model, index_N)

    run = tmp_path / "run"
    monkeypatch.setattr(PairAnswers, "loss", failing)
    with pytest.raises(RuntimeError):
        finetune(structure(bundle), run)
    monkeypatch.setattr(PairAnswers, "loss", loss)
    assert not (run / "results.json").exists()
    with pytest.raises(InputError, match="holds a run already; continue it with --resume"):
        finetune(structure(bundle), run)
    torch.manual_seed(123)  # what happened to be drawn before must not matter
    finetune(structure(bundle), run, resume=True)
    for arm in (".", "scratch"):
        wanted, found = state(whole / arm), state(run / arm)
        assert wanted.keys() == found.keys()
        assert all(torch.equal(wanted[name], found[name]) for name in wanted), arm
        names = ("bundle/model.safetensors", "test.jsonl")
        assert all((whole / arm / name).read_bytes() == (run / arm / name).read_bytes() for name in names)
    results = [json.loads((path / "results.json").read_text())["test"] for path in (whole, run)]
    assert results[0] == results[1]


def test_a_finished_run_resumes_to_the_same_answer(bundle: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    again = finetune(structure(bundle), tmp_path / "run", resume=True)
    results = json.loads((whole / "results.json").read_text())["test"]["all"]
    assert again["steps"] == 6
    assert again["metrics"]["pretrained_strict_f1"] == results["pretrained"]["strict_f1"]["value"]
    with pytest.raises(InputError, match="is not the config given now"):
        finetune(structure(bundle, seed=6), tmp_path / "run", resume=True)


def test_in_epochs_it_is_the_same_run_stopped_or_not(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten structures by two are 5 updates an epoch: half of one, rounded up, is 3; the power fails in the second."""
    task = {**STRUCTURE["task"], "train_limit": 10, "validation_limit": 2, "test_limit": 2}
    told = {"checkpoint_every": 1, "schedule": {"rate": 3e-3}}
    keys = {"task": task, "controls": []}
    in_steps = {"thaw": [{"step": 0, "blocks": 0}, {"step": 2, "blocks": 1}], "training": {**told, "steps": 3}}
    in_epochs = {
        "thaw": [{"epoch": 0, "blocks": 0}, {"epoch": 0.25, "blocks": 1}],
        "training": {**told, "epochs": 0.5, "evaluate_every": 0},
    }
    done = finetune(structure(bundle, **keys, **in_steps), tmp_path / "steps")
    loss, calls = PairAnswers.loss, [0]

    def failing(self: PairAnswers, model: AnsweringModel, index_N: Any) -> Tensor:
        calls[0] += 1
        if calls[0] > 3:
            raise RuntimeError("the power failed")
        return loss(self, model, index_N)

    with monkeypatch.context() as patched:
        patched.setattr(PairAnswers, "loss", failing)
        with pytest.raises(RuntimeError):
            finetune(structure(bundle, **keys, **in_epochs), tmp_path / "epochs")
    again = finetune(structure(bundle, **keys, **in_epochs), tmp_path / "epochs", resume=True)
    assert done["steps"] == again["steps"] == 3
    end = Path("checkpoints") / "step-00000003" / "state.safetensors"
    whole, resumed = (load_file(tmp_path / name / end) for name in ("steps", "epochs"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    plans = [json.loads((tmp_path / name / "plan.json").read_text()) for name in ("steps", "epochs")]
    assert plans[0] == plans[1]
    assert (plans[1]["steps"], plans[1]["epochs"], plans[1]["thaw"]) == (3, 0.6, [0, 2])
    assert json.loads((tmp_path / "epochs" / "config.json").read_text())["training"]["epochs"] == 0.5


def toy_fasta(path: Path, count: int) -> Path:
    """Two classes that differ in composition, and one that differs only in order."""
    random = np.random.default_rng(0)
    with path.open("w") as handle:
        for number in range(count):
            name = ("at", "gc")[number % 2]
            weights = [0.35, 0.15, 0.15, 0.35] if name == "at" else [0.15, 0.35, 0.35, 0.15]
            sequence = "".join(random.choice(list("ACGT"), int(random.integers(15, 40)), p=weights))
            handle.write(f">s{number} {name}\n{sequence}\n")
    return path


@pytest.fixture(scope="module")
def classes(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two easy classes, without a control."""
    folder = tmp_path_factory.mktemp("classes")
    keys = {
        "bundle": str(bundle),
        "task": {"kind": "fasta-class", "train": str(toy_fasta(folder / "all.fa", 240))},
        "head": {"kind": "class", "pooling": "mean", "hidden": 16},
        "batching": {"examples": 16, "micro_tokens": 200},
        "training": {"steps": 60, "evaluate_every": 20, "checkpoint_every": 60, "schedule": {"rate": 3e-3}},
        "controls": [],
    }
    finetune(load_config(FinetuneConfig, None, keys), folder / "run")
    return folder / "run"


def test_classes_are_learned(classes: Path) -> None:
    results = json.loads((classes / "results.json").read_text())
    found = results["test"]["all"]["pretrained"]
    assert found["accuracy"]["low"] > 0.6  # chance is 0.5
    rows = [json.loads(line) for line in (classes / "test.jsonl").read_text().splitlines()]
    truth, guess = ([row[name] for row in rows] for name in ("truth", "predicted"))
    assert found["accuracy"]["value"] == np.mean([a == b for a, b in zip(truth, guess, strict=True)])
    assert found["macro_f1"]["value"] == pytest.approx(precision_recall_f1(truth, guess, "macro").f1)
    assert not (classes / "scratch").exists()


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "mamba", "depth": 1, "width": 16},
        {"kind": "mamba", "depth": 1, "width": 16, "causal": False, "version": 2, "state_space": {"head_size": 8}},
        {"kind": "mamba", "depth": 2, "width": 16, "attention_every": 2, "heads": 2},
        {"kind": "hyena", "depth": 1, "width": 16, "inner": 24},
        {"kind": "hyena", "depth": 1, "width": 16, "inner": 24, "causal": False},
    ],
)
def test_every_mixer_learns_classes(tmp_path: Path, model: dict[str, Any]) -> None:
    keys = {
        "model": model,
        "tokenizer": {"kind": "nucleotide"},
        "task": {"kind": "fasta-class", "train": str(toy_fasta(tmp_path / "all.fa", 240))},
        "head": {"kind": "class", "pooling": "mean", "hidden": 16},
        "batching": {"examples": 16, "micro_tokens": 200},
        "training": {"steps": 60, "evaluate_every": 20, "checkpoint_every": 60, "schedule": {"rate": 1e-2}},
    }
    done = finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    assert (
        json.loads((tmp_path / "run" / "results.json").read_text())["test"]["all"]["scratch"]["accuracy"]["low"] > 0.6
    )
    answers = nuclex.predict(done["bundle"], tmp_path / "all.fa", tmp_path / "answers.csv")
    assert answers["sequences"] == 240


def test_a_bundle_gives_the_model_back(classes: Path) -> None:
    opened = load(classes / "bundle")
    model = answering_model(opened)
    assert opened.task is not None
    assert opened.task.config["classes"] == ["at", "gc"]
    assert opened.record.licence == "apache-2.0"
    best = load_file(classes / "checkpoints" / "best" / "model.safetensors")
    assert best.keys() == model.state_dict().keys()
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


def test_a_bundle_without_head_has_no_answers(bundle: Path) -> None:
    with pytest.raises(InputError, match="was not fine-tuned; give a bundle made by `nuclex finetune`"):
        answering_model(load(bundle))


def test_from_scratch_there_is_one_arm(tmp_path: Path) -> None:
    keys = {
        **STRUCTURE,
        "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
        "tokenizer": {"kind": "nucleotide"},
    }
    done = finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    assert {name for name in done["metrics"] if name.endswith("f1")} == {"scratch_strict_f1"}
    assert load(done["bundle"]).model.config.depth == 1
    assert done["steps"] == 6


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bundle": None}, "bundle: missing; give a pre-trained bundle, or model and tokenizer"),
        ({"tokenizer": {"kind": "nucleotide"}}, "bundle brings its own model and tokenizer"),
        ({"head": {"kind": "class"}}, "head.kind is 'class'; the task 'simulated-structure' needs 'pair'"),
        ({"task": {"kind": "ncrna-class"}, "head": None, "decoding": {}}, "has no base pairs to decode"),
        (
            {"task": {"kind": "ncrna"}},
            r"unknown kind 'ncrna' \(did you mean 'ncrna-class'\?\); known: antibody-regions, archi",
        ),
        ({"thaw": [{"step": 0}]}, "thaw.0.blocks: missing"),
        ({"controls": ["cnn"]}, "controls: 'cnn' is not for the task 'simulated-structure', which knows 'frozen', 's"),
        ({"controls": ["ccn"]}, r"controls\.0: "),
    ],
)
def test_impossible_recipes_get_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_config(FinetuneConfig, None, {**STRUCTURE, "bundle": "x", **changes})


def test_a_causal_model_is_not_read_where_it_has_seen_nothing(tmp_path: Path) -> None:
    keys = {
        "task": {"kind": "fasta-class", "train": str(toy_fasta(tmp_path / "all.fa", 240))},
        "model": {"kind": "gpt2", "depth": 1, "width": 8, "heads": 2, "inner": 8},
        "tokenizer": {"kind": "nucleotide"},
    }
    with pytest.raises(InputError, match=r"head\.pooling: 'cls' reads the first token"):
        finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_sequence_too_long_for_the_positions_is_named(tmp_path: Path) -> None:
    model = {"kind": "roberta", "depth": 1, "width": 8, "heads": 2, "inner": 8, "max_positions": 64}
    config = load_config(FinetuneConfig, None, {**STRUCTURE, "model": model, "tokenizer": {"kind": "nucleotide"}})
    with pytest.raises(
        InputError, match=r"simulated-structure, train split: 'sim\d+_\d+' has \d+ tokens .* at most 62"
    ):
        finetune(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_is_a_config(path: Path) -> None:
    config = load_config(FinetuneConfig, path)
    assert FinetuneConfig.from_data(config.to_data()) == config
    probe = path.stem.startswith("helm-probe")  # the run is the frozen model itself
    assert config.controls == (("one-hot",) if probe else ("frozen", "scratch"))
