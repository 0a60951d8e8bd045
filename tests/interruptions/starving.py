"""A full disk, at every write: a run on a small tmpfs, or with every writing call failing from the n-th on.

    unshare -Urm python tests/interruptions/starving.py FOLDER [--points N]

mounts the tmpfs inside its own namespace, so no rights are needed. A run that was stopped half way is copied there and
resumed with little room; whatever write that meets, the command must leave with exit code 5 and one sentence, its last
good checkpoint must stand, and with room again it must end bit for bit as the run that nobody starved.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faults
from jobs import Job, make_jobs, wiped
from killing import Measured, Runner, differences, measure, start_server
from signalling import stop_once

PAGE = 4096
NEVER = 1 << 30


@dataclass
class Starved:
    """One trial: how much room there was, or which call failed; the exit code, and what stood and ended afterwards."""

    job: str
    where: int
    code: int
    survived: bool
    identical: bool
    said: str

    @property
    def right(self) -> bool:
        sentence = self.said.count("\n") == 1 and "Traceback" not in self.said
        return self.survived and self.identical and (self.code == 0 or (self.code == 5 and sentence))


def half_way(runner: Runner, job: Job, whole: Measured) -> None:
    """Run a job until SIGTERM stops it between its first checkpoint and its end."""
    moments = random.Random(0)
    while True:
        wiped(job)
        stop = stop_once(runner, job, whole, "evaluating" if job.resumed else "building", moments)
        checkpoints = list(job.out.glob("checkpoints/step-*"))
        if stop is not None and len(checkpoints) > 1:
            return


def fail_at(runner: Runner, job: Job, base: Path | None, whole: Measured, call: int) -> tuple[Starved, int]:
    """Resume a copy of ``base`` (or begin) with the disk full from writing call ``call`` on; the calls it made."""
    _laid_out(job, base)
    process, board = runner.start(job, partial(faults.full_from, call))
    process.join(120)
    return _judged(runner, job, whole, call, process.exitcode or 0), board.calls


def starve(runner: Runner, job: Job, base: Path | None, whole: Measured, room: int) -> Starved:
    """Resume a copy of ``base`` (or begin) on a file system that has ``room`` bytes left; then make room and end."""
    _laid_out(job, base)
    ballast = job.out.parent / "ballast"
    space = os.statvfs(ballast.parent)
    with ballast.open("wb") as handle:
        os.posix_fallocate(handle.fileno(), 0, max(space.f_bavail * space.f_frsize - room, 1))
    process, _ = runner.start(job)
    process.join(120)
    ballast.unlink()
    return _judged(runner, job, whole, room, process.exitcode or 0)


def _laid_out(job: Job, base: Path | None) -> None:
    wiped(job)
    if base is not None:
        shutil.copytree(base, job.out)


def _judged(runner: Runner, job: Job, whole: Measured, where: int, code: int) -> Starved:
    from nuclex.training.checkpoint import latest_checkpoint

    said = runner.errors.read_text()
    survived = True
    if job.resumed and (job.out / "checkpoints").is_dir():
        survived = latest_checkpoint(job.out / "checkpoints") is not None
    if not job.resumed and code:
        survived = not job.out.exists() and job.leftovers() == []
    ended = code == 0 or runner.finish(job) == 0
    identical = ended and differences(whole.facts, job.facts()) == [] and job.leftovers() == []
    return Starved(job.name, where, code, survived, identical, said)


def starve_everywhere(runner: Runner, jobs: dict[str, Job], disk: Path, points: int) -> list[Starved]:
    """Every job with less and less room: ``points`` amounts each, between nothing and as much as it needs."""
    trials = []
    for name in ("pretrain", "structure", "build", "embed"):
        whole = measure(runner, jobs[name])
        base = None
        if jobs[name].resumed:
            half_way(runner, jobs[name], whole)
            base = jobs[name].out
        needed = _needed(jobs[name], whole, runner)
        if base is not None:
            half_way(runner, jobs[name], whole)
        step = max(needed // points // PAGE, 1) * PAGE
        for room in range(0, needed + PAGE, step):
            trials.append(starve(runner, jobs[name].fresh(disk), base, whole, room))
    return trials


def _needed(job: Job, whole: Measured, runner: Runner) -> int:
    """About how many bytes a job writes that were not there before."""
    files = [job.out] if job.out.is_file() else [path for path in job.out.rglob("*") if path.is_file()]
    before = sum(path.stat().st_size for path in files) if job.resumed else 0
    assert not job.resumed or runner.finish(job) == 0
    files = [job.out] if job.out.is_file() else [path for path in job.out.rglob("*") if path.is_file()]
    parts = 2 if job.out.is_file() else 1  # of an embedding lie beside it until it is whole
    return max(parts * sum(-(-path.stat().st_size // PAGE) * PAGE for path in files) - before, 16 * PAGE)


def on_small_disk(folder: Path, points: int) -> list[dict[str, Any]] | None:
    """Run this file in a namespace of its own with a tmpfs on ``folder/disk``; None where the system allows none."""
    command = ["unshare", "-Urm", sys.executable, __file__, str(folder), "--points", str(points)]
    (folder / "disk").mkdir(exist_ok=True)
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder / "disk")]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads((folder / "starved.json").read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--points", type=int, default=4)
    arguments = parser.parse_args()
    disk = arguments.folder / "disk"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)], check=True)
    runner = Runner(start_server(), arguments.folder)
    trials = starve_everywhere(runner, make_jobs(arguments.folder), disk, arguments.points)
    found = [{**asdict(trial), "right": trial.right} for trial in trials]
    (arguments.folder / "starved.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
