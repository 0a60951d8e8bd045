from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from learners import Line, Weighed, flat
from nuclex.training.best import best_weights
from nuclex.training.duration import TrainingConfig
from nuclex.training.loop import train

IDENTITY = {"seed": 5}


def config(**settings: Any) -> TrainingConfig:
    data = {"steps": 6, "log_every": 1, "evaluate_every": 1, "schedule": {"kind": "constant", "rate": 0.05}, **settings}
    return TrainingConfig.from_data({"keep_checkpoints": 9, "checkpoint_every": 1, **data})


def plain(tmp_path: Path) -> list[list[float]]:
    """The weights after each update without an average."""
    work = Weighed()
    train(Line(), work, config(), tmp_path, IDENTITY)
    return work.seen


@pytest.mark.parametrize("on_cpu", [False, True])
def test_the_average_is_looked_at_kept_and_left(on_cpu: bool, tmp_path: Path) -> None:
    own = plain(tmp_path / "plain")
    work, model = Weighed(), Line()
    train(model, work, config(ema={"decay": 0.5, "on_cpu": on_cpu}), tmp_path / "run", IDENTITY)
    average = flat(Line())
    for step, weights in enumerate(own):
        average = [0.5 * old + 0.5 * new for old, new in zip(average, weights, strict=True)]
        assert work.seen[step] == pytest.approx(average, rel=1e-6), "training itself goes its old way"
    assert flat(model) == work.seen[-1]
    kept = load_file(best_weights(tmp_path / "run") / "model.safetensors")["layer.weight"]
    assert kept.flatten().tolist() == work.seen[0]


def test_weights_may_be_looked_at_while_their_average_is_what_is_left(tmp_path: Path) -> None:
    own = plain(tmp_path / "plain")
    work, model = Weighed(), Line()
    train(model, work, config(ema={"decay": 0.5, "validate_average": False}), tmp_path / "run", IDENTITY)
    assert work.seen == own
    assert flat(model) != own[-1]


@pytest.mark.parametrize("settings", [{"decay": 0.9}, {"decay": 0.9, "warmup": True, "on_cpu": True}])
def test_an_average_goes_on_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    first = Weighed()
    train(whole := Line(), first, config(ema=settings), tmp_path, IDENTITY)
    for step in (4, 5, 6):
        for path in (tmp_path / "checkpoints" / f"step-{step:08d}").iterdir():
            path.unlink()
        (tmp_path / "checkpoints" / f"step-{step:08d}").rmdir()
    work = Weighed()
    train(again := Line(), work, config(ema=settings), tmp_path, IDENTITY)
    assert work.seen == first.seen[3:]
    assert flat(again) == flat(whole)


@pytest.mark.parametrize("mode", ["value", "agc"])
def test_how_the_gradient_is_limited_changes_the_weights(mode: str, tmp_path: Path) -> None:
    settings = {"name": "momentum", "momentum": 0.0, "weight_decay": 0.0, "clip": 0.01, "clip_mode": mode}
    train(model := Line(), Weighed(), config(steps=1, optimizer=settings), tmp_path / mode, IDENTITY)
    moved = torch.tensor(flat(model)) - 0.5
    if mode == "value":
        assert moved.abs().max().item() == pytest.approx(0.05 * 0.01, rel=1e-3)
    else:
        assert moved.norm().item() == pytest.approx(0.05 * 0.01 * 0.75**0.5, rel=1e-4)
