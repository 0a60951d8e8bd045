"""Every metric of every system of a benchmark, with its interval: means over sequences, and what all have together.

Seeds of training are averaged before anything is drawn, sequence by sequence where each has a score, else as values of
the metric on the same draw; the standard deviation between them stands beside the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.evaluation.benchmark import ZERO_SHOT, Line, Question, System
from nuclex.metrics import auprc, auroc, pearson, r_squared, score_pseudoknots, spearman, sums
from nuclex.metrics.statistics import Interval, Ratio, bootstrap, bootstrap_statistic, bootstrap_sums
from nuclex.training.classes import OF_TWO
from nuclex.training.classes import TOGETHER as CLASSES

Floats = NDArray[np.float64]
NUMBERS: dict[str, Callable[..., float]] = {
    "auroc": auroc,
    "auprc": auprc,
    "spearman_of_sizes": spearman,
    "r_squared": r_squared,
    "pearson": pearson,
    "spearman": spearman,
}
"""Of truth and prediction of all sequences, a number each; ``sided`` says which way they are held."""
AREAS = ("auroc", "auprc")
MOMENTS: Mapping[str, Callable[[Floats], Floats]] = {"pearson": sums.correlated, "rmse": sums.root_mean_square}
OF_TARGETS: Mapping[str, Callable[[Floats], Floats]] = {"mcrmse": sums.mcrmse, "mean_pearson": sums.mean_correlated}
"""Of several numbers a position."""
WEIGHTED = {f"length_weighted_{score}": score for score in ("strict_f1", "relaxed_f1", "mcc")}
"""Means in which each structure weighs as much as it has nucleotides."""
KNOTS, FALSE_ALARMS = "pseudoknot_f1", "pseudoknot_false_alarms"
"""F1 of pseudoknotted pairs, of the structures that have some; the share of the others in which one was predicted."""
TOGETHER = frozenset([*NUMBERS, *CLASSES, *OF_TWO, *MOMENTS, *OF_TARGETS, *WEIGHTED, KNOTS, FALSE_ALARMS])
"""Metrics that are no plain mean over all test sequences."""


@dataclass(frozen=True, eq=False)
class Together:
    """A metric of one system: mean over seeds with its interval, the value of each seed, units that were drawn."""

    interval: Interval
    each_S: Floats
    units: int

    @classmethod
    def mean(
        cls, scores_SN: Floats, units_N: NDArray[np.int64], level: float, weight_N: Floats | None = None
    ) -> Together:
        """The mean of a score that each sequence has, plain or weighted."""
        weight_N = np.ones(scores_SN.shape[1]) if weight_N is None else weight_N
        mean_N = scores_SN.mean(axis=0)
        interval = bootstrap(Ratio(mean_N * weight_N, weight_N), clusters=units_N, level=level)
        return cls(interval, scores_SN @ weight_N / weight_N.sum(), len(np.unique(units_N)))


def lines(question: Question, level: float = 0.95) -> Iterator[Line]:
    """Every metric of every system of a question: those that are compared, of each sequence, of all together."""
    for system in question.systems:
        found = {
            metric: Together.mean(system.scores_SN(metric), question.units_N, level)
            for metric in dict.fromkeys([*question.compared, *system.rows[0][0]["scores"]])
            if system.has(metric)
        }
        found |= together(question, system, level)
        for metric in sorted(found, key=lambda name: name not in question.compared):
            one = found[metric]
            spread = float(np.std(one.each_S, ddof=1)) if len(one.each_S) > 1 else float("nan")
            place = (question.name, system.model, system.arm, metric)
            yield Line(*place, one.interval, one.units, len(one.each_S), spread)


def together(
    question: Question, system: System, level: float = 0.95, only: Collection[str] = TOGETHER
) -> dict[str, Together]:
    """What no sequence has by itself (or not all have): of classes, of numbers, of base pairs."""
    row = system.rows[0][0]
    if "moments" in row:
        columns = [np.array([row["moments"] for row in rows], dtype=np.float64) for rows in system.rows]
        return _of_sums(MOMENTS if columns[0].ndim == 2 else OF_TARGETS, columns, question, level)
    if (counts := class_columns(question, system)) is not None:
        return _of_classes(counts, question, level)
    if isinstance(row["truth"], list):
        return _of_pairs(question, system, level) if "sequence" in row else {}
    return {name: _of_numbers(name, question, system, level) for name in _numbers(system) if name in only}


def class_columns(question: Question, system: System) -> list[Floats] | None:
    """How often each class was called rightly, called, and true, (N, 3, C) a seed; None where there are no classes."""
    row = system.rows[0][0]
    if "counts" in row:
        return [sums.counts_of([row["counts"] for row in rows]) for rows in system.rows]
    return _called(question, system) if isinstance(row["truth"], str) else None


def sided(system: System, metric: str) -> list[Floats]:
    """The columns that a metric of ``NUMBERS`` is of: the truth (N,), and the predictions of each seed.

    Of a likelihood (zero-shot) a change that harms is less likely, so there AUROC and AUPRC are of minus the score.
    """
    columns = [np.array([row["truth"] for row in system.rows[0]], dtype=np.float64)]
    columns += [np.array([row["predicted"] for row in rows], dtype=np.float64) for rows in system.rows]
    if metric == "spearman_of_sizes":
        return [np.abs(column_N) for column_N in columns]
    if metric in AREAS and system.arm == ZERO_SHOT:
        return [columns[0], *(-column_N for column_N in columns[1:])]
    return columns


def _numbers(system: System) -> list[str]:
    """The metrics that the runs reported; areas where there are but two labels, 0 and 1."""
    binary = system.binary
    return [name for name in NUMBERS if name in system.reported[0] or (name in AREAS and binary)]


def _of_numbers(metric: str, question: Question, system: System, level: float) -> Together:
    statistic, (truth_N, *guesses) = NUMBERS[metric], sided(system, metric)
    each_S = np.array([statistic(truth_N, guess_N) for guess_N in guesses])

    def mean(truth: Any, *each: Any) -> float:
        return float(np.mean([statistic(truth, guess) for guess in each]))

    try:
        interval = bootstrap_statistic(mean, [truth_N, *guesses], clusters=question.units_N, level=level)
    except InputError as error:  # a correlation that some resamples do not have
        nothing = float("nan")
        interval = Interval(float(each_S.mean()), nothing, nothing, len(truth_N), level, f"none: {error}")
    return Together(interval, each_S, len(np.unique(question.units_N)))


def _called(question: Question, system: System) -> list[Floats]:
    """Counts (N, 3, C) of each seed."""
    rows = [row for rows in system.rows for row in rows]
    names = question.classes or sorted({row[part] for row in rows for part in ("truth", "predicted")})
    number = {name: place for place, name in enumerate(names)}
    codes = ([np.array([number[row[part]] for row in rows]) for part in ("truth", "predicted")] for rows in system.rows)
    return [sums.class_counts(truth_N, guess_N, len(names)) for truth_N, guess_N in codes]


def _of_classes(counts: list[Floats], question: Question, level: float) -> dict[str, Together]:
    return _of_sums({**CLASSES, **(OF_TWO if counts[0].shape[-1] == 2 else {})}, counts, question, level)


def _of_sums(
    statistics: Mapping[str, Callable[[Floats], Floats]], columns: list[Floats], question: Question, level: float
) -> dict[str, Together]:
    """Statistics of sums; ``columns`` are of a seed each (N, X)."""
    columns_NSX, units = np.stack(columns, axis=1), len(np.unique(question.units_N))

    def over_seeds(statistic: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
        return lambda total: statistic(total).mean(axis=-1)

    means = {name: over_seeds(statistic) for name, statistic in statistics.items()}
    found = bootstrap_sums(means, columns_NSX, clusters=question.units_N, level=level)
    total_SX = columns_NSX.sum(axis=0)
    return {name: Together(found[name], statistic(total_SX), units) for name, statistic in statistics.items()}


def _of_pairs(question: Question, system: System, level: float) -> dict[str, Together]:
    """Means weighted by length, and the pseudoknots: n is of the structures that have one, or that have none."""
    length_N = np.array([len(row["sequence"]) for row in system.rows[0]], dtype=np.float64)
    found = {
        name: Together.mean(system.scores_SN(score), question.units_N, level, length_N)
        for name, score in WEIGHTED.items()
        if system.has(score)
    }
    scores = [
        [score_pseudoknots(row["predicted"], row["truth"], len(row["sequence"])) for row in rows]
        for rows in system.rows
    ]
    knotted_N = np.array([score.true > 0 for score in scores[0]])
    f1_SN = np.array([[score.strict.f1 for score in row] for row in scores])
    alarm_SN = np.array([[float(score.predicted > 0) for score in row] for row in scores])
    for name, values_SN, where_N in ((KNOTS, f1_SN, knotted_N), (FALSE_ALARMS, alarm_SN, ~knotted_N)):
        if where_N.any():
            found[name] = Together.mean(values_SN[:, where_N], question.units_N[where_N], level)
    return found
