"""Answers that were learned from no label: variants by likelihood, structures by energy or by what a model couples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import InputError
from nuclex.core.plain import from_json, plain
from nuclex.core.progress import say
from nuclex.evaluation.benchmark import ENERGY, ZERO_SHOT, System
from nuclex.evaluation.contacts import Contacts, contact_benchmark
from nuclex.evaluation.thermodynamics import thermodynamic_baseline
from nuclex.evaluation.variants import variant_benchmark
from nuclex.tasks import Task
from nuclex.training.pairs import DecodingConfig
from nuclex.training.results import scored

CHIEF = ("auroc", "spearman_of_sizes")
"""The metric to quote: the first of these that the labels allow."""
Rows = list[dict[str, Any]]


def zero_shot(task: Task, model: str, bundle: Path, folder: Path, device: str) -> System:
    """Score the test variants of ``task``, or read what was scored before; rows are kept in ``folder``.

    InputError where the model cannot be asked, or cannot be asked about one of the variants.
    """

    def scored_variants() -> tuple[Rows, dict[str, Any]]:
        found = variant_benchmark(load(bundle, device=device), task, splits=("test",))
        if found.skipped:
            raise InputError(f"{task.name}: not every variant can be scored: {json.dumps(found.skipped)}")
        by_id = {row["id"]: row for row in found.rows}
        return [_row(by_id[example.id]) for example in task.examples("test")], found.metrics["all"]

    rows, metrics = _kept(folder / "zero-shot.json", task, scored_variants)
    return System(model, ZERO_SHOT, (rows,), (metrics,))


def chief_of(system: System) -> tuple[str, ...]:
    """The metrics to quote, the chief one first."""
    return tuple(name for name in CHIEF if name in system.reported[0])


def by_energy(task: Task, folder: Path) -> Iterator[System]:
    """The test structures of ``task`` folded by ViennaRNA in both its ways; InputError without the package."""
    for method in ("mfe", "mea"):

        def folded(method: Any = method) -> tuple[Rows, dict[str, Any]]:
            say(f"{task.name}: folding by energy, {method}")
            return scored(thermodynamic_baseline(task)[method]), {}

        rows, _ = _kept(folder / f"{method}.json", task, folded)
        yield System(ENERGY, method, (rows,), ({},))


def by_contacts(
    task: Task, way: Contacts, model: tuple[str, Bundle], folder: Path, rules: DecodingConfig | None
) -> System:
    """The test structures of ``task`` folded by the contact scores of a model (its name and itself), by ``rules``.

    InputError where it cannot be asked.
    """
    name, bundle = model

    def folded() -> tuple[Rows, dict[str, Any]]:
        say(f"{task.name}: {name} folds without labels, by {way}")
        found = contact_benchmark(bundle, task, way, rules=rules)
        return scored(found), found.settings

    rows, _ = _kept(folder / f"{way}.json", task, folded)
    return System(name, way, (rows,), ({},))


def _kept(path: Path, task: Task, make: Callable[[], tuple[Rows, dict[str, Any]]]) -> tuple[Rows, dict[str, Any]]:
    """Rows and numbers as they were made now or before; InputError where those of before are of other sequences."""
    if not path.is_file():
        rows, metrics = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            write_json(temporary, plain({"digest": task.digest, "rows": rows, "metrics": metrics}))
    kept = from_json(path.read_bytes())
    if kept["digest"] != task.digest:
        raise InputError(f"{path}: was made with other sequences; remove it or give another --out")
    return kept["rows"], kept["metrics"]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "truth": row["label"], "predicted": row["score"], "scores": {}}
