"""Work that no signal may cut in two: libraries make errors of their own of what a handler raises inside them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def received_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """SIGINT and SIGTERM go to ``handler`` for the length of the block, and then where they went before.

    In a thread that is not the main one nothing changes: handlers never run there.
    """
    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """SIGINT and SIGTERM that come inside the block are delivered when it has ended. For work of a moment only."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    try:
        with received_by(note):
            yield
    finally:
        for late in dict.fromkeys(came):
            signal.raise_signal(late)
