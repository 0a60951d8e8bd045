"""Numbers of runs, computed again by hand from what the runs wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.core.errors import CorruptError
from nuclex.evaluation.benchmark import (
    Comparison,
    Question,
    read_compared,
    read_system,
    refuse_unequal,
)
from nuclex.evaluation.benchmark_comparisons import comparisons
from nuclex.evaluation.benchmark_lines import lines
from nuclex.metrics import holm, paired_difference, precision_recall_f1
from nuclex.metrics.statistics import bootstrap

TRUTH = "xyxyxyxyxyxyxyxyxyxy"
GUESS = {  # model, arm, seed
    ("a", "pretrained", 0): "xyxyxyxyxyxyxyxyxyyx",
    ("a", "pretrained", 1): "xyxyxyxyxyxyxyxyyxyx",
    ("a", "scratch", 0): "xxxxxxxxxxxxxxxxxxxx",
    ("a", "scratch", 1): "yyyyyyyyyyxxxxxxxxxx",
    ("b", "pretrained", 0): "xyxyxyxyyxyxyxyxyxyx",
    ("b", "pretrained", 1): "xyxyxyyyxyxyxyxyyxyx",
}
UNITS = np.array([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17])


def right(guess: str) -> np.ndarray:
    return np.array([a == b for a, b in zip(guess, TRUTH, strict=True)], dtype=float)


def write_run(run: Path, model: str, seed: int) -> None:
    """What fine-tuning leaves, as far as a benchmark reads it."""
    arms = {arm: guess for (name, arm, number), guess in GUESS.items() if (name, number) == (model, seed)}
    found: dict[str, Any] = {}
    for arm, guess in arms.items():
        folder = run if arm == "pretrained" else run / arm
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {"id": f"e{n}", "truth": t, "predicted": g, "scores": {"accuracy": float(t == g)}}
            for n, (t, g) in enumerate(zip(TRUTH, guess, strict=True))
        ]
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[arm] = {"accuracy": {"value": right(guess).mean()}, "macro_f1": {"value": 0.0}}
    whole = {"compared": ["accuracy"], "task": {"name": "toy"}, "test": {"all": {"n": len(TRUTH), **found}}}
    (run / "results.json").write_text(json.dumps(whole))


@pytest.fixture
def question(tmp_path: Path) -> Question:
    systems = []
    for model in ("a", "b"):
        runs = [tmp_path / model / f"seed-{seed}" for seed in range(2)]
        for seed, run in enumerate(runs):
            write_run(run, model, seed)
        systems += [system for arm in ("pretrained", "frozen", "scratch") if (system := read_system(model, arm, runs))]
    assert read_compared(tmp_path / "a" / "seed-0") == (("accuracy",), {"name": "toy"})
    return Question("q", "", {}, ("accuracy",), UNITS, tuple(systems))


def test_only_arms_that_were_run_are_there(question: Question) -> None:
    assert [(system.model, system.arm) for system in question.systems] == [
        ("a", "pretrained"),
        ("a", "scratch"),
        ("b", "pretrained"),
    ]
    refuse_unequal(question)


def test_seeds_are_averaged_sequence_by_sequence(question: Question) -> None:
    found = {(line.model, line.arm, line.metric): line for line in lines(question)}
    line = found["a", "pretrained", "accuracy"]
    each = [right(GUESS["a", "pretrained", seed]) for seed in range(2)]
    expected = bootstrap(np.mean(each, axis=0), clusters=UNITS)
    assert line.interval == expected
    assert (line.units, line.seeds, line.interval.n) == (18, 2, 20)
    assert line.interval.value == pytest.approx((0.9 + 0.8) / 2)
    assert line.seed_spread == pytest.approx(np.std([0.9, 0.8], ddof=1))
    f1 = found["a", "pretrained", "macro_f1"]
    by_seed = [precision_recall_f1(list(TRUTH), list(GUESS["a", "pretrained", seed]), "macro").f1 for seed in range(2)]
    assert f1.interval.value == pytest.approx(np.mean(by_seed))
    assert f1.interval.low < f1.interval.value < f1.interval.high


def test_comparisons_are_paired_and_corrected_over_all_of_them(question: Question) -> None:
    found = comparisons([question, question])
    assert [(one.model, one.against) for one in found[:2]] == [("a", "from random weights"), ("a", "b")]
    means = {
        (model, arm): np.mean([right(GUESS[model, arm, seed]) for seed in range(2)], axis=0)
        for model, arm in (("a", "pretrained"), ("a", "scratch"), ("b", "pretrained"))
    }
    expected = paired_difference(means["a", "pretrained"], means["b", "pretrained"], clusters=UNITS)
    assert found[1].found == expected
    assert [one.holm for one in found] == holm([one.found.p_value for one in found]).tolist()
    assert len(found) == 4
    assert found[1].seeds == 2


def test_what_is_not_significant_is_said(question: Question) -> None:
    (first, *_) = comparisons([question])
    for value, p, verdict in ((0.2, 0.01, "better"), (-0.2, 0.01, "worse"), (0.2, 0.06, "not significant")):
        interval = bootstrap(np.full(5, value))
        one = Comparison("q", "m", "a", "b", paired_difference([value], [0.0]), 3, p)
        assert one.found.difference.value == interval.value
        assert one.verdict(0.95) == verdict
    assert Comparison("q", "m", "a", "b", first.found, 3).verdict() == "not significant"  # not corrected yet


def test_other_sequences_are_refused(question: Question, tmp_path: Path) -> None:
    rows = (tmp_path / "b" / "seed-1" / "test.jsonl").read_text().replace('"e3"', '"e33"')
    (tmp_path / "b" / "seed-1" / "test.jsonl").write_text(rows)
    runs = [tmp_path / "b" / f"seed-{seed}" for seed in range(2)]
    other = read_system("b", "pretrained", runs)
    assert other is not None
    with pytest.raises(CorruptError, match="q: b, fine-tuned was tested on other sequences"):
        refuse_unequal(Question("q", "", {}, ("accuracy",), UNITS, (question.systems[0], other)))
    (tmp_path / "b" / "seed-1" / "test.jsonl").write_text("{")
    with pytest.raises(CorruptError, match="is not the readable list of a run's answers"):
        read_system("b", "pretrained", runs)
