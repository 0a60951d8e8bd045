"""Somebody who is told every look at the validation set while a run is trained, and may end it by raising."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar

Watch = Callable[[int, Mapping[str, float]], None]
"""Given the step and the numbers of a look, once they are written down; what it raises ends the run."""

_watch: ContextVar[Watch | None] = ContextVar("nuclex_watch", default=None)


@contextlib.contextmanager
def watched(watch: Watch | None) -> Iterator[None]:
    """Tell ``watch`` of every look of what is trained inside the block."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def told(step: int, numbers: Mapping[str, float]) -> None:
    """Tell whoever watches."""
    watch = _watch.get()
    if watch is not None:
        watch(step, numbers)
