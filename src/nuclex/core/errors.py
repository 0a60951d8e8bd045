"""What can go wrong, and the exit code each kind of trouble gives.

Every message is one sentence that says where (file and line, or key), what was found and what is allowed.
The command line turns these into that sentence and the code; nothing else in nuclex calls ``sys.exit``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What no name of a file may hold: it would break the line of a message and of a list."""
_LONGEST_NAME = 40


class NuclexError(Exception):
    """Anything nuclex refuses on purpose; an exception that is not one of these is a bug in nuclex."""

    exit_code = 1
    told = False
    """Whether another process of the same run has said it already."""


class InputError(NuclexError):
    """The user's input or options are wrong (exit code 2)."""

    exit_code = 2


class OutsideError(NuclexError):
    """Something outside nuclex failed: the network, a tool, a lock held by another run (exit code 3)."""

    exit_code = 3


class CorruptError(NuclexError):
    """An artefact that nuclex wrote is not what it was when it was written (exit code 4)."""

    exit_code = 4


class DiskError(NuclexError):
    """The disk is full or not writable (exit code 5)."""

    exit_code = 5


class NonFiniteError(NuclexError):
    """Training stopped on a loss or gradient that is no finite number, or is far out of the ordinary (exit code 6)."""

    exit_code = 6


class StoppedError(NuclexError):
    """A signal asked the run to stop; a checkpoint was written first (exit code 128 + signal number)."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def at(path: str | Path, line: int | None = None) -> str:
    """The ``file:line`` prefix of an error message.

    >>> at("genes.fa", 3)
    'genes.fa:3'
    """
    return f"{path}:{line}" if line is not None else str(path)


def shown(value: object, most: int = 60) -> str:
    """What was found, as a message shows it: Python's spelling, printable and on one line, cut where it is long.

    >>> shown("AC\\n" * 100, most=12)
    "'AC\\\\nAC\\\\n..."
    """
    text = repr(value[: most + 1]) if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def one_line(text: str, most: int = 200) -> str:
    """What a library complains of, as a part of a message: one line, printable, cut where it quotes half of the file.

    >>> one_line("expected a key,\\n  found \\x07")
    'expected a key, found \\\\x07'
    """
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in " ".join(text.split()))
    return line if len(line) <= most else f"{line[:most]}..."


def meant(name: str, known: Iterable[str]) -> str:
    """The hint behind a name that is unknown, `` (did you mean 'depth'?)``; empty where no known name is like it.

    Capitals do not count, and of a name with folders the last part is enough; where several end in it, nothing is said.

    >>> meant("depht", ["width", "depth"]), meant("rinalmo-nan", ["pretrain/rinalmo-nano"]), meant("x", ["depth"])
    (" (did you mean 'depth'?)", " (did you mean 'pretrain/rinalmo-nano'?)", '')
    """
    names = list(known)
    if sum(each.endswith(f"/{name}") for each in names) > 1:
        return ""
    folded = {each.rsplit("/", 1)[-1].lower(): each for each in reversed(names)}
    folded |= {each.lower(): each for each in reversed(names)}
    near = difflib.get_close_matches(name[:_LONGEST_NAME].lower(), folded, n=1)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def missing_extra(package: str, extra: str, purpose: str) -> InputError:
    """The sentence for an optional library that is not installed."""
    return InputError(f"{purpose} needs the package {package!r}, which is not installed; pip install 'nuclex[{extra}]'")
