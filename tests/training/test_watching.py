"""Looks at validation are told to who watches, and to nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from learners import Line, Weighed
from nuclex.training.duration import TrainingConfig
from nuclex.training.loop import train
from nuclex.training.tracking import read_metrics
from nuclex.training.watching import watched

CONFIG = TrainingConfig(steps=6, evaluate_every=2, checkpoint_every=100)


def test_every_look_is_told_once_it_is_written(tmp_path: Path) -> None:
    seen: list[tuple[int, Any]] = []

    def watch(step: int, numbers: Any) -> None:
        assert read_metrics(tmp_path)[-1]["step"] == step
        seen.append((step, numbers["score"]))

    with watched(watch):
        train(Line(), Weighed(), CONFIG, tmp_path, {"seed": 0})
    assert seen == [(2, -1.0), (4, -2.0), (6, -3.0)]


def test_what_it_raises_ends_the_run_and_nobody_watches_the_next(tmp_path: Path) -> None:
    def watch(step: int, numbers: Any) -> None:
        if step == 4:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"), watched(watch):
        train(Line(), Weighed(), CONFIG, tmp_path / "a", {"seed": 0})
    assert max(record["step"] for record in read_metrics(tmp_path / "a")) == 4
    train(Line(), Weighed(), CONFIG, tmp_path / "b", {"seed": 0})
    assert max(record["step"] for record in read_metrics(tmp_path / "b")) == 6
