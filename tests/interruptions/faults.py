"""A disk that is full from the n-th writing call on, or a process that dies at it.

Wrapped are the calls by which nuclex and the libraries under it make, sync and rename files: mkdir, open for writing,
fsync, rename, replace, and safetensors' own writer. What is inside of a single call is left to a real small disk
(starving.py).
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from typing import Any

from watched import Board


def full_from(number: int, board: Board) -> None:
    """Let every writing call fail with "No space left on device" from call ``number`` (0-based) on."""
    _wrap(board, number, lambda path: _full(path))


def die_at(number: int, board: Board) -> None:
    """Let the process be killed at writing call ``number`` (0-based)."""

    def die(path: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _wrap(board, number, die)


def _full(path: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path) if not isinstance(path, int) else None)


def _wrap(board: Board, number: int, act: Callable[[Any], None]) -> None:
    def counted(function: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def shown(*given: Any, **named: Any) -> Any:
            if writes(*given, **named):
                call, board.calls = board.calls, board.calls + 1
                if call >= number:
                    act(given[0])
            return function(*given, **named)

        return shown

    def always(*given: Any, **named: Any) -> bool:
        return True

    def creates(path: Any, flags: int, *given: Any, **named: Any) -> bool:
        return bool(flags & os.O_CREAT)

    def opens_to_write(path: Any, mode: str = "r", *given: Any, **named: Any) -> bool:
        return not isinstance(path, int) and bool(set(mode) & set("wax+")) and not str(path).startswith("/dev/")

    for name in ("mkdir", "rename", "replace", "fsync"):
        setattr(os, name, counted(getattr(os, name), always))
    os.open = counted(os.open, creates)
    io.open = builtins.open = counted(io.open, opens_to_write)  # type: ignore[assignment]
    import safetensors.torch

    write = safetensors.torch.save_file

    def save_file(tensors: Any, path: Any, *given: Any, **named: Any) -> None:
        call, board.calls = board.calls, board.calls + 1
        write(tensors, path, *given, **named)
        if call >= number:
            os.truncate(path, os.stat(path).st_size // 2)  # it came half way
            act(path)

    safetensors.torch.save_file = save_file
