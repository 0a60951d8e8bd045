"""Several numbers at each position: one head, a loss over what was measured, and MCRMSE as by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError
from nuclex.inference.predict import predict
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import PositionHeadConfig, build_head
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.majority import means
from nuclex.training.positions import position_logits
from nuclex.training.profiles import PositionNumberAnswers, Scales
from nuclex.training.scalars import RegressionConfig, Scale
from nuclex.training.supervised import Reading

SPLITS = ("train", "validation", "test")
TARGETS = ("strong", "purine", "mixed")
KEYS: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "tokenizer": {"kind": "nucleotide"},
    "head": {"kind": "position", "hidden": 16},
    "controls": ["one-hot"],
    "batching": {"examples": 16, "micro_tokens": 300},
    "training": {"steps": 60, "evaluate_every": 20, "checkpoint_every": 60, "schedule": {"rate": 1e-2}},
}


def toy(path: Path, count: int = 120) -> Path:
    """Three numbers of each base, in units far apart; a fifth of each is missing, and the last in every third row."""
    random = np.random.default_rng(0)
    with path.open("w") as handle:
        handle.write("\t".join(("id", "sequence", "split", *TARGETS)) + "\n")
        for row in range(count):
            text = "".join(random.choice(list("ACGT"), int(random.integers(8, 20))))
            strong, purine = (np.array([float(base in kind) for base in text]) for kind in ("GC", "AG"))
            tracks = [7 * strong - 3, 100 * purine, strong + purine]
            cells = []
            for track in tracks:
                track[1:][random.random(len(text) - 1) < 0.2] = np.nan
                cells.append(" ".join(map(str, track)))
            cells[2] = "" if row % 3 == 0 else cells[2]
            handle.write("\t".join((f"s{row}", text, SPLITS[max(row % 5 - 2, 0)], *cells)) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    task = {"kind": "table-positions", "values": "numbers", "train": str(toy(folder / "all.tsv"))}
    config = load_config(FinetuneConfig, None, {**KEYS, "task": {**task, "label_columns": list(TARGETS)}})
    told = finetune(config, folder / "run")
    assert {"scratch_mcrmse", "train-mean_mcrmse", "scratch_mcrmse_low"} <= set(told["metrics"])
    return folder / "run"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]


def table(rows: list[dict[str, Any]], part: str) -> np.ndarray:
    """All positions of all rows end to end (P, K)."""
    columns = [[value for row in rows for value in row[part][name]] for name in TARGETS]
    return np.array(columns, dtype=np.float64).T


def by_hand(rows: list[dict[str, Any]]) -> np.ndarray:
    """The root mean square error of each target over what was measured of it."""
    return np.sqrt(np.nanmean((table(rows, "truth") - table(rows, "predicted")) ** 2, axis=0))


@pytest.mark.parametrize("arm", ["scratch", "one-hot", "train-mean", "mean-by-position"])
def test_mcrmse_is_the_mean_of_the_errors_of_the_targets(run: Path, arm: str) -> None:
    found = json.loads((run / "results.json").read_text())["test"]["all"][arm]
    rows = rows_of(run if arm == "scratch" else run / arm)
    error_K = by_hand(rows)
    assert found["mcrmse"]["value"] == pytest.approx(error_K.mean())
    assert found["mcrmse"]["low"] < found["mcrmse"]["value"] < found["mcrmse"]["high"]
    assert [found["targets"][name]["rmse"]["value"] for name in TARGETS] == pytest.approx(error_K.tolist())
    assert [found["targets"][name]["positions"] for name in TARGETS] == np.isfinite(table(rows, "truth")).sum(
        0
    ).tolist()
    if arm == "scratch":
        assert min(found["targets"][name]["pearson"]["low"] for name in TARGETS) > 0.9
    squares = [
        np.nanmean(np.concatenate([(np.array(row["truth"][k], float) - row["predicted"][k]) ** 2 for k in TARGETS]))
        for row in rows
    ]
    assert found["negative_squared_error"]["value"] == pytest.approx(-np.mean(squares))


def test_the_mean_of_the_train_split_is_what_stands_in_its_table(run: Path) -> None:
    settings = json.loads((run / "bundle" / "nuclex.json").read_text())["task"]["settings"]
    assert settings["targets"] == list(TARGETS)
    with (run.parent / "all.tsv").open() as handle:
        lines = [line for line in csv.DictReader(handle, delimiter="\t") if line["split"] == "train"]
    given_PK = table(rows_of(run / "train-mean"), "predicted")
    for name, scale, given_P in zip(TARGETS, settings["scales"], given_PK.T, strict=True):
        mean = np.nanmean([float(word) for line in lines for word in line[name].split()])
        assert scale["mean"] == pytest.approx(mean)
        assert given_P.tolist() == pytest.approx([mean] * len(given_P))


def test_the_bundle_gives_a_column_a_target(run: Path, tmp_path: Path) -> None:
    predict(run / "bundle", run.parent / "all.tsv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as handle:
        lines = list(csv.DictReader(handle))
    assert list(lines[0]) == ["id", "position", "nucleotide", *(f"value_{name}" for name in TARGETS)]
    given = {(line["id"], int(line["position"])): line for line in lines}
    for row in rows_of(run):
        for name in TARGETS:
            column = [float(given[row["id"], place][f"value_{name}"]) for place in range(len(row["sequence"]))]
            assert column == pytest.approx(row["predicted"][name], rel=1e-4, abs=1e-4)


NUMBERS = [
    np.array([[1.0, np.nan], [np.nan, 40.0], [3.0, np.nan], [np.nan, np.nan], [5.0, 10.0]]),
    np.array([[np.nan, np.nan], [2.0, np.nan], [np.nan, np.nan]]),
    np.array([[0.0, 30.0], [1.0, 20.0], [2.0, 10.0], [3.0, 0.0], [4.0, np.nan]]),
]


def asked(labels: list[np.ndarray], targets: tuple[str, ...]) -> tuple[Task, dict[str, Reading]]:
    sequences = zip(["ACGTA", "GGC", "TTACG"], labels, strict=True)
    examples = tuple(Example(text, label, f"s{n}") for n, (text, label) in enumerate(sequences))
    task = Task("toy", Shape.PER_POSITION, dict.fromkeys(SPLITS, examples), targets=targets)
    return task, dict.fromkeys(SPLITS, Reading.of(examples, NucleotideConfig().build(), None))


def small(outputs: int) -> AnsweringModel:
    network = RinalmoConfig(depth=1, width=8, heads=2).backbone()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    return AnsweringModel(model, build_head(PositionHeadConfig(hidden=4), 8, outputs, 0)).eval()


def test_the_loss_is_the_mean_over_positions_and_targets_that_were_measured() -> None:
    task, readings = asked(NUMBERS, ("a", "b"))
    answers, model = PositionNumberAnswers(task, readings, 100, RegressionConfig()), small(2)
    every_PK = np.concatenate(NUMBERS)
    mean_K, deviation_K = np.nanmean(every_PK, axis=0), np.nanstd(every_PK, axis=0)
    losses, errors = [], []
    for index, track_LK in enumerate(NUMBERS):
        guess_LK = position_logits(model, readings["train"], np.array([index])).detach().double().numpy()
        losses.append(np.nanmean((guess_LK - (track_LK - mean_K) / deviation_K) ** 2))
        errors.append((guess_LK * deviation_K + mean_K - track_LK) ** 2)
    assert answers.loss(model, np.array([2, 0, 1])).item() == pytest.approx(sum(losses), rel=1e-5)
    found = answers.validate(model)
    assert found["validation_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["validation_mcrmse"] == pytest.approx(np.sqrt(np.nanmean(np.concatenate(errors), axis=0)).mean())


def test_what_was_not_measured_of_a_target_gives_its_output_no_gradient() -> None:
    task, readings = asked(NUMBERS, ("a", "b"))
    answers, model = PositionNumberAnswers(task, readings, 100, RegressionConfig()), small(2)
    given = []

    def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        given.append(output)

    model.head.register_forward_hook(keep)
    answers.loss(model, np.array([0, 1, 2])).backward()
    assert ((given[0].grad != 0).numpy() == np.isfinite(np.concatenate(NUMBERS))).all()


def test_one_column_by_itself_is_a_task_without_targets() -> None:
    alone, _ = asked([label[:, :1] for label in NUMBERS], ())
    flat, readings = asked([label[:, 0] for label in NUMBERS], ())
    model, config = small(1), RegressionConfig()
    one, other = (PositionNumberAnswers(task, readings, 100, config) for task in (alone, flat))
    assert one.loss(model, np.arange(3)).item() == other.loss(model, np.arange(3)).item()
    assert one.measure(model).rows == other.measure(model).rows


def test_a_split_without_a_target_is_refused() -> None:
    bare = [np.where([True, False], label, np.nan) for label in NUMBERS]
    task, readings = asked(bare, ("a", "b"))
    with pytest.raises(InputError, match="toy, 'b': the train split has no number; every split needs one"):
        PositionNumberAnswers(task, readings, 100, RegressionConfig())


def test_a_target_that_is_always_the_same_is_named() -> None:
    same = [np.where(np.isfinite(label), [1, 0] * label + [0, 7], np.nan) for label in NUMBERS]
    task, readings = asked(same, ("a", "b"))
    with pytest.raises(InputError, match="toy, 'b': all labels of the train split are 7; there is nothing to learn"):
        PositionNumberAnswers(task, readings, 100, RegressionConfig())


def test_means_by_position_know_what_train_has() -> None:
    train = [np.array([[1.0, np.nan], [np.nan, 4.0]]), np.array([[3.0, 2.0], [np.nan, 8.0], [8.0, np.nan]])]
    found = means(train, [2, 4])
    whole = [4.0, 14 / 3]
    assert [row.tolist() for row in found["train-mean"]] == [[whole] * 2, [whole] * 4]
    place = [[2.0, 2.0], [4.0, 6.0], [8.0, 14 / 3], whole]
    assert [row.tolist() for row in found["mean-by-position"]] == [place[:2], place]


def test_scales_come_back_as_they_were_written() -> None:
    scales = Scales((Scale(1.0, 2.0, None), Scale(-3.0, 0.5, 0.0)), ("a", "b"))
    assert Scales.from_settings(json.loads(json.dumps(scales.to_data()))) == scales
    assert Scales.from_settings(Scales(scales.of_each[:1]).to_data()).of_each == scales.of_each[:1]
    assert scales.undone(np.array([[1.0, 1.0], [0.0, 8.0]])).tolist() == [[3.0, 0.0], [1.0, 1.0]]
    with pytest.raises(ValueError, match="2 scales"):
        Scales.from_settings({**scales.to_data(), "targets": ["a", "a"]})


def test_a_bundle_with_other_targets_than_its_head_is_damaged(run: Path) -> None:
    from nuclex.bundle import load
    from nuclex.training.supervised import answering_model

    bundle = load(run / "bundle")
    assert bundle.task is not None
    bundle.task.config["settings"]["targets"] = ["strong"]
    with pytest.raises(CorruptError):
        answering_model(bundle)
