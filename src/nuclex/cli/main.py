"""The command line: one verb, one Python function; progress on stderr, results on stdout, a sentence when it fails."""

from __future__ import annotations

import errno
import io
import json as json_format
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import CycloptsError, Group, Parameter

from nuclex import __version__
from nuclex.cli import verbs
from nuclex.cli.completion import CompletedApp
from nuclex.cli.settings import rewrite_settings
from nuclex.cli.show import show
from nuclex.core.errors import DiskError, InputError, NuclexError
from nuclex.core.plain import plain
from nuclex.core.progress import quiet as quietly

EVERYWHERE = Group("Everywhere", sort_key=99)
ABOUT = Group("Help", sort_key=98)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""What the system says only when something cannot be written."""
CLOSED = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
"""What it says of a path that was given and cannot be opened."""

app = CompletedApp(
    name="nuclex",
    version=__version__,
    suppress_keyboard_interrupt=False,
    help="Language models for DNA, RNA and mRNA: from a FASTA file to a measured model. Begin with: nuclex quickstart",
    help_format="plaintext",  # markdown would cost a third of the time that help takes
    help_epilogue="Exit codes: 0 done, 2 wrong input, 3 something outside failed, 4 a damaged artefact, 5 the disk, "
    "6 a loss that is not finite, 130 and 143 stopped by a signal, 1 a bug in nuclex.",
)
verbs.register(app)


@app.command(name="--install-completion")
def install_completion(
    *,
    shell: Literal["zsh", "bash", "fish", "powershell"] | None = None,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
) -> None:
    """Install shell completion for this application.

    Parameters
    ----------
    shell:
        Whose completion; the shell that nuclex was started from, if not given.
    output:
        Where the script is written; the shell's own place, if not given.
    """
    # What app.register_install_completion_command() imports at once costs help a tenth of its time.
    from cyclopts.completion.install import create_install_completion_command

    create_install_completion_command(app.install_completion, add_to_startup=True)(shell=shell, output=output)


for _flag in ("--help", "--version", "--install-completion"):
    app[_flag].group = ABOUT
app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[bool, Parameter(group=EVERYWHERE, negative="")] = False,
    quiet: Annotated[bool, Parameter(group=EVERYWHERE, negative="")] = False,
    debug: Annotated[bool, Parameter(group=EVERYWHERE, negative="")] = False,
) -> Any:
    """Run a verb.

    Parameters
    ----------
    json:
        Print one JSON object on stdout and nothing else there.
    quiet:
        No progress on stderr.
    debug:
        Show the traceback of an error.
    """
    if not tokens and not json:
        print(verbs.FIRST, end="")
        return 0
    with quietly(quiet):
        result = app(
            rewrite_settings(app, tokens), exit_on_error=False, print_error=False, result_action="return_value"
        )
    if isinstance(result, dict):
        print(_one_object("_".join(app.parse_commands(list(tokens))[0]), result) if json else show(plain(result)))
    return 0


def _one_object(verb: str, result: dict[str, Any]) -> str:
    """What ``--json`` prints, as ``nuclex.cli.schema`` declares it for the verb; the tests check each at this place."""
    return json_format.dumps(plain(result), allow_nan=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script ``nuclex``; leaves with the exit codes of ``nuclex.core.errors``."""
    # On a shared machine a thread that spins while it waits keeps the one it waits for off the core: measured with two
    # threads on two busy cores, 900 tokens/s instead of 39 000 (docs/log.md, 2026-11-21).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGTERM, _terminated)  # training takes it over, to write a checkpoint first
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller; print would write what is for stderr to stdout
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no ≥ is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what comes now has nothing to clear away
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code, after a sentence on stderr where it is not 0."""
    try:
        app.meta(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return 0
    except CycloptsError as error:
        return _fail(InputError(f"command line: {' '.join(str(error).split())} (see nuclex --help)"), arguments)
    except NuclexError as error:
        return _fail(error, arguments)
    except _Terminated:
        print("nuclex: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("nuclex: interrupted", file=sys.stderr)
        return 130
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):  # rich leaves so
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough: be silent
        return 0
    except Exception as error:
        if (signal_came := _signal_before(error)) is not None:
            name, code = ("terminated", 143) if isinstance(signal_came, _Terminated) else ("interrupted", 130)
            _say(f"{name}; on the way out: {type(error).__name__}: {error}")
            return code
        if isinstance(error, OSError) and error.errno in FULL:
            return _fail(DiskError(f"{error.filename or 'disk'}: cannot be written: {error.strerror}"), arguments)
        if isinstance(error, OSError) and error.errno in CLOSED and error.filename:
            return _fail(InputError(f"{error.filename}: cannot be opened: {error.strerror}"), arguments)
        if "--debug" in arguments:
            raise
        _say(f"bug: {type(error).__name__}: {error} (run again with --debug and report it)")
        return 1


class _Terminated(KeyboardInterrupt):
    """SIGTERM, raised where the program is, so that what is unfinished is cleared away as after Ctrl-C."""


def _terminated(number: int, frame: object) -> None:
    raise _Terminated


def _signal_before(error: BaseException | None) -> KeyboardInterrupt | None:
    """The signal after which ``error`` came up: a library that is left half-way may stumble as it clears away.

    Seen of torch, whose stack of modes was emptied by the signal before the mode that was to leave it.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _fail(error: NuclexError, arguments: Sequence[str]) -> int:
    if "--debug" in arguments:
        import traceback

        traceback.print_exc()
    if not error.told:
        _say(str(error))
    return error.exit_code


def _say(sentence: str) -> None:
    """One line on stderr, whatever a file's name or content put into the sentence; a terminal obeys no file."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in sentence)
    print(f"nuclex: {line}", file=sys.stderr)
