"""SIGTERM and Ctrl-C: no finished step is lost, and the run goes on bit for bit. One run folder has one owner."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from jobs import Job
from killing import Measured, Runner
from signalling import STALE, Stop, race, stop_often

PHASES = {
    "pretrain": ["starting", "training", "evaluating", "saving", "training", "finishing"],
    "structure": ["training", "evaluating", "finishing"],
    "clusters": ["excluding", "clustering"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PHASES)
def test_signals_lose_no_step(
    name: str, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    moments, enough = random.Random(3), len(PHASES[name]) // 2
    stops: list[Stop] = []
    for attempt in range(4):  # a run that ends before its signals come, on a machine that has just become faster
        job = jobs[name].fresh(tmp_path / str(attempt))
        stopped, differing = stop_often(runner, job, whole[name], PHASES[name], moments)
        assert not runner.trouble
        assert [stop for stop in stopped if not stop.right] == []
        assert differing == []
        stops += stopped
        if len(stopped) >= enough:
            break
    assert len(stopped) >= enough
    assert any(stop.tools for stop in stops) == (name == "clusters"), "MMseqs2 runs, and is to end with the build"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["pretrain", "structure", "class", "clusters"])
def test_many_signals_lose_no_step(
    name: str, seed: int, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    moments = random.Random(seed)
    phases = [moments.choice(jobs[name].phases) for _ in range(6)]
    stops, differing = stop_often(runner, jobs[name].fresh(tmp_path), whole[name], phases, moments)
    assert [stop for stop in stops if not stop.right] == []
    assert differing == []


MARKS = (pytest.mark.slow, pytest.mark.long, pytest.mark.slow, pytest.mark.long)
NAMES = ("none", "dead", "other boot", "rubbish")


@pytest.mark.parametrize(
    "stale", [pytest.param(*case[:1], marks=case[1], id=case[2]) for case in zip(STALE, MARKS, NAMES, strict=True)]
)
def test_of_eight_processes_one_owns_a_run(stale: object, runner: Runner, jobs: dict[str, Job], tmp_path: Path) -> None:
    job = jobs["pretrain"].fresh(tmp_path)
    codes = race(runner, job, stale)
    assert codes[0] == 1, codes
    assert codes.keys() <= {0, 2, 3}, "2: it came when the run had ended"
    assert codes[3] >= 1, "nobody was refused, so there was no race"
    assert job.leftovers() == []
