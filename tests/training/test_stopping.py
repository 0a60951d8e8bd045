"""The first signal waits for the step, the second Ctrl-C does not; an evaluation is cut short."""

from __future__ import annotations

import os
import signal

import pytest

from nuclex.training.stopping import Cut, Stopping


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_the_first_signal_is_noted() -> None:
    stopping, before = Stopping(), signal.getsignal(signal.SIGTERM)
    with stopping.listening():
        assert stopping.number is None
        send(signal.SIGTERM)
        send(signal.SIGTERM)  # a scheduler may send it twice
        assert (stopping.number, stopping.name) == (signal.SIGTERM, "SIGTERM")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_ctrl_c_ends_at_once() -> None:
    for first in (signal.SIGINT, signal.SIGTERM):
        stopping = Stopping()
        with stopping.listening():
            send(first)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
        assert stopping.number == first


def test_what_may_be_cut_is_cut_once() -> None:
    stopping = Stopping()
    with stopping.listening():
        with pytest.raises(Cut), stopping.cutting():
            send(signal.SIGTERM) or pytest.fail("the block went on")
        send(signal.SIGTERM)  # while the checkpoint is written
        with pytest.raises(Cut), stopping.cutting():
            pytest.fail("the block began though a signal was there")
