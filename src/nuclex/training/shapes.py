"""What follows from the shape of a question: the heads that answer it, how they learn, and what can be set for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nuclex.core.errors import InputError
from nuclex.models import PartnerHeadConfig
from nuclex.models.heads import (
    BorderHeadConfig,
    ClassHeadConfig,
    HeadConfig,
    LinearHeadConfig,
    PairHeadConfig,
    PositionHeadConfig,
    RibosomeLoadHeadConfig,
    ScalarHeadConfig,
    TextConvolutionHeadConfig,
)
from nuclex.tasks import Shape, Task
from nuclex.training.borders import BorderAnswers
from nuclex.training.classes import ClassAnswers
from nuclex.training.pairs import DecodingConfig, PairAnswers
from nuclex.training.partners import PartnerAnswers
from nuclex.training.positions import PositionClassAnswers
from nuclex.training.profiles import PositionNumberAnswers
from nuclex.training.scalars import RegressionConfig, ScalarAnswers
from nuclex.training.supervised import Answers, Reading

TABLES = {"decoding": "base pairs to decode", "regression": "numbers to learn"}
"""Tables of a recipe that not every shape has, and what they are about."""


@dataclass(frozen=True)
class Asked:
    """What a recipe says about answers: tokens of a forward pass, the tables that some shapes have, and the head."""

    micro_tokens: int
    decoding: DecodingConfig | None = None
    regression: RegressionConfig | None = None
    head: HeadConfig | None = None


@dataclass(frozen=True)
class Way:
    """How a shape is answered: by which heads, the usual first, learned how, with which of the ``TABLES``."""

    heads: tuple[HeadConfig, ...]
    answers: Callable[[Task, dict[str, Reading], Asked], Answers]
    table: str | None = None

    def refusal(self, name: str, head: HeadConfig | None, tables: set[str]) -> str | None:
        """Why a recipe's head or tables do not fit the task of that name, None where they do."""
        kinds = [usual.kind for usual in self.heads]
        if head is not None and head.kind not in kinds:
            return f"head.kind is {head.kind!r}; the task {name!r} needs {' or '.join(map(repr, kinds))}"
        for table in sorted(tables - {self.table}):
            return f"{table}: the task {name!r} has no {TABLES[table]}"
        return None


def _classes(task: Task, readings: dict[str, Reading], asked: Asked) -> Answers:
    return ClassAnswers(task, readings, asked.micro_tokens)


def _scalars(task: Task, readings: dict[str, Reading], asked: Asked) -> Answers:
    return ScalarAnswers(task, readings, asked.micro_tokens, asked.regression or RegressionConfig())


def _partners(task: Task, readings: dict[str, Reading], asked: Asked) -> Answers:
    return PartnerAnswers(task, readings, asked.micro_tokens, asked.regression or RegressionConfig())


def _positions(task: Task, readings: dict[str, Reading], asked: Asked) -> Answers:
    """Of classes, or of numbers where the task has none; InputError for a table or a head that is not for these."""
    if not task.classes:
        if isinstance(asked.head, BorderHeadConfig):
            raise InputError(f"head.kind is 'borders'; the task {task.name!r} has numbers and needs 'position'")
        if asked.regression is not None and asked.regression.score == "spearman":
            raise InputError(f"regression.score: the task {task.name!r} has many numbers a sequence and needs 'error'")
        return PositionNumberAnswers(task, readings, asked.micro_tokens, asked.regression or RegressionConfig())
    if asked.regression is not None:
        raise InputError(f"regression: the task {task.name!r} has no {TABLES['regression']}")
    if isinstance(asked.head, BorderHeadConfig):
        return BorderAnswers(task, readings, asked.micro_tokens, asked.head.positions)
    return PositionClassAnswers(task, readings, asked.micro_tokens)


def _pairs(task: Task, readings: dict[str, Reading], asked: Asked) -> Answers:
    return PairAnswers(task, readings, asked.decoding or DecodingConfig())


_PROBES = (LinearHeadConfig(), TextConvolutionHeadConfig())
_NUMBERS = (ScalarHeadConfig(), RibosomeLoadHeadConfig(), *_PROBES)
WAYS: dict[Shape, Way] = {
    Shape.CLASS: Way((ClassHeadConfig(), *_PROBES), _classes),
    Shape.SCALAR: Way(_NUMBERS, _scalars, "regression"),
    Shape.VARIANT: Way(_NUMBERS, _scalars, "regression"),
    Shape.PARTNER: Way((PartnerHeadConfig(),), _partners, "regression"),
    Shape.PER_POSITION: Way(
        (PositionHeadConfig(), BorderHeadConfig(compatibility="helm-released")), _positions, "regression"
    ),
    Shape.PAIR_MAP: Way((PairHeadConfig(),), _pairs, "decoding"),
}
"""Head, loss and metric follow from the shape."""
