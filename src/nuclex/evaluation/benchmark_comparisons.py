"""Which of two systems of a benchmark is better, on the same test sequences: paired tests, corrected over all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from nuclex.core.errors import InputError
from nuclex.evaluation.benchmark import ENERGY, WORDS, ZERO_SHOT, Comparison, Question, System
from nuclex.evaluation.benchmark_lines import NUMBERS, sided
from nuclex.metrics.correction import enough_swaps, holm
from nuclex.metrics.regression import ranks
from nuclex.metrics.statistics import PairedDifference, paired_difference, paired_statistic


def comparisons(questions: Sequence[Question], level: float = 0.95) -> list[Comparison]:
    """Each model against its controls, folding by energy and each other model, by the chief metric; Holm over all.

    Zero-shot the models are held against each other; where the chief metric is none of each sequence, such as a
    correlation, by the difference of the two correlations.
    """
    found = []
    asked = [(question, *pair) for question in questions for pair in _pairs(question)]
    swaps = enough_swaps(len(asked), level)
    for question, a, b in asked:
        difference = _difference(question, (a, b), swaps, level)
        if difference is None:
            continue
        against = b.label if b.model == ENERGY else WORDS[b.arm] if a.model == b.model else b.model
        found.append(Comparison(question.name, question.chief, a.model, against, difference, len(a.rows)))
    corrected = holm([one.found.p_value for one in found]).tolist()
    return [replace(one, holm=value) for one, value in zip(found, corrected, strict=True)]


def _pairs(question: Question) -> Iterator[tuple[System, System]]:
    systems = [system for system in question.systems if system.has(question.chief)]
    models = [system for system in systems if system.arm == "pretrained"]
    for model in models:
        for control in systems:
            if control.model in (model.model, ENERGY) and control.arm != "pretrained":
                yield model, control
    yield from combinations(models, 2)
    yield from combinations([system for system in question.systems if system.arm == ZERO_SHOT], 2)


def _difference(
    question: Question, systems: tuple[System, System], swaps: int, level: float
) -> PairedDifference | None:
    """One system less the other by the chief metric; None where it is not defined, as of scores that are all the same.

    Likelihoods of two models are on two scales, so that their ranks are swapped; what is asked of them is their order.
    """
    units_N, chief = question.units_N, question.chief
    if systems[0].has(chief):
        means = [system.scores_SN(chief).mean(axis=0) for system in systems]
        return paired_difference(*means, clusters=units_N, swaps=swaps, level=level)
    (truth_N, a_N), (_, b_N) = (sided(system, chief) for system in systems)
    try:
        columns = (truth_N, ranks(a_N), ranks(b_N))
        return paired_statistic(NUMBERS[chief], columns, clusters=units_N, swaps=swaps, level=level)
    except InputError:
        return None
