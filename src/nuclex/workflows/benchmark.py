"""A suite of questions asked of several models side by side: runs with controls, tables, one report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nuclex.bundle import load
from nuclex.core.artifact import MANIFEST, atomic_file, sha256_file, write_json
from nuclex.core.errors import CorruptError, InputError, OutsideError, missing_extra
from nuclex.core.lock import owned
from nuclex.core.plain import difference, from_json, plain
from nuclex.core.progress import say
from nuclex.data.store import Corpus
from nuclex.evaluation.benchmark import (
    ARMS,
    ENERGY,
    Benchmark,
    Map,
    NotRun,
    PairCalibration,
    Question,
    System,
    comparisons,
    lines,
    read_compared,
    read_system,
    refuse_unequal,
)
from nuclex.evaluation.benchmark_report import tell
from nuclex.evaluation.leaks import Leaks
from nuclex.evaluation.leaks import leaks as find_leaks
from nuclex.evaluation.report import write_report
from nuclex.evaluation.suite import EntryConfig, SuiteConfig, units_of
from nuclex.evaluation.tables import comparisons_table, leaks_table, numbers_table, without_leaks_table, write_tables
from nuclex.tasks import Task
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.run import CONFIG
from nuclex.workflows.folder import opened
from nuclex.workflows.portraits import map_of, pair_calibration
from nuclex.workflows.zero_shot import by_contacts, by_energy, chief_of, zero_shot

_NO_NAMES = {"bundle", "best"}


def benchmark(
    config: SuiteConfig, bundles: Sequence[str | Path], out: str | Path, *, resume: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """Fine-tune every bundle on every entry of a suite, beside its controls; tables and one report in ``out``.

    ``runs/ENTRY/MODEL/seed-N`` are runs of fine-tuning; ``tables`` and ``report.html`` are written anew each time.
    Without bundles only the leaks are looked for. What cannot be run for lack of data or of an extra is not run, and
    the reason is said. ``resume`` goes on where a stopped benchmark was, also with more entries or seeds. InputError
    where nothing could be run, the models are others, or a run was begun with another recipe.
    """
    out = Path(out)
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "plots", "drawing the report")
    if not bundles and config.leaks is None:
        raise InputError("benchmark: give at least one bundle, or --leaks CORPUS to look for leaks alone")
    for entry in config.entries:
        if entry.recipe is not None:
            entry.finetuning(Path("-"), 0)  # a mistake in a suite is one, not a question that cannot be asked
    models = _named([Path(path) for path in bundles])
    options = {"models": {name: _digest(path) for name, path in models.items()}}
    with opened(out, "benchmark", options, resume=resume):
        corpus = None if config.leaks is None else Corpus.open(config.leaks)
    with owned(out):
        questions: list[Question] = []
        not_run: list[NotRun] = []
        for entry in config.entries:
            asked = _Asked(config, entry, models, out, device)
            questions += asked.question(corpus)
            not_run += asked.not_run
        if not questions:
            raise InputError(f"{out}: nothing could be run; the first reason: {not_run[0].reason}")
        found = _gathered(config, models, questions, not_run, out)
        return _written(found, out)


class _Asked:
    """One entry asked of every model; what could not be is kept in ``not_run``."""

    def __init__(
        self, config: SuiteConfig, entry: EntryConfig, models: dict[str, Path], out: Path, device: str
    ) -> None:
        self.config, self.entry, self.models, self.out, self.device = config, entry, models, out, device
        self.not_run: list[NotRun] = []

    def question(self, corpus: Corpus | None) -> Iterator[Question]:
        """What was found, if anything."""
        entry = self.entry
        if entry.waits_for is not None:
            self._not_run("", entry.waits_for)
            return
        try:
            task = entry.finetuning(Path("-"), 0).task.read()
            units_N = units_of(task, entry, self.out / "runs" / entry.name)
        except (InputError, OutsideError) as error:
            self._not_run("", str(error))
            return
        leaks = None if self.config.leaks is None else find_leaks(corpus, task, identity=self.config.identity)
        systems, compared = self._zero_shot(task) if entry.zero_shot else self._fine_tuned()
        if systems:
            systems += self._folded(task)
        if not systems and leaks is None:
            return
        told = {"name": task.name, "counts": task.counts(), "notes": dict(task.notes), "shape": str(task.shape)}
        question = Question(entry.name, entry.chapter, told, compared, units_N, tuple(systems), entry.quoted)
        refuse_unequal(question)
        yield question if leaks is None else _with_leaks(question, leaks)

    def _fine_tuned(self) -> tuple[list[System], tuple[str, ...]]:
        """Every model and its controls, and by what they are compared."""
        runs = {model: found for model, path in self.models.items() if (found := self._runs(model, path))}
        systems = [
            system for model, found in runs.items() for arm in ARMS if (system := read_system(model, arm, found))
        ]
        return systems, read_compared(next(iter(runs.values()))[0])[0] if runs else ("",)

    def _zero_shot(self, task: Task) -> tuple[list[System], tuple[str, ...]]:
        """Every model asked as it is, and by what they are compared."""
        systems = []
        for model, path in self.models.items():
            try:
                folder = self.out / "runs" / self.entry.name / model
                systems.append(zero_shot(task, model, path, folder, self.device))
            except (InputError, OutsideError) as error:
                self._not_run(model, str(error))
        return systems, chief_of(systems[0]) if systems else ("",)

    def _folded(self, task: Task) -> Iterator[System]:
        """What folds without having learned from labels."""
        folder, rules = self.out / "runs" / self.entry.name, self.entry.finetuning(Path("-"), 0).decoding
        for way in self.entry.folded_by:
            for model in [ENERGY] if way == "energy" else self.models:
                try:
                    if way == "energy":
                        yield from by_energy(task, folder / model)
                    else:
                        asked = (model, load(self.models[model], device=self.device))
                        yield by_contacts(task, way, asked, folder / model, rules)
                except InputError as error:
                    self._not_run(f"{model}, {way}", str(error))

    def _runs(self, model: str, path: Path) -> list[Path]:
        """The finished runs of a model, a seed each; none where it cannot answer the question."""
        entry, folders = self.entry, []
        for seed in range(self.config.seeds):
            run = self.out / "runs" / entry.name / model / f"seed-{seed}"
            folders.append(run)
            config = entry.finetuning(path, seed)
            _refuse_other(run, config)
            if (run / "results.json").is_file():
                continue
            say(f"{entry.name}: {model}, seed {seed}")
            try:
                finetune(config, run, resume=run.exists(), device=self.device)
            except (InputError, OutsideError) as error:
                self._not_run(model, str(error))
                return []
        return folders

    def _not_run(self, model: str, reason: str) -> None:
        say(f"{self.entry.name}{f', {model}' if model else ''}: not run: {reason}")
        self.not_run.append(NotRun(self.entry.name, model, reason))


def _refuse_other(run: Path, config: FinetuneConfig) -> None:
    """InputError where a run was begun with another recipe; the bundle itself is told by its digest, not its path."""
    if not (run / CONFIG).is_file():
        return
    try:
        begun = {**from_json((run / CONFIG).read_bytes()), "bundle": None}
    except (ValueError, TypeError):
        raise CorruptError(f"{run / CONFIG}: is not readable JSON; it was edited or damaged") from None
    given = {**config.to_data(), "bundle": None}
    if begun != given:
        raise InputError(f"{run}: was begun with another recipe ({difference(begun, given)}); give another --out")


def _named(bundles: Sequence[Path]) -> dict[str, Path]:
    """A short name for each bundle: the last part of its path that tells it from the others."""
    parts = [[part for part in path.absolute().parts[1:] if part not in _NO_NAMES] or ["model"] for path in bundles]
    for size in range(1, max(map(len, parts), default=0) + 1):
        names = ["-".join(part[-size:]) for part in parts]
        if len(set(names)) == len(names):
            return dict(zip(names, bundles, strict=True))
    if bundles:
        raise InputError(f"benchmark: the same bundle is given twice: {', '.join(map(str, bundles))}")
    return {}


def _digest(bundle: Path) -> str:
    """sha256 of a bundle's manifest, which has the sums of all its files."""
    if not (bundle / MANIFEST).is_file():
        raise InputError(f"{bundle}: is not a bundle (no {MANIFEST} in it); give one made by nuclex")
    return sha256_file(bundle / MANIFEST)


def _with_leaks(question: Question, leaks: Leaks) -> Question:
    numbers = {
        system.label: leaks.with_and_without(
            {name: system.scores_SN(name).mean(axis=0) for name in question.compared if system.has(name)},
            question.units_N,
        )
        for system in question.systems
    }
    return replace(question, leaks={**leaks.to_data(), "numbers": numbers}, leaked_N=leaks.leaked_N)


def _gathered(
    config: SuiteConfig, models: dict[str, Path], questions: list[Question], not_run: list[NotRun], out: Path
) -> Benchmark:
    """Numbers, comparisons and portraits of everything that was run."""
    maps: list[Map] = []
    calibrations: list[PairCalibration] = []
    for question in questions:
        name = question.name
        entry = next(entry for entry in config.entries if entry.name == name)
        ran = list(dict.fromkeys(system.model for system in question.systems if system.model in models))
        task = entry.finetuning(Path("-"), 0).task.read() if ran else None
        for model in ran:
            assert task is not None
            if drawn := map_of(name, task, model, models[model], out):
                maps.append(drawn)
            run = out / "runs" / name / model / "seed-0"
            if found := pair_calibration(name, task, model, run, out):
                calibrations.append(found)
    return Benchmark(
        config.title,
        config.about,
        config.level,
        {name: str(path) for name, path in models.items()},
        tuple(questions),
        tuple(line for question in questions for line in lines(question, config.level)),
        tuple(comparisons(questions, config.level)),
        tuple(not_run),
        tuple(maps),
        tuple(calibrations),
    )


def _written(found: Benchmark, out: Path) -> dict[str, Any]:
    """Tables, report and ``summary.json``; returns the summary."""
    tables = {
        "numbers": numbers_table(found.questions, found.lines),
        "comparisons": comparisons_table(found.comparisons, found.level),
        "leaks": leaks_table(found.questions),
        "without-leaks": without_leaks_table(found.questions),
    }
    not_run = [{"question": one.question, "model": one.model, "reason": one.reason} for one in found.not_run]
    facts = {"title": found.title, "level": found.level, "models": dict(found.models), "not_run": not_run}
    write_tables(out / "tables", {name: table for name, table in tables.items() if table.rows}, facts)
    report = write_report(tell(found), out / "report.html")
    chief = [
        line for line in found.lines if any(line.metric == q.chief for q in found.questions if q.name == line.question)
    ]
    summary = {
        "numbers": [
            {
                **{"question": line.question, "model": line.model, "start": line.arm, "metric": line.metric},
                **{"value": line.interval.value, "low": line.interval.low, "high": line.interval.high},
                **{"n": line.interval.n, "seeds": line.seeds},
            }
            for line in chief
        ],
        "leaks": [
            {"question": question.name, "test": question.leaks["test"], "leaked": question.leaks["leaked"]}
            for question in found.questions
            if question.leaks is not None
        ],
        "not_run": not_run,
        "tables": str(out / "tables"),
        "report": str(report),
    }
    with atomic_file(out / "summary.json") as temporary:
        write_json(temporary, plain(summary))
    say(f"done: open {report}")
    return summary
