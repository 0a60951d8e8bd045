"""One number over many questions, as TinyDNABERT reports two: the gain over random weights, and the share of the best.

Both are ratios of means of Matthews correlations over the questions: mean of the fine-tuned model by the mean of the
same network from random weights, less 1; and by the mean of the best numbers known. Questions whose answer is no class
are left out. Every question weighs the same, however many test sequences it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nuclex.evaluation.benchmark import Aggregate, Benchmark, Question, System
from nuclex.evaluation.benchmark_lines import class_columns
from nuclex.evaluation.report import Section, Table
from nuclex.evaluation.suite import QuotedConfig
from nuclex.metrics.resampling import Floats, Plan, interval_of_draws, resampled_sums, sums_by_unit, unit_numbers
from nuclex.metrics.statistics import Interval
from nuclex.metrics.sums import matthews

_Pair = tuple[list[Floats], list[Floats]]
METRIC = "matthews"
NONE_AT_HAND = "no published number at hand"
REPLICATES = 2000
TEXT = (
    "As TinyDNABERT sums up its table: the mean Matthews correlation of the fine-tuned model over all questions that "
    "are answered with a class, by that of the same network from random weights (the relative gain is this ratio less "
    "1), and by the mean of the best numbers known of the same questions. Intervals draw the test units of every "
    "question anew, for both starts alike; luck in training is not in them."
)


def relative_gain(values: ArrayLike, against: ArrayLike) -> Floats:
    """The mean of values (..., Q) over Q questions by that of others, less 1; nan where that is not above 0.

    >>> round(float(relative_gain([0.5, 0.7], [0.4, 0.6])), 6)
    0.2
    """
    return share_of(values, against) - 1


def share_of(values: ArrayLike, best: ArrayLike) -> Floats:
    """The mean of values (..., Q) over Q questions by that of others; nan where that is not above 0.

    >>> round(float(share_of([0.3, 0.6], [0.8, 1.0])), 6)
    0.5
    """
    means, wholes = (np.asarray(each, dtype=np.float64).mean(axis=-1) for each in (values, best))
    return np.divide(means, wholes, out=np.full(np.broadcast(means, wholes).shape, nan), where=wholes > 0)


def aggregates(questions: Sequence[Question], level: float = 0.95) -> Iterator[Aggregate]:
    """Each fine-tuned model over the questions of classes that were asked of it and of its twin from random weights."""
    models = dict.fromkeys(system.model for question in questions for system in question.systems)
    for model in models:
        asked = [(question, pair) for question in questions if (pair := _pair(question, model)) is not None]
        if asked:
            yield _aggregate(model, [question for question, _ in asked], [pair for _, pair in asked], level)


def aggregates_table(found: Sequence[Aggregate]) -> Table:
    """One row a model; of what nobody has published it says so."""
    means = ("mean, fine-tuned", "mean, from random weights")
    columns = ("model", "questions", "stand-ins", *means, "relative gain", "with a best number", "share of the best")
    rows = tuple(
        (
            *(one.model, len(one.questions), len(one.stand_ins), one.pretrained, one.scratch, one.gain),
            *(len(one.quoted), one.share if one.share is not None else NONE_AT_HAND),
        )
        for one in found
    )
    return Table(columns, rows, name="aggregates", formats=dict.fromkeys(means, ".3f"))


def aggregates_section(found: Benchmark) -> list[Section]:
    """The section of a report; none where no question was answered with a class from both starts."""
    if not found.aggregates:
        return []
    summed = found.aggregates[0]
    notes = [f"Questions: {', '.join(summed.questions)}."]
    stand_ins = [f"{one.name} (for {one.stands_in_for})" for one in found.questions if one.name in summed.stand_ins]
    if stand_ins:
        notes.append(f"Stand-ins: {', '.join(stand_ins)}. What they sum up to is not comparable with the original's.")
    table = replace(
        aggregates_table(found.aggregates), caption="Matthews correlations over all questions", notes=tuple(notes)
    )
    return [Section("Aggregates", TEXT, tables=(table,))]


def _pair(question: Question, model: str) -> _Pair | None:
    """The counts of classes, a seed each, of a model and of its twin from random weights; None without either."""
    systems: dict[str, System] = {system.arm: system for system in question.systems if system.model == model}
    if not {"pretrained", "scratch"} <= systems.keys():
        return None
    columns = [class_columns(question, systems[arm]) for arm in ("pretrained", "scratch")]
    return None if columns[0] is None or columns[1] is None else (columns[0], columns[1])


def _aggregate(model: str, questions: Sequence[Question], pairs: Sequence[_Pair], level: float) -> Aggregate:
    found = [
        _drawn(question.units_N, pair, Plan(REPLICATES, level, seed))
        for seed, (question, pair) in enumerate(zip(questions, pairs, strict=True))
    ]
    (fine_Q, fine_RQ), (random_Q, random_RQ) = (
        tuple(np.stack([one[arm][part] for one in found], axis=-1) for part in (0, 1)) for arm in (0, 1)
    )
    units = sum(len(np.unique(question.units_N)) for question in questions)
    plan, counts = Plan(REPLICATES, level), (sum(len(question.units_N) for question in questions), units, True)
    best = {one.name: quoted.value for one in questions for quoted in one.quoted if _is_best(quoted)}
    known = [place for place, question in enumerate(questions) if question.name in best]
    share = None
    if known:
        limits = [*best.values()]
        share = _interval(share_of(fine_Q[known], limits), share_of(fine_RQ[:, known], limits), plan, counts)
    return Aggregate(
        model=model,
        questions=tuple(question.name for question in questions),
        stand_ins=tuple(question.name for question in questions if question.stands_in_for),
        pretrained=float(fine_Q.mean()),
        scratch=float(random_Q.mean()),
        gain=_interval(relative_gain(fine_Q, random_Q), relative_gain(fine_RQ, random_RQ), plan, counts),
        quoted=tuple(best),
        share=share,
    )


def _is_best(quoted: QuotedConfig) -> bool:
    return quoted.best and quoted.metric == METRIC


def _drawn(units_N: NDArray[np.int64], pair: _Pair, plan: Plan) -> list[tuple[Floats, Floats]]:
    """Of each start the Matthews correlation, measured and drawn (R,); seeds are averaged within each draw.

    The seed of the plan draws the same units for both starts.
    """
    unit_N, units = unit_numbers(units_N, len(units_N))
    found = []
    for columns in pair:
        counts_NSX = np.stack(columns, axis=1)
        sums_UK = sums_by_unit(counts_NSX.reshape(len(counts_NSX), -1), unit_N, units)
        totals = (sums_UK.sum(axis=0), resampled_sums(sums_UK, plan))
        value, draws_R = (
            matthews(total.reshape(*total.shape[:-1], *counts_NSX.shape[1:])).mean(axis=-1) for total in totals
        )
        found.append((value, draws_R))
    return found


def _interval(value: Floats, draws_R: Floats, plan: Plan, counts: tuple[int, int, bool]) -> Interval:
    """An interval by percentiles; none where a ratio is not defined."""
    if bad := int((~np.isfinite([value, *draws_R])).sum()):
        why = f"none: the mean to compare with is not above 0 in {bad} of {len(draws_R)} resamples"
        return Interval(float(value), nan, nan, counts[0], plan.level, why)
    return interval_of_draws(float(value), draws_R, None, plan, counts)
