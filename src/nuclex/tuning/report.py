"""The report of a search: what was tried, what came out, which key mattered, and what the full model is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.evaluation.report import Cell, Headline, Report, Section, Step, Table, cell_text, write_report
from nuclex.tuning.asked import Asked
from nuclex.tuning.pictures import against, history, importance_bars

HOW = (
    "Every trial is a run of the proxy with settings of its own; it is told by the validation number of its best "
    "weights. The test split is never asked. Values are drawn by Optuna's sampler, the first ones at random."
)
IMPORTANCE = (
    "The share of the differences between trials that each key explains (fANOVA: a forest of trees over the trials). "
    "With few trials it is a hint and no more."
)
FLOPS = (
    "FLOPs are those of the plan (nuclex plan): so many updates of so many tokens, times the arithmetic of a token at "
    "the longest length. The same search at full width is the same updates of the full network."
)
FULL = (
    "The full model, trained with the best settings, its rate times the factor. Which one is chosen is decided on "
    "validation. A difference between single runs is no proof: their seeds are one."
)


def draw(path: Path, results: Mapping[str, Any], asked: Asked) -> Path | None:
    """Write the page; None, and a sentence, where what draws it is not installed."""
    try:
        report = search_report(results, asked)
    except InputError as error:
        say(f"no report: {error}")
        return None
    return write_report(report, path)


def search_report(results: Mapping[str, Any], asked: Asked) -> Report:
    """The page, from what ``results.json`` holds."""
    metric, mode = results["goal"]["metric"], results["goal"]["mode"]
    best, trials = results["best"], results["trials"]
    done = [one for one in trials if one["state"] == "complete"]
    unit = "nats per predicted token" if asked.pretraining and metric == "validation_loss" else ""
    figures = [history(done, metric, mode, unit)]
    figures += [against(done, key, dimension, metric, unit) for key, dimension in asked.space.items()]
    sections = [Section("Trials", HOW, figures=tuple(figures), tables=(_trials(trials, asked, metric, best),))]
    if results["importance"]:
        mattered = importance_bars(results["importance"], len(done))
        sections.append(Section("Which key mattered", IMPORTANCE, figures=(mattered,)))
    sections.append(_full(results, metric, "pretrain" if asked.pretraining else "finetune"))
    if results["saving"]:
        sections.append(Section("What it cost", FLOPS, tables=(_saving(results["saving"]),)))
    return Report(
        title="Search for settings",
        subtitle=f"{asked.config.full}: {len(trials)} trials",
        summary=_headlines(results, metric, done),
        sections=tuple(sections),
        provenance={"search": asked.config.to_data(), **provenance(seed=asked.config.seed)},
    )


def _headlines(results: Mapping[str, Any], metric: str, done: list[Any]) -> tuple[Headline, ...]:
    best, saving = results["best"], results["saving"]
    found = [
        Headline("trials", str(len(results["trials"])), f"{len(done)} came to their end"),
        Headline(metric.replace("_", " "), f"{best['score']:.4g}", f"of trial {best['number']}, on validation"),
    ]
    found += [Headline(key.rpartition(".")[2], cell_text(value), "best") for key, value in best["settings"].items()]
    if saving:
        found.append(Headline("saved", f"{saving['times']:.2g} times", "fewer FLOPs than at full width"))
    return tuple(found)


def _trials(trials: list[Any], asked: Asked, metric: str, best: Mapping[str, Any]) -> Table:
    keys = list(asked.space)
    rows: list[tuple[Cell, ...]] = [
        (one["number"], one["state"], *(one["settings"].get(key) for key in keys), one["steps"], one["score"])
        for one in trials
    ]
    chosen = next(place for place, one in enumerate(trials) if one["number"] == best["number"])
    notes = tuple(f"Trial {one['number']}: {one['why']}." for one in trials if one["why"])
    last = [key.rpartition(".")[2] for key in keys]
    names = last if len({*last, "trial", "state", "steps", metric}) == len(keys) + 4 else keys
    set_to = {name: [one["settings"].get(key) for one in trials] for name, key in zip(names, keys, strict=True)}
    formats = {name: ".3g" for name, values in set_to.items() if any(isinstance(value, float) for value in values)}
    columns = ("trial", "state", *names, "steps", metric)
    return Table(
        columns, tuple(rows), "All trials", highlight=(chosen,), notes=notes, formats={**formats, metric: ".4f"}
    )


def _full(results: Mapping[str, Any], metric: str, verb: str) -> Section:
    """The settings for the full model and, where they were trained, the full runs."""
    command = f"nuclex {verb} {results['transferred']} --out RUN"
    step = Step("Train the full model with what was found (--finals does it with the search):", command)
    settings = Table(
        ("key", "value"),
        tuple((key, cell_text(value)) for key, value in results["best"]["settings"].items()),
        "What the full recipe is given",
    )
    rows = results["finals"]
    if not rows:
        return Section("The full model", "", tables=(settings,), steps=(step,))
    columns = ("run", "state", "rate", "warm-up", "steps", metric)
    cells = tuple((one["name"], one["state"], one["rate"], one["warmup"], one["steps"], one["score"]) for one in rows)
    chosen = tuple(place for place, one in enumerate(rows) if one["chosen"])
    notes = tuple(f"Run {one['name']}: {one['why']}." for one in rows if one["why"])
    formats = {metric: ".4f", "rate": ".3g"}
    table = Table(columns, cells, "Full runs", highlight=chosen, notes=notes, formats=formats)
    again = Step("The recipe of the chosen run:", f"nuclex {verb} {results['chosen']} --out RUN")
    return Section("The full model", FULL, tables=(settings, table), steps=(again,) if results["chosen"] else ())


def _saving(saving: Mapping[str, float]) -> Table:
    words = {
        "flops": "this search",
        "flops_at_full_width": "the same search at full width",
        "flops_full_run": "one full run",
        "times": "times as much at full width",
        "times_with_final": "times as much, a full run counted on both sides",
    }
    rows = tuple((words[name], value) for name, value in saving.items())
    return Table(("what", "FLOPs or ratio"), rows, "Arithmetic", formats={"FLOPs or ratio": ".3g"})
