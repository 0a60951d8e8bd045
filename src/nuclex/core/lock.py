"""One owner for a run folder: a lock that the system itself lets go when its process ends, however it ends.

The lock file also names its holder (process id and boot id), for the message and for file systems without locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuclex.core.artifact import disk_errors
from nuclex.core.errors import OutsideError

LOCK = ".lock"
"""The name of the file in a folder that says whose it is."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextlib.contextmanager
def owned(folder: str | Path) -> Iterator[None]:
    """Hold ``folder/.lock`` for the length of the block; OutsideError if a living process holds it."""
    path = Path(folder) / LOCK
    descriptor = _acquired(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock goes, so that nobody takes a file that is about to vanish
        os.close(descriptor)


def _acquired(path: Path) -> int:
    """The descriptor of the lock file at ``path``, locked and marked as ours."""
    while True:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            if not _locked(descriptor):
                raise OutsideError(f"{path.parent}: is in use by {_holder(path)}; wait for it or stop it")
            if _is_still(path, descriptor):
                _sign(path, descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the owner before us removed this file as we opened it: try the one that is there now


def _sign(path: Path, descriptor: int) -> None:
    """Write into the file that we hold whose it is; where there is no room, the file goes again."""
    claim = json.dumps({"pid": os.getpid(), "boot": _boot_id()}).encode()
    try:
        with disk_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, claim, 0)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _locked(descriptor: int) -> bool:
    """Take the lock of an open file, unless another holds it; where there are no locks, go by who is named in it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        claim = _claim(os.pread(descriptor, 1024, 0))
        return not (claim.get("boot") == _boot_id() and claim.get("pid") != os.getpid() and _alive(claim.get("pid")))


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether ``path`` names the open file, and not another one or none."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        pid = _claim(path.read_bytes()).get("pid")
    except FileNotFoundError:
        pid = None
    return "another process" if pid is None else f"process {pid}"


def _claim(content: bytes) -> dict[str, Any]:
    try:
        claim = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return claim if isinstance(claim, dict) else {}


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
