"""Contestants that do the same work, timed in turn, round after round, in one process: ratios to the first of them.

Processor time on one thread is what is measured, so that what else the machine does weighs on all alike. A ratio is
taken within each round; printed are the median and the range over the rounds.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nuclex.core.provenance import package_versions

SHORTEST = 0.05
"""Seconds that one timing takes at least: quick work is done several times over."""


@dataclass(frozen=True)
class Row:
    """How many times as fast as the peer ``against`` something was; ``target`` is what it should be."""

    part: str
    name: str
    against: str
    ratio: float
    low: float
    high: float
    target: float | None = None

    @property
    def verdict(self) -> str:
        return "" if self.target is None else "reached" if self.ratio >= self.target else "MISSED"


def interleaved(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds that each contestant's work takes, in every round; one round before the first warms up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    repeats: dict[str, int] = {}
    for name, work in contestants.items():
        first = _seconds(work, 1)
        again = first if first > 10 * SHORTEST else _seconds(work, 1)  # the first one may have loaded or compiled
        repeats[name] = max(1, math.ceil(SHORTEST / max(again, 1e-6)))
    for _ in range(rounds):
        for name, work in contestants.items():
            times[name].append(_seconds(work, repeats[name]))
    return times


def rows(
    part: str, times: Mapping[str, list[float]], against: str, targets: Mapping[str, float] | None = None
) -> list[Row]:
    """One row for every other contestant, compared with ``against``."""
    found = []
    for name, own in times.items():
        if name != against:
            ratios = [base / mine for base, mine in zip(times[against], own, strict=True)]
            spread = (statistics.median(ratios), min(ratios), max(ratios))
            found.append(Row(part, name, against, *spread, (targets or {}).get(name)))
    return found


def print_table(table: list[Row]) -> None:
    """The rows, grouped by part and peer."""
    heading = None
    for row in table:
        if heading != (row.part, row.against):
            heading = (row.part, row.against)
            print(f"\n{row.part}: times as fast as {row.against}")
        target = "" if row.target is None else f"   target {row.target:g}: {row.verdict}"
        print(f"  {row.name:<58}{row.ratio:>8.2f} [{row.low:.2f}, {row.high:.2f}]{target}", flush=True)


def save(table: list[Row], path: Path, **facts: Any) -> None:
    """Write the table, its verdicts and the versions of the packages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{**asdict(row), "verdict": row.verdict} for row in table]
    path.write_text(json.dumps({**facts, "packages": package_versions(), "rows": lines}, indent=2) + "\n")


def _seconds(work: Callable[[], Any], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times
