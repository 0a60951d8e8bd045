"""Labels of positions: what was not measured teaches nothing, and numbers are as by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.inference.predict import predict
from nuclex.metrics import confusion_matrix, pearson, precision_recall_f1, rmse
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import PositionHeadConfig, build_head
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import KmerConfig, NucleotideConfig
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.positions import PositionClassAnswers, macro_f1, position_logits
from nuclex.training.profiles import PositionNumberAnswers
from nuclex.training.scalars import RegressionConfig
from nuclex.training.supervised import Reading

KEYS: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "tokenizer": {"kind": "nucleotide"},
    "head": {"kind": "position", "hidden": 16},
    "batching": {"examples": 16, "micro_tokens": 300},
    "training": {"steps": 60, "evaluate_every": 20, "checkpoint_every": 60, "schedule": {"rate": 1e-2}},
}


def toy(path: Path, values: str, count: int = 160) -> Path:
    """The label is whether the base is G or C; one position in five has none."""
    random = np.random.default_rng(0)
    with path.open("w") as handle:
        handle.write("id\tsequence\tlabel\n")
        for row in range(count):
            text = "".join(random.choice(list("ACGT"), int(random.integers(8, 20))))
            strong = [base in "GC" for base in text]
            known = random.random(len(text)) > 0.2
            known[0] = True
            if values == "letters":
                label = "".join(("." if not k else "S" if s else "W") for s, k in zip(strong, known, strict=True))
            else:
                label = " ".join(("nan" if not k else "7" if s else "-3") for s, k in zip(strong, known, strict=True))
            handle.write(f"s{row}\t{text}\t{label}\n")
    return path


def run_of(folder: Path, values: str) -> Path:
    task = {"kind": "table-positions", "values": values, "train": str(toy(folder / "all.tsv", values))}
    finetune(load_config(FinetuneConfig, None, {**KEYS, "task": task}), folder / "run")
    return folder / "run"


def of(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    return json.loads((run / "results.json").read_text())["test"]["all"]["scratch"], rows


def test_classes_are_learned_and_measured_as_by_hand(tmp_path: Path) -> None:
    run = run_of(tmp_path, "letters")
    found, rows = of(run)
    pairs = [[(t, p) for t, p in zip(row["truth"], row["predicted"], strict=True) if t] for row in rows]
    truth, guess = zip(*[pair for row in pairs for pair in row], strict=True)
    assert found["accuracy"]["value"] == pytest.approx(np.mean([np.mean([t == p for t, p in row]) for row in pairs]))
    assert found["macro_f1"]["value"] == pytest.approx(precision_recall_f1(truth, guess, "macro").f1)
    assert found["macro_f1"]["low"] > 0.9
    assert found["positions"] == len(truth) < sum(len(row["truth"]) for row in rows)
    done = predict(run / "bundle", tmp_path / "all.tsv", tmp_path / "out.csv")
    assert done["sequences"] == 160
    with (tmp_path / "out.csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert list(table[0]) == ["id", "position", "nucleotide", "class", "p_S", "p_W"]
    given = {(row["id"], int(row["position"])): (row["nucleotide"], row["class"]) for row in table}
    with pytest.raises(
        InputError, match=r"out\.airr\.tsv: \.airr\.tsv is for regions along a sequence; .* answers a label"
    ):
        predict(run / "bundle", tmp_path / "all.tsv", tmp_path / "out.airr.tsv")
    for row in rows:
        for place, (letter, name) in enumerate(zip(row["sequence"], row["predicted"], strict=True)):
            assert given[row["id"], place] == (letter, name)


def test_numbers_are_learned_and_measured_as_by_hand(tmp_path: Path) -> None:
    run = run_of(tmp_path, "numbers")
    found, rows = of(run)
    pairs = [[(t, p) for t, p in zip(row["truth"], row["predicted"], strict=True) if t is not None] for row in rows]
    truth, guess = (np.array(side) for side in zip(*[pair for row in pairs for pair in row], strict=True))
    assert found["rmse"]["value"] == pytest.approx(rmse(truth, guess))
    assert found["pearson"]["value"] == pytest.approx(pearson(truth, guess))
    assert found["pearson"]["low"] > 0.9
    means = [np.mean([(t - p) ** 2 for t, p in row]) for row in pairs]
    assert found["negative_squared_error"]["value"] == pytest.approx(-np.mean(means))
    predict(run / "bundle", tmp_path / "all.tsv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as handle:
        given = {(row["id"], int(row["position"])): float(row["value"]) for row in csv.DictReader(handle)}
    for row in rows:
        assert [given[row["id"], n] for n in range(len(row["sequence"]))] == pytest.approx(row["predicted"], rel=1e-4)


def small(outputs: int) -> AnsweringModel:
    network = RinalmoConfig(depth=1, width=8, heads=2).backbone()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    return AnsweringModel(model, build_head(PositionHeadConfig(hidden=4), 8, outputs, 0)).eval()


def task_of(labels: list[Any], classes: tuple[str, ...]) -> tuple[Task, dict[str, Reading]]:
    sequences = ["ACGTA", "GGC", "TTACG"]
    examples = tuple(
        Example(text, label, f"s{n}") for n, (text, label) in enumerate(zip(sequences, labels, strict=True))
    )
    task = Task("toy", Shape.PER_POSITION, dict.fromkeys(("train", "validation", "test"), examples), classes)
    reading = Reading.of(examples, NucleotideConfig().build(), None)
    return task, dict.fromkeys(("train", "validation", "test"), reading)


NUMBERS = [
    np.array([1.0, np.nan, 3.0, np.nan, 5.0]),
    np.array([np.nan, 2.0, np.nan]),
    np.array([0.0, 1.0, 2.0, 3.0, 4.0]),
]
LETTERS = [np.array(["x", "y", "", "", "x"]), np.array(["", "y", ""]), np.array(list("xyxyx"))]


def test_the_loss_is_the_mean_over_what_was_measured() -> None:
    task, readings = task_of(NUMBERS, ())
    answers, model = PositionNumberAnswers(task, readings, 100, RegressionConfig()), small(1)
    known = np.concatenate([row[np.isfinite(row)] for row in NUMBERS])
    assert (answers.scales.of_each[0].mean, answers.scales.of_each[0].deviation) == (known.mean(), known.std())
    losses = []
    for index, row in enumerate(NUMBERS):
        guess = position_logits(model, readings["train"], np.array([index]))[:, 0].detach().double().numpy()
        error = (guess - (row - known.mean()) / known.std()) ** 2
        losses.append(error[np.isfinite(row)].mean())
    together = answers.loss(model, np.array([2, 0, 1]))
    assert together.item() == pytest.approx(sum(losses), rel=1e-5)
    assert answers.validate(model)["validation_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_what_was_not_measured_gives_no_gradient() -> None:
    task, readings = task_of(LETTERS, ("x", "y"))
    answers, model = PositionClassAnswers(task, readings, 100), small(2)
    given = []

    def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        given.append(output)

    model.head.register_forward_hook(keep)
    answers.loss(model, np.array([0, 1, 2])).backward()
    by_TC = given[0].grad
    measured = np.concatenate([row != "" for row in LETTERS])
    assert by_TC is not None
    assert (by_TC.abs().sum(1) > 0).tolist() == measured.tolist()


def test_sums_give_the_same_as_rows() -> None:
    random = np.random.default_rng(0)
    truth, guess = random.integers(0, 3, 50), random.integers(0, 2, 50)
    counts = np.stack([confusion_matrix(truth[p], guess[p], 4) for p in (slice(0, 20), slice(20, 50))])
    assert macro_f1(counts) == pytest.approx(precision_recall_f1(truth, guess, "macro").f1)


def test_tokens_of_several_nucleotides_are_refused() -> None:
    task, _ = task_of(NUMBERS, ())
    reading = Reading.of(task.examples("train"), KmerConfig(k=3, stride=1).build(), None)
    readings = dict.fromkeys(("train", "validation", "test"), reading)
    with pytest.raises(
        InputError, match=r"toy, train split: 's0' .*labels of positions need a tokenizer with one token"
    ):
        PositionNumberAnswers(task, readings, 100, RegressionConfig())


def test_letters_have_no_regression(tmp_path: Path) -> None:
    task = {"kind": "table-positions", "train": str(toy(tmp_path / "all.tsv", "letters", 40))}
    with pytest.raises(InputError, match="regression: the task 'table-positions' has no numbers to learn"):
        finetune(load_config(FinetuneConfig, None, {**KEYS, "task": task, "regression": {}}), tmp_path / "run")


def test_the_order_of_one_number_a_sequence_is_no_choice_here(tmp_path: Path) -> None:
    task = {"kind": "table-positions", "values": "numbers", "train": str(toy(tmp_path / "all.tsv", "numbers", 40))}
    keys = {**KEYS, "task": task, "regression": {"score": "spearman"}}
    with pytest.raises(InputError, match=r"regression\.score: the task 'table-positions' has many numbers a sequence"):
        finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
