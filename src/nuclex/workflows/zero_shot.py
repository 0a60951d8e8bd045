"""Answers that were learned from no label: variants by likelihood, structures by energy or by what a model couples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nuclex.bundle import Bundle, load
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.evaluation.benchmark import ENERGY, ZERO_SHOT, System
from nuclex.evaluation.contacts import Contacts, contact_benchmark
from nuclex.evaluation.thermodynamics import thermodynamic_baseline
from nuclex.evaluation.variants import variant_benchmark
from nuclex.tasks import Task
from nuclex.training.pairs import DecodingConfig
from nuclex.training.results import scored
from nuclex.workflows.folder import kept

CHIEF = ("auroc", "spearman_of_sizes")
"""The metric to quote: the first of these that the labels allow."""


@dataclass(frozen=True)
class Asked:
    """A model by its name in the tables: where its bundle lies, the digest of that, and where it is to compute."""

    name: str
    path: Path
    digest: str
    device: str

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle itself, loaded once."""
        return load(self.path, device=self.device)


def zero_shot(task: Task, model: Asked, folder: Path) -> System:
    """Score the test variants of ``task`` in their order, or read what was scored before, which ``folder`` keeps.

    InputError where the model cannot be asked, or cannot be asked about one of the variants.
    """

    def scored_variants() -> dict[str, Any]:
        found = variant_benchmark(model.bundle, task, splits=("test",))
        if found.skipped:
            raise InputError(f"{task.name}: not every variant can be scored: {json.dumps(found.skipped)}")
        return {"rows": [_row(row) for row in found.rows], "metrics": found.metrics["all"]}

    about = {"task": task.digest, "model": model.digest}
    found = kept(folder / "zero-shot.json", about, scored_variants)
    return System(model.name, ZERO_SHOT, (found["rows"],), (found["metrics"],))


def chief_of(system: System) -> tuple[str, ...]:
    """The metrics to quote, the chief one first."""
    return tuple(name for name in CHIEF if name in system.reported[0])


def by_energy(task: Task, folder: Path) -> Iterator[System]:
    """The test structures of ``task`` folded by ViennaRNA in both its ways; InputError without the package."""

    def folded() -> dict[str, Any]:
        say(f"{task.name}: folding by energy")
        return {method: scored(found) for method, found in thermodynamic_baseline(task).items()}

    found = kept(folder / "energy.json", {"task": task.digest}, folded)
    for method in ("mfe", "mea"):
        yield System(ENERGY, method, (found[method],), ({},))


def by_contacts(task: Task, way: Contacts, model: Asked, folder: Path, rules: DecodingConfig | None) -> System:
    """The test structures of ``task`` folded by the contact scores of a model, by ``rules``.

    InputError where it cannot be asked.
    """

    def folded() -> dict[str, Any]:
        say(f"{task.name}: {model.name} folds without labels, by {way}")
        found = contact_benchmark(model.bundle, task, way, rules=rules)
        return {"rows": scored(found), "metrics": found.settings}

    about = {"task": task.digest, "model": model.digest, "rules": None if rules is None else rules.to_data()}
    found = kept(folder / f"{way}.json", about, folded)
    return System(model.name, way, (found["rows"],), ({},), found["metrics"])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "truth": row["label"], "predicted": row["score"], "scores": {}}
