"""The report of a benchmark: what was asked, who answered how well, what that is worth, and what was not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from nuclex.core.provenance import provenance
from nuclex.evaluation.arcs import arc_diagram
from nuclex.evaluation.benchmark import ARMS, ENERGY, ENOUGH_SEEDS, WORDS, Benchmark, Line, Question
from nuclex.evaluation.benchmark_plots import (
    perplexity_points,
    reliability_curves,
    score_curves,
    spread_out,
    system_bars,
)
from nuclex.evaluation.plots import embedding_map
from nuclex.evaluation.report import Figure, Headline, Report, Section, Table, Verdict
from nuclex.evaluation.suite import ASKED
from nuclex.evaluation.tables import (
    comparisons_table,
    leaks_table,
    metrics_table,
    numbers_table,
    perplexity_table,
    without_leaks_table,
)
from nuclex.metrics.calibration import reliability
from nuclex.metrics.correction import enough_swaps
from nuclex.metrics.statistics import EXACT_UNITS, Interval, bootstrap

MOST_GROUPS = 40
CURVES = ("pretrained", "scratch", "one-hot", "mfe")
"""Whose scores are drawn as curves; more of them cannot be told apart."""
SPOKEN = {
    "strict_f1": "F1 (exact pairs)",
    "relaxed_f1": "F1 (±1)",
    "auroc": "AUROC",
    "spearman_of_sizes": "rank correlation of sizes",
    "negative_squared_error": "squared error, with a minus",
    "r_squared": "R²",
}
SIMULATED = (
    "Simulated data: some questions were made up by nuclex. Their numbers show that the chain works; they say nothing "
    "about real RNA."
)
HOW = (
    "Every model was fine-tuned on each question, beside its controls: the head alone on the frozen pre-trained model, "
    "the same network from random weights, the head alone on one-hot letters and, where the answer is a class or a "
    "number, a CNN from random weights (all trained as long on the same batches) and a linear model of the shares of "
    "k-mers. Weights and thresholds were chosen "
    "on validation; the test split was looked at once, for the numbers here. Zero-shot numbers are of the model as it "
    "is, by likelihood, with nothing learned.\n\n"
    "Intervals are bootstrap intervals over the independent units of the test split, after the scores of each test "
    "sequence were averaged over training seeds; the spread between seeds (standard deviation) stands beside them and "
    "is not in them. Systems are compared on the same test sequences by swapping their scores at random within each "
    "unit, so often that a p far below the level can be seen however many comparisons there are; p is corrected by "
    "Holm's method over all comparisons of the table. The effect size is the mean difference "
    "in standard deviations of the differences; 'detectable' is the smallest true difference that the comparison "
    "would find in 80 % of the cases, if it were the only one.\n\n"
    "Quoted numbers are those of the literature, measured by others, mostly on other splits or with other rules: they "
    "are no part of any test."
)


def tell(found: Benchmark) -> Report:
    """Write the whole report of a benchmark."""
    simulated = any(question.task["notes"].get("simulated") for question in found.questions)
    asked = [question for question in found.questions if question.systems]
    sections = [_overview(found, asked)] if asked else []
    sections += [_question(found, question) for question in asked]
    sections += [*_perplexity(found), *_leaks(found), *_not_run(found)]
    if asked:
        sections.append(Section("How it was measured", HOW))
    numbered = [replace(section, title=f"{n}. {section.title}") for n, section in enumerate(sections, start=1)]
    return Report(
        title=found.title,
        subtitle=found.about,
        summary=_summary(found, asked),
        sections=tuple(numbered),
        provenance={"models": dict(found.models), **provenance()},
        notice=SIMULATED if simulated else "",
        verdicts=tuple(_verdicts(found)),
    )


def _summary(found: Benchmark, asked: Sequence[Question]) -> tuple[Headline, ...]:
    better = sum(one.verdict(found.level) == "better" for one in found.comparisons)
    seeds = {line.seeds for line in found.lines if line.arm in ARMS}
    fewest = min(seeds, default=0)
    return (
        Headline("questions", str(len(asked)), f"{len(found.not_run)} not run" if found.not_run else "all were run"),
        Headline("models", str(len(found.models)), ", ".join(found.models)),
        Headline("significant gains", f"{better} of {len(found.comparisons)}", "comparisons, after Holm's correction"),
        Headline("training seeds", str(fewest), "" if fewest >= ENOUGH_SEEDS else "too few to tell luck from gain"),
    )


def _verdicts(found: Benchmark) -> Iterator[Verdict]:
    """One sentence a model: on how many questions its pre-training helped."""
    for model in found.models:
        won: dict[str, list[str]] = {"better": [], "worse": [], "not": []}
        for one in found.comparisons:
            if (one.model, one.against) == (model, WORDS["scratch"]):
                won[one.verdict(found.level).split()[0]].append(one.question)
        total = sum(map(len, won.values()))
        if total:
            hurt = f", and hurt on {len(won['worse'])}" if won["worse"] else ""
            yield Verdict(
                len(won["better"]) > 0 and not won["worse"],
                f"{model}: pre-training helped significantly on {len(won['better'])} of {total} questions{hurt} "
                "(against the same network from random weights).",
            )


def _overview(found: Benchmark, asked: Sequence[Question]) -> Section:
    figures = []
    for metric in dict.fromkeys(question.headline for question in asked):
        questions = [question for question in asked if question.headline == metric]
        series: dict[tuple[str, str], list[Interval | None]] = {}
        for model in (*found.models, ENERGY):
            for arm, word in WORDS.items():
                row = [_interval(found.lines, question.name, (model, arm), metric) for question in questions]
                if any(row):
                    series[(model, word)] = row
        names, spoken = [question.name for question in questions], _spoken(metric)
        title = f"{spoken[0].upper()}{spoken[1:]} of every system"
        figures.append(replace(system_bars(names, series, spoken, title), name=f"overview-{metric}"))
    table = numbers_table(asked, found.lines, headline_only=True, unasked=found.unasked)
    comparing = comparisons_table(found.comparisons, found.level, brief=True)
    tables = (
        replace(table, caption="The metric to quote of every question, and what the literature quotes"),
        replace(comparing, caption="Comparisons on the same test sequences", notes=(_level(found),)),
    )
    return Section("Overview", "", tuple(figures), tables)


def _question(found: Benchmark, question: Question) -> Section:
    units = len(np.unique(question.units_N))
    text = f"{question.task['name']}: {_asked(question)}, of {units:,} independent units. {_note(question)}"
    figures: list[Figure] = []
    chief = [one for one in question.systems if one.has(question.chief) and spread_out(one.rows[0], question.chief)]
    if chief:
        curves = {(s.model, WORDS[s.arm]): s.scores_SN(question.chief).mean(axis=0) for s in chief if s.arm in CURVES}
        title = f"{question.name}: how the scores are spread"
        figures.append(score_curves(curves, _spoken(question.chief), title))
    figures += _reliability(found, question)
    for one in found.maps:
        if one.question == question.name:
            title = f"{question.name}: where {one.model} puts test sequences before fine-tuning"
            figures.append(embedding_map(one.points_N2, one.labels, title, ("t-SNE 1", "t-SNE 2")))
    figures += _examples(question)
    named = [replace(figure, name=f"{question.name}-{figure.name}-{n}") for n, figure in enumerate(figures, start=1)]
    note = f"Intervals: over {units:,} units, seeds averaged. Every other metric is in tables/numbers.csv."
    table = replace(metrics_table(question, found.lines), caption=f"{question.name}: every system", notes=(note,))
    title = f"{question.chapter}: {question.name}" if question.chapter else question.name
    return Section(title, text, tuple(named), (table, *_by_group(question, found.level)))


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
    caption = f"{question.name}: {_spoken(question.chief)} of the fine-tuned models by class or family"
    yield Table(columns, tuple(body), caption=caption, name=f"groups-{question.name}")


def _kind(row: dict[str, Any]) -> str | None:
    """The class or family of a test sequence, if it has one."""
    return row.get("group") or (row["truth"] if isinstance(row["truth"], str) else None)


def _reliability(found: Benchmark, question: Question) -> Iterator[Figure]:
    """Curves of the fine-tuned models, where answers came with a probability, and of base pairs."""
    series = {
        system.model: reliability(
            [row["probability"] for rows in system.rows for row in rows],
            [row["truth"] == row["predicted"] for rows in system.rows for row in rows],
        )
        for system in question.systems
        if system.arm == "pretrained" and "probability" in system.rows[0][0]
    }
    title = f"{question.name}: what probabilities are worth"
    if series:
        yield reliability_curves(series, "the predicted class", title)
    pairs = {one.model: one.found for one in found.calibrations if one.question == question.name}
    if pairs:
        yield reliability_curves(pairs, "a base pair", title)


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
        title = f"{row['id']} by {system.model}: a molecule of middling score ({_spoken(question.chief)} {score:.2f})"
        yield arc_diagram(row["sequence"], row["truth"], row["predicted"], title)


def _perplexity(found: Benchmark) -> list[Section]:
    """How well the models foretell, against their size; nothing where fewer than two of them say."""
    if len(found.held_out) < 2:
        return []
    text = (
        "How well each model foretold sequences that its training had not seen, before any question was asked. A "
        "perplexity of x is a model as unsure as one that guesses among x equal letters, or tokens."
    )
    note = "Models of one group were measured alike and can be compared; tables/perplexity.csv says on what."
    table = perplexity_table(found.held_out, brief=True)
    table = replace(table, caption="Held-out sequences, by each bundle's own record", notes=(note,))
    return [
        Section("Perplexity and size", text, (perplexity_points(found.held_out, "Perplexity against size"),), (table,))
    ]


def _leaks(found: Benchmark) -> list[Section]:
    looked = [question for question in found.questions if question.leaks is not None]
    if not looked:
        return []
    seen = sum(question.leaks["leaked"] for question in looked if question.leaks is not None)
    total = sum(question.leaks["test"] for question in looked if question.leaks is not None)
    identity = looked[0].leaks["identity"] if looked[0].leaks is not None else 1.0
    how = (
        "Equal letters, the other strand, one inside the other"
        if identity == 1
        else f"Equal letters, the other strand, one inside the other, or an alignment of {100 * identity:g} % identity"
    )
    text = (
        f"{how}: {seen:,} of {total:,} test sequences were found in the pre-training corpus or in what the task itself "
        "trains on."
    )
    if any(question.systems for question in looked):
        text += (
            " Scores without them are the ones to trust: where they lie far below the scores on all, a model "
            "remembers rather than knows."
        )
    good = Verdict(seen == 0, f"{seen:,} of {total:,} test sequences were seen before the test.")
    places = replace(leaks_table(looked), caption="What was seen before")
    scores = replace(without_leaks_table(looked), caption="Scores with and without what was seen before")
    return [Section("Leaks", text, tables=(places, scores) if scores.rows else (places,), verdicts=(good,))]


def _not_run(found: Benchmark) -> list[Section]:
    if not found.not_run:
        return []
    rows = tuple((one.question, one.model or "all", one.reason) for one in found.not_run)
    return [Section("Not run", "", tables=(Table(("question", "model", "reason"), rows, caption="Not run, and why"),))]


def _asked(question: Question) -> str:
    """How many sequences there were to learn from, and how many to test."""
    counts, notes = question.task["counts"], question.task["notes"]
    if ASKED in notes:
        return f"nothing was learned, so all {counts['test']:,} examples ({notes[ASKED]}) are the test"
    learned = f"{counts['train']:,} sequences to train on, {counts['validation']:,} to choose on, "
    return f"{learned}{counts['test']:,} to test"


def _note(question: Question) -> str:
    notes = question.task["notes"]
    return f"The test split is {notes['test']}." if "test" in notes and ASKED not in notes else ""


def _level(found: Benchmark) -> str:
    fewest = min((one.seeds for one in found.comparisons), default=ENOUGH_SEEDS)
    few = "" if fewest >= ENOUGH_SEEDS else f" With fewer than {ENOUGH_SEEDS} seeds, luck in training is not ruled out."
    swaps = enough_swaps(len(found.comparisons), found.level)
    fine = f"p is of at most {swaps:,} random swaps, so never below {1 / (swaps + 1):.2g} before correction"
    exact = f"of all swaps where there are no more than {EXACT_UNITS} units"
    return f"Significant: corrected p below {1 - found.level:.2g}. {fine}; {exact}.{few}"


def _interval(lines: Sequence[Line], question: str, system: tuple[str, str], metric: str) -> Interval | None:
    for line in lines:
        if (line.question, line.model, line.arm, line.metric) == (question, *system, metric):
            return line.interval
    return None


def _spoken(metric: str) -> str:
    return SPOKEN.get(metric, metric.replace("_", " "))
