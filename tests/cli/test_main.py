from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nuclex
from nuclex.cli import main as module
from nuclex.cli.main import run
from nuclex.cli.verbs import ORDER
from nuclex.core import errors
from nuclex.core.errors import StoppedError
from nuclex.core.progress import say

PROGRAM = [sys.executable, "-c", "from nuclex.cli.main import main; main()"]


def replaced(monkeypatch: pytest.MonkeyPatch, result: Callable[[], Any]) -> None:
    """Let `nuclex corpus info X` do what ``result`` does."""
    monkeypatch.setitem(vars(nuclex), "corpus_info", lambda path: result())


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


# ---- codes ----

CODES = [
    (errors.InputError("a.fa:3: found X"), 2, "nuclex: a.fa:3: found X\n"),
    (errors.OutsideError("held"), 3, "nuclex: held\n"),
    (errors.CorruptError("damaged"), 4, "nuclex: damaged\n"),
    (errors.DiskError("full"), 5, "nuclex: full\n"),
    (errors.NonFiniteError("nan"), 6, "nuclex: nan\n"),
    (StoppedError("SIGINT: stopped", 2), 130, "nuclex: SIGINT: stopped\n"),
    (StoppedError("SIGTERM: stopped", 15), 143, "nuclex: SIGTERM: stopped\n"),
    (KeyboardInterrupt(), 130, "nuclex: interrupted\n"),
    (OSError(errno.ENOSPC, "No space left on device"), 5, "nuclex: disk: cannot be written: No space left on device\n"),
    (OSError(errno.EROFS, "Read-only file system", "x"), 5, "nuclex: x: cannot be written: Read-only file system\n"),
    (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "nuclex: x: cannot be opened: Permission denied\n"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "x"), 2, "nuclex: x: cannot be opened: File name too long\n"),
    (PermissionError(errno.EACCES, "Permission denied"), 1, "nuclex: bug: PermissionError: [Errno 13] Permission d"),
    (ValueError("odd"), 1, "nuclex: bug: ValueError: odd (run again with --debug and report it)\n"),
    (FileNotFoundError(2, "No such file", "x"), 1, "nuclex: bug: FileNotFoundError: [Errno 2] No such file: 'x' (run "),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code", "sentence"), CODES, ids=lambda value: type(value).__name__)
def test_every_kind_of_trouble_has_its_code_and_one_sentence(
    error: BaseException, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replaced(monkeypatch, raising(error))
    for flags in ([], ["--json"], ["--quiet"]):
        assert run(["corpus", "info", "x", *flags]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(sentence)
        assert err.count("\n") == 1


def test_a_name_that_would_command_the_terminal_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "a\nb\x1b[31m\u202e.toml"]) == 2
    assert capsys.readouterr().err.startswith(r"nuclex: a\nb\x1b[31m\u202e.toml: no such recipe file")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replaced(monkeypatch, raising(errors.CorruptError("damaged")))
    assert run(["corpus", "info", "x", "--debug"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("nuclex: damaged\n")
    replaced(monkeypatch, raising(ValueError("odd")))
    with pytest.raises(ValueError, match="odd"):
        run(["--debug", "corpus", "info", "x"])


@pytest.mark.parametrize(
    ("signal_name", "code", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")]
)
def test_what_stumbles_after_a_signal_is_told_as_the_signal(
    signal_name: str, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        try:
            raise module._Terminated if signal_name == "SIGTERM" else KeyboardInterrupt
        finally:
            raise RuntimeError("trying to pop from empty mode stack")

    replaced(monkeypatch, stopped)
    assert run(["corpus", "info", "x"]) == code
    assert capsys.readouterr().err == (
        f"nuclex: {word}; on the way out: RuntimeError: trying to pop from empty mode stack\n"
    )


def test_main_leaves_with_the_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replaced(monkeypatch, raising(errors.CorruptError("damaged")))
    monkeypatch.setattr("signal.signal", lambda number, handler: None)  # the tests' own handlers stay
    monkeypatch.setattr(sys, "argv", ["nuclex", "corpus", "info", "x"])
    for arguments in (None, ["corpus", "info", "x"]):
        with pytest.raises(SystemExit) as left:
            module.main(arguments)
        assert left.value.code == 4
    assert capsys.readouterr().err == "nuclex: damaged\n" * 2


# ---- what goes where ----


@pytest.mark.usefixtures("made_up_results")
def test_results_on_stdout_messages_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> dict[str, Any]:
        say("working")
        return {"loss": 0.5, "wide": float("inf"), "path": Path("a")}

    replaced(monkeypatch, work)
    assert run(["corpus", "info", "x"]) == 0
    assert capsys.readouterr() == ("loss  0.5\nwide  None\npath  a\n", "working\n")
    assert run(["corpus", "info", "x", "--json"]) == 0
    assert capsys.readouterr() == ('{"loss": 0.5, "wide": null, "path": "a"}\n', "working\n")
    assert run(["--json", "--quiet", "corpus", "info", "x"]) == 0
    assert capsys.readouterr() == ('{"loss": 0.5, "wide": null, "path": "a"}\n', "")
    say("not quiet any more")
    assert capsys.readouterr().err == "not quiet any more\n"


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == nuclex.__version__
    for arguments in (["--help"], ["corpus"], ["corpus", "--help"]):
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert "Usage: nuclex" in out
        assert err == ""
    for verb in nuclex.VERBS:
        assert run([*verb.split("_"), "--help"]) == 0
        out = capsys.readouterr().out
        assert f"Usage: nuclex {verb.replace('_', ' ')}" in out


def test_without_a_verb_it_says_what_to_do_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) < 20
    assert max(map(len, out.splitlines())) <= 80
    named = re.findall(r"    nuclex ([a-z]+)( build)?", out)
    assert [verb + more.replace(" ", "_") for verb, more in named] == [
        "quickstart",
        "corpus_build",
        "pretrain",
        "embed",
    ]
    assert "nuclex --help" in out


def test_every_verb_has_an_example_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in nuclex.VERBS:
        words = verb.replace("_", " ")
        assert run([*verb.split("_"), "--help"]) == 0
        assert re.search(rf"^Example: nuclex {words}\b", capsys.readouterr().out, re.MULTILINE), words


def test_help_tells_verbs_in_the_order_in_which_data_flows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    titles = [out.index(f"─ {title} ─") for title in ORDER]
    assert titles == sorted(titles)
    told = re.findall(r"^│ ([a-z]+)  ", out, re.MULTILINE)
    known = {verb.split("_")[0] for verb in nuclex.VERBS}
    assert told == [verb for verbs in ORDER.values() for verb in verbs if verb in known]
    assert set(told) == known


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pretrian x", 'Did you mean "pretrain"?'),
        ("corpus biuld x", 'Did you mean "build"?'),
        ("evaluate b c --splitt train", "Did you mean --split?"),
        ("plan rinalmo-nan", "did you mean 'pretrain/rinalmo-nano'?"),
        ("plan pretrain/rinalmo-nano --model.kind rinalmi", "did you mean 'rinalmo'?"),
        ("plan pretrain/rinalmo-nano --model.depht 3", "did you mean 'depth'?"),
        ("data fetch archivei", "did you mean 'archiveii'?"),
    ],
)
def test_what_is_mistyped_is_guessed(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed.split()) == 2
    assert meant in capsys.readouterr().err


def test_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for code in (
        "0 done",
        "2 wrong input",
        "3 something outside",
        "4 a damaged",
        "5 the disk",
        "6 a loss",
        "130 and 143",
    ):
        assert code in text


# ---- as a process ----


HEAVY = {"torch", "pyarrow", "transformers", "numpy", "scipy", "sklearn", "matplotlib", "pandas", "tokenizers"}


@pytest.mark.parametrize("arguments", [["--help"], ["pretrain", "--help"], ["frobnicate"], ["--version"], ["plan"]])
def test_help_and_mistakes_import_nothing_heavy(arguments: list[str]) -> None:
    code = "import sys; from nuclex.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    imported = done.stdout.splitlines()[-1].split()
    assert "nuclex.cli.verbs" in imported
    assert not HEAVY & set(imported)


@pytest.mark.parametrize(("verb", "ending"), [("embed", "npz"), ("score", "csv"), ("fold", "dbn"), ("predict", "csv")])
def test_a_missing_file_is_told_before_torch_is_imported(verb: str, ending: str, tmp_path: Path) -> None:
    code = "import sys; from nuclex.cli.main import run; print(run(sys.argv[1:]), 'torch' in sys.modules)"
    asked = [verb, str(tmp_path), str(tmp_path / "none.fa"), "--out", str(tmp_path / f"out.{ending}")]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"
    assert done.stderr == f"nuclex: {tmp_path / 'none.fa'}: no such file; a file of sequences is needed\n"


def test_a_name_that_is_too_long_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embed", "bundle", "a" * 300, "--out", "out.npz"]) == 2
    assert "File name too long" in capsys.readouterr().err


def test_who_stops_reading_is_no_mistake() -> None:
    program = f"{sys.executable} -c 'from nuclex.cli.main import main; main()'"
    command = f"{program} --help | true; a=${{PIPESTATUS[0]}}; {program} data list | true; exit $((a + PIPESTATUS[0]))"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_the_signs_gets_others() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*PROGRAM, "naïve"], capture_output=True, check=False, env=environment)
    assert done.returncode == 2
    assert rb'Unknown command "na\xefve"' in done.stderr


def test_streams_that_the_caller_closed_are_no_mistake() -> None:
    program = f"{sys.executable} -c 'from nuclex.cli.main import main; main()'"
    for redirected, code in (("data list >&-", 0), ("corpus info nowhere 2>&-", 2), ("data list --json 2>&- <&-", 0)):
        done = subprocess.run(["bash", "-c", f"{program} {redirected}"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, "")
        assert (done.stdout == "") == ("--json" not in redirected)


@pytest.mark.slow
def test_sigterm_is_cleaned_up_after_and_leaves_with_143(tmp_path: Path) -> None:
    """A verb that waits for standard input is told to end: nothing unfinished stays behind."""
    command = [*PROGRAM, "corpus", "build", "-", "--out", str(tmp_path / "corpus"), "--cluster.method", "none"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b">a\nACGTACGTACGTACGTACGT\n")
        process.stdin.flush()
        for _ in range(300):
            if list(tmp_path.glob(".tmp-*")):
                break
            time.sleep(0.1)
        assert list(tmp_path.glob(".tmp-*")), "the build has not begun"
        process.terminate()
        assert process.wait(30) == 143
    assert list(tmp_path.iterdir()) == []
