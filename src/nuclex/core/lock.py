"""One owner for a run folder: a lock file with process id and boot id, so that a stale lock is recognised."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from nuclex.core.errors import OutsideError


@contextlib.contextmanager
def owned(folder: str | Path) -> Iterator[None]:
    """Hold ``folder/.lock`` for the length of the block; OutsideError if a living process holds it."""
    path = Path(folder) / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    claim = json.dumps({"pid": os.getpid(), "boot": _boot_id()}).encode()
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            holder = _holder(path)
            if holder is not None:
                raise OutsideError(f"{folder}: is in use by process {holder}; wait for it or stop it") from None
            path.unlink(missing_ok=True)
            continue
        os.write(descriptor, claim)
        os.close(descriptor)
        break
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _holder(path: Path) -> int | None:
    """The living process that holds the lock, or None when the lock is stale."""
    try:
        claim = json.loads(path.read_bytes())
        pid, boot = int(claim["pid"]), claim["boot"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if boot != _boot_id() or pid == os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return pid
    return pid


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
