"""Tables for a paper: the same rows as CSV, JSON, Markdown and LaTeX, every number with n, interval and seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_folder
from nuclex.core.plain import plain
from nuclex.evaluation.benchmark import WORDS, Comparison, Line, Question
from nuclex.evaluation.benchmark_lines import TOGETHER
from nuclex.evaluation.held_out import HeldOut, comparable
from nuclex.evaluation.leaks import SUBSETS
from nuclex.evaluation.report import Table, cell_text
from nuclex.evaluation.suite import QuotedConfig
from nuclex.metrics.statistics import Interval

QUOTED, NOT_RUN, DIFFERENCE = "quoted", "not run", "difference"
ABREAST = 4
"""Metrics beside each other in a table of a report."""
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"–": "--", "−": "$-$", "±": r"$\pm$", "²": "$^2$"},
}


def numbers_table(
    questions: Sequence[Question],
    lines: Sequence[Line],
    *,
    headline_only: bool = False,
    unasked: Mapping[str, Sequence[QuotedConfig]] | None = None,
) -> Table:
    """One row a system and metric; numbers of the literature follow those of their question, marked as quoted.

    ``headline_only`` keeps the metric to quote and every metric that the literature quotes, measured beside quoted.
    ``unasked``: quoted numbers of questions that were not run, each metric under a row that says so.
    """
    columns = ("question", "system", "start", "metric", "value", "units", "seeds", "seed SD", "source")
    rows: list[tuple[Any, ...]] = []
    for question in questions:
        shown = {question.headline, *(quoted.metric for quoted in question.quoted)}
        mine = [line for line in lines if line.question == question.name]
        if headline_only:
            mine = sorted(
                (line for line in mine if line.metric in shown), key=lambda line: line.metric != question.headline
            )
        rows += [_measured(line) for line in mine]
        rows += [_quoted(question.name, quoted) for quoted in question.quoted]
    for name, quotes in (unasked or {}).items():
        for metric in dict.fromkeys(quoted.metric for quoted in quotes):
            rows.append((name, "all", NOT_RUN, metric, None, None, None, None, NOT_RUN))
            rows += [_quoted(name, quoted) for quoted in quotes if quoted.metric == metric]
    return Table(columns, tuple(rows), name="numbers", formats={"value": ".3f", "seed SD": ".3f"})


def _measured(line: Line) -> tuple[Any, ...]:
    spread = line.seed_spread if isfinite(line.seed_spread) else None
    start = WORDS[line.arm]
    return (line.question, line.model, start, line.metric, line.interval, line.units, line.seeds, spread, "measured")


def _quoted(name: str, quoted: QuotedConfig) -> tuple[Any, ...]:
    source = f"{QUOTED}: {quoted.source}" + (f" ({quoted.note})" if quoted.note else "")
    return (name, quoted.model, QUOTED, quoted.metric, quoted.value, None, None, None, source)


def metrics_tables(question: Question, lines: Sequence[Line]) -> Iterator[Table]:
    """One row a system, one column a metric: those that are compared, and those of all test sequences together.

    A few columns at a time, so that a page holds them.
    """
    mine = [line for line in lines if line.question == question.name]
    metrics = list(dict.fromkeys(line.metric for line in mine if line.metric in {*question.compared, *TOGETHER}))
    found = {(line.model, line.arm, line.metric): line for line in mine}
    for first in range(0, max(len(metrics), 1), ABREAST):
        some, rows = metrics[first : first + ABREAST], []
        for system in question.systems:
            row = [found.get((system.model, system.arm, metric)) for metric in some]
            seeds = next((line.seeds for line in row if line is not None), None)
            intervals = [None if line is None else line.interval for line in row]
            rows.append((system.model, WORDS[system.arm], len(question.units_N), seeds, *intervals))
        name = f"metrics-{question.name}" + (f"-{first // ABREAST + 1}" if first else "")
        yield Table(("system", "start", "n", "seeds", *some), tuple(rows), name=name)


def comparisons_table(found: Sequence[Comparison], level: float = 0.95, *, brief: bool = False) -> Table:
    """One row a pair of systems: the difference, how sure it is, and what could have been found at all.

    ``brief`` leaves out what stands in other tables of a report: raw p, units and seeds.
    """
    columns: tuple[str, ...]
    columns = ("question", "metric", "model", "against", DIFFERENCE, "p", "p (Holm)", "effect size", "detectable")
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (
            *(one.question, one.metric, one.model, one.against, one.found.difference, one.found.p_value, one.holm),
            *(_finite(one.found.effect_size), one.found.detectable),
            *(one.found.units, one.seeds, one.verdict(level)),
        )
        for one in found
    )
    formats = {"p": ".2g", "p (Holm)": ".2g", "effect size": ".2f", "detectable": ".3f", DIFFERENCE: "+.3f"}
    columns = (*columns, "units", "seeds", "verdict")
    if brief:
        kept = [place for place, name in enumerate(columns) if name not in {"p", "units", "seeds"}]
        columns, rows = tuple(columns[p] for p in kept), tuple(tuple(row[p] for p in kept) for row in rows)
        formats.pop("p")
    return Table(columns, rows, name="comparisons", formats=formats)


def leaks_table(questions: Sequence[Question]) -> Table:
    """How many test sequences were seen before, where and why."""
    columns = ("question", "looked through", "sequences there", "test sequences", "found", "by reason")
    rows: list[tuple[Any, ...]] = []
    for question in questions:
        for place, counts in (question.leaks or {"found": {}})["found"].items():
            reasons = {name: count for name, count in counts.items() if name != "sequences" and count}
            said = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in reasons.items()) or "none"
            found = sum(reasons.values())
            rows.append((question.name, place, counts["sequences"], len(question.units_N), found, said))
    return Table(columns, tuple(rows), name="leaks")


def without_leaks_table(questions: Sequence[Question]) -> Table:
    """The metric to quote of every system on all test sequences, without those seen before, and on those alone."""
    columns = ("question", "system", "metric", "all", "without leaks", "leaks only")
    rows: list[tuple[Any, ...]] = []
    for question in questions:
        for system, subsets in (question.leaks or {}).get("numbers", {}).items():
            each = [_interval(subsets.get(subset), question.headline) for subset in SUBSETS]
            if each[2] is not None:
                rows.append((question.name, system, question.headline, *each))
    return Table(columns, tuple(rows), name="without-leaks")


def perplexity_table(found: Sequence[HeldOut], *, brief: bool = False) -> Table:
    """One row a model: its size, what it had read, and how well it foretold which held-out tokens.

    Models of one ``group`` were measured alike. ``brief`` leaves out what only tells the groups apart.
    """
    columns: tuple[str, ...] = ("model", "parameters", "training tokens", "validation loss", "perplexity")
    columns += ("n tokens", "objective", "group", "window", "validation sequences", "corpus", "tokenizer")
    rows: list[tuple[Any, ...]] = [
        (
            *(one.model, one.parameters, one.training_tokens, one.loss, one.perplexity, one.tokens, one.objective),
            *(group, one.window, one.sequences, one.corpus, one.tokenizer),
        )
        for one, group in zip(found, comparable(found), strict=True)
    ]
    if brief:
        columns, rows = columns[:8], [row[:8] for row in rows]
    formats = {"validation loss": ".3f", "perplexity": ".3f"}
    return Table(columns, tuple(rows), name="perplexity", formats=formats)


def write_tables(folder: Path, tables: Mapping[str, Table], facts: Mapping[str, Any]) -> None:
    """Write each table as .csv, .json, .md and .tex into a new ``folder``, which replaces an old one.

    ``facts`` (level, seeds, what was not run) stand in ``facts.json`` beside them.
    """
    with atomic_folder(folder, replace=True) as home:
        for name, table in tables.items():
            (home / f"{name}.csv").write_text(table.csv(), encoding="utf-8", newline="")
            (home / f"{name}.md").write_text(markdown(table), encoding="utf-8")
            (home / f"{name}.tex").write_text(latex(table), encoding="utf-8")
            (home / f"{name}.json").write_text(_text(records(table)), encoding="utf-8")
        (home / "facts.json").write_text(_text(facts), encoding="utf-8")


def records(table: Table) -> list[dict[str, Any]]:
    """The rows as plain data, every number in full.

    >>> records(Table(("family", "n"), (("tRNA", 3),)))
    [{'family': 'tRNA', 'n': 3}]
    """
    return [
        {
            name: plain(asdict(cell)) if isinstance(cell, Interval) else plain(cell)
            for name, cell in zip(table.columns, row, strict=True)
        }
        for row in table.rows
    ]


def markdown(table: Table) -> str:
    """The table as GitHub and pandoc read it; columns of numbers are set to the right.

    >>> print(markdown(Table(("family", "F1"), (("a|b", 0.5),), formats={"F1": ".2f"})), end="")
    | family | F1 |
    | --- | ---: |
    | a\\|b | 0.50 |
    """
    texts = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in _texts(table)]
    head = [name.replace("|", "\\|") for name in table.columns]
    rule = ["---:" if numeric else "---" for numeric in _numeric(table)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, rule, *texts])


def latex(table: Table) -> str:
    """The table as a LaTeX ``tabular`` with booktabs' rules.

    >>> print(latex(Table(("family", "F1"), (("a_b & c", 0.5),), formats={"F1": ".2f"})), end="")
    \\begin{tabular}{lr}
    \\toprule
    family & F1 \\\\
    \\midrule
    a\\_b \\& c & 0.50 \\\\
    \\bottomrule
    \\end{tabular}
    """
    kinds = "".join("r" if numeric else "l" for numeric in _numeric(table))
    rows = [" & ".join(map(_escaped, row)) + r" \\" for row in [list(table.columns), *_texts(table)]]
    body = [rows[0], r"\midrule", *rows[1:]]
    return "\n".join([rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}", ""])


def _texts(table: Table) -> list[list[str]]:
    return [
        [cell_text(cell, table.formats.get(name, "")) for name, cell in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]


def _numeric(table: Table) -> list[bool]:
    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.columns)
    return [bool(column) and not any(isinstance(cell, str) for cell in column) for column in columns]


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _interval(subset: Mapping[str, Any] | None, metric: str) -> Interval | None:
    if subset is None or metric not in subset:
        return None
    found: dict[str, Any] = {name: float("nan") if value is None else value for name, value in subset[metric].items()}
    return Interval(**found)


def _text(value: Any) -> str:
    return json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"
