"""Jobs for a model: one thread computes, a bounded number wait, each may be cancelled, none outlives its time limit.

A job's name is a random token, which is all that protects its result from other users of the same server. Results are
kept as JSON text, so that what they take is known: the newest ``kept`` jobs, up to ``kept_bytes`` and ``kept_seconds``.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from nuclex.core.errors import InputError, NuclexError, one_line
from nuclex.core.plain import plain
from nuclex.core.progress import say
from nuclex.training.device import within_memory
from nuclex.web.settings import ServeConfig

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")


class FullError(NuclexError):
    """No more jobs may wait."""


class _EndedError(Exception):
    """The job was cancelled; it ends where it is."""


@dataclass(frozen=True)
class File:
    """A download: what it is, what makes its bytes when it is asked for, and how many they are where that is known."""

    about: str
    media_type: str
    make: Callable[[], bytes]
    size: int | None = None


@dataclass(frozen=True)
class Answer:
    """What a job gives: plain data, and files by their name."""

    result: dict[str, Any]
    files: dict[str, File] = field(default_factory=dict)


class Job:
    """One piece of work, from its request until it is forgotten. Fields are written under the jobs' lock."""

    def __init__(self, kind: str, work: Callable[[Job], Answer], seconds: float) -> None:
        self.token, self.kind = secrets.token_urlsafe(16), kind
        self.state: State = "queued"
        self.done = 0
        self.total: int | None = None
        self.result: bytes | None = None
        self.error: str | None = None
        self.files: dict[str, File] = {}
        self._work: Callable[[Job], Answer] | None = work
        self._limit = seconds
        self._began: float | None = None
        self.ended: float | None = None

    def expect(self, total: int) -> None:
        """How many steps there will be."""
        self.total = total
        self._check()

    def step(self, steps: int = 1) -> None:
        """So many steps are done. Raises where the job was cancelled (nobody hears of it) or its time is over."""
        self.done += steps
        self._check()

    def _check(self) -> None:
        if self.state == "cancelled":
            raise _EndedError
        if self.seconds > self._limit:
            raise InputError(
                f"time: the job took longer than {self._limit:g} s, which is the limit here; give fewer or shorter "
                "sequences, or start the server with a larger --seconds"
            )

    @property
    def seconds(self) -> float:
        """How long it has been computed."""
        if self._began is None:
            return 0.0
        return (time.monotonic() if self.ended is None else self.ended) - self._began

    @property
    def size(self) -> int:
        """Bytes that its result and its files take."""
        return len(self.result or b"") + sum(file.size or 0 for file in self.files.values())

    @property
    def seconds_left(self) -> float | None:
        """A guess from what is done; None where nothing is known."""
        if self.state != "running" or not self.done or self.total is None:
            return None
        return self.seconds / self.done * max(self.total - self.done, 0)

    def run(self) -> Answer:
        """Compute, once; InputError and whatever else goes wrong pass through."""
        self._began, work, self._work = time.monotonic(), self._work, None  # its sequences need not be kept
        assert work is not None
        with within_memory():
            return work(self)


class Jobs:
    """The jobs of a server and the thread that does them."""

    def __init__(self, config: ServeConfig) -> None:
        self._config, self._lock = config, threading.Lock()
        self._jobs: dict[str, Job] = {}  # in the order of their requests
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._labour, name="nuclex-jobs", daemon=True)
        self._thread.start()

    def add(self, kind: str, work: Callable[[Job], Answer]) -> Job:
        """Put a job at the end of the queue; FullError where the queue is full."""
        job = Job(kind, work, self._config.seconds)
        with self._lock:
            self._forget()
            if sum(one.state == "queued" for one in self._jobs.values()) >= self._config.queue:
                raise FullError(f"queue: {self._config.queue} jobs wait already, which is the limit; try again later")
            self._jobs[job.token] = job
        self._waiting.put(job)
        return job

    def find(self, token: str) -> Job | None:
        """The job of this token; None where there is none, or it is forgotten."""
        with self._lock:
            self._forget()
            return self._jobs.get(token)

    def __len__(self) -> int:
        """How many are known."""
        with self._lock:
            self._forget()
            return len(self._jobs)

    def cancel(self, job: Job) -> None:
        """End a job: at once where it waits, at its next step where it runs; one that has ended stays as it is."""
        with self._lock:
            if job.state not in ENDED:
                job.state, job.ended = "cancelled", time.monotonic()

    def position(self, job: Job) -> int | None:
        """How many jobs are before this one; None where it does not wait."""
        with self._lock:
            if job.state != "queued":
                return None
            before = list(self._jobs.values())
            return sum(one.state in ("queued", "running") for one in before[: before.index(job)])

    def close(self, patience: float = 10.0) -> None:
        """Cancel everything and wait for the thread, so long at most."""
        with self._lock:
            unfinished = list(self._jobs.values())
        for job in unfinished:
            self.cancel(job)
        self._waiting.put(None)
        self._thread.join(patience)

    def _forget(self) -> None:
        """Drop what ended long ago, and of the rest the oldest until the limits hold; called under the lock."""
        now = time.monotonic()
        ended = [job for job in self._jobs.values() if job.ended is not None]
        size = sum(job.size for job in ended)
        for place, job in enumerate(ended):
            assert job.ended is not None
            many = len(ended) - place > self._config.kept or size > self._config.kept_bytes
            if many or now - job.ended > self._config.kept_seconds:
                del self._jobs[job.token]
                size -= job.size

    def _labour(self) -> None:
        while (job := self._waiting.get()) is not None:
            with self._lock:
                if job.state != "queued":
                    continue
                job.state = "running"
            self._do(job)

    def _do(self, job: Job) -> None:
        state: State = "failed"
        error, text, files = None, None, dict[str, File]()
        try:
            answer = job.run()
            text, files = json.dumps(plain(answer.result), allow_nan=False).encode(), answer.files
            state = "done"
        except _EndedError:
            state = "cancelled"
        except NuclexError as refusal:
            error = one_line(str(refusal), 1000)
        except Exception as bug:
            error = "this is a bug in nuclex, and the terminal of the server says more"
            say(f"bug in a job {job.kind!r}: {type(bug).__name__}: {one_line(str(bug), 500)}")
        with self._lock:
            if job.state != "cancelled":
                job.state, job.error, job.result, job.files = state, error, text, files
                job.ended = time.monotonic()
