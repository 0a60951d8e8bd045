"""The report of a benchmark: what was asked, who answered how well, what that is worth, and what was not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nuclex.core.provenance import provenance
from nuclex.evaluation.aggregates import aggregates_section
from nuclex.evaluation.benchmark import ARMS, ENERGY, ENOUGH_SEEDS, WORDS, Benchmark, Line, Question
from nuclex.evaluation.benchmark_plots import perplexity_points, system_bars
from nuclex.evaluation.benchmark_question import map_figure, question_section, spoken
from nuclex.evaluation.report import Headline, Report, Section, Table, Verdict
from nuclex.evaluation.tables import (
    comparisons_table,
    leaks_table,
    numbers_table,
    perplexity_table,
    without_leaks_table,
)
from nuclex.metrics.correction import enough_swaps
from nuclex.metrics.statistics import EXACT_UNITS, Interval

SIMULATED = (
    "Simulated data: some questions were made up by nuclex. Their numbers show that the chain works; they say nothing "
    "about real RNA."
)
HOW = (
    "Every model was fine-tuned on each question, beside its controls: the head alone on the frozen pre-trained model, "
    "the same network from random weights, the head alone on one-hot letters and, where the answer is a class or a "
    "number, a CNN from random weights (all trained as long on the same batches) and a linear model of the shares of "
    "k-mers. Weights and thresholds were chosen "
    "on validation; the test split was looked at once, for the numbers here.\n\n"
    "Zero-shot numbers of variants are of the model as it is, by likelihood, with nothing learned and nothing chosen; "
    "where no entry of the suite learns from the same task, they are of the examples of all its splits. Zero-shot "
    "structures are of a model that was trained on none, but what they need (the threshold; of attention, layer and "
    "head) was chosen on some labelled validation structures, as a table of the question says.\n\n"
    "Intervals are bootstrap intervals over the independent units of the test split, after the scores of each test "
    "sequence were averaged over training seeds; the spread between seeds (standard deviation) stands beside them and "
    "is not in them. Systems are compared on the same test sequences by swapping their scores at random within each "
    "unit, so often that a p far below the level can be seen however many comparisons there are; p is corrected by "
    "Holm's method over all comparisons of the table. Of a correlation or an area under a curve, which no sequence has "
    "by itself, the ranks that the two models gave are swapped. The effect size is the mean difference "
    "in standard deviations of the differences (of a correlation or area: of its resamples, times the root of the "
    "units); 'detectable' is the smallest true difference that the comparison "
    "would find in 80 % of the cases, if it were the only one.\n\n"
    "Quoted numbers are those of the literature, measured by others, mostly on other splits or with other rules: they "
    "are no part of any test."
)


def tell(found: Benchmark) -> Report:
    """Write the whole report of a benchmark."""
    simulated = any(question.task["notes"].get("simulated") for question in found.questions)
    asked = [question for question in found.questions if question.systems]
    sections = [_overview(found, asked), *aggregates_section(found)] if asked else []
    sections += [question_section(found, question) for question in asked]
    sections += [*_families(found), *_perplexity(found), *_leaks(found), *_not_run(found)]
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
        names, told = [question.name for question in questions], spoken(metric)
        title = f"{told[0].upper()}{told[1:]} of every system"
        figures.append(replace(system_bars(names, series, told, title), name=f"overview-{metric}"))
    table = numbers_table(asked, found.lines, headline_only=True, unasked=found.unasked)
    comparing = comparisons_table(found.comparisons, found.level, brief=True)
    tables = (
        replace(_worded(table), caption="The metric to quote of every question, and what the literature quotes"),
        replace(_worded(comparing), caption="Comparisons on the same test sequences", notes=(_level(found),)),
    )
    return Section("Overview", "", tuple(figures), tables)


def _worded(table: Table) -> Table:
    """The table with metrics in words, which a line can break between."""
    place = table.columns.index("metric")
    rows = ((*row[:place], str(row[place]).replace("_", " "), *row[place + 1 :]) for row in table.rows)
    return replace(table, rows=tuple(rows))


def _families(found: Benchmark) -> list[Section]:
    """Where the models put the families that were held out one by one, all of them on one map."""
    title = "{}: where {} puts the families held out, before fine-tuning"
    figures = [map_figure(one, title.format(one.question, one.model)) for one in found.family_maps]
    if not figures:
        return []
    text = (
        "Each of these families is the whole test of one question. Here they lie together, as each model saw them "
        "before it was fine-tuned: marks of one family beside each other say that the model tells it from the others "
        "unasked. Distances between far groups mean little on such a map."
    )
    named = (replace(figure, name=f"families-{number}") for number, figure in enumerate(figures, start=1))
    return [Section("Families on a map", text, tuple(named))]


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
