"""A search from end to end: every trial once whatever is killed, shared by processes, told by validation alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from drawn import check_report
from learners import write_tiny_bundle
from nuclex.cli.main import run as typed
from nuclex.cli.schema import checked
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.plain import plain
from nuclex.core.progress import quiet
from nuclex.core.toml import toml_text
from nuclex.training.pretrain import PretrainConfig
from nuclex.training.scalars import ScalarAnswers
from nuclex.tuning.question import SearchConfig
from nuclex.tuning.search import search
from nuclex.tuning.trial import read_record

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'nuclex[search]'")

FULL: dict[str, Any] = {
    "seed": 3,
    "tokenizer": {"kind": "nucleotide"},
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "sampling": {"members": "all", "max_tokens": 40, "batch_tokens": 300, "micro_tokens": 300},
    "training": {"steps": 8, "evaluate_every": 4, "checkpoint_every": 4, "log_every": 1, "schedule": {"rate": 1e-3}},
    "validation_sequences": 6,
}
SPACE = {
    "training.schedule.rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "training.schedule.warmup": {"low": 0.1, "high": 0.5, "of": "training.steps"},
    "sampling.members": {"choices": ["all", "one-per-cluster"]},
}


def recipe(folder: Path, corpus: Path, **settings: Any) -> Path:
    """A recipe of a search in a file, beside the full recipe it is for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "full.toml").write_text(toml_text({**FULL, "corpus": str(corpus)}))
    given = {
        "full": str(folder / "full.toml"),
        "trials": 4,
        "startup": 2,
        "proxy": {"model.width": 8, "model.base_width": 16, "training.steps": 6, "training.evaluate_every": 2},
        "space": SPACE,
        **settings,
    }
    (folder / "search.toml").write_text(toml_text(given))
    return folder / "search.toml"


def config(path: Path, **settings: Any) -> SearchConfig:
    found: SearchConfig = load_config(SearchConfig, path, settings)
    return found


def trials(folder: Path) -> list[dict[str, Any]]:
    """What the search says of its trials, without what depends on the clock."""
    found: list[dict[str, Any]] = json.loads((folder / "results.json").read_text())["trials"]
    return found


def in_store(folder: Path) -> list[tuple[int, str]]:
    """Number and state of every trial that the store knows, by its own tables."""
    with sqlite3.connect(folder / "search.db") as store:
        rows = store.execute("select number, state from trials order by number").fetchall()
    store.close()
    return rows


@pytest.fixture(scope="module")
def whole(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A search that nobody stopped, with its full runs."""
    folder = tmp_path_factory.mktemp("whole")
    asked = config(recipe(folder, tiny_corpus, given=True))
    with quiet():
        answer = search(asked, folder / "out", finals=True)
    return folder / "out", checked("search", json.dumps(plain(answer)))


def test_every_trial_is_told_by_the_loss_of_its_best_weights(whole: tuple[Path, dict[str, Any]]) -> None:
    out, answer = whole
    found = trials(out)
    assert in_store(out) == [(number, "COMPLETE") for number in range(4)]
    assert [one["number"] for one in found] == [0, 1, 2, 3]
    for one in found:
        lines = (out / "trials" / f"trial-{one['number']:03d}" / "metrics.jsonl").read_text().splitlines()
        looks = [json.loads(line) for line in lines if "validation_loss" in line]
        assert one["score"] == min(look["validation_loss"] for look in looks)
        assert one["steps"] == 6
        assert 1e-4 <= one["settings"]["training.schedule.rate"] <= 1e-1
        assert one["settings"]["training.schedule.warmup"] == round(6 * one["values"]["training.schedule.warmup"])
        assert one["settings"]["sampling.members"] in ("all", "one-per-cluster")
    best = min(found, key=lambda one: one["score"])
    assert answer["best"]["number"] == best["number"]
    kept = [path.parent.name for path in (out / "trials").glob("*/checkpoints")]
    assert kept == [f"trial-{best['number']:03d}"], "of the others the record stays"


def test_the_transferred_recipe_is_the_full_one_with_the_best_settings(whole: tuple[Path, dict[str, Any]]) -> None:
    out, answer = whole
    best = json.loads((out / "results.json").read_text())["best"]["settings"]
    found = load_config(PretrainConfig, Path(answer["transferred"])).to_data()
    wanted = load_config(PretrainConfig, out.parent / "full.toml").to_data()
    assert (wanted["model"]["width"], wanted["training"]["steps"]) == (16, 8)
    wanted["training"]["schedule"] |= {
        "rate": best["training.schedule.rate"],
        "warmup": best["training.schedule.warmup"],
    }
    wanted["sampling"]["members"] = best["sampling.members"]
    assert found == wanted


def test_full_runs_differ_in_their_rate_alone(whole: tuple[Path, dict[str, Any]]) -> None:
    out, answer = whole
    rows, number = answer["finals"], answer["best"]["number"]
    rate = answer["best"]["training.schedule.rate"]
    assert [row["name"] for row in rows] == ["x1", "x0.875", "x0.75", "given"]
    assert [row["rate"] for row in rows] == [rate, rate * 0.875, rate * 0.75, 1e-3]
    for row in rows:
        run = out / "finals" / (row["name"] if row["name"] == "given" else f"trial-{number:03d}-{row['name']}")
        saved = json.loads((run / "config.json").read_text())
        assert saved["model"]["width"] == 16
        numbers = json.loads((run / "checkpoints" / "best" / "numbers.json").read_text())
        assert (row["score"], row["steps"]) == (numbers["validation_loss"], 8)
        assert Path(row["bundle"]).is_dir()
    chosen = [row["name"] for row in rows if row["chosen"]]
    assert chosen == [min(rows, key=lambda row: row["score"])["name"]]
    found = load_config(PretrainConfig, Path(answer["chosen"]))
    assert found.training.schedule.rate == next(row["rate"] for row in rows if row["chosen"])
    assert found.model.width == 16
    assert f"pretrain {answer['chosen']} --out RUN" in Path(answer["report"]).read_text(encoding="utf-8")


def test_the_report_shows_the_search(whole: tuple[Path, dict[str, Any]]) -> None:
    pytest.importorskip("matplotlib")
    _, answer = whole
    page = Path(answer["report"]).read_text(encoding="utf-8")
    check_report(page, 2 + len(SPACE))
    assert page.count("<figure") >= 4
    assert "mathdefault" not in page, "a formula where a number belongs"
    for word in ("How the search went", *SPACE, "Which key mattered", "Full runs", "times as much at full width"):
        assert word in page, word
    assert set(answer["importance"]) == set(SPACE)
    assert sum(answer["importance"].values()) == pytest.approx(1)


def test_the_same_call_again_does_nothing_twice(whole: tuple[Path, dict[str, Any]]) -> None:
    out, answer = whole
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*.json*")}
    with quiet():
        assert search(config(out.parent / "search.toml"), out, finals=True) == answer
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*/*.json*")} == before


def test_a_search_goes_on_elsewhere_and_with_another_best(tiny_corpus: Path, tmp_path: Path) -> None:
    """Its folder is moved, a full run there is taken up, more trials find other settings, and all of it is told."""
    learned = {"tokenizer.kind": "bpe", "tokenizer.vocab_size": 24}
    first, second = tmp_path / "first", tmp_path / "second"
    path = recipe(tmp_path, tiny_corpus, trials=1, base=learned, factors=[1.0])
    with quiet():
        before = search(config(path), first, finals=True)
        first.rename(second)
        (second / "finals" / "trial-000-x1" / "final.json").unlink()
        moved = search(config(path), second, finals=True)
        assert moved["finals"][0]["bundle"] == str(second / "finals" / "trial-000-x1" / "bundle" / "best")
        assert [row["score"] for row in moved["finals"]] == [row["score"] for row in before["finals"]]
        more = search(config(path, trials=4), second)
        assert more["best"]["number"] > 0, "the seed of this test was chosen so"
        assert "finals" not in more, "those of the best before are not of this one"
        last = search(config(path, trials=4), second, finals=True)
        plain = search(config(path, trials=4), second)
    assert last["finals"][0]["rate"] == more["best"]["training.schedule.rate"] != before["finals"][0]["rate"]
    assert plain == last
    assert json.loads((second / "results.json").read_text())["finals"] == last["finals"]
    assert (second / "finals" / "trial-000-x1" / "final.json").is_file()


def begun(path: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    """The command, started as a process of its own."""
    command = [sys.executable, "-m", "nuclex", "search", str(path), "--out", str(out), "--device", "cpu", *words]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(command, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def waited(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_search_killed_in_a_trial_is_the_search_that_was_not(
    whole: tuple[Path, dict[str, Any]], tiny_corpus: Path, tmp_path: Path
) -> None:
    path, out = recipe(tmp_path, tiny_corpus, given=True), tmp_path / "out"
    process = begun(path, out)
    second = out / "trials" / "trial-001"
    waited(lambda: (second / "metrics.jsonl").is_file() and bool((second / "metrics.jsonl").read_text()), process)
    process.kill()
    process.communicate()
    assert in_store(out)[-1] == (1, "RUNNING")
    assert not (second / "trial.json").exists()
    drawn = json.loads((second / "config.json").read_text())["training"]["schedule"]["rate"]
    with quiet():
        search(config(path), out)
    assert trials(out) == trials(whole[0]), "the same numbers, values and scores, none lost, none twice"
    assert trials(out)[1]["settings"]["training.schedule.rate"] == drawn
    assert in_store(out) == [(number, "COMPLETE") for number in range(4)]


@pytest.mark.slow
def test_workers_share_the_trials(tiny_corpus: Path, tmp_path: Path) -> None:
    longer = {"model.width": 8, "model.base_width": 16, "training.steps": 150, "training.evaluate_every": 50}
    path, out = recipe(tmp_path, tiny_corpus, trials=6, proxy=longer, base={"training.steps": 200}), tmp_path / "out"
    one, other = begun(path, out), begun(path, out)
    said = [process.communicate()[1].decode() for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    begun_by = [
        sorted(line.split(":")[0] for line in text.splitlines() if line.startswith("trial ") and " of 6:" in line)
        for text in said
    ]
    assert sorted([*begun_by[0], *begun_by[1]]) == [f"trial {number}, {number + 1} of 6" for number in range(6)], (
        "each by one, once"
    )
    assert all(begun_by), "both had something to do"
    assert in_store(out) == [(number, "COMPLETE") for number in range(6)]
    assert len({one["values"]["training.schedule.rate"] for one in trials(out)}) == 6


@pytest.mark.slow
def test_a_worker_takes_over_from_one_that_was_killed(tiny_corpus: Path, tmp_path: Path) -> None:
    longer = {"model.width": 8, "model.base_width": 16, "training.steps": 100, "training.evaluate_every": 50}
    path, out = recipe(tmp_path, tiny_corpus, trials=4, proxy=longer, base={"training.steps": 200}), tmp_path / "out"
    process = begun(path, out, "--workers", "2")
    waited(lambda: len(list((out / "trials").glob("*/metrics.jsonl"))) >= 2, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    assert "a worker ended early" in said
    assert in_store(out) == [(number, "COMPLETE") for number in range(4)]


@pytest.mark.slow
def test_a_signal_ends_all_workers_and_the_search_goes_on(tiny_corpus: Path, tmp_path: Path) -> None:
    longer = {"model.width": 8, "model.base_width": 16, "training.steps": 3000, "training.evaluate_every": 1000}
    path, out = recipe(tmp_path, tiny_corpus, trials=2, proxy=longer, base={"training.steps": 3000}), tmp_path / "out"
    process = begun(path, out, "--workers", "2")
    waited(lambda: sum(path.stat().st_size > 0 for path in (out / "trials").glob("*/metrics.jsonl")) == 2, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    said = process.communicate()[1].decode()
    assert process.returncode == 143, said
    assert "stopped after step" in said
    assert not Path(f"/proc/{children[0]}").exists()
    assert in_store(out) == [(0, "RUNNING"), (1, "RUNNING")]
    assert all(any(path.glob("checkpoints/step-*")) for path in (out / "trials").iterdir()), (
        "both have saved where they are"
    )


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_pruning_ends_what_looks_bad(tiny_corpus: Path, tmp_path: Path, pruner: str) -> None:
    space = {"training.schedule.rate": {"choices": [1e-2, 1e-9]}}
    path = recipe(tmp_path, tiny_corpus, trials=8, pruner=pruner, startup=1, sampler="random", space=space)
    with quiet():
        search(config(path), tmp_path / "out")
    ended = [one for one in trials(tmp_path / "out") if one["state"] == "pruned"]
    assert ended
    assert all(one["settings"]["training.schedule.rate"] == 1e-9 and one["steps"] < 6 for one in ended)
    assert [state for _, state in in_store(tmp_path / "out")].count("PRUNED") == len(ended)


def test_a_trial_that_breaks_is_worse_than_any(tiny_corpus: Path, tmp_path: Path) -> None:
    space = {"training.schedule.rate": {"choices": [1e-2, 1e30]}}
    path = recipe(tmp_path, tiny_corpus, trials=4, sampler="random", space=space)
    with quiet():
        answer = search(config(path), tmp_path / "out")
    states = {(one["settings"]["training.schedule.rate"], one["state"]) for one in trials(tmp_path / "out")}
    assert states == {(1e-2, "complete"), (1e30, "diverged")}
    assert answer["best"]["training.schedule.rate"] == 1e-2


def test_a_full_run_that_breaks_is_told_and_the_others_go_on(tiny_corpus: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_corpus, trials=1, factors=[1e30, 1.0])
    with quiet():
        answer = search(config(path), tmp_path / "out", finals=True)
        again = search(config(path), tmp_path / "out", finals=True)
    broken, sound = answer["finals"]
    assert (broken["state"], broken["score"], broken["bundle"], broken["chosen"]) == ("diverged", None, None, "")
    assert "the loss is nan" in broken["why"]
    assert (sound["state"], sound["chosen"], sound["why"]) == ("complete", "yes", "")
    assert again == answer, "what broke is not tried again"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Run x1e+30: " in page


def test_finetuning_is_searched_without_its_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("ACGUACGGAC"[number % 7 :] + "GAC" * (number % 3 + 1), number % 5 / 5) for number in range(40)]
    (tmp_path / "own.csv").write_text("sequence,label\n" + "".join(f"{text},{value}\n" for text, value in rows))
    full = {
        "bundle": str(write_tiny_bundle(tmp_path / "pretrained", depth=1, width=8)),
        "task": {"kind": "table-scalar", "train": str(tmp_path / "own.csv")},
        "head": {"kind": "linear"},
        "training": {"steps": 4, "evaluate_every": 2, "checkpoint_every": 2},
        "controls": [],
    }
    (tmp_path / "full.toml").write_text(toml_text(full))
    given = {"full": str(tmp_path / "full.toml"), "trials": 3, "space": {
        "training.schedule.rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "batching.examples": {"choices": [4, 8]}}}  # fmt: skip
    asked, measure = [], ScalarAnswers.measure

    def counted(self: ScalarAnswers, model: Any) -> Any:
        asked.append(1)
        return measure(self, model)

    monkeypatch.setattr(ScalarAnswers, "measure", counted)
    with quiet():
        answer = search(SearchConfig.from_data(given), tmp_path / "out")
        assert not asked
        found = trials(tmp_path / "out")
        assert answer["best"]["score"] == max(one["score"] for one in found)
        assert "saving" not in answer
        again = search(SearchConfig.from_data(given), tmp_path / "out", finals=True)
        rows[0] = (rows[0][0], 9)
        (tmp_path / "own.csv").write_text("sequence,label\n" + "".join(f"{text},{value}\n" for text, value in rows))
        with pytest.raises(InputError, match=r"config\.json: is another search"):
            search(SearchConfig.from_data({**given, "trials": 4}), tmp_path / "out")
        (tmp_path / "full.toml").write_text(toml_text({**full, "bundle": str(tmp_path / "nothing")}))
        with pytest.raises(InputError, match="nothing: no such folder"):
            search(SearchConfig.from_data(given), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert len(asked) == 1, "the full run, once"
    (final,) = again["finals"]
    assert final["score"] == pytest.approx(answer["best"]["score"]), "the same settings, the same run"


# ---- what is refused ----


def test_another_search_in_the_folder_is_refused(
    whole: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = whole
    path = out.parent / "search.toml"
    assert typed(["search", str(path), "--out", str(out), "--seed", "9", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "is another search (search.seed" in said
    assert said.count("\n") == 1


def test_a_folder_of_something_else_is_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_corpus)
    with pytest.raises(InputError, match="exists and is not a search of nuclex; give another --out"):
        search(config(path), tmp_path)
    with pytest.raises(InputError, match="is a file"):
        search(config(path), path)


def test_a_warm_up_without_room_in_epochs_is_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    base = {"training.steps": 0, "training.epochs": 1.0}
    proxy = {"model.width": 8, "model.base_width": 16, "training.steps": 400, "training.epochs": 0.0}
    path = recipe(tmp_path, tiny_corpus, base=base, proxy=proxy)
    with pytest.raises(InputError, match=r"warmup: 40 steps of warm-up do not fit .* 1 epochs are about \d+ steps"):
        search(config(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_optuna_it_is_one_sentence(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"needs the package 'optuna', .*; pip install 'nuclex\[search\]'"):
        search(config(recipe(tmp_path, tiny_corpus)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_store_is_told_of(tiny_corpus: Path, tmp_path: Path) -> None:
    path, out = recipe(tmp_path, tiny_corpus, trials=1), tmp_path / "out"
    with quiet():
        search(config(path), out)
    (out / "search.db").write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptError, match=r"search\.db: is not readable"):
        search(config(path), out)
    (out / "search.db").write_bytes(b"")  # SQLite calls that a database without a table
    with pytest.raises(CorruptError, match=r"search\.db: knows 0 trials, and trials/ holds 1; it was damaged"):
        search(config(path), out)
    (out / "search.db").unlink()
    other = recipe(tmp_path / "other", tiny_corpus, space={**SPACE, "sampling.members": {"choices": ["all"]}})
    with quiet():
        search(config(other, trials=1), tmp_path / "other" / "out")
    shutil.copy(tmp_path / "other" / "out" / "search.db", out / "search.db")
    with pytest.raises(CorruptError, match=r"search\.db: is of another search: its trials were drawn from other"):
        search(config(path, trials=2), out)
    (out / "config.json").write_text('{"search": 3}')
    with pytest.raises(CorruptError, match=r"config\.json: is not readable"):
        search(config(path), out)
    (out / "trials" / "trial-000" / "trial.json").write_text("{")
    with pytest.raises(CorruptError, match=r"trial\.json: is not readable"):
        read_record(out / "trials" / "trial-000" / "trial.json")


def test_what_is_written_is_read_again_as_the_same_recipe(tiny_corpus: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_corpus)
    assert tomllib.loads(toml_text(tomllib.loads(path.read_text()))) == tomllib.loads(path.read_text())
