"""SIGKILL at random moments: the run goes on, and ends as the run that nobody killed, bit for bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from jobs import Job
from killing import Chain, Measured, Runner, differences, measure, table

PHASES = {
    "pretrain": ["training", "evaluating", "saving", "saving", "training", "starting", "finishing"],
    "structure": ["training", "evaluating", "saving", "finishing"],
    "class": ["saving", "training", "evaluating", "finishing"],
    "build": ["building", "saving", "building"],
    "embed": ["embedding", "saving"],
}
"""20 kills."""


def killed(runner: Runner, job: Job, whole: Measured, phases: list[str], seed: int) -> None:
    """Kill a job in these phases, again and again, and hold it to what it gives when nobody does."""
    chain = Chain(runner, job, whole, random.Random(seed))
    hit = [chain.kill(phase) for phase in phases]
    chain.end()
    assert not runner.trouble
    assert chain.differing == []
    assert all(hit), "a kill that came too late every time shows nothing"
    assert len(chain.kills) == len(phases)
    assert all(kill.resumed and kill.identical for kill in chain.kills), table(chain.kills)


@pytest.mark.slow
@pytest.mark.parametrize("name", PHASES)
def test_kills_do_not_change_a_bit(
    name: str, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    killed(runner, jobs[name].fresh(tmp_path), whole[name], PHASES[name], seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("name", PHASES)
def test_many_kills_do_not_change_a_bit(
    name: str, seed: int, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    moments = random.Random(seed)
    phases = [moments.choice(jobs[name].phases) for _ in range(6)]
    killed(runner, jobs[name].fresh(tmp_path), whole[name], phases, seed)


@pytest.mark.slow
def test_the_harness_notices_a_bit(runner: Runner, jobs: dict[str, Job], tmp_path: Path) -> None:
    """A harness that cannot fail shows nothing: one flipped bit in the weights, one number in the metrics."""
    job = jobs["class"].fresh(tmp_path)
    whole = measure(runner, job)
    weights = job.out / "checkpoints" / "best" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    metrics = job.out / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"epoch": 0', '"epoch": 3', 1))
    (job.out / ".tmp-left").touch()
    assert differences(whole.facts, job.facts()) == [
        ".tmp-left",
        "checkpoints/best/model.safetensors",
        "metrics.jsonl",
    ]
    assert job.leftovers() == ["class/.tmp-left"]
