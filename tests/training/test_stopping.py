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


def hiding(turned: type[Exception] | None) -> None:
    """What library code may do with an exception that comes out of nowhere."""
    try:
        send(signal.SIGTERM) or pytest.fail("the work went on")
    except Cut:
        if turned is not None:
            raise turned("cannot compare") from None


@pytest.mark.parametrize("turned", [TypeError, None], ids=["an error of its own", "swallowed"])
def test_code_that_hides_the_cut_is_cut_all_the_same(turned: type[Exception] | None) -> None:
    stopping = Stopping()
    with stopping.listening(), pytest.raises(Cut), stopping.cutting():
        hiding(turned)
    assert stopping.number == signal.SIGTERM


def test_an_error_without_a_signal_is_an_error() -> None:
    stopping = Stopping()
    with stopping.listening(), pytest.raises(TypeError, match="mine"), stopping.cutting():
        raise TypeError("mine")
