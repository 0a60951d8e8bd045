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


SEEDS = [pytest.param(1, marks=pytest.mark.slow), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PHASES)
def test_kills_do_not_change_a_bit(
    name: str, seed: int, runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    """Kill a job again and again, in the phases above or in random ones, and hold it to what it gives unharmed."""
    moments = random.Random(seed)
    phases = PHASES[name] if seed == 1 else [moments.choice(jobs[name].phases) for _ in range(6)]
    chain = Chain(runner, jobs[name].fresh(tmp_path), whole[name], moments)
    hit = [chain.kill(phase) for phase in phases]
    chain.end()
    assert not runner.trouble
    assert chain.differing == []
    assert all(hit), "a kill that came too late every time shows nothing"
    assert len(chain.kills) == len(phases)
    assert all(kill.resumed and kill.identical for kill in chain.kills), table(chain.kills)


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
