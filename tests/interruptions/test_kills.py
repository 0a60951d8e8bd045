"""SIGKILL at random moments: the run goes on, and ends as the run that nobody killed, bit for bit."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import orphans
import pytest
from jobs import Job
from killing import PATIENCE, Chain, Measured, Runner, differences, measure, reach, table

PHASES = {
    "pretrain": ["training", "evaluating", "saving", "training", "starting", "finishing"],
    "structure": ["training", "evaluating", "saving", "finishing"],
    "class": ["saving", "training", "evaluating", "finishing"],
    "build": ["building"],
    "clusters": ["excluding", "clustering", "saving"],
    "embed": ["embedding", "saving", "joining", "saving"],
}
"""22 kills."""


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
def test_mmseqs_of_a_killed_build_does_not_harm_the_next(
    runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], tmp_path: Path
) -> None:
    """It is held when its build is killed, and let go on beside the MMseqs2 of the same command, run again."""
    job, wanted = jobs["clusters"].fresh(tmp_path), whole["clusters"]
    process, board = runner.start(job)
    reach(process, board, wanted, "clustering", random.Random(0), 0.0)
    left = orphans.awaited(job)
    orphans.tell(left, signal.SIGSTOP)
    process.kill()
    process.join()
    again, board = runner.start(job)
    reach(again, board, wanted, "clustering", random.Random(0), 0.0)
    assert orphans.awaited(job, but=left), "they run side by side"
    assert set(orphans.running(job)) >= set(left)
    orphans.tell(left, signal.SIGCONT)
    again.join(60)
    assert runner.checked(job, again) == 0, runner.trouble
    assert differences(wanted.facts, job.facts()) == []
    assert orphans.outlasting(job, PATIENCE) == []
    assert differences(wanted.facts, job.facts()) == []
    assert job.leftovers() == []


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
