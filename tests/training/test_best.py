from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import nn

from nuclex.core.errors import InputError
from nuclex.training.best import BEST_WEIGHTS, Direction, keep_among_best, rated

RULE: tuple[str, Direction] = ("score", "max")


def kept(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in folder.glob("best-*"))


def look(folder: Path, step: int, score: float, rule: tuple[str, Direction] = RULE, count: int = 2) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, step)
    keep_among_best(folder, model, {"step": step, "score": score}, rule, count)


def test_the_best_so_far_stay(tmp_path: Path) -> None:
    seen = []
    for step, score in enumerate([1.0, 3.0, 2.0, 3.0, 0.0, math.nan, 4.0], start=1):
        look(tmp_path, step, score)
        seen.append(kept(tmp_path))
    assert seen == [[1], [1, 2], [2, 3], [2, 4], [2, 4], [2, 4], [2, 7]], "the earlier of equals is the better"
    assert load_file(tmp_path / "best-00000007" / BEST_WEIGHTS)["weight"].item() == 7.0
    assert json.loads((tmp_path / "best-00000007" / "numbers.json").read_text()) == {"step": 7, "score": 4.0}


def test_less_may_be_better(tmp_path: Path) -> None:
    for step, score in enumerate([1.0, 3.0, 2.0, 0.5], start=1):
        look(tmp_path, step, score, ("score", "min"))
    assert kept(tmp_path) == [1, 4]


def test_a_look_done_again_counts_once(tmp_path: Path) -> None:
    for step, score in ((1, 1.0), (2, 2.0), (2, 2.0), (3, 0.5)):
        look(tmp_path, step, score)
    assert kept(tmp_path) == [1, 2]


def test_damaged_ones_are_told_of_and_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    look(tmp_path, 1, 9.0)
    look(tmp_path, 2, 8.0)
    (tmp_path / "best-00000001" / BEST_WEIGHTS).write_bytes(b"")
    look(tmp_path, 3, 1.0)
    assert kept(tmp_path) == [2, 3]
    assert "refused damaged weights: " in capsys.readouterr().err


def test_the_number_that_decides() -> None:
    numbers = {"score": -2.0, "validation_loss": 2.0}
    assert rated(numbers, "score", "max") == -2.0
    assert rated(numbers, "validation_loss", "min") == -2.0
    assert rated({}, "validation_loss", "min") is None, "nothing was looked at"
    with pytest.raises(InputError, match="best_metric: found 'val_loss'; a look gives score, validation_loss"):
        rated(numbers, "val_loss", "min")
