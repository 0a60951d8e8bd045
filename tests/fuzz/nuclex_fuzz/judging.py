"""What may happen to a broken file: it is read and what comes out is valid, or it is refused in one good sentence.

Everything else is a finding: another exception, a warning, a hang, memory without bound, silent garbage.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from nuclex_fuzz.mutation import mutants

from nuclex.core.errors import CorruptError, InputError, OutsideError

REFUSALS = (InputError, CorruptError, OutsideError)
SECONDS = 2.0
"""Processor time that one input may take; that of the machine's other users does not count."""
TRACED = 5
"""How many times as long it may take while the lines that run are counted (``make test`` measures coverage)."""
STUCK_SECONDS = 60.0
"""Time on the clock after which an input that uses no processor is taken for stuck."""
MOST_MEMORY = 200 << 20
"""Bytes by which one input (of at most some 100 kB) may raise the peak of the process."""
LONGEST_SENTENCE = 900


@dataclass(frozen=True)
class Format:
    """One kind of file: valid seeds, how it is read, and what is valid.

    ``check`` reads the file at a path with nuclex: it raises what nuclex raises, and AssertionError where something is
    accepted that is not valid. ``prepare`` makes what stands around the file and gives its path; ``place`` is what a
    refusal must hold: a pattern in which PATH stands for the path. ``whole`` lists what is said of a file as a whole.
    ``compressed``: the reader unpacks; ``mended``: it leaves out what is broken, says so, and refuses nothing.
    """

    name: str
    seeds: tuple[bytes, ...]
    check: Callable[[Path], None]
    prepare: Callable[[Path], Path]
    place: str = r"PATH:\d+: "
    whole: tuple[str, ...] = ()
    compressed: bool = False
    mended: bool = False


@dataclass(frozen=True)
class Finding:
    """An input on which nuclex did something else than accept or refuse."""

    format: str
    data: bytes
    what: str

    def __str__(self) -> str:
        shown = repr(self.data) if len(self.data) < 1500 else f"{self.data[:1500]!r}... ({len(self.data)} bytes)"
        return f"{self.format}: {self.what}\n    input: {shown}"


@dataclass
class Totals:
    """How the inputs of one format fared."""

    format: str
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + len(self.findings)

    def to_data(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "inputs": self.inputs,
            "accepted": self.accepted,
            "refused": self.refused,
            "findings": len(self.findings),
            "slowest_s": round(self.slowest_s, 3),
        }


def scratch() -> Path | None:
    """Where many small files are written: memory where the system offers it."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def fuzz(format: Format, inputs: Iterable[bytes]) -> Totals:
    """Judge inputs one by one in a folder of their own."""
    totals = Totals(format.name)
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=scratch()) as folder:
        path = format.prepare(Path(folder))
        for data in inputs:
            path.write_bytes(data)
            began = time.process_time()
            try:
                with guarded():
                    accepted = judge(format, path)
                totals.accepted, totals.refused = totals.accepted + accepted, totals.refused + (not accepted)
            except Exception as error:
                totals.findings.append(Finding(format.name, data, f"{type(error).__name__}: {error}"[:600]))
            except Stuck as error:
                totals.findings.append(Finding(format.name, data, f"hang: {error}"))
            totals.slowest_s = max(totals.slowest_s, time.process_time() - began)
    return totals


def fuzz_mutants(format: Format, count: int, stream: str = "0") -> Totals:
    """Judge this many mutations of the seeds of a format."""
    return fuzz(format, mutants(format.seeds, count, f"{format.name}/{stream}", compressed=format.compressed))


def judge(format: Format, path: Path) -> bool:
    """Whether the file is accepted; AssertionError where it should not be, or is refused badly."""
    try:
        format.check(path)
    except REFUSALS as error:
        refuse_bad_sentence(format, path, str(error))
        return False
    return True


def refuse_bad_sentence(format: Format, path: Path, sentence: str) -> None:
    """AssertionError unless a refusal is one short printable line that names the file and the line or key."""
    assert sentence, "the refusal says nothing"
    assert sentence.isprintable(), f"the refusal is more than one line, or holds control characters: {sentence!r}"
    assert len(sentence) <= LONGEST_SENTENCE, f"the refusal has {len(sentence)} letters: {sentence[:300]!r}"
    if any(words in sentence for words in format.whole):
        assert str(path) in sentence, f"the refusal does not name the file: {sentence!r}"
        return
    pattern = format.place.replace("PATH", re.escape(str(path))).replace("HOME", re.escape(str(path.parent)))
    assert re.search(pattern, sentence), f"the refusal does not say where: {sentence!r}"


class Stuck(BaseException):
    """An input took too long; no ``except Exception`` in the way may hold it up."""


@contextmanager
def guarded() -> Iterator[None]:
    """Warnings are errors; too much time and too much memory are findings."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stuck("no processor used, and no answer" if number == signal.SIGALRM else f"over {limit} s of processor")

    limit = SECONDS * (TRACED if _traced() else 1)
    before = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    _forget_peak()
    low = _peak()
    signal.setitimer(signal.ITIMER_PROF, limit)
    signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    grown = _peak() - low
    assert grown <= MOST_MEMORY, f"took {grown >> 20} MiB of memory"


def _traced() -> bool:
    coverage = sys.modules.get("coverage")
    return coverage is not None and coverage.Coverage.current() is not None


def _forget_peak() -> None:
    """Let Linux count the peak of this process's memory anew; elsewhere memory is not watched."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) << 10 if found else 0
