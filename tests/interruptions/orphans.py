"""Programs that a killed build leaves running: MMseqs2 goes on until its step is done, or fails without its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

from jobs import Job


def running(job: Job) -> list[int]:
    """The ids of the programs that work in an unfinished folder of this job, be it still there or not (Linux).

    A child that is still Python is not yet one: it holds the lock of the folder and is in the session of its parent.
    """
    stem = f"{os.path.realpath(job.out.parent)}/.tmp-{job.out.name}-"
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # it ended just now
            begun = os.readlink(link.with_name("exe")) != os.readlink("/proc/self/exe")
            if begun and os.readlink(link).startswith(stem):
                found.append(int(link.parent.name))
    return found


def awaited(job: Job, but: Collection[int] = (), seconds: float = 30.0) -> list[int]:
    """Wait until others than those run; the others, or none if nothing came."""
    deadline = time.monotonic() + seconds
    while not (found := [number for number in running(job) if number not in but]) and time.monotonic() < deadline:
        time.sleep(0.001)
    return found


def tell(processes: list[int], number: signal.Signals) -> None:
    """Send a signal to them and to all that they have started since."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(process), number)


def outlasting(job: Job, seconds: float) -> list[int]:
    """Wait so long for them to end by themselves; those that did not, which are killed."""
    deadline = time.monotonic() + seconds
    while (left := running(job)) and time.monotonic() < deadline:
        time.sleep(0.01)
    tell(left, signal.SIGKILL)
    return left
