"""Broken files of every format through every reader: how many are accepted, refused, and neither (findings).

    python benchmarks/fuzz.py [--scale 1] [--stream 0] [--guided 20000] [--only ct fasta]

``--scale 10`` judges ten times as many mutated files as ``make test-all``; another ``--stream`` judges others. With
``--guided`` atheris adds so many inputs, led by coverage, for each parser that is Python. A finding is printed with its
input and makes the exit code 1. Anchor: of 10 000 mutated FASTA and FASTQ files six public readers accept 11 to 21 %
that hold garbage (docs/log.md).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "tests" / "fuzz"
sys.path.insert(0, str(FUZZ))

from nuclex_fuzz.command_line import fuzz_commands  # noqa: E402
from nuclex_fuzz.formats import COMMANDS, COUNTS, TEXT  # noqa: E402

from nuclex.core.provenance import package_versions  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"


def called(module: str, arguments: list[str]) -> tuple[int, str]:
    """Exit code and stdout of a module of the engine in a process of its own: a crash is a finding, too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FUZZ), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, env=environment, check=False
    )
    return result.returncode, result.stdout.decode("utf-8", "backslashreplace")


def row(name: str, way: str, code: int, out: str, began: float) -> dict[str, Any]:
    """The totals of one run."""
    found = [json.loads(line) for line in out.splitlines() if line.startswith('{"format"')]
    totals = (
        found[0] if found else {"format": name, "inputs": 0, "accepted": 0, "refused": 0, "findings": 1, "shown": [out]}
    )
    for text in totals.pop("shown", []):
        print(text, file=sys.stderr)
    if code and not totals["findings"]:
        totals["findings"] = 1
        print(f"{name}: the process ended with {code}", file=sys.stderr)
    return {**totals, "by": way, "seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--stream", default="0")
    parser.add_argument("--guided", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def add(made: dict[str, Any]) -> None:
        rows.append(made)
        print("{by:9} {format:32} {inputs:8} {accepted:8} {refused:8} {findings:8}".format(**made), flush=True)

    head = ("by", "format", "inputs", "accepted", "refused", "findings")
    print("{:9} {:32} {:>8} {:>8} {:>8} {:>8}".format(*head))
    for name, count in COUNTS.items():
        if not given.only or name in given.only:
            began = time.monotonic()
            run = called("nuclex_fuzz", [f"{name}:{max(1, int(count * given.scale))}", "--stream", given.stream])
            add(row(name, "mutation", *run, began))
    if not given.only or "command line" in given.only:
        began, totals = time.monotonic(), fuzz_commands(int(COMMANDS * given.scale), given.stream)
        shown = {**totals.to_data(), "shown": [str(finding) for finding in totals.findings]}
        add(row("command line", "mutation", 0, json.dumps(shown), began))
    for name in TEXT if given.guided else ():
        if not given.only or name in given.only:
            began = time.monotonic()
            add(row(name, "coverage", *called("nuclex_fuzz.guided", [name, str(given.guided), "1"]), began))
    sums = {key: sum(made[key] for made in rows) for key in ("inputs", "accepted", "refused", "findings")}
    add({"by": "", "format": "all", **sums})
    if not given.only:
        setting = {"scale": given.scale, "stream": given.stream, "guided": given.guided}
        packages = {name: version for name, version in package_versions().items() if name != "nuclex"}
        RESULTS.write_text(
            json.dumps({**setting, "totals": sums, "rows": rows[:-1], "packages": packages}, indent=2) + "\n"
        )
    return int(sums["findings"] > 0)


if __name__ == "__main__":
    sys.exit(main())
