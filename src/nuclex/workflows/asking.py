"""One question of a suite asked of every model: runs with controls, zero-shot answers, folding without labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import CorruptError, InputError, NonFiniteError, OutsideError
from nuclex.core.plain import difference, from_json, plain
from nuclex.core.progress import say
from nuclex.data.store import Corpus
from nuclex.evaluation.benchmark import (
    ARMS,
    ENERGY,
    NotRun,
    Question,
    System,
    read_compared,
    read_system,
    refuse_unequal,
)
from nuclex.evaluation.benchmark_lines import TOGETHER, together
from nuclex.evaluation.leaks import Leaks
from nuclex.evaluation.leaks import leaks as find_leaks
from nuclex.evaluation.suite import EntryConfig, SuiteConfig, as_one_test, units_of
from nuclex.metrics.statistics import Interval
from nuclex.tasks import Task
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.run import CONFIG, lasting
from nuclex.workflows.zero_shot import Asked, by_contacts, by_energy, chief_of, zero_shot

RESULTS = "results.json"
_ITS_OWN = (InputError, OutsideError, NonFiniteError)
"""What goes wrong with one model on one question, and leaves the others as they are."""


class Entry:
    """One entry of a suite in the folder of a benchmark; what could not be asked is kept in ``not_run``."""

    def __init__(self, config: SuiteConfig, entry: EntryConfig, models: dict[str, Asked], out: Path) -> None:
        self.config, self.entry, self.models, self.out = config, entry, models, out
        self.folder = out / "runs" / entry.name
        self.not_run: list[NotRun] = []

    def refuse_unfit(self) -> None:
        """InputError for a mistake in the suite, and where a run of this entry was begun with another recipe."""
        if self.entry.recipe is None:
            return
        self.entry.finetuning(Path("-"), 0)
        for model in self.models.values():
            for seed, run in enumerate(self._folders(model)):
                _refuse_other(run, self.entry.finetuning(model.path, seed))

    def question(self, corpus: Corpus | None) -> Iterator[Question]:
        """What was found, if anything."""
        entry = self.entry
        if entry.waits_for is not None:
            self._not_run("", entry.waits_for)
            return
        try:
            task = self.task()
            units_N = units_of(task, entry, self.folder)
        except (InputError, OutsideError) as error:
            self._not_run("", str(error))
            return
        leaks = self._leaks(corpus, task)
        systems, compared = self._zero_shot(task) if entry.zero_shot else self._fine_tuned(task)
        folded = list(self._folded(task)) if self.models else []
        if folded and not systems:
            compared = ("strict_f1", "relaxed_f1")
        systems += folded
        if not systems and leaks is None:
            return
        told = {"name": task.name, "counts": task.counts(), "notes": dict(task.notes), "shape": str(task.shape)}
        told["classes"] = task.classes
        question = Question(entry.name, entry.chapter, told, compared, units_N, tuple(systems), entry.quoted)
        question = replace(question, stands_in_for=entry.stands_in_for)
        refuse_unequal(question)
        yield question if leaks is None else _with_leaks(question, leaks, self.config.level)

    def task(self) -> Task:
        """The task as it is asked, read anew."""
        task = self.entry.finetuning(Path("-"), 0).task.read()
        return as_one_test(task) if self.config.asks_all(self.entry) else task

    def _leaks(self, corpus: Corpus | None, task: Task) -> Leaks | None:
        if corpus is None:
            return None
        try:
            return find_leaks(corpus, task, identity=self.config.identity, learned=not self.entry.zero_shot)
        except (InputError, OutsideError) as error:
            self._not_run("leaks", str(error))
            return None

    def _fine_tuned(self, task: Task) -> tuple[list[System], tuple[str, ...]]:
        """Every model and its controls, and by what they are compared."""
        runs = {name: found for name, model in self.models.items() if (found := self._runs(model, task))}
        systems = [system for name, found in runs.items() for arm in ARMS if (system := read_system(name, arm, found))]
        return systems, read_compared(next(iter(runs.values()))[0])[0] if runs else ("",)

    def _zero_shot(self, task: Task) -> tuple[list[System], tuple[str, ...]]:
        """Every model asked as it is, and by what they are compared."""
        systems = []
        for name, model in self.models.items():
            try:
                systems.append(zero_shot(task, model, self.folder / name))
            except _ITS_OWN as error:
                self._not_run(name, str(error))
        return systems, chief_of(systems[0]) if systems else ("",)

    def _folded(self, task: Task) -> Iterator[System]:
        """What folds without having learned from labels."""
        rules = self.entry.finetuning(Path("-"), 0).decoding
        for way in self.entry.folded_by:
            for name in [ENERGY] if way == "energy" else self.models:
                try:
                    if way == "energy":
                        yield from by_energy(task, self.folder / name)
                    else:
                        yield by_contacts(task, way, self.models[name], self.folder / name, rules)
                except _ITS_OWN as error:
                    self._not_run(f"{name}, {way}", str(error))

    def _folders(self, model: Asked) -> list[Path]:
        return [self.folder / model.name / f"seed-{seed}" for seed in range(self.config.seeds)]

    def _runs(self, model: Asked, task: Task) -> list[Path]:
        """The finished runs of a model, a seed each; none where it cannot answer the question."""
        for seed, run in enumerate(self._folders(model)):
            if (run / RESULTS).is_file():
                _refuse_other_data(run, task)
                continue
            say(f"{self.entry.name}: {model.name}, seed {seed}")
            kin = [self._folders(other)[seed] for other in self.models.values() if other is not model]
            config = self.entry.finetuning(model.path, seed)
            try:
                finetune(config, run, resume=run.exists(), device=model.device, kin=kin)
            except _ITS_OWN as error:
                self._not_run(model.name, str(error))
                return []
        return self._folders(model)

    def _not_run(self, model: str, reason: str) -> None:
        say(f"{self.entry.name}{f', {model}' if model else ''}: not run: {reason}")
        self.not_run.append(NotRun(self.entry.name, model, reason))


def _refuse_other(run: Path, config: FinetuneConfig) -> None:
    """InputError where a run was begun with another recipe; the bundle itself is told by its digest, not its path."""
    if not (run / CONFIG).is_file():
        return
    try:
        begun = from_json((run / CONFIG).read_bytes())
    except (ValueError, TypeError):
        raise CorruptError(f"{run / CONFIG}: is not readable JSON; it was edited or damaged") from None
    if (run / RESULTS).is_file():  # nothing of it is computed again, so that only what was meant has to be the same
        begun = _as_meant_now(begun)
    begun, given = lasting(begun), lasting(config.to_data())
    if begun != given:
        raise InputError(f"{run}: was begun with another recipe ({difference(begun, given)}); give another --out")


def _as_meant_now(begun: Any) -> Any:
    """The recipe of an older run with the defaults of keys that it does not know; as it is where it no longer fits."""
    try:
        return FinetuneConfig.from_data(begun).to_data()
    except (ValueError, TypeError, InputError):
        return begun


def _refuse_other_data(run: Path, task: Task) -> None:
    """InputError where the data are not those that a finished run was trained and tested on."""
    if read_compared(run)[1]["digest"] != task.digest:
        raise InputError(
            f"{run}: was trained and tested on other data than {task.name} has now; remove it or give another --out"
        )


def _with_leaks(question: Question, leaks: Leaks, level: float) -> Question:
    """The question with what was found, and the numbers to quote with and without it."""
    numbers = {}
    for system in question.systems:
        each = {name: system.scores_SN(name).mean(axis=0) for name in question.compared if system.has(name)}
        numbers[system.label] = leaks.with_and_without(each, question.units_N, level)
        if question.headline not in each and question.headline in TOGETHER:
            for subset, which_N in leaks.subsets():
                found = _together(system, question, which_N, level)
                numbers[system.label][subset][question.headline] = plain(asdict(found))
    return replace(question, leaks={**leaks.to_data(), "numbers": numbers})


def _together(system: System, question: Question, which_N: NDArray[np.bool_], level: float) -> Interval:
    """A metric of some of the test sequences together; not a number where they are too few or too alike for it."""
    rows = tuple([row for row, there in zip(rows, which_N, strict=True) if there] for rows in system.rows)
    part = replace(question, units_N=question.units_N[which_N])
    try:
        return together(part, replace(system, rows=rows), level, (question.headline,))[question.headline].interval
    except InputError as error:
        nothing = float("nan")
        return Interval(nothing, nothing, nothing, int(which_N.sum()), level, f"none: {error}")
