"""A question about variants asked of a model alone: by likelihood, with nothing learned from any label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nuclex.bundle import load
from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import InputError
from nuclex.core.plain import from_json, plain
from nuclex.evaluation.benchmark import ZERO_SHOT, System
from nuclex.evaluation.variants import variant_benchmark
from nuclex.tasks import Task

CHIEF = ("auroc", "spearman_of_sizes")
"""The metric to quote: the first of these that the labels allow."""


def zero_shot(task: Task, model: str, bundle: Path, folder: Path, device: str) -> System:
    """Score the test variants of ``task``, or read what was scored before; rows are kept in ``folder``.

    InputError where the model cannot be asked, or cannot be asked about one of the variants.
    """
    path = folder / "zero-shot.json"
    if not path.is_file():
        found = variant_benchmark(load(bundle, device=device), task, splits=("test",))
        if found.skipped:
            raise InputError(f"{task.name}: not every variant can be scored: {json.dumps(found.skipped)}")
        by_id = {row["id"]: row for row in found.rows}
        rows = [_row(by_id[example.id]) for example in task.examples("test")]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            write_json(temporary, plain({"digest": task.digest, "rows": rows, "metrics": found.metrics["all"]}))
    kept = from_json(path.read_bytes())
    if kept["digest"] != task.digest:
        raise InputError(f"{path}: was made with other variants; remove it or give another --out")
    return System(model, ZERO_SHOT, (kept["rows"],), (kept["metrics"],))


def chief_of(system: System) -> tuple[str, ...]:
    """The metrics to quote, the chief one first."""
    return tuple(name for name in CHIEF if name in system.reported[0])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "truth": row["label"], "predicted": row["score"], "scores": {}}
