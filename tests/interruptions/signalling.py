"""SIGTERM and Ctrl-C at random moments, and eight processes that want one run folder."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass

import orphans
from jobs import Job, wiped
from killing import Measured, Runner, differences, label, reach


@dataclass
class Stop:
    """One signal: where it came, with what the process left, how many finished steps its checkpoint lacks.

    ``tools``: how many processes of MMseqs2 ran just before; ``left``: those that still run, and a build's files.
    """

    job: str
    phase: str
    name: str
    code: int
    lost: int
    seconds: float
    said: str
    tools: int
    left: list[str]

    @property
    def right(self) -> bool:
        expected = 128 + signal.Signals[self.name]
        sentence = self.said.count("\n") == 1 and "Traceback" not in self.said
        return self.code == expected and self.lost == 0 and sentence and not self.left


def stop_once(runner: Runner, job: Job, whole: Measured, phase: str, moments: random.Random) -> Stop | None:
    """Send SIGTERM or SIGINT at a random moment of a phase; None if the job was done before."""
    if job.is_built():
        return None
    number = moments.choice([signal.SIGTERM, signal.SIGINT])
    process, board = runner.start(job)
    reach(process, board, whole, phase, moments)
    tools = len(orphans.running(job))
    where, began = label(board), time.monotonic()
    if not process.is_alive():
        return None
    os.kill(process.pid or 0, number)
    process.join(120)
    if process.exitcode == 0:
        return None  # it was done before the signal came
    seconds, said = time.monotonic() - began, runner.errors.read_text()
    lost = _lost(job, board.control, board.step)
    left = [f"process {one}" for one in orphans.running(job)]
    left += [] if job.resumed else job.leftovers()  # what a stopped run leaves goes when it is resumed
    return Stop(job.name, where, number.name, process.exitcode or 0, lost, seconds, said, tools, left)


def _lost(job: Job, control: bool, done: int) -> int:
    """Finished updates of this process that the newest checkpoint does not hold."""
    if not done:
        return 0
    folder = job.out / ("scratch" if control else ".") / "checkpoints"
    saved = max((int(path.name[5:]) for path in folder.glob("step-*")), default=0)
    return done - saved


def stop_often(
    runner: Runner, job: Job, whole: Measured, phases: list[str], moments: random.Random
) -> tuple[list[Stop], list[str]]:
    """Stop one run once in each of these phases, then let it end; the stops, and what differs from the whole one."""
    wiped(job)
    stops = [stop_once(runner, job, whole, phase, moments) for phase in phases]
    ended = job.is_built() or runner.finish(job) == 0
    differing = differences(whole.facts, job.facts()) if ended else ["did not end"]
    return [stop for stop in stops if stop is not None], differing + job.leftovers()


STALE = (
    None,
    {"pid": 2**22 + 1, "boot": "this one"},
    {"pid": 1, "boot": "another boot"},
    "{ no JSON",
)
"""What a lock file may hold before a race: there is none, a dead process, one of before the last boot, rubbish."""


def race(runner: Runner, job: Job, stale: object, racers: int = 8) -> Counter[int]:
    """Start processes that want one new run folder at the same time; how many left with which exit code."""
    wiped(job)
    if stale is not None:
        job.out.mkdir()
        (job.out / ".lock").write_text(stale if isinstance(stale, str) else json.dumps(stale))
    runners = [Runner(runner.server, runner.folder / f"racer-{number}") for number in range(racers)]
    for one in runners:
        one.folder.mkdir(exist_ok=True)
    words = job.arguments()
    assert "--resume" not in words
    started = [one.start(job) for one in runners]
    for process, _ in started:
        process.join(120)
    for one, (process, _) in zip(runners, started, strict=True):
        said = one.errors.read_text()
        if process.exitcode == 3:
            assert "is in use by" in said, said
            assert said.count("\n") == 1, said
    return Counter(process.exitcode or 0 for process, _ in started)
