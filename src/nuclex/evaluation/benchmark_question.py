"""One question of a benchmark as a section of its report: pictures, metrics, what was chosen, classes and families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from nuclex.evaluation.arcs import arc_diagram
from nuclex.evaluation.benchmark import WORDS, Benchmark, Line, Map, Question
from nuclex.evaluation.benchmark_lines import FALSE_ALARMS, KNOTS, WEIGHTED
from nuclex.evaluation.benchmark_plots import reliability_curves, score_curves, spread_out
from nuclex.evaluation.plots import embedding_map
from nuclex.evaluation.report import Figure, Section, Table
from nuclex.evaluation.suite import ASKED
from nuclex.evaluation.tables import metrics_tables
from nuclex.metrics.calibration import error_interval, gaps, reliability
from nuclex.metrics.statistics import bootstrap

MOST_GROUPS = 40
CURVES = ("pretrained", "scratch", "one-hot", "mfe")
"""Whose scores are drawn as curves; more of them cannot be told apart."""
POOLS = {
    "cls": "the vector of the token in front of each sequence (<cls>)",
    "mean": "the mean of each sequence's vectors (the first token of a causal model has seen nothing)",
}
SPOKEN = {
    "strict_f1": "F1 (exact pairs)",
    "relaxed_f1": "F1 (±1)",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "spearman_of_sizes": "rank correlation of sizes",
    "negative_squared_error": "squared error, with a minus",
    "r_squared": "R²",
    "mcrmse": "MCRMSE",
}


def spoken(metric: str) -> str:
    """A metric as a sentence names it."""
    return SPOKEN.get(metric, metric.replace("_", " "))


def question_section(found: Benchmark, question: Question) -> Section:
    """What was asked and answered: pictures of scores, probabilities and sequences, then every system's metrics."""
    units = len(np.unique(question.units_N))
    text = f"{question.task['name']}: {_asked(question)}, of {units:,} independent units. {_note(question)}"
    figures: list[Figure] = []
    chief = [one for one in question.systems if one.has(question.chief) and spread_out(one.rows[0], question.chief)]
    if chief:
        curves = {(s.model, WORDS[s.arm]): s.scores_SN(question.chief).mean(axis=0) for s in chief if s.arm in CURVES}
        title = f"{question.name}: how the scores are spread"
        figures.append(score_curves(curves, spoken(question.chief), title))
    figures += _reliability(found, question)
    title = f"{question.name}: where {{}} puts test sequences before fine-tuning"
    figures += [map_figure(one, title.format(one.model)) for one in found.maps if one.question == question.name]
    figures += _examples(question)
    named = [replace(figure, name=f"{question.name}-{figure.name}-{n}") for n, figure in enumerate(figures, start=1)]
    tables = [*_metrics(question, found.lines), *_chosen(question), *_by_group(question, found.level)]
    title = f"{question.chapter}: {question.name}" if question.chapter else question.name
    return Section(title, text, tuple(named), tuple(tables))


def map_figure(one: Map, title: str) -> Figure:
    """A map of test sequences, and of which vectors it is."""
    figure = embedding_map(one.points_N2, one.labels, title, ("t-SNE 1", "t-SNE 2"))
    return replace(figure, caption=f"{figure.caption} t-SNE of {POOLS[one.pool]}.")


def _metrics(question: Question, lines: Sequence[Line]) -> Iterator[Table]:
    """Every system, some metrics at a time, with a word on what they are of."""
    units, mine = len(np.unique(question.units_N)), [line for line in lines if line.question == question.name]
    notes = [f"Intervals: over {units:,} units, seeds averaged. Every other metric is in tables/numbers.csv."]
    if len(question.classes) == 2:
        notes.append(f"Precision, recall, specificity and F1 are of the class {question.classes[1]!r}.")
    if any(line.metric in WEIGHTED for line in mine):
        notes.append("Weighted: each structure weighs as much as it has nucleotides.")
    notes += _of_pseudoknots({line.metric: line.interval.n for line in mine})
    for number, table in enumerate(metrics_tables(question, mine)):
        more = ", more metrics" if number else ""
        columns = tuple(name.removeprefix("length_").replace("_", " ") for name in table.columns)  # as narrow as can be
        caption = f"{question.name}: every system{more}"
        yield replace(table, columns=columns, caption=caption, notes=() if number else tuple(notes))


def _of_pseudoknots(counts: Mapping[str, int]) -> list[str]:
    """How many structures the two metrics of pseudoknots are of."""
    said = []
    if KNOTS in counts:
        said.append(f"Pseudoknot F1: of pairs that cross another, mean of the {counts[KNOTS]:,} structures with some.")
    if FALSE_ALARMS in counts:
        count = counts[FALSE_ALARMS]
        said.append(
            f"Pseudoknot false alarms: share of the {count:,} structures without one in which one was predicted."
        )
    return said


def _chosen(question: Question) -> Iterator[Table]:
    """What was chosen on labelled validation structures for models that fold without having learned."""
    rows = tuple(
        (
            *(system.model, WORDS[system.arm], system.settings.get("layer"), system.settings.get("head")),
            *(system.settings["threshold"], system.settings["tuned_on"]),
        )
        for system in question.systems
        if "tuned_on" in system.settings
    )
    if rows:
        columns = ("model", "start", "layer", "head", "threshold", "validation structures")
        note = (
            "Layers with attention and heads are counted from 0; the threshold is of squeezed scores, not of chances."
        )
        caption = f"{question.name}: chosen on labelled validation structures"
        yield Table(columns, rows, caption=caption, notes=(note,), name=f"chosen-{question.name}")


def _by_group(question: Question, level: float) -> Iterator[Table]:
    """The chief metric of the fine-tuned models by class or family, where there are several and not too many."""
    systems = [system for system in question.systems if system.arm == "pretrained"]
    if not systems:
        return
    names = [_kind(row) for row in systems[0].rows[0]]
    if None in names or not 1 < len(set(names)) <= MOST_GROUPS:
        return
    name_N = np.array(names, dtype=str)
    means = [system.scores_SN(question.chief).mean(axis=0) for system in systems]
    body = []
    for name in np.unique(name_N).tolist():
        which_N = name_N == name
        each = [bootstrap(mean_N[which_N], clusters=question.units_N[which_N], level=level) for mean_N in means]
        body.append((name, int(which_N.sum()), *each))
    columns = ("class or family", "test sequences", *(system.model for system in systems))
    caption = f"{question.name}: {spoken(question.chief)} of the fine-tuned models by class or family"
    yield Table(columns, tuple(body), caption=caption, name=f"groups-{question.name}")


def _kind(row: dict[str, Any]) -> str | None:
    """The class or family of a test sequence, if it has one."""
    return row.get("group") or (row["truth"] if isinstance(row["truth"], str) else None)


def _reliability(found: Benchmark, question: Question) -> Iterator[Figure]:
    """Curves of the fine-tuned models, where answers came with a probability, and of base pairs."""
    title, level = f"{question.name}: what probabilities are worth", found.level
    series, errors = {}, {}
    for system in question.systems:
        if system.arm == "pretrained" and "probability" in system.rows[0][0]:
            rows = [row for rows in system.rows for row in rows]
            probability_N = np.array([row["probability"] for row in rows])
            right_N = np.array([row["truth"] == row["predicted"] for row in rows])
            units_N = np.tile(question.units_N, len(system.rows))
            series[system.model] = reliability(probability_N, right_N)
            errors[system.model] = error_interval(gaps(probability_N, right_N), clusters=units_N, level=level)
    if series:
        yield reliability_curves(series, "the predicted class", title, errors)
    pairs = {one.model: one for one in found.calibrations if one.question == question.name}
    if pairs:
        errors = {
            name: error_interval(one.gaps_SX, clusters=question.units_N[one.places_S], level=level)
            for name, one in pairs.items()
        }
        figure = reliability_curves({name: one.found for name, one in pairs.items()}, "a base pair", title, errors)
        most = max(len(one.places_S) for one in pairs.values())
        yield replace(figure, caption=f"{figure.caption} Of {most:,} test structures, training seed 0 alone.")


def _examples(question: Question) -> Iterator[Figure]:
    """A structure of middling score as each fine-tuned model drew it: the same molecule for all of them."""
    systems = [system for system in question.systems if system.arm == "pretrained"]
    if not systems or question.task["shape"] != "pair map":
        return
    score_N = np.mean([system.scores_SN(question.chief)[0] for system in systems], axis=0)  # as those drawn
    place = min(range(len(score_N)), key=lambda n: (abs(score_N[n] - median(score_N.tolist())), n))
    for system in systems:
        row: dict[str, Any] = system.rows[0][place]
        score = row["scores"][question.chief]
        title = f"{row['id']} by {system.model}: a molecule of middling score ({spoken(question.chief)} {score:.2f})"
        yield arc_diagram(row["sequence"], row["truth"], row["predicted"], title)


def _asked(question: Question) -> str:
    """How many sequences there were to learn from, and how many to test."""
    counts, notes = question.task["counts"], question.task["notes"]
    if ASKED in notes:
        return f"nothing was learned, so all {counts['test']:,} examples ({notes[ASKED]}) are the test"
    learned = f"{counts['train']:,} sequences to train on, {counts['validation']:,} to choose on, "
    return f"{learned}{counts['test']:,} to test"


def _note(question: Question) -> str:
    notes = question.task["notes"]
    said = [f"The test split is {notes['test']}."] if "test" in notes and ASKED not in notes else []
    if question.stands_in_for:
        said.append(
            f"Stands in for {question.stands_in_for}, whose data are not at hand: it is another question on other "
            "sequences, and its numbers are not numbers of that one."
        )
    return " ".join(said)
