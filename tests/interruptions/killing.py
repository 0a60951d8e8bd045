"""SIGKILL at random moments of every phase, and what came of each kill.

A job is started, killed, resumed (or repeated), killed again and so on, and at last left to end; then everything that
it wrote is compared with what a job wrote that nobody killed. One fork server has torch imported, so that a child
begins in milliseconds and a kill hits nuclex and not an import.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import orphans
import watched
from jobs import Job, wiped

PRELOADED = ["watched", "nuclex.cli.main", "nuclex.training.pretrain", "nuclex.training.finetune"]
PRELOADED += ["nuclex.inference.embed", "nuclex.data.corpus", "nuclex.data.simulate", "pyarrow.parquet"]
PRELOADED += ["torch._dynamo", "safetensors.torch", "nuclex.evaluation", "jinja2", "scipy.stats"]
PATIENCE = 20.0
"""Seconds that MMseqs2 may go on after the build that started it was killed and the next one has ended."""


def start_server() -> Any:
    """A multiprocessing context whose children have everything imported and compute on one thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        first = context.Process(target=time.time)  # the server starts with this environment
        first.start()
        first.join()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
    return context


@dataclass
class Kill:
    """One kill, where it hit, the programs that it left running, and whether the next process went on from there.

    ``outlived``: one of those programs was still there when a later process had ended and its result was compared.
    """

    job: str
    phase: str
    orphans: list[int] = field(default_factory=list)
    outlived: bool = False
    resumed: bool = False
    identical: bool = False


@dataclass
class Runner:
    """Starts the children of one job after the other; ``folder`` is for their boards and what they say."""

    server: Any
    folder: Path
    trouble: list[str] = field(default_factory=list)

    @property
    def board_path(self) -> Path:
        return self.folder / "board"

    @property
    def errors(self) -> Path:
        return self.folder / "errors"

    def start(
        self, job: Job, prepare: Callable[[watched.Board], None] | None = None
    ) -> tuple[BaseProcess, watched.Board]:
        board = watched.Board(self.board_path, clear=True)
        arguments = (job.arguments(), self.board_path, self.errors, prepare)
        process: BaseProcess = self.server.Process(target=watched.child, args=arguments)
        process.start()
        return process, board

    def finish(self, job: Job) -> int | None:
        """Run a job to its end; its exit code, with what it said among the troubles if that is not 0."""
        process, _ = self.start(job)
        process.join(300)
        return self.checked(job, process)

    def checked(self, job: Job, process: BaseProcess) -> int | None:
        if process.exitcode is None:
            process.kill()
        if process.exitcode != 0:
            self.trouble.append(f"{job.name}: exit code {process.exitcode}: {self.errors.read_text().strip()}")
        return process.exitcode


@dataclass
class Measured:
    """A job that nobody interrupted: what it wrote, and how often and how long each of its phases was."""

    facts: dict[str, Any]
    entries: dict[str, int]
    seconds: dict[str, float]


def measure(runner: Runner, job: Job) -> Measured:
    wiped(job)
    process, board = runner.start(job)
    process.join(300)
    assert runner.checked(job, process) == 0, runner.trouble
    entries = {phase: board.entries(phase) for phase in watched.PHASES}
    means = {phase: board.seconds(phase) / max(count, 1) for phase, count in entries.items()}
    return Measured(job.facts(), entries, means)


def label(board: watched.Board) -> str:
    return ("control: " if board.control else "") + board.phase


def reach(
    process: BaseProcess, board: watched.Board, whole: Measured, phase: str, moments: random.Random, haste: float = 1.0
) -> None:
    """Wait for a random moment of a phase, or until the process has ended; ``haste`` below 1 shortens the wait."""
    wanted = moments.randint(1, max(1, round(0.9 * haste * whole.entries[phase])))
    delay = moments.uniform(0, haste * (0.3 if phase == "starting" else whole.seconds[phase]))
    deadline = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < deadline:
        if board.ready and (phase == "starting" or board.entries(phase) >= wanted):
            break
        time.sleep(0.0003)
    time.sleep(delay)


class Chain:
    """Kill a run, resume it, kill it again; whenever it comes to its end, compare, and begin another one."""

    def __init__(self, runner: Runner, job: Job, whole: Measured, moments: random.Random) -> None:
        self.runner, self.job, self.whole, self.moments = runner, job, whole, moments
        self.kills: list[Kill] = []
        self.differing: list[str] = []
        self.runs = 0
        self._open: list[Kill] = []  # kills of the run that has not ended yet
        wiped(job)

    def kill(self, phase: str) -> bool:
        """Kill once at a random moment of a phase; False if the run was too fast for that every time it was tried."""
        return any(self._try(phase, 0.5**attempt) for attempt in range(5))

    def _try(self, phase: str, haste: float) -> bool:
        if self.job.is_built():
            self.end()
        process, board = self.runner.start(self.job)
        reach(process, board, self.whole, phase, self.moments, haste)
        process.kill()
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        if self._open:
            self._open[-1].resumed = killed or process.exitcode == 0
        if killed:
            self._open.append(Kill(self.job.name, label(board), self._left_running()))
        else:
            self._settle(self.runner.checked(self.job, process) == 0)
        return killed

    def end(self) -> None:
        """Let the run end and compare."""
        ended = self.job.is_built() or self.runner.finish(self.job) == 0
        if self._open:
            self._open[-1].resumed = ended
        self._settle(ended)

    def _left_running(self) -> list[int]:
        """What the process just killed left running; every other time it is held, so that it outlives the next one."""
        known = {number for kill in self._open for number in kill.orphans}
        left = [number for number in orphans.running(self.job) if number not in known]
        if left and self.moments.random() < 0.5:
            orphans.tell(left, signal.SIGSTOP)
        return left

    def _settle(self, ended: bool) -> None:
        found = self._different() if ended else ["did not end"]
        left = orphans.running(self.job)
        for kill in self._open:
            kill.outlived = not set(left).isdisjoint(kill.orphans)
        orphans.tell(left, signal.SIGCONT)
        found += [f"process {number} goes on" for number in orphans.outlasting(self.job, PATIENCE)]
        found += self._different() if ended else []  # nor does what went on for a while change anything
        found += self.job.leftovers()
        for kill in self._open:
            kill.identical = not found
        self.differing += found
        self.kills, self._open, self.runs = self.kills + self._open, [], self.runs + 1
        wiped(self.job)

    def _different(self) -> list[str]:
        return differences(self.whole.facts, self.job.facts())


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    names = sorted(wanted.keys() | found.keys())
    return [name for name in names if wanted.get(name, "nothing") != found.get(name, "nothing")]


def table(kills: list[Kill]) -> list[tuple[str, int, int, int]]:
    """Rows of (phase, kills, resumed, identical)."""
    counts = Counter((kill.job, kill.phase) for kill in kills)
    rows = []
    for (job, phase), count in sorted(counts.items()):
        these = [kill for kill in kills if (kill.job, kill.phase) == (job, phase)]
        rows.append((f"{job}: {phase}", count, sum(k.resumed for k in these), sum(k.identical for k in these)))
    return rows
