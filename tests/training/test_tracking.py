from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nuclex.core.errors import InputError
from nuclex.training.tracking import JsonLines, TensorBoard, open_trackers, read_metrics


def write(path: Path, *steps: int, resume: int | None = None) -> None:
    tracker = JsonLines(path, resume)
    for step in steps:
        tracker.record({"step": step, "loss": 1 / (step + 1)})
    tracker.close()


def steps_of(folder: Path) -> list[int]:
    return [record["step"] for record in read_metrics(folder)]


def test_every_record_is_a_line_at_once(tmp_path: Path) -> None:
    tracker = JsonLines(tmp_path / "metrics.jsonl")
    tracker.record({"step": 1, "loss": 0.5})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n', "before it is closed"
    tracker.record({"step": 2, "loss": 1 / 3})
    tracker.close()
    assert read_metrics(tmp_path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1 / 3}]


def test_a_new_run_begins_an_empty_file(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", 1, 2)
    write(tmp_path / "metrics.jsonl", 5)
    assert steps_of(tmp_path) == [5]


def test_a_resumed_run_drops_what_is_beyond_its_checkpoint(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", 1, 2, 2, 3, 4)
    write(tmp_path / "metrics.jsonl", 3, 4, 5, resume=2)
    assert steps_of(tmp_path) == [1, 2, 2, 3, 4, 5]
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.jsonl"]


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_line_cut_by_a_kill_does_no_harm(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-cut])
    assert steps_of(tmp_path) == ([1, 2] if cut == 1 else [1]), "only the line end is missing, or more"
    write(path, 2, 3, resume=1)
    assert steps_of(tmp_path) == [1, 2, 3]


def test_a_last_line_without_its_end_is_not_glued_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-1])
    write(path, 3, resume=2)
    assert steps_of(tmp_path) == [1, 2, 3]


def test_only_the_lines_of_the_checkpoint_are_kept(tmp_path: Path) -> None:
    """An evaluation that belongs to the checkpoint's step was written after it."""
    write(tmp_path / "metrics.jsonl", 1, 2, 2)
    tracker = JsonLines(tmp_path / "metrics.jsonl", 2, 2)
    assert tracker.lines == 2
    tracker.record({"step": 3})
    assert tracker.lines == 3
    tracker.close()
    assert steps_of(tmp_path) == [1, 2, 3]


def test_lost_lines_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2, 3)
    path.write_text(path.read_text().replace('"step": 2', '"st\x00p": 2'))
    JsonLines(path, 3, 3).close()
    assert capsys.readouterr().err == f"{path}: holds 2 readable lines up to step 3, the checkpoint knows of 3\n"
    write(path, 3, resume=1)
    assert capsys.readouterr().err == ""


def test_a_roll_back_takes_lines_away_but_not_what_was_refused(tmp_path: Path) -> None:
    tracker = JsonLines(tmp_path / "metrics.jsonl")
    for record in ({"step": 1}, {"step": 2}, {"step": 2, "anomaly": {}}, {"step": 3}):
        tracker.record(record)
    tracker.rewind(1)
    assert tracker.lines == 2
    tracker.record({"step": 2, "again": True})
    tracker.close()
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2, "anomaly": {}}, {"step": 2, "again": True}]


def test_a_resumed_run_is_one_run_in_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []

    class Run:
        def log(self, values: dict[str, Any], step: int) -> None:
            begun[-1].setdefault("logged", []).append(step)

        def finish(self) -> None:
            begun[-1]["finished"] = True

    def init(**given: Any) -> Run:
        begun.append(given)
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    for run, resume_step in (
        (tmp_path / "a", None),
        (tmp_path / "a", 4),
        (tmp_path / "b", None),
        (tmp_path / "a", None),
    ):
        run.mkdir(exist_ok=True)
        trackers = open_trackers(run, ("wandb",), resume_step)
        trackers[1].record({"step": 5})
        for tracker in trackers:
            tracker.close()
    first, resumed, other, anew = (given["id"] for given in begun)
    assert resumed == first
    assert len({first, other, anew}) == 3, "another run is another run, also in the same folder"
    assert all(given["resume"] == "allow" and given["finished"] and given["logged"] == [5] for given in begun)
    assert json.loads((tmp_path / "b" / "wandb.json").read_text()) == {"id": other}


def test_resuming_where_there_is_no_file_begins_one(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", 8, resume=7)
    assert steps_of(tmp_path) == [8]


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = TensorBoard(tmp_path)
    for step in (1, 2):
        tracker.record({"step": step, "loss": step / 4, "name": "no number"})
    tracker.close()
    events = accumulators.EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.25), (2, 0.5)]


def test_trackers_are_those_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (only,) = open_trackers(tmp_path, (), None)
    only.close()
    assert isinstance(only, JsonLines)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"Weights & Biases needs the package 'wandb'.*nuclex\[wandb\]"):
        open_trackers(tmp_path, ("wandb",), None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"TensorBoard needs the package 'tensorboard'.*nuclex\[track\]"):
        open_trackers(tmp_path, ("tensorboard",), None)


def test_numbers_survive_writing_bit_for_bit(tmp_path: Path) -> None:
    value = 0.1 + 0.2
    tracker = JsonLines(tmp_path / "metrics.jsonl")
    tracker.record({"step": 1, "loss": value})
    tracker.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] == value


def test_lines_that_no_parser_survives_are_left_out(tmp_path: Path) -> None:
    good = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": float("inf")}]
    bad = [
        b"[" * 50_000,
        b'{"step": ' + b"9" * 5000 + b"}",
        b'{"step": 1' + b"0" * 400 + b"}",
        b'{"step": "\xff',
        b"{}",
        b"7",
    ]
    lines = [json.dumps(good[0]).encode(), *bad, json.dumps(good[1]).encode()]
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert read_metrics(tmp_path) == good
    log = JsonLines(tmp_path / "metrics.jsonl", resume_step=1, lines=2)
    log.close()
    assert read_metrics(tmp_path) == good[:1]
