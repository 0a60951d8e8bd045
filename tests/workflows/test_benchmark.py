"""A suite from one end to the other, with tiny models: what is left behind, what resumes, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drawn import check_report
from made import fasta, letters
from nuclex.cli.main import run
from nuclex.cli.schema import checked
from nuclex.core.config import load_config
from nuclex.core.errors import InputError, NonFiniteError, StoppedError
from nuclex.core.plain import plain
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.simulate import SimulationConfig, simulate, write_fasta
from nuclex.evaluation.suite import SuiteConfig
from nuclex.tasks import Task
from nuclex.training.pairs import measured_pairs
from nuclex.workflows import asking
from nuclex.workflows import benchmark as workflow
from nuclex.workflows import zero_shot as folding
from nuclex.workflows.benchmark import benchmark

pytest.importorskip("matplotlib", reason="the report needs matplotlib (extra plots)")
pytestmark = pytest.mark.usefixtures("silent")
PLAIN = {"cluster": {"method": "none"}, "split": {"validation": 0, "test": 0}}
SHORT = {"training.steps": 2, "training.evaluate_every": 2, "training.checkpoint_every": 2}
SHORT |= {"training.schedule.warmup": 1}
FAMILIES = {"families": 3, "members": 12, "shortest": 30, "longest": 40}
FAMILY: dict[str, Any] = {
    "name": "family",
    "recipe": "finetune/simulated-family",
    "set": {**SHORT, "task.simulation": FAMILIES},
    "quoted": [{"model": "Other", "metric": "accuracy", "value": 0.99, "source": "a paper"}],
}
STRUCTURE: dict[str, Any] = {
    "name": "structure",
    "chapter": "Structure",
    "recipe": "finetune/simulated-structure",
    "units": "group",
    "set": {
        **SHORT,
        "head.channels": 4,
        "task.simulation": {**FAMILIES, "families": 4, "seed": 9},
        "task.validation_families": ["sim01"],
        "task.test_families": ["sim02", "sim03"],
        "task.train_limit": 4,
        "task.validation_limit": 2,
    },
}
WAITING: dict[str, Any] = {
    "name": "later",
    "waits_for": "a table that is not there",
    "quoted": [{"model": "Other", "metric": "spearman", "value": 0.7, "source": "a third paper"}],
}
NO_DATA = {"name": "far", "recipe": "finetune/own-class", "set": {"task.train": "/nowhere.csv"}}


def unlearned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folding by energy and by contacts that is quick and knows the truth; what was asked for is written down."""
    asked: list[str] = []

    def answered(way: str) -> Any:
        def fold(*given: Any, **_: Any) -> Any:
            task = next(part for part in given if isinstance(part, Task))
            asked.append(way)
            found = measured_pairs(task.examples("test"), [example.pairs for example in task.examples("test")])
            return {"mfe": found, "mea": found} if way == "energy" else found

        return fold

    monkeypatch.setattr(folding, "thermodynamic_baseline", answered("energy"))
    monkeypatch.setattr(folding, "contact_benchmark", answered("contacts"))
    return asked


def suite(*entries: dict[str, Any], **keys: Any) -> SuiteConfig:
    found: SuiteConfig = load_config(SuiteConfig, None, {"title": "Toy", "entries": list(entries), "seeds": 2, **keys})
    return found


@pytest.fixture
def models(tiny_bundle: Path, tmp_path: Path) -> list[Path]:
    """The same tiny model under two names."""
    for name in ("one", "two"):
        shutil.copytree(tiny_bundle, tmp_path / name / "bundle")
    return [tmp_path / name / "bundle" for name in ("one", "two")]


@pytest.mark.slow
def test_models_side_by_side_with_controls_leaks_tables_and_a_report(models: list[Path], tmp_path: Path) -> None:
    rnas = list(simulate(SimulationConfig(**FAMILIES)))
    write_fasta(rnas, tmp_path / "seen.fa")
    build_corpus([tmp_path / "seen.fa"], tmp_path / "corpus", CorpusConfig.from_data(PLAIN))
    asked = suite(FAMILY, STRUCTURE, WAITING, NO_DATA, leaks=str(tmp_path / "corpus"))
    out = tmp_path / "out"
    summary = benchmark(asked, models, out)

    assert [(row["question"], row["model"]) for row in summary["not_run"]] == [("later", ""), ("far", "")]
    assert summary["not_run"][0]["reason"] == "a table that is not there"
    assert "/nowhere.csv" in summary["not_run"][1]["reason"]
    everywhere = ["pretrained", "frozen", "scratch", "one-hot"]
    for name, starts in (("family", [*everywhere, "cnn", "k-mers"]), ("structure", everywhere)):
        rows = [row for row in summary["numbers"] if row["question"] == name]
        assert [(row["model"], row["start"]) for row in rows] == [(m, s) for m in ("one", "two") for s in starts]
        for row in rows:
            runs = [out / "runs" / name / row["model"] / f"seed-{seed}" for seed in range(2)]
            values = [
                json.loads((run / "results.json").read_text())["test"]["all"][row["start"]][row["metric"]]["value"]
                for run in runs
            ]
            assert row["value"] == pytest.approx(sum(values) / 2)
            assert row["seeds"] == 2
        # the same network, the same seeds: two equal models and their controls get equal numbers
        assert [row["value"] for row in rows[: len(starts)]] == [row["value"] for row in rows[len(starts) :]]
    (family, structure) = summary["leaks"]
    assert family["leaked"] == family["test"]  # every molecule of it was planted in the corpus
    assert (structure["leaked"], structure["test"]) == (0, 24)
    comparisons = json.loads((out / "tables" / "comparisons.json").read_text())
    assert len(comparisons) == (2 * 5 + 1) + (2 * 3 + 1)
    between = [row for row in comparisons if row["against"] == "two"]
    assert [(row["difference"]["value"], row["p"], row["verdict"]) for row in between] == [
        (0, 1, "not significant")
    ] * 2
    pairs = json.loads((out / "calibration" / "structure" / "one.json").read_text())
    lines = (out / "runs" / "structure" / "one" / "seed-0" / "test.jsonl").read_text().splitlines()
    tested = [json.loads(line) for line in lines]
    assert pairs["structures"] == len(tested) == 24
    assert sum(pairs["count"]) == sum(len(row["sequence"]) * (len(row["sequence"]) - 1) // 2 for row in tested)
    assert sum(pairs["right"]) == sum(len(row["truth"]) for row in tested)
    drawn = json.loads((out / "maps" / "structure" / "one.json").read_text())
    assert len(drawn["points"]) == len(drawn["labels"]) == 24
    assert not (out / "maps" / "family").exists()  # of so few sequences there is no map
    assert set(drawn["labels"]) == {"sim02", "sim03"}
    page = (out / "report.html").read_text()
    assert "Simulated data" in page
    assert "a table that is not there" in page
    assert "quoted: a paper" in page
    assert "quoted: a third paper" in page
    rows = json.loads((out / "tables" / "numbers.json").read_text())
    assert [(row["system"], row["start"], row["value"]) for row in rows if row["question"] == "later"] == [
        ("all", "not run", None),
        ("Other", "quoted", 0.7),
    ]
    told = {row["start"]: row["value"] for row in rows if (row["question"], row["metric"]) == ("family", "matthews")}
    for one in summary["aggregates"]:  # of one question: its own two numbers, and their ratio where there is one
        assert (one["questions"], one["quoted"], one["share"]) == (("family",), (), None)
        assert one["pretrained"] == pytest.approx(told["fine-tuned"]["value"])
        assert one["scratch"] == pytest.approx(told["from random weights"]["value"])
        ratio = one["pretrained"] / one["scratch"] - 1 if one["scratch"] > 0 else float("nan")
        assert one["gain"]["value"] == pytest.approx(ratio, nan_ok=True)
    assert [one["model"] for one in summary["aggregates"]] == ["one", "two"]
    assert "no published number at hand" in page
    assert (out / "tables" / "aggregates.csv").read_text().startswith("model,questions,stand-ins,")
    assert "at most 7,200 random swaps, so never below 0.00014" in page  # 20 * 18 comparisons / 0.05
    assert "a linear model of the shares of k-mers" in page
    assert not re.search(r"<(script|link rel=.stylesheet|img)", page)
    check_report(page, 9)
    assert page.count("<svg") >= 9  # bars, scores, reliability, maps, arcs


@pytest.mark.slow
def test_a_stopped_benchmark_goes_on_where_it_was(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out, done, one = suite(FAMILY), tmp_path / "out", [], models[:1]
    finetune: Callable[..., Any] = asking.finetune

    def stopping(config: Any, folder: Path, **settings: Any) -> Any:
        if len(done) == 1:
            raise StoppedError("stopped", 15)
        done.append(folder)
        return finetune(config, folder, resume=settings["resume"], device=settings["device"])

    with monkeypatch.context() as patched:
        patched.setattr(asking, "finetune", stopping)
        with pytest.raises(StoppedError):
            benchmark(asked, one, out)
    before = {folder: (folder / "results.json").stat().st_mtime_ns for folder in done}
    assert len(before) == 1
    with pytest.raises(InputError, match=r"holds a benchmark already; .*--resume"):
        benchmark(asked, one, out)
    other = {**FAMILY, "set": {**FAMILY["set"], "batching.examples": 3}}
    with pytest.raises(InputError, match=r"was begun with another recipe \(batching.examples was 16, now it is 3\)"):
        benchmark(suite(other), one, out, resume=True)
    shutil.copytree(models[0], tmp_path / "else" / "bundle")
    with pytest.raises(InputError, match=r"was begun with other options \(models.one was .*, now it is None\)"):
        benchmark(asked, [tmp_path / "else" / "bundle"], out, resume=True)
    summary = checked("benchmark", json.dumps(plain(benchmark(asked, one, out, resume=True))))
    assert {folder: (folder / "results.json").stat().st_mtime_ns for folder in done} == before
    straight = benchmark(asked, one, tmp_path / "straight")
    assert summary["numbers"] == straight["numbers"]
    more = benchmark(suite(FAMILY, WAITING, seeds=3), one, out, resume=True)
    assert {row["seeds"] for row in more["numbers"]} == {3}
    both = benchmark(asked, models, out, resume=True)
    assert {row["model"] for row in both["numbers"]} == {"one", "two"}
    with pytest.raises(InputError, match=r"was begun with other options \(models.two was"):
        benchmark(asked, one, out, resume=True)


def test_leaks_alone_need_no_model(tmp_path: Path, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.toml").write_text(
        'title = "own"\n[[entries]]\nname = "family"\nrecipe = "finetune/simulated-family"\n'
    )
    command = ["benchmark", str(tmp_path / "own.toml"), "--out", str(tmp_path / "out")]
    assert run([*command, "--leaks", str(tiny_corpus), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["leaks"] == [{"question": "family", "test": 48, "leaked": 0}]
    assert found["numbers"] == []
    assert (tmp_path / "out" / "tables" / "leaks.csv").is_file()
    assert run([*command[:-1], str(tmp_path / "other")]) == 2
    assert "give at least one bundle, or --leaks CORPUS" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_is_refused_before_anything_is_made(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="the same bundle is given twice"):
        benchmark(suite(FAMILY), [models[0], models[0]], out)
    with pytest.raises(InputError, match=r"nowhere: is not a bundle \(no manifest.json in it\)"):
        benchmark(suite(FAMILY), [tmp_path / "nowhere"], out)
    with pytest.raises(InputError, match=r"training\.stepps: unknown key"):
        benchmark(suite({**FAMILY, "set": {"training.stepps": 1}}), models, out)
    with pytest.raises(InputError, match="is not a corpus"):
        benchmark(suite(FAMILY, leaks=str(tmp_path)), models, out)
    with pytest.raises(InputError, match="nothing could be run; the first reason: a table that is not there"):
        benchmark(suite(WAITING), models, out)
    with pytest.raises(InputError, match="family: zero_shot is for a variant score, and finetune/simulated-family"):
        benchmark(suite({**FAMILY, "zero_shot": True}), models, out)
    with pytest.raises(InputError, match="family: folded_by is for a pair map, and finetune/simulated-family asks"):
        benchmark(suite({**FAMILY, "folded_by": ["energy"]}), models, out)
    assert not out.exists()
    out.mkdir()
    for nothing in (suite(WAITING), suite(FAMILY, leaks=str(tmp_path))):
        with pytest.raises(InputError):
            benchmark(nothing, models, out)
        assert list(out.iterdir()) == [], "an empty folder is left empty"


def test_names_are_the_parts_of_paths_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert list(workflow._named([Path("../bundle")])) == [tmp_path.name]
    assert list(workflow._named([Path("a/bundle"), Path("a/bundle/best")])) == ["bundle", "best"]
    assert list(workflow._named([Path("a/bundle"), Path("../here/b/bundle")])) == ["a", "b"]
    with pytest.raises(InputError, match="the same bundle is given twice"):
        workflow._named([Path("a/bundle"), Path("../here/a/bundle")])


@pytest.mark.slow
def test_one_model_that_fails_leaves_the_others(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finetune: Callable[..., Any] = asking.finetune

    def diverging(config: Any, folder: Path, **settings: Any) -> Any:
        if "two" in folder.parts:
            raise NonFiniteError("the loss is nan")
        return finetune(config, folder, **settings)

    def broken(*_: Any, **__: Any) -> Any:
        raise InputError("no leaks today")

    unlearned(monkeypatch)
    monkeypatch.setattr(asking, "finetune", diverging)
    monkeypatch.setattr(asking, "find_leaks", broken)
    given = fasta(tmp_path / "x.fa", [("a", letters(0, 60))])
    build_corpus([given], tmp_path / "corpus", CorpusConfig.from_data(PLAIN))
    entry = {**STRUCTURE, "folded_by": ["attention"]}
    found = benchmark(suite(entry, seeds=1, leaks=str(tmp_path / "corpus")), models, tmp_path / "out")
    assert found["not_run"] == [
        {"question": "structure", "model": "leaks", "reason": "no leaks today"},
        {"question": "structure", "model": "two", "reason": "the loss is nan"},
    ]
    assert {row["model"] for row in found["numbers"] if row["start"] == "attention"} == {"one", "two"}
    assert {row["model"] for row in found["numbers"] if row["start"] == "pretrained"} == {"one"}
    assert [path.name for path in (tmp_path / "out" / "calibration" / "structure").iterdir()] == ["one.json"]


@pytest.mark.slow
def test_a_run_is_taken_up_by_any_path_and_only_with_its_data(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, finetune = tmp_path / "out", asking.finetune

    def stopping(config: Any, folder: Path, **settings: Any) -> Any:
        finetune(config, folder, **settings)
        (folder / "results.json").unlink()
        raise StoppedError("stopped", 15)

    with monkeypatch.context() as patched:
        patched.setattr(asking, "finetune", stopping)
        with pytest.raises(StoppedError):
            benchmark(suite(FAMILY, seeds=1), models[:1], out)
    monkeypatch.chdir(tmp_path)
    assert benchmark(suite(FAMILY, seeds=1), [Path("one/bundle")], out, resume=True)["numbers"]
    results = out / "runs" / "family" / "one" / "seed-0" / "results.json"
    told = json.loads(results.read_text())
    told["task"]["digest"] = "0" * 64
    results.write_text(json.dumps(told))
    with pytest.raises(InputError, match="seed-0: was trained and tested on other data than simulated-family has now"):
        benchmark(suite(FAMILY, seeds=1), models[:1], out, resume=True)


@pytest.mark.slow
def test_structures_are_folded_without_labels_beside_the_models(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = unlearned(monkeypatch), tmp_path / "out"
    entry = {**STRUCTURE, "folded_by": ["energy", "attention"]}
    found = benchmark(suite(entry, seeds=1), models[:1], out)["numbers"]
    assert [(row["model"], row["start"]) for row in found[-3:]] == [
        ("ViennaRNA", "mfe"),
        ("ViennaRNA", "mea"),
        ("one", "attention"),
    ]
    assert all(row["value"] == 1 for row in found[-3:])
    against = [row["against"] for row in json.loads((out / "tables" / "comparisons.json").read_text())]
    assert {"ViennaRNA, least energy", "zero-shot, attention", "the head on one-hot letters"} <= set(against)
    assert asked == ["energy", "contacts"]
    again = benchmark(suite(entry, seeds=1), models[:1], out, resume=True)["numbers"]
    assert (again, len(asked)) == (found, 2), "what was folded is kept"


@pytest.mark.slow
def test_folding_that_cannot_be_done_is_not_run(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(task: Task) -> Any:
        raise InputError("folding by energy needs the package 'ViennaRNA'")

    monkeypatch.setattr(folding, "thermodynamic_baseline", missing)
    done = benchmark(suite({**STRUCTURE, "folded_by": ["energy"]}, seeds=1), models[:1], tmp_path / "out")
    assert [(row["model"], row["reason"]) for row in done["not_run"]] == [
        ("ViennaRNA, energy", "folding by energy needs the package 'ViennaRNA'")
    ]


@pytest.mark.slow
def test_families_held_out_one_by_one_share_a_map_and_structures_have_every_metric(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlearned(monkeypatch)
    entries = [
        {**STRUCTURE, "name": f"held-{family}", "folded_by": ["energy"], "units": "sequence"}
        | {"set": {**STRUCTURE["set"], "task.test_families": [family]}}
        for family in ("sim02", "sim03")
    ]
    out = tmp_path / "out"
    benchmark(suite(*entries, seeds=1), models[:1], out)
    drawn = json.loads((out / "family-maps" / "simulated-structure" / "one.json").read_text())
    assert (drawn["labels"], drawn["pool"]) == (["sim02"] * 12 + ["sim03"] * 12, "cls")
    assert not (out / "maps").exists(), "one family is no map of its own"
    assert "Families on a map" in (out / "report.html").read_text()
    numbers = json.loads((out / "tables" / "numbers.json").read_text())
    for system in ("one", "ViennaRNA"):
        metrics = {row["metric"] for row in numbers if (row["question"], row["system"]) == ("held-sim02", system)}
        assert {"mcc", *(f"length_weighted_{score}" for score in ("strict_f1", "relaxed_f1", "mcc"))} <= metrics
        assert metrics & {"pseudoknot_f1", "pseudoknot_false_alarms"}
