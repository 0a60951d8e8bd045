"""A suite of questions asked of several models side by side: runs with controls, tables, one report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nuclex.core.artifact import MANIFEST, atomic_file, sha256_file, write_json
from nuclex.core.errors import InputError, missing_extra
from nuclex.core.lock import owned
from nuclex.core.plain import plain
from nuclex.core.progress import say
from nuclex.data.store import Corpus
from nuclex.evaluation.aggregates import aggregates, aggregates_table
from nuclex.evaluation.benchmark import Benchmark, Map, NotRun, PairCalibration, Question
from nuclex.evaluation.benchmark_comparisons import comparisons
from nuclex.evaluation.benchmark_lines import lines
from nuclex.evaluation.benchmark_report import tell
from nuclex.evaluation.report import write_report
from nuclex.evaluation.suite import QuotedConfig, SuiteConfig
from nuclex.evaluation.tables import (
    comparisons_table,
    leaks_table,
    numbers_table,
    perplexity_table,
    without_leaks_table,
    write_tables,
)
from nuclex.tasks import Shape, Task
from nuclex.workflows.asking import Entry
from nuclex.workflows.folder import opened
from nuclex.workflows.portraits import family_map, family_of, held_out_of, map_of, pair_calibration
from nuclex.workflows.zero_shot import Asked

_NO_NAMES = {"bundle", "best"}


def benchmark(
    config: SuiteConfig, bundles: Sequence[str | Path], out: str | Path, *, resume: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """Fine-tune every bundle on every entry of a suite, beside its controls; tables and one report in ``out``.

    ``runs/ENTRY/MODEL/seed-N`` are runs of fine-tuning; ``tables`` and ``report.html`` are written anew each time.
    Without bundles only the leaks are looked for. What cannot be run for lack of data or of an extra is not run, and
    the reason is said. ``resume`` goes on where a stopped benchmark was, also with more entries, seeds or bundles.
    InputError where nothing could be run, the models are others, or a run was begun with another recipe.
    """
    out = Path(out)
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "plots", "drawing the report")
    if not bundles and config.leaks is None:
        raise InputError("benchmark: give at least one bundle, or --leaks CORPUS to look for leaks alone")
    models = {
        name: Asked(name, path, _digest(path), device)
        for name, path in _named([Path(path) for path in bundles]).items()
    }
    entries = [Entry(config, entry, models, out) for entry in config.entries]
    for entry in entries:
        entry.refuse_unfit()  # a mistake in a suite is one, not a question that cannot be asked
    options = {"models": {name: model.digest for name, model in models.items()}}
    there, begun = out.exists(), (out / "benchmark.json").exists()
    with opened(out, "benchmark", options, resume=resume, growing="models"):
        corpus = None if config.leaks is None else Corpus.open(config.leaks)
    with owned(out):
        questions = [question for entry in entries for question in entry.question(corpus)]
        not_run = tuple(one for entry in entries for one in entry.not_run)
        if questions:
            return _written(_gathered(config, entries, questions, not_run), out)
    if not begun:
        shutil.rmtree(out)
        if there:
            out.mkdir()
    raise InputError(f"{out}: nothing could be run; the first reason: {not_run[0].reason}")


def _named(bundles: Sequence[Path]) -> dict[str, Path]:
    """A short name for each bundle: the last part of its path that tells it from the others."""
    whole = [list(Path(os.path.abspath(path)).parts[1:]) or ["model"] for path in bundles]
    short = [[part for part in parts if part not in _NO_NAMES] or parts for parts in whole]
    for paths in (short, whole):
        for size in range(1, max(map(len, paths), default=0) + 1):
            names = ["-".join(part[-size:]) for part in paths]
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


def _gathered(
    config: SuiteConfig, entries: Sequence[Entry], questions: list[Question], not_run: tuple[NotRun, ...]
) -> Benchmark:
    """Numbers, comparisons and portraits of everything that was run."""
    models, out = entries[0].models, entries[0].out
    maps: list[Map] = []
    calibrations: list[PairCalibration] = []
    held_out_families: dict[str, list[Task]] = {}
    by_name = {entry.entry.name: entry for entry in entries}
    for question in questions:
        ran = [models[name] for name in _once(system.model for system in question.systems) if name in models]
        if not ran:
            continue
        entry = by_name[question.name]
        asked = (question.name, entry.task())
        if asked[1].shape is Shape.PAIR_MAP and family_of(asked[1]):
            held_out_families.setdefault(asked[1].name, []).append(asked[1])
        for model in ran:
            if drawn := map_of(asked, model, out):
                maps.append(drawn)
            if found := pair_calibration(asked, model, entry.folder / model.name / "seed-0", out):
                calibrations.append(found)
    kinds = [(kind, tasks, model) for kind, tasks in held_out_families.items() for model in models.values()]
    families = [drawn for kind, tasks, model in kinds if (drawn := family_map(kind, tasks, model, out))]
    asked_models = {system.model for question in questions for system in question.systems}
    known = [held_out_of(model, out) for model in models.values() if model.name in asked_models]
    return Benchmark(
        config.title,
        config.about,
        config.level,
        {name: str(model.path) for name, model in models.items()},
        tuple(questions),
        tuple(line for question in questions for line in lines(question, config.level)),
        tuple(comparisons(questions, config.level)),
        not_run,
        tuple(maps),
        tuple(calibrations),
        tuple(one for one in known if one is not None),
        tuple(families),
        _unasked(config, questions) if models else {},
        tuple(aggregates(questions, config.level)),
    )


def _unasked(config: SuiteConfig, questions: Sequence[Question]) -> dict[str, tuple[QuotedConfig, ...]]:
    """The quoted numbers of the entries of which nothing was run."""
    asked = {question.name for question in questions if question.systems}
    return {entry.name: entry.quoted for entry in config.entries if entry.quoted and entry.name not in asked}


def _once(names: Iterable[str]) -> list[str]:
    """The names in their order, each once."""
    return list(dict.fromkeys(names))


def _written(found: Benchmark, out: Path) -> dict[str, Any]:
    """Tables, report and ``summary.json``; returns the summary."""
    asked = [question for question in found.questions if question.systems]
    tables = {
        "numbers": numbers_table(asked, found.lines, unasked=found.unasked),
        "aggregates": aggregates_table(found.aggregates),
        "comparisons": comparisons_table(found.comparisons, found.level),
        "leaks": leaks_table(found.questions),
        "without-leaks": without_leaks_table(found.questions),
        "perplexity": perplexity_table(found.held_out),
    }
    not_run = [{"question": one.question, "model": one.model, "reason": one.reason} for one in found.not_run]
    facts = {"title": found.title, "level": found.level, "models": dict(found.models), "not_run": not_run}
    write_tables(out / "tables", {name: table for name, table in tables.items() if table.rows}, facts)
    report = write_report(tell(found), out / "report.html")
    quoted = [
        line
        for line in found.lines
        if any(line.metric == q.headline for q in found.questions if q.name == line.question)
    ]
    summary = {
        "out": str(out),
        "numbers": [
            {
                **{"question": line.question, "model": line.model, "start": line.arm, "metric": line.metric},
                **{"value": line.interval.value, "low": line.interval.low, "high": line.interval.high},
                **{"n": line.interval.n, "seeds": line.seeds},
            }
            for line in quoted
        ],
        "aggregates": [asdict(one) for one in found.aggregates],
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
