"""Asked to stop: a first SIGINT or SIGTERM lets the step in progress end, a second Ctrl-C ends everything at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from nuclex.core.signals import received_by


class Cut(BaseException):
    """A signal came in work that is not worth waiting for."""


class Stopping:
    """Notes the first signal that asks to stop; its number is None as long as nobody asked."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._may_cut = False

    @property
    def name(self) -> str:
        """SIGINT or SIGTERM."""
        return signal.Signals(self.number or 0).name

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM over for the length of the block."""
        with received_by(self._received):
            yield

    @contextlib.contextmanager
    def cutting(self) -> Iterator[None]:
        """A signal inside the block does not wait for its end: it raises ``Cut``.

        Code inside may swallow that or make an error of its own of it (numpy does, while it compares); then the block
        ends with ``Cut`` all the same.
        """
        if self.number is not None:
            raise Cut
        self._may_cut = True
        try:
            yield
        except Exception as error:
            if self.number is None:
                raise
            raise Cut from error
        finally:
            self._may_cut = False
        if self.number is not None:
            raise Cut

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            if self._may_cut:
                raise Cut
        elif number == signal.SIGINT:  # a scheduler may send SIGTERM twice; a person who presses Ctrl-C again means it
            raise KeyboardInterrupt
