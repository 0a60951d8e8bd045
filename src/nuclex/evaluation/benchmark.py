"""What the runs of a benchmark found, as it is read from them: questions, systems, and all that is told of them.

A question is one task; its systems are the models and the controls of each. Seeds of training are averaged sequence by
sequence before anything is drawn, so an interval is about the test sequences; the spread of the seeds stands beside it.
Whatever was chosen (weights, thresholds) was chosen on validation, inside the runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import CorruptError
from nuclex.evaluation.held_out import HeldOut
from nuclex.evaluation.suite import QuotedConfig
from nuclex.metrics.calibration import Reliability
from nuclex.metrics.statistics import Interval, PairedDifference
from nuclex.training.controls import CONTROLS
from nuclex.training.majority import BASELINES, FROM_NEARER_END, FROM_START, MEAN, MEAN_BY_POSITION

ARMS: dict[str, str] = {"pretrained": "", **{name: name for name in (*CONTROLS, *BASELINES)}}
"""The arms of a run, what is known without a model among them, and the folder of each inside it."""
ZERO_SHOT = "zero-shot"
ENERGY = "ViennaRNA"
"""What folds by energy stands among the models by this name."""
WORDS = {
    "pretrained": "fine-tuned",
    "frozen": "frozen",
    "scratch": "from random weights",
    "one-hot": "the head on one-hot letters",
    "cnn": "a CNN from random weights",
    "k-mers": "linear in shares of k-mers",
    FROM_START: "the commonest label at a position",
    FROM_NEARER_END: "the same, from the nearer end",
    MEAN: "the mean of the train split",
    MEAN_BY_POSITION: "the mean at a position",
    ZERO_SHOT: ZERO_SHOT,
    "jacobian": "zero-shot, categorical Jacobian",
    "attention": "zero-shot, attention",
    "mfe": "least energy",
    "mea": "energy, most expected accuracy",
}
ENOUGH_SEEDS = 3


@dataclass(frozen=True, eq=False)
class System:
    """A model fine-tuned on a question, or one of its controls; rows of the test by seed."""

    model: str
    arm: str
    rows: tuple[list[dict[str, Any]], ...]
    reported: tuple[dict[str, Any], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen on validation for a model that folds without having learned: threshold, layer, head."""

    @property
    def label(self) -> str:
        """How a table names it."""
        return f"{self.model}, {WORDS[self.arm]}"

    @property
    def binary(self) -> bool:
        """Whether the labels are the numbers 0 and 1, and nothing else."""
        truths = [row["truth"] for row in self.rows[0]]
        return not any(isinstance(truth, str | list | dict) for truth in truths) and set(truths) == {0, 1}

    def has(self, metric: str) -> bool:
        """Whether each test sequence has this score by itself."""
        return metric in self.rows[0][0]["scores"]

    def scores_SN(self, metric: str) -> NDArray[np.float64]:
        """A score of every test sequence by seed (S, N)."""
        return np.array([[row["scores"][metric] for row in rows] for rows in self.rows], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Question:
    """One entry of a suite with everything that was run on it; ``units_N`` are the independent units of the test."""

    name: str
    chapter: str
    task: Mapping[str, Any]
    compared: tuple[str, ...]
    units_N: NDArray[np.int64]
    systems: tuple[System, ...]
    quoted: tuple[QuotedConfig, ...] = ()
    leaks: Mapping[str, Any] | None = None
    stands_in_for: str = ""
    """The question of the literature in whose place this one was asked."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers; of two the second is the positive one."""
        return tuple(self.task.get("classes", ()))

    @property
    def chief(self) -> str:
        """The metric by which systems are compared."""
        return self.compared[0]

    @property
    def headline(self) -> str:
        """The metric to quote: the chief one, or of numbers R², which has no value for each sequence by itself.

        Of the labels 0 and 1 it is AUROC, learned or not.
        """
        told = any("r_squared" in reported for system in self.systems for reported in system.reported)
        if not told or self.chief != "negative_squared_error":
            return self.chief
        return "auroc" if self.systems[0].binary else "r_squared"


@dataclass(frozen=True)
class Line:
    """A measured number: of which system on which question, over how many units and seeds."""

    question: str
    model: str
    arm: str
    metric: str
    interval: Interval
    units: int
    seeds: int
    seed_spread: float
    """Standard deviation between training seeds; nan with one seed."""


@dataclass(frozen=True)
class Comparison:
    """A fine-tuned model minus what it is held against, on the same test sequences; ``holm`` is p over the table.

    ``against`` is one of its controls, or another fine-tuned model.
    """

    question: str
    metric: str
    model: str
    against: str
    found: PairedDifference
    seeds: int
    holm: float = float("nan")

    def verdict(self, level: float = 0.95) -> str:
        """Better, worse, or said aloud that it is neither."""
        if not self.holm < 1 - level:
            return "not significant"
        return "better" if self.found.difference.value > 0 else "worse"


@dataclass(frozen=True)
class Aggregate:
    """A fine-tuned model over ``questions`` together: two means, the gain of one over the other, the share of the best.

    ``pretrained`` and ``scratch`` are mean Matthews correlations; ``stand_ins`` are those of the questions that stand
    in for others, ``quoted`` those of which a best number is known. ``share`` is None where there is none.
    """

    model: str
    questions: tuple[str, ...]
    stand_ins: tuple[str, ...]
    pretrained: float
    scratch: float
    gain: Interval
    quoted: tuple[str, ...]
    share: Interval | None


@dataclass(frozen=True)
class NotRun:
    """A question, or a model on one, that could not be asked, and why."""

    question: str
    model: str
    reason: str


@dataclass(frozen=True, eq=False)
class Map:
    """Where a model, before any fine-tuning, puts test sequences (x, y), and what they are.

    ``question`` is that of the sequences, or the task whose held-out families lie together on the map; ``pool`` says
    what of the model was taken for a sequence: the vector of the token in front of it, or the mean.
    """

    question: str
    model: str
    points_N2: NDArray[np.float64]
    labels: tuple[str, ...]
    pool: str


@dataclass(frozen=True, eq=False)
class PairCalibration:
    """What the probabilities of base pairs are worth, of a model fine-tuned with the first seed on S test structures.

    ``places_S`` are their numbers in the test, ``gaps_SX`` the calibration gaps of each (``metrics.calibration.gaps``).
    """

    question: str
    model: str
    found: Reliability
    places_S: NDArray[np.int64]
    gaps_SX: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Everything that a suite found; what its tables and its report are made of."""

    title: str
    about: str
    level: float
    models: Mapping[str, str]
    questions: tuple[Question, ...]
    lines: tuple[Line, ...]
    comparisons: tuple[Comparison, ...]
    not_run: tuple[NotRun, ...]
    maps: tuple[Map, ...]
    calibrations: tuple[PairCalibration, ...]
    held_out: tuple[HeldOut, ...] = ()
    family_maps: tuple[Map, ...] = ()
    unasked: Mapping[str, tuple[QuotedConfig, ...]] = field(default_factory=dict)
    """What the literature says of questions of which nothing was run."""
    aggregates: tuple[Aggregate, ...] = ()


def read_system(model: str, arm: str, runs: Sequence[Path]) -> System | None:
    """One arm of the runs of a model, a run a seed; None where the runs have no such arm."""
    results = [_json(run / "results.json") for run in runs]
    if any(arm not in found["test"]["all"] for found in results):
        return None
    rows = tuple(_rows(run / ARMS[arm] / "test.jsonl") for run in runs)
    return System(model, arm, rows, tuple(found["test"]["all"][arm] for found in results))


def read_compared(run: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The metrics by which a run's arms are compared, the chief one first, and what its task was."""
    found = _json(run / "results.json")
    return tuple(found["compared"]), dict(found["task"])


def refuse_unequal(question: Question) -> None:
    """CorruptError where two systems of a question were not tested on the same sequences."""
    asked = [row["id"] for row in question.systems[0].rows[0]] if question.systems else []
    for system in question.systems:
        for rows in system.rows:
            if [row["id"] for row in rows] != asked or len(rows) != len(question.units_N):
                raise CorruptError(f"{question.name}: {system.label} was tested on other sequences; remove its runs")


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        raise CorruptError(f"{path}: is not the readable list of a run's answers") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CorruptError(f"{path}: is not the readable result of a run") from None
    return found
