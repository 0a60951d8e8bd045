from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from learners import Line, Weighed
from nuclex.core.errors import InputError
from nuclex.training.duration import TrainingConfig
from nuclex.training.loop import Outcome, train


class Scored(Weighed):
    """Looks that give these scores, and their negatives as losses."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def evaluate(self, model: Any) -> dict[str, float]:
        score = next(self.scores)
        return {"score": score, "loss": -score, "accuracy": -score}


SCORES = [1.0, 3.0, 2.0, 5.0, 4.0, 0.0]


def run(folder: Path, **settings: Any) -> Outcome:
    data = {"steps": 6, "evaluate_every": 1, "schedule": {"kind": "constant", "rate": 0.05}, **settings}
    return train(Line(), Scored(SCORES), TrainingConfig.from_data(data), folder, {"seed": 5})


def kept(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").glob("best-*"))


def test_the_best_one_alone_is_kept_unless_more_are_asked_for(tmp_path: Path) -> None:
    assert run(tmp_path).place.best_step == 4
    assert kept(tmp_path) == []


def test_the_best_few_are_kept(tmp_path: Path) -> None:
    assert run(tmp_path, keep_best=3).place.best_step == 4
    assert kept(tmp_path) == [2, 4, 5]


def test_any_number_may_decide_in_either_direction(tmp_path: Path) -> None:
    place = run(tmp_path / "a", best_metric="loss", best_mode="min", keep_best=2).place
    assert (place.best_step, place.best_score) == (4, -5.0)
    assert kept(tmp_path / "a") == [4, 5]
    place = run(tmp_path / "b", best_metric="accuracy", keep_best=2).place
    assert (place.best_step, place.best_score) == (6, 0.0)
    assert kept(tmp_path / "b") == [1, 6]


def test_patience_counts_by_the_number_that_decides(tmp_path: Path) -> None:
    assert run(tmp_path / "a", stop_after=2).place.step == 6
    assert run(tmp_path / "b", stop_after=2, best_metric="accuracy").place.step == 3


def test_a_number_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.best_metric: found 'spearman'; a look gives accuracy, loss"):
        run(tmp_path, best_metric="spearman")
