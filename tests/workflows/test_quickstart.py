"""The whole story at toy size: every step runs, the promises of the command line hold, the report says what is true."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import nuclex.workflows.materials as materials_module
import nuclex.workflows.quickstart as quickstart_module
from drawn import check_report
from nuclex.bundle import load
from nuclex.cli.main import run
from nuclex.core.errors import CorruptError, InputError, OutsideError
from nuclex.data.simulate import SimulationConfig
from nuclex.data.store import Corpus

pytest.importorskip("matplotlib", reason="the report needs matplotlib (extra plots)")
TOY = SimulationConfig(families=3, members=40, shortest=30, longest=60, outer_stems=1, branching=0.0, star=0.9)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three small families, a few steps of everything, and no MMseqs2."""
    gather, structure = quickstart_module.gather, quickstart_module.structure_recipe

    def small(config: Any, steps: int) -> Any:
        training = config.training.model_copy(update={"steps": steps, "evaluate_every": steps})
        return config.model_copy(update={"training": training})

    def gather_toy(*arguments: Any) -> Any:
        made = gather(*arguments)
        cluster = made.corpus.cluster.model_copy(update={"method": "none"})
        corpus = made.corpus.model_copy(update={"cluster": cluster})
        return dataclasses.replace(made, corpus=corpus, recipe=small(made.recipe, 6))

    monkeypatch.setattr(quickstart_module, "check_extras", lambda: None)
    monkeypatch.setattr(materials_module, "SIMULATION", TOY)
    monkeypatch.setattr(quickstart_module, "gather", gather_toy)
    monkeypatch.setattr(quickstart_module, "structure_recipe", lambda *a: small(structure(*a), 3))


@pytest.mark.slow
def test_the_whole_story(toy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "story"
    assert run(["quickstart", "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert printed.count("\n") == 1
    assert {"masked_accuracy", "markov_accuracy", "unigram_accuracy", "report", "bundle"} <= result.keys()
    assert 0 < result["masked_accuracy"] < 1
    assert json.loads((out / "summary.json").read_text()) == result
    assert load(result["bundle"]).record.corpus is not None
    page = Path(result["report"]).read_text()
    check_report(page, 6)
    assert "Simulated data" in page
    # six steps teach nothing: the report has to say so
    assert result["beats_markov"] is False
    assert "does NOT beat the Markov baseline" in page

    assert run(["quickstart", "--out", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(["quickstart", "--out", str(out), "--resume", "--seed", "1"]) == 2
    assert run(["quickstart", "--out", str(out), "--resume", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, "seconds": None} == {**result, "seconds": None}


def test_a_strange_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not a quickstart's folder"):
        quickstart_module.quickstart(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "quickstart.json").write_text("{")
    with pytest.raises(CorruptError, match=r"quickstart\.json: is not readable JSON"):
        quickstart_module.quickstart(tmp_path, resume=True)
    (tmp_path / "quickstart.json").write_text('{"data": "simulated", "seed": 1}')
    with pytest.raises(InputError, match="was begun with"):
        quickstart_module.quickstart(tmp_path, resume=True)


def test_what_is_not_installed_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart_module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package 'matplotlib'.*pip install 'nuclex\[quickstart\]'"):
        quickstart_module.quickstart(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_new_folder_goes_again_when_the_data_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OutsideError("no such data")

    monkeypatch.setattr(quickstart_module, "check_extras", lambda: None)
    monkeypatch.setattr(quickstart_module, "gather", unreachable)
    with pytest.raises(OutsideError):
        quickstart_module.quickstart(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="0 or more"):
        quickstart_module.quickstart(tmp_path / "new", seed=-1)


def test_unknown_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allowed: simulated, ncrna"):
        quickstart_module.quickstart(tmp_path / "new", data="proteins")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_structures_for_fine_tuning_follow_the_splits_of_the_corpus(toy: None, tmp_path: Path) -> None:
    from nuclex.data.corpus import build_corpus

    made = quickstart_module.gather("simulated", tmp_path, 0)
    build_corpus(list(made.inputs), tmp_path / "corpus", made.corpus)
    corpus = Corpus.open(tmp_path / "corpus")
    task = materials_module.structure_recipe(made, tmp_path, corpus, tmp_path / "bundle").task.read()
    for split in ("train", "validation", "test"):
        held = {corpus.ids(int(row)) for row in corpus.indices(split)}
        assert {example.id for example in task.examples(split)} <= held
    known = materials_module.known_structures(made, tmp_path, corpus)
    assert {item.id for item in known} == {corpus.ids(int(row)) for row in corpus.indices("test")}
    for item in known:
        for i, j in item.pairs:
            assert chr(item.sequence[i]) + chr(item.sequence[j]) in {"GC", "CG", "AT", "TA", "GT", "TG"}
