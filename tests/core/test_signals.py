"""Signals wait for the end of what must not be cut in two, and are not lost."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
import torch

from nuclex.bundle.weights import read_weights
from nuclex.core.signals import undisturbed


class Asked(KeyboardInterrupt):
    pass


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(number: int, frame: object) -> None:
        raise Asked

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_is_delivered_when_the_block_has_ended(handled: None) -> None:
    done = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
            done.append("the rest of the block")

    with pytest.raises(Asked):
        work()
    assert done
    with pytest.raises(Asked):
        signal.raise_signal(signal.SIGTERM)


def test_without_a_signal_and_in_other_threads_nothing_happens(handled: None) -> None:
    found = []

    def work() -> None:
        with undisturbed():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
    with undisturbed():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_while_weights_are_read_is_a_stop_and_no_damage(
    handled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library makes a RuntimeError of what a handler raises inside it; that must not be told as a damaged file."""
    from safetensors import torch as library

    library.save_file({"a": torch.arange(3.0)}, tmp_path / "w.safetensors")
    real = library.load_file

    def swallowing(path: Path) -> dict[str, torch.Tensor]:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Asked:
            raise RuntimeError("could not determine the shape of object type 'torch.storage.UntypedStorage'") from None
        return real(path)

    monkeypatch.setattr(library, "load_file", swallowing)
    with pytest.raises(Asked):
        read_weights(tmp_path / "w.safetensors")
