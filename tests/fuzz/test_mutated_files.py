"""10 000 broken files of every format that nuclex reads: accepted and valid, or refused in a sentence that says where.

``make test`` judges a sample of each; ``make test-all`` all of them. The same files every time: the mutations are
seeded. New ones: ``python benchmarks/fuzz.py --stream 1``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nuclex_fuzz.command_line import CASES, WORD, called, fuzz_commands, make_workplace
from nuclex_fuzz.formats import BINARY, COMMANDS, COUNTS, TEXT, format_named
from nuclex_fuzz.judging import Format, Totals, fuzz, fuzz_mutants

from nuclex.core.errors import InputError

SAMPLE = 20


def assert_no_findings(totals: Totals, inputs: int) -> None:
    shown = "\n".join(str(finding) for finding in totals.findings[:5])
    assert not totals.findings, f"{len(totals.findings)} findings in {totals.inputs} inputs:\n{shown}"
    assert totals.inputs == inputs
    mended = totals.format in COUNTS and format_named(totals.format).mended
    assert (totals.refused > 0) != mended, "no input was broken"


@pytest.mark.parametrize("name", COUNTS)
def test_the_seeds_are_accepted(name: str, tmp_path: Path) -> None:
    format = format_named(name)
    totals = fuzz(format, format.seeds)
    assert not totals.findings, str(totals.findings[0])
    assert totals.accepted == len(format.seeds)


@pytest.mark.parametrize("name", COUNTS)
def test_a_sample_of_broken_files(name: str) -> None:
    assert_no_findings(fuzz_mutants(format_named(name), SAMPLE, "sample"), SAMPLE)


@pytest.mark.long
@pytest.mark.parametrize("name", TEXT)
def test_broken_text_files(name: str) -> None:
    assert_no_findings(fuzz_mutants(format_named(name), COUNTS[name]), COUNTS[name])


@pytest.mark.long
def test_broken_binary_files_and_artefacts() -> None:
    """In a process of their own: an Arrow file once ended it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-m", "nuclex_fuzz", *(f"{name}:{COUNTS[name]}" for name in BINARY)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, f"ended with {result.returncode} in {lines[-1:]}: {result.stderr[-2000:]}"
    found = [shown for line in lines for shown in line.get("shown", [])]
    assert not found, "\n".join(found[:5])
    assert {line["format"]: line["inputs"] for line in lines if "format" in line} == {n: COUNTS[n] for n in BINARY}


def test_there_are_ten_thousand() -> None:
    assert sum(COUNTS.values()) + COMMANDS >= 10_000


# ---- the command line ----


def test_every_verb_of_the_fuzzing_works_on_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_workplace(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for number, case in enumerate(CASES):
        if case.seeds and case.file:
            (tmp_path / case.file).write_bytes(case.seeds[0])
        elif case.file == "broken.fa":
            (tmp_path / case.file).write_bytes((tmp_path / "good.fa").read_bytes())
        words = [case.seeds[0].decode() if word == WORD else word for word in case.arguments]
        renamed = [word.replace("out/new", f"out/{number}") for word in words]
        assert called([*renamed, "--quiet"])[0::2] == (0, ""), case.name


def test_a_sample_of_command_lines() -> None:
    assert_no_findings(fuzz_commands(2 * len(CASES), "sample"), 2 * len(CASES))


@pytest.mark.long
def test_command_lines_over_broken_files() -> None:
    count = -(-COMMANDS // len(CASES)) * len(CASES)
    assert_no_findings(fuzz_commands(COMMANDS), count)


# ---- the judge ----


def judged(check, data: bytes = b"x\n") -> str:
    """What the judge finds where a reader does this."""
    totals = fuzz(Format("toy", (), check, lambda folder: folder / "a.txt", whole=("is empty",)), [data])
    return totals.findings[0].what if totals.findings else f"{totals.accepted} accepted, {totals.refused} refused"


def refusing(sentence: str):
    def check(path: Path) -> None:
        raise InputError(sentence.replace("PATH", str(path)))

    return check


def spend(path: Path) -> None:
    while True:
        pass


def devour(path: Path) -> None:
    assert bytearray(300 << 20)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (lambda path: None, "1 accepted, 0 refused"),
        (refusing("PATH:3: found 'x'"), "0 accepted, 1 refused"),
        (refusing("PATH: is empty"), "0 accepted, 1 refused"),
        (refusing("PATH: is odd"), "does not say where"),
        (refusing("other:3: found 'x'"), "does not say where"),
        (refusing("is empty"), "does not name the file"),
        (refusing("PATH:3: found\nx"), "more than one line"),
        (refusing("PATH:3: found \x1b[31m"), "control characters"),
        (refusing("PATH:3: found " + "x" * 1000), "letters"),
        (refusing(""), "says nothing"),
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: path.with_name("none").read_bytes(), "FileNotFoundError"),
        (lambda path: __import__("warnings").warn("careful", stacklevel=1), "UserWarning"),
        (devour, "MiB of memory"),
    ],
)
def test_the_judge_can_find(check, verdict: str) -> None:
    assert verdict in judged(check)


@pytest.mark.slow
def test_the_judge_stops_what_does_not_end() -> None:
    assert "s of processor" in judged(spend)
