from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nuclex.core import lock
from nuclex.core.errors import DiskError, OutsideError
from nuclex.core.lock import owned

HOLDER = """
    import sys, time
    from nuclex.core.lock import owned
    with owned(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its stdin is closed."""
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def claim(folder: Path, **facts: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / ".lock").write_text(json.dumps(facts))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_is_held_and_let_go(tmp_path: Path) -> None:
    with owned(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / ".lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "run" / ".lock").exists()
    with pytest.raises(RuntimeError), owned(tmp_path / "run"):
        raise RuntimeError
    with owned(tmp_path / "run"):
        pass


def test_a_living_holder_is_respected_and_named(tmp_path: Path) -> None:
    process = holder(tmp_path)
    with (
        pytest.raises(OutsideError, match=rf"is in use by process {process.pid}; wait for it or stop it"),
        owned(tmp_path),
    ):
        pass
    assert (tmp_path / ".lock").exists(), "the one who was refused takes nothing away"
    process.communicate("")
    with owned(tmp_path):
        pass


def test_one_process_cannot_own_a_folder_twice(tmp_path: Path) -> None:
    with owned(tmp_path):
        with pytest.raises(OutsideError, match="in use by process"), owned(tmp_path):
            pass
        assert (tmp_path / ".lock").exists()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == process.pid
    with owned(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_what_is_left_of_dead_holders_is_taken_over(tmp_path: Path) -> None:
    claims = [
        {"pid": dead_pid(), "boot": lock._boot_id()},
        {"pid": os.getppid(), "boot": "another boot"},
        {"pid": os.getppid(), "boot": lock._boot_id()},  # the number of the dead holder was given to another process
        {"pid": "x"},
        {},
    ]
    for facts in claims:
        claim(tmp_path, **facts)
        with owned(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    for content in (b"", b"{", b"\xff", b"[]", b"[" * 50_000):
        (tmp_path / ".lock").write_bytes(content)
        with owned(tmp_path):
            pass


def test_without_locks_the_named_holder_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    claim(tmp_path, pid=os.getppid(), boot=lock._boot_id())
    with pytest.raises(OutsideError, match=rf"in use by process {os.getppid()}"), owned(tmp_path):
        pass
    for facts in ({"pid": dead_pid(), "boot": lock._boot_id()}, {"pid": os.getppid(), "boot": "another"}, {}):
        claim(tmp_path, **facts)
        with owned(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot be written"), owned(tmp_path / "file"):
        pass


RACER = """
    import os, sys
    from pathlib import Path
    from nuclex.core.errors import OutsideError
    from nuclex.core.lock import owned

    def visit(dies):
        try:
            with owned(folder):
                os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))  # fails if another is inside
                os.sched_yield()
                os.unlink(folder / "inside")
                if dies:
                    os._exit(0)  # as if killed: the file stays, naming a dead process
            return True
        except OutsideError:
            os.sched_yield()
            return False

    folder, wins = Path(sys.argv[1]), 0
    print("ready", flush=True)
    sys.stdin.readline()
    while wins < int(sys.argv[2]):
        wins += visit(dies=False)
        child = os.fork()
        if child == 0:
            visit(dies=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("rounds", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_eight_processes_race_for_a_stale_lock(tmp_path: Path, rounds: int) -> None:
    """Eight processes that want the same lock; each must get it ``rounds`` times, never two at once."""
    folder = tmp_path / "run"
    claim(folder, pid=dead_pid(), boot=lock._boot_id())
    command = [sys.executable, "-c", textwrap.dedent(RACER), str(folder), str(rounds)]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(8)]
    ready = [racer.stdout.readline() for racer in racers if racer.stdout is not None]
    results = [racer.communicate("go\n", timeout=100) for racer in racers]
    assert ready == ["ready\n"] * 8
    assert [(racer.returncode, err) for racer, (_, err) in zip(racers, results, strict=True)] == [(0, "")] * 8
    assert not (folder / "inside").exists()


@pytest.mark.parametrize("another_came", [False, True])
def test_a_lock_file_that_vanishes_as_it_is_opened(
    another_came: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one moment that a race needs: between opening the file and locking it, its owner takes it away."""
    flock, others = fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        if not others:
            (tmp_path / ".lock").unlink()
            others.append(os.open(tmp_path / ".lock", os.O_CREAT | os.O_RDWR) if another_came else -1)
            if another_came:
                flock(others[0], fcntl.LOCK_EX)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    if another_came:
        with pytest.raises(OutsideError, match="in use by another process"), owned(tmp_path):
            pass
        os.close(others[0])
    else:
        with owned(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert len(others) == 1
