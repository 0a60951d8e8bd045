"""A command of nuclex as a child process that shows, on a page of memory, what it is doing at every moment.

The page outlives the child, so after a SIGKILL it says in which phase the child died. Only the child is changed:
functions of nuclex are wrapped in it before the command runs.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

LEARNING = ("starting", "training", "evaluating", "saving", "finishing")
UNDER_MMSEQS = ("excluding", "clustering")
PHASES = (*LEARNING, "building", *UNDER_MMSEQS, "embedding", "joining")
SIZE = 4096
READY, STEP, CALLS = 2, 16, 20  # u8: signals are taken; u32: updates done; u32: calls that write (faults.py)
ENTRIES, SECONDS = 64, 256  # per phase: u32 how often it began, f64 how long it took in all


class Board:
    """The page: one byte for the phase, one for the arm (1 in the control of a fine-tuning), and counts."""

    def __init__(self, path: Path, *, clear: bool = False) -> None:
        if clear:
            path.write_bytes(bytes(SIZE))
        with path.open("r+b") as handle:
            self._page = mmap.mmap(handle.fileno(), SIZE)

    @property
    def phase(self) -> str:
        return PHASES[self._page[0]]

    @phase.setter
    def phase(self, name: str) -> None:
        self._page[0] = PHASES.index(name)

    @property
    def control(self) -> bool:
        return bool(self._page[1])

    @control.setter
    def control(self, value: bool) -> None:
        self._page[1] = value

    @property
    def step(self) -> int:
        return int(struct.unpack_from("I", self._page, STEP)[0])

    @step.setter
    def step(self, value: int) -> None:
        struct.pack_into("I", self._page, STEP, value)

    @property
    def ready(self) -> bool:
        return bool(self._page[READY])

    @ready.setter
    def ready(self, value: bool) -> None:
        self._page[READY] = value

    @property
    def calls(self) -> int:
        return int(struct.unpack_from("I", self._page, CALLS)[0])

    @calls.setter
    def calls(self, value: int) -> None:
        struct.pack_into("I", self._page, CALLS, value)

    def entries(self, phase: str) -> int:
        return int(struct.unpack_from("I", self._page, ENTRIES + 4 * PHASES.index(phase))[0])

    def seconds(self, phase: str) -> float:
        return float(struct.unpack_from("d", self._page, SECONDS + 8 * PHASES.index(phase))[0])

    def _count(self, phase: str, seconds: float) -> None:
        place = PHASES.index(phase)
        if seconds:
            struct.pack_into("d", self._page, SECONDS + 8 * place, self.seconds(phase) + seconds)
        else:
            struct.pack_into("I", self._page, ENTRIES + 4 * place, self.entries(phase) + 1)

    def during(self, phase: str, function: Callable[..., Any], after: Callable[..., None] | None = None) -> Any:
        """``function``, showing ``phase`` while it runs; a phase inside another shows for as long as it lasts."""

        @wraps(function)
        def shown(*given: Any, **named: Any) -> Any:
            before, began = self.phase, time.perf_counter()
            self.phase = phase
            self._count(phase, 0.0)
            try:
                result = function(*given, **named)
                if after is not None:
                    after(*given)
                return result
            finally:
                self._count(phase, time.perf_counter() - began)
                self.phase = before

        return shown


def watch(board: Board) -> None:
    """Wrap the functions of nuclex whose work has a name among the phases."""
    from nuclex.core import artifact
    from nuclex.data import corpus, homology
    from nuclex.inference import embed, vectors
    from nuclex.training import arm, between, pretrain, update

    def done(running: Any) -> None:
        board.step = running.place.step

    updates = update.Updates
    updates.update = board.during("training", updates.update, done)  # type: ignore[method-assign]
    updates.evaluate = board.during("evaluating", updates.evaluate)  # type: ignore[method-assign]
    for name in ("save_checkpoint", "save_weights", "prune"):
        setattr(between, name, board.during("saving", getattr(between, name)))
    artifact.write_manifest = board.during("saving", artifact.write_manifest)
    artifact._sync = board.during("saving", artifact._sync)
    pretrain.finish_bundles = board.during("finishing", pretrain.finish_bundles)
    arm.ArmRun._write_bundle = board.during("finishing", arm.ArmRun._write_bundle)  # type: ignore[method-assign]
    corpus.build_corpus = board.during("building", corpus.build_corpus)
    corpus.exclude_similar = board.during("excluding", corpus.exclude_similar)
    homology._found = board.during("clustering", homology._found)
    embed.embed, embed.AT_ONCE = board.during("embedding", embed.embed), 256  # so that there are several parts
    vectors.WRITERS.update({name: board.during("joining", write) for name, write in vectors.WRITERS.items()})
    go = arm.ArmRun.go

    def arm_shown(self: Any, name: str, folder: Path, device: str, kin: Sequence[Path]) -> Any:
        board.control = name == "scratch" and self.start.bundle is not None
        board.step = 0  # of this arm
        return go(self, name, folder, device, kin)

    arm.ArmRun.go = arm_shown  # type: ignore[method-assign]


def child(arguments: list[str], board: Path, errors: Path, prepare: Callable[[Board], None] | None = None) -> None:
    """Run one command line of nuclex in this process; what it says goes to ``errors``."""
    from nuclex.cli import main as command

    os.dup2(os.open(errors, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    page = Board(board)
    watch(page)
    if prepare is not None:
        prepare(page)
    run = command.run

    def ready(given: Any) -> int:
        page.ready = True  # from here on SIGTERM and Ctrl-C are nuclex's, not the interpreter's
        return run(given)

    command.run = ready
    command.main(arguments)
