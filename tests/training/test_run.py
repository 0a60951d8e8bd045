from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nuclex.bundle import Record, load
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError, DiskError, InputError, OutsideError
from nuclex.core.lock import owned
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.best import save_weights
from nuclex.training.run import finish_bundles, load_best, opened_run, run_digest, write_facts


class SizesConfig(Config):
    width: int = 3
    shares: tuple[float, ...] = (0.1, 0.2)


def enter(run: Path, config: Config, resume: bool = False, error: Exception | None = None) -> None:
    with opened_run(run, config, resume=resume):
        if error is not None:
            raise error


def test_a_new_run_holds_its_config(tmp_path: Path) -> None:
    enter(tmp_path / "deep" / "run", SizesConfig())
    assert json.loads((tmp_path / "deep/run/config.json").read_text()) == {"width": 3, "shares": [0.1, 0.2]}
    (tmp_path / "empty").mkdir()
    enter(tmp_path / "empty", SizesConfig())
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["config.json"]


def test_a_run_is_taken_up_only_when_asked_and_with_the_same_config(tmp_path: Path) -> None:
    enter(tmp_path / "run", SizesConfig())
    with pytest.raises(InputError, match="run: holds a run already; continue it with --resume or give another --out"):
        enter(tmp_path / "run", SizesConfig())
    with pytest.raises(
        InputError, match=r"config\.json: is not the config given now \(.+\); resume with the same recipe"
    ):
        enter(tmp_path / "run", SizesConfig(width=4), resume=True)
    enter(tmp_path / "run", SizesConfig(), resume=True)
    (tmp_path / "run" / "config.json").write_text(json.dumps({"width": 3, "a\n\x1b": "x" * 9999}))
    with pytest.raises(InputError) as caught:
        enter(tmp_path / "run", SizesConfig(), resume=True)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    (tmp_path / "run" / "config.json").write_text('{"width": 3,')
    with pytest.raises(CorruptError, match=r"config\.json: is not readable JSON"):
        enter(tmp_path / "run", SizesConfig(), resume=True)


def test_a_run_of_an_older_nuclex_is_taken_up_where_new_keys_are_as_they_were(tmp_path: Path) -> None:
    enter(tmp_path / "run", SizesConfig())
    (tmp_path / "run" / "config.json").write_text('{"shares": [0.1, 0.2]}')  # before there was a width
    with pytest.raises(InputError, match=r"width was 3, now it is 4"):
        enter(tmp_path / "run", SizesConfig(width=4), resume=True)
    enter(tmp_path / "run", SizesConfig(), resume=True)


class TrainingConfig(Config):
    steps: int = 9
    anomaly: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it


class RunConfig(Config):
    training: TrainingConfig = TrainingConfig()


def test_only_what_is_done_about_anomalies_may_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def recipe(steps: int, policy: str) -> RunConfig:
        return RunConfig(training=TrainingConfig(steps=steps, anomaly={"policy": policy}))

    enter(tmp_path / "run", recipe(9, "stop"))
    enter(tmp_path / "run", recipe(9, "skip"), resume=True)
    assert "config.json: training.anomaly.policy was 'stop', now it is 'skip'" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == recipe(9, "skip").to_data()
    with pytest.raises(InputError, match=r"not the config given now \(training.steps was 9, now it is 8\)"):
        enter(tmp_path / "run", recipe(8, "skip"), resume=True)
    assert run_digest(recipe(9, "stop")) == run_digest(recipe(9, "skip")) != run_digest(recipe(8, "skip"))
    assert run_digest(SizesConfig()) != run_digest(SizesConfig(width=4))


def test_who_is_refused_changes_nothing(tmp_path: Path) -> None:
    """The folder is owned before anything is written into it: of two that begin at once, one config stands."""
    (tmp_path / "run").mkdir()
    with owned(tmp_path / "run"):
        with pytest.raises(OutsideError, match="in use by"):
            enter(tmp_path / "run", SizesConfig(width=8))
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    enter(tmp_path / "run", SizesConfig())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("thesis", "file"):
        for resume in (False, True):
            with pytest.raises(InputError, match=f"{name}: exists and is not a run of nuclex; give another --out"):
                enter(tmp_path / name, SizesConfig(), resume)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"
    assert len(list((tmp_path / "thesis").iterdir())) == 1


def test_what_a_killed_start_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".tmp-abc.json").write_text("{")
    enter(tmp_path / "run", SizesConfig())
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == SizesConfig().to_data()


def test_a_run_has_one_owner(tmp_path: Path) -> None:
    code = "import sys; from nuclex.core.lock import owned\nwith owned(sys.argv[1]): print('held', flush=True); input()"
    pipe, command = subprocess.PIPE, [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (tmp_path / "run" / "config.json").write_text(json.dumps(SizesConfig().to_data()))
        with pytest.raises(OutsideError, match=f"in use by process {process.pid}"):
            enter(tmp_path / "run", SizesConfig(), resume=True)
        process.communicate("\n")


def test_wrong_input_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        for error in (InputError("does not fit"), CorruptError("damaged"), DiskError("full")):
            with pytest.raises(type(error), match=str(error)):
                enter(tmp_path / name, SizesConfig(), error=error)
    with pytest.raises(DiskError, match="new: cannot be written: No space left on device"):
        enter(tmp_path / "new", SizesConfig(), error=OSError(28, "full"))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_folders_made_on_the_way_go_with_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit"):
        enter(tmp_path / "deep" / "deeper" / "run", SizesConfig(), error=InputError("does not fit"))
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="memory: there is too little of it"):
        enter(tmp_path / "run", SizesConfig(), error=MemoryError())
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_takes_nothing_away_that_was_there(tmp_path: Path) -> None:
    enter(tmp_path / "old", SizesConfig())
    with pytest.raises(InputError):
        enter(tmp_path / "old", SizesConfig(), resume=True, error=InputError("x"))
    assert (tmp_path / "old" / "config.json").is_file()

    def break_late() -> None:
        with opened_run(tmp_path / "late", SizesConfig(), resume=False):
            (tmp_path / "late" / "checkpoints").mkdir()
            raise InputError("x")

    with pytest.raises(InputError):
        break_late()
    assert (tmp_path / "late" / "checkpoints").is_dir(), "what was trained stays"


def test_other_errors_leave_the_run_to_be_taken_up(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"):
        enter(tmp_path / "run", SizesConfig(), error=ValueError("a bug"))
    enter(tmp_path / "run", SizesConfig(), resume=True)
    with pytest.raises(DiskError, match="run: cannot be written: No space left on device"):
        enter(tmp_path / "run", SizesConfig(), resume=True, error=OSError(28, "full"))


def test_facts_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_facts(tmp_path, plan={"steps": 3}, provenance={"seed": 1})
    assert json.loads((tmp_path / "plan.json").read_text()) == {"steps": 3}

    def full(path: Path, value: object) -> None:
        path.write_text("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nuclex.training.run.write_json", full)
    with pytest.raises(DiskError):
        write_facts(tmp_path, plan={"steps": 4})
    assert json.loads((tmp_path / "plan.json").read_text()) == {"steps": 3}
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json", "provenance.json"}


# ---- bundles ----


def made(seed: int) -> LanguageModel:
    torch.manual_seed(seed)
    backbone = RinalmoConfig(depth=1, width=16, heads=2).backbone()
    return LanguageModel(backbone, vocabulary_size=22, pad_id=1, mask_id=4)


def record() -> Record:
    return Record({}, {}, {"validation_loss": 2.0}, None, "tiny")


def test_the_last_and_the_best_weights_become_bundles(tmp_path: Path) -> None:
    last, best = made(1), made(2)
    last_weights = [value.clone() for value in last.parameters()]
    save_weights(tmp_path / "checkpoints" / "best", best, {"step": 40, "validation_loss": 1.0})
    chosen = finish_bundles(tmp_path, last, NucleotideConfig().build(), record())
    assert chosen == tmp_path / "bundle" / "best"
    outer, inner = load(tmp_path / "bundle"), load(chosen)
    assert all(torch.equal(*pair) for pair in zip(outer.model.parameters(), last_weights, strict=True))
    assert all(torch.equal(*pair) for pair in zip(inner.model.parameters(), best.parameters(), strict=True))
    assert outer.record.metrics == {"validation_loss": 2.0}
    assert inner.record.metrics == {"step": 40, "validation_loss": 1.0}


def test_without_a_best_there_is_one_bundle(tmp_path: Path) -> None:
    chosen = finish_bundles(tmp_path, made(1), NucleotideConfig().build(), record())
    assert chosen == tmp_path / "bundle"
    assert not (chosen / "best").exists()
    load(chosen)


def test_damaged_best_weights_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "checkpoints" / "best", made(2), {"step": 40})
    path = tmp_path / "checkpoints" / "best" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptError, match=r"best/model\.safetensors: has \d+ bytes"):
        load_best(tmp_path, made(3))
    with pytest.raises(CorruptError):
        finish_bundles(tmp_path, made(1), NucleotideConfig().build(), record())
    assert not (tmp_path / "bundle").exists()
