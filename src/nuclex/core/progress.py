"""What a person sees while nuclex works: a bar on a terminal, a plain line now and then elsewhere, always on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

_quiet: ContextVar[bool] = ContextVar("nuclex_quiet", default=False)
_shown = threading.Lock()
"""Held by the bar that is shown: a terminal has room for one."""


@contextlib.contextmanager
def quiet(active: bool = True) -> Iterator[None]:
    """Silence bars and messages inside the block."""
    token = _quiet.set(active)
    try:
        yield
    finally:
        _quiet.reset(token)


def say(message: str) -> None:
    """One line for the person, on stderr, unless ``--quiet``."""
    if not _quiet.get():
        print(message, file=sys.stderr, flush=True)


class Bar:
    """Progress of one piece of work; made by ``bar``. A ``total`` of 0 is one that nobody knows."""

    def __init__(self, title: str, total: int, start: int = 0, interval_s: float = 10.0) -> None:
        self.title, self.total, self.done = title, total, start
        self._interval_s = interval_s
        self._began = self._printed = time.monotonic()
        self._start = start
        self._note = ""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move on by ``steps``; ``note`` is what to show beside the bar (loss, tokens/s)."""
        self.done += steps
        self._note = note
        now = time.monotonic()
        if now - self._printed >= self._interval_s:
            self._printed = now
            many = f"{self.done}/{self.total}" if self.total else f"{self.done}"
            parts = (f"{self.title}: {many}", note, self._speed(now), self._left(now))
            say(" ".join(filter(None, parts)))

    def _rate(self, now: float) -> float:
        """Steps a second since the bar was made."""
        return (self.done - self._start) / max(now - self._began, 1e-9)

    def _speed(self, now: float) -> str:
        rate = self._rate(now)
        if rate <= 0:
            return ""
        return f"{rate:.3g}/s" if rate < 999.5 else f"{rate:,.0f}/s".replace(",", " ")

    def _left(self, now: float) -> str:
        rate = self._rate(now)
        return f"{(self.total - self.done) / rate:.0f} s left" if self.total and rate > 0 else ""

    def close(self) -> None:
        """Called when the work is over."""


class _TerminalBar(Bar):
    def __init__(self, title: str, total: int, start: int = 0) -> None:
        super().__init__(title, total, start, interval_s=float("inf"))
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TextColumn("{task.fields[speed]}"),
        )
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
        self._task = self._progress.add_task(title, total=total or None, completed=start, note="", speed="")
        self._progress.start()

    def advance(self, steps: int = 1, note: str = "") -> None:
        super().advance(steps, note)
        speed = self._speed(time.monotonic())
        self._progress.update(self._task, total=self.total or None, advance=steps, note=note, speed=speed)

    def close(self) -> None:
        self._progress.stop()


@contextlib.contextmanager
def bar(title: str, total: int, start: int = 0) -> Iterator[Bar]:
    """A bar with speed and time left: rich on a terminal, a plain line every ten seconds where there is none.

    Inside another one it is not shown: what is told is how far the whole of the work has come.
    """
    if not _shown.acquire(blocking=False):
        yield Bar(title, total, start, interval_s=float("inf"))
        return
    try:
        terminal = sys.stderr.isatty() and not _quiet.get()
        made: Bar = _TerminalBar(title, total, start) if terminal else Bar(title, total, start)
        try:
            yield made
        finally:
            made.close()
    finally:
        _shown.release()


def counted(title: str, items: Iterable[Item], total: int = 0) -> Iterator[Item]:
    """The items as they come, with a bar that counts them; a ``total`` of 0 is one that nobody knows."""
    with bar(title, total) as progress:
        for item in items:
            yield item
            progress.advance()
