"""Run what a tutorial says, in order, and hold it to what it promises.

    python docs/tutorials/run.py docs/tutorials/helm.md [FOLDER]

Blocks fenced as ``sh`` hold ``nuclex`` commands (run with ``--json``), ``python`` a script, ``toml`` a file whose first
line is ``# file: NAME``. A line ``# expect: KEY LOW to HIGH`` behind a command is about a key of its answer, with dots;
inside a script ``KEY`` is an expression. Exit code 1 where a command fails or a number is outside its range.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(sh|python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECT = re.compile(r"^\s*# expect: (\S.*?) (-?[\d.]+) to (-?[\d.]+)$", re.MULTILINE)
MARK = "@@ values "


@dataclass(frozen=True)
class Promise:
    """A number that a page promises: what it is called, and between what it lies."""

    key: str
    low: float
    high: float


@dataclass(frozen=True)
class Step:
    """A command, a script or a file, and what is promised of it."""

    kind: str
    text: str
    promises: tuple[Promise, ...] = field(default=())


class BrokenError(Exception):
    """A step that did not do what the page says."""


def steps(page: str) -> Iterator[Step]:
    """The steps of a page, in order; BrokenError for an ``# expect:`` that cannot be read and a file without a name."""
    for kind, text in FENCE.findall(page):
        if text.count("# expect:") != len(EXPECT.findall(text)):
            raise BrokenError(f"an '# expect:' is not 'KEY LOW to HIGH' in\n{text}")
        if kind == "toml" and not text.startswith("# file: "):
            continue  # shown, not used
        if kind == "sh":
            yield from _commands(text)
        else:
            yield Step(kind, text, _promises(text))


def _promises(text: str) -> tuple[Promise, ...]:
    return tuple(Promise(key, float(low), float(high)) for key, low, high in EXPECT.findall(text))


def _commands(text: str) -> Iterator[Step]:
    """Each line a command; one that ends in a backslash goes on; comments behind it belong to it."""
    command, comments = "", ""
    for line in [*text.replace("\\\n", " ").splitlines(), "end"]:
        if line.startswith("#"):
            comments += line + "\n"
            continue
        if command:
            yield Step("sh", command, _promises(comments))
        command, comments = line.strip(), ""


def answer(step: Step, folder: Path) -> dict[str, Any]:
    """What a step said, by key; BrokenError where it failed."""
    if step.kind == "toml":
        name, _, body = step.text.partition("\n")
        (folder / name.removeprefix("# file: ")).write_text(body)
        return {}
    if step.kind == "python":
        listed = ", ".join(f"{promise.key!r}: float({promise.key})" for promise in step.promises)
        script = f"{step.text}\nimport json\nprint({MARK!r} + json.dumps({{{listed}}}))\n"
        told = _said([sys.executable, "-c", script], folder)
        found: dict[str, Any] = json.loads(told.rpartition(MARK)[2])
        return found
    program, *arguments = shlex.split(step.text)
    if program != "nuclex":
        raise BrokenError(f"a command is one of nuclex, found: {step.text}")
    told = _said([sys.executable, "-m", "nuclex", *arguments, "--json"], folder)
    given: dict[str, Any] = json.loads(told)
    return given


def _said(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout


def value(said: dict[str, Any], promise: Promise) -> float:
    """The promised number among what was said; BrokenError where there is none."""
    if promise.key in said:
        return float(said[promise.key])
    found: Any = said
    for part in promise.key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise BrokenError(f"{promise.key}: is not among {json.dumps(said)[:1500]}")
        found = found[part]
    return float(found)


def run(page: Path, folder: Path) -> list[str]:
    """Do all steps of a page in a folder, telling each; the promises that were not kept."""
    wrong = []
    for step in steps(page.read_text(encoding="utf-8")):
        begun = time.monotonic()
        said = answer(step, folder)
        shown = step.text if step.kind == "sh" else f"{step.kind}: {step.text.splitlines()[0]}"
        _tell(f"{time.monotonic() - begun:6.1f} s  {shown}")
        for promise in step.promises:
            found = value(said, promise)
            kept = promise.low <= found <= promise.high
            _tell(f"{'':10}{promise.key} = {found:.5g}, promised {promise.low} to {promise.high}")
            if not kept:
                wrong.append(f"{promise.key} is {found:.5g}; the page says {promise.low} to {promise.high}")
    return wrong


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run a page in a folder of its own; 0 where every promise was kept."""
    page, given = Path(arguments[0]), arguments[1:]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(given[0]) if given else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            wrong = run(page.resolve(), folder)
        except BrokenError as error:
            wrong = [str(error)]
    for line in wrong:
        _tell(f"not kept: {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
