"""Searching a grid: each combination once, chosen on validation, the test split asked once, taken up anywhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from learners import write_tiny_bundle
from nuclex.bundle import load
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError
from nuclex.models import LanguageModel, Layout
from nuclex.training import finetune as finetuning
from nuclex.training.arm import ArmRun
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.grid import Searched, points, refused, search
from nuclex.training.scalars import ScalarAnswers

GRID = {"batching.examples": [4, 8], "training.schedule.rate": [1e-2, 1e-4]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("pretrained"), depth=1, width=8)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The share of G, which the mean of hidden vectors knows."""
    path, random = tmp_path_factory.mktemp("data") / "own.csv", np.random.default_rng(0)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sequence", "label"])
        for _ in range(60):
            letters = "".join(random.choice(list("ACGU"), size=int(random.integers(8, 20))))
            writer.writerow([letters, letters.count("G") / len(letters)])
    return path


def probe(bundle: Path, table: Path, **changes: Any) -> FinetuneConfig:
    """A frozen model under one linear layer, and four ways to train it."""
    given: dict[str, Any] = {
        "bundle": str(bundle),
        "task": {"kind": "table-scalar", "train": str(table)},
        "head": {"kind": "linear"},
        "thaw": [{"step": 0, "blocks": 0}],
        "training": {"steps": 6, "evaluate_every": 2, "checkpoint_every": 2, "stop_after": 2},
        "controls": [],
        "grid": GRID,
    }
    found: FinetuneConfig = load_config(FinetuneConfig, None, {**given, **changes})
    return found


@pytest.fixture(scope="module")
def whole(bundle: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, finetune(probe(bundle, table, controls=["one-hot"]), run)


def test_the_best_on_validation_is_the_run(
    whole: tuple[Path, dict[str, Any]], bundle: Path, table: Path, tmp_path: Path
) -> None:
    run, answer = whole
    results = json.loads((run / "results.json").read_text())
    tried = results["grid"]["points"]
    assert [point["settings"] for point in tried] == points(GRID)
    scores = [point["validation"]["score"] for point in tried]
    assert len(set(scores)) == 4
    chosen = int(np.argmax(scores))
    assert results["grid"]["chosen"] == chosen
    assert results["runs"]["pretrained"]["validation"]["score"] == scores[chosen]
    assert [row["chosen"] for row in answer["grid"]] == ["yes" if place == chosen else "" for place in range(4)]

    alone = probe(bundle, table, grid={}, **points(GRID)[chosen])  # the same settings without a grid
    finetune(alone, tmp_path / "alone")
    expected = json.loads((tmp_path / "alone" / "results.json").read_text())
    assert results["test"]["all"]["pretrained"] == expected["test"]["all"]["pretrained"]
    weights, others = (load_file(folder / "bundle" / "model.safetensors") for folder in (run, tmp_path / "alone"))
    assert all((weights[name] == others[name]).all() for name in weights)
    assert (run / "metrics.jsonl").read_text().count("validation_loss") >= 1
    assert load(run / "bundle").record.recipe["batching"]["examples"] == tried[chosen]["settings"]["batching.examples"]
    assert "one-hot" in results["test"]["all"]


def test_of_what_was_beaten_the_record_stays(whole: tuple[Path, dict[str, Any]]) -> None:
    folders = sorted((whole[0] / "grid").iterdir())
    assert [folder.name for folder in folders] == [f"point-{place}" for place in range(4)]
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert {"config.json", "validation.json", "metrics.jsonl"} <= names
        assert not names & {"checkpoints", "bundle", "results.json", "test.jsonl"}
    assert (whole[0] / "checkpoints" / "best").is_dir()


def test_the_test_split_is_asked_once(
    bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, measure = [], ScalarAnswers.measure

    def counted(self: ScalarAnswers, model: Any) -> Any:
        asked.append(self.config)
        return measure(self, model)

    monkeypatch.setattr(ScalarAnswers, "measure", counted)
    finetune(probe(bundle, table), tmp_path / "run")
    assert len(asked) == 1


def test_a_frozen_model_reads_each_sequence_once_for_all_combinations(
    bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    encode = LanguageModel.encode

    def counted(self: LanguageModel, tokens_T: Any, layout: Layout) -> Any:
        read.append(len(layout.lengths))
        return encode(self, tokens_T, layout)

    monkeypatch.setattr(LanguageModel, "encode", counted)
    monkeypatch.setattr(ArmRun, "_write_bundle", lambda *given: None)
    finetune(probe(bundle, table, controls=["frozen"]), tmp_path / "run")
    assert read == [3] + 60 * [1]  # the load proves itself on three probes


def test_what_learns_begins_anew_at_every_combination(bundle: Path, table: Path, tmp_path: Path) -> None:
    """Fine-tuned weights of one combination are not where the next begins."""
    config = probe(bundle, table, thaw=[], grid={"training.schedule.rate": [1e-2, 2e-2]})
    finetune(config, tmp_path / "both")
    point = json.loads((tmp_path / "both" / "results.json").read_text())["grid"]["points"][1]
    finetune(probe(bundle, table, thaw=[], grid={}, **point["settings"]), tmp_path / "one")
    numbers = json.loads((tmp_path / "one" / "results.json").read_text())["runs"]["pretrained"]["validation"]
    assert {name: numbers[name] for name in point["validation"]} == point["validation"]


def test_stopped_anywhere_it_goes_on(
    whole: tuple[Path, dict[str, Any]], bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, trained = probe(bundle, table, controls=["one-hot"]), []
    loss, validated = ScalarAnswers.loss, ArmRun.validated

    def failing(self: ScalarAnswers, model: Any, index_N: Any) -> Any:
        if len(trained) == 3:
            trained.append("cut")
            raise RuntimeError("the machine went off")
        return loss(self, model, index_N)

    def counted(self: ArmRun, arm: Any, folder: Path, device: str) -> Any:
        trained.append(folder.name)
        return validated(self, arm, folder, device)

    monkeypatch.setattr(ScalarAnswers, "loss", failing)
    monkeypatch.setattr(ArmRun, "validated", counted)
    with pytest.raises(RuntimeError, match="went off"):
        finetune(config, tmp_path / "cut")
    with pytest.raises(InputError, match="holds a run already"):
        finetune(config, tmp_path / "cut")
    finetune(config, tmp_path / "cut", resume=True)
    assert trained == ["point-0", "point-1", "point-2", "cut", "point-2", "point-3"]
    assert finetune(config, tmp_path / "cut", resume=True)["metrics"] == whole[1]["metrics"]
    found, expected = (json.loads((run / "results.json").read_text()) for run in (tmp_path / "cut", whole[0]))
    assert found["grid"] == expected["grid"]
    assert found["test"] == expected["test"]


def test_a_disk_that_fills_up_does_not_take_what_was_found(
    bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = finetuning._tried

    def failing(*given: Any) -> Any:
        if given[-1].name == "point-2":
            raise InputError("no more room")
        return tried(*given)

    monkeypatch.setattr(finetuning, "_tried", failing)
    with pytest.raises(InputError, match="no more room"):
        finetune(probe(bundle, table), tmp_path / "run")
    assert (tmp_path / "run" / "grid" / "point-1" / "validation.json").is_file()


def test_several_seeds_say_how_far_they_lie_apart(bundle: Path, table: Path, tmp_path: Path) -> None:
    finetune(probe(bundle, table, seeds=3, seed=7), tmp_path / "run")
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert sorted(path.name for path in (tmp_path / "run" / "seeds").iterdir()) == ["seed-8", "seed-9"]
    values = found["seeds"]["spearman"]["values"]
    assert values[0] == found["test"]["all"]["pretrained"]["spearman"]["value"]
    assert len(set(values)) == 3
    assert found["seeds"]["spearman"]["mean"] == pytest.approx(np.mean(values))
    assert found["seeds"]["spearman"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    other = json.loads((tmp_path / "run" / "seeds" / "seed-8" / "config.json").read_text())
    assert other["seed"] == 8
    assert other["training"]["schedule"] == found_schedule(tmp_path / "run", found)


def found_schedule(run: Path, found: dict[str, Any]) -> Any:
    """The schedule of the combination that was chosen."""
    folder = run / "grid" / f"point-{found['grid']['chosen']}"
    return json.loads((folder / "config.json").read_text())["training"]["schedule"]


def test_equal_scores_go_to_the_first_and_what_is_no_number_is_last() -> None:
    numbers = ({"score": float("nan")}, {"score": 0.5}, {}, {"score": 0.5}, {"score": None})
    assert Searched(({},) * 5, numbers).chosen == 1


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"seed": [1, 2]}, "grid: 'seed' is not to be tried; keys of these tables are: adapter, batching"),
        ({"task.seed": [1, 2]}, "grid: 'task.seed' is not to be tried"),
        ({"batching.examples": []}, "grid: 'batching.examples' has no values; a list of at least one is needed"),
        ({"batching.examples": list(range(1, 1002))}, "grid: has 1001 combinations; at most 1000 are trained"),
        ({"batching.exampels": [1]}, "grid: batching.exampels: unknown key (did you mean 'examples'?)"),
        ({"training.steps": [5, -1]}, "grid: training.steps: Input should be greater than or equal to 0, found -1"),
    ],
)
def test_what_cannot_be_tried_is_said_before_anything_runs(grid: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        probe(Path("-"), Path("-"), grid=grid)
    assert str(caught.value).startswith(sentence)


def test_a_grid_is_written_flat_or_in_tables() -> None:
    flat = probe(Path("-"), Path("-"), grid=GRID)
    tables = probe(
        Path("-"), Path("-"), grid={}, **{"grid.batching.examples": [4, 8], "grid.training.schedule.rate": [1e-2, 1e-4]}
    )
    assert flat == tables
    assert refused(flat.grid) is None


def test_a_record_that_was_damaged_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "grid" / "point-0"
    place.mkdir(parents=True)
    (place / "validation.json").write_text('{"score": ')
    with pytest.raises(CorruptError, match=r"point-0/validation\.json: is not readable; remove it"):
        search([{"a": 1}], tmp_path, lambda settings, folder: {})
