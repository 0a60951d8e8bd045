"""What a fine-tuned model is held against: which controls there are, for which shapes, and those without its network.

All are trained on the same splits, chosen on the same validation sequences and measured on the same test sequences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field

from nuclex.core.config import Config
from nuclex.core.randomness import key
from nuclex.models.answering import AnsweringModel
from nuclex.models.motifs import ConvolutionHead, KmerHead
from nuclex.models.one_hot import OneHot
from nuclex.tasks import Shape
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.duration import TrainingConfig
from nuclex.training.optimizer import OptimizerConfig
from nuclex.training.schedule import ScheduleConfig
from nuclex.training.supervised import Reading, Thaw

Control = Literal["frozen", "scratch", "one-hot", "cnn", "k-mers"]
"""``frozen``: the head alone on the pre-trained model; ``scratch``: the same network from random weights; ``one-hot``:
the head alone on one-hot letters; ``cnn``: a small network of convolutions on letters, from random weights;
``k-mers``: a linear model of the shares of k-mers."""
CONTROLS: tuple[Control, ...] = ("frozen", "scratch", "one-hot", "cnn", "k-mers")
Arm = Literal["pretrained"] | Control
LETTERS = NucleotideConfig().build()
"""What ``cnn`` and ``k-mers`` read with, whatever the pre-trained model's tokenizer is."""
LONGEST_LAID_OUT = 1000
"""Nucleotides up to which the CNN has weights for every position; beyond, its dense layer would be most of it."""


class ControlRates(Config):
    """At which learning rates the controls learn whose weights begin at random; None = at the run's own.

    A rate for fine-tuning, 1e-5 for one, leaves random weights nearly as they were, and "pre-training helped" would be
    all but certain. ``network`` is for ``scratch``, where every weight is random; ``head`` for ``frozen`` and
    ``one-hot``, where the head is all that learns. The fine-tuned model keeps its recipe, its new head included: what
    that costs it is seen in its difference from ``frozen``. See ``from_random`` for what else such a rate brings.
    """

    network: float | None = Field(default=None, gt=0, description="of `scratch`; None = the run's own")
    head: float | None = Field(default=None, gt=0, description="of `frozen` and `one-hot`; None = the run's own")


def usual_controls(given: Mapping[str, Any]) -> tuple[Control, ...]:
    """The controls of a run that says nothing about them: the frozen one needs a ``bundle``, and is cheap beside it."""
    return ("frozen", "scratch") if given.get("bundle") is not None else ("scratch",)


def controls_of(shape: Shape) -> tuple[Control, ...]:
    """The controls that a shape of question knows; one answer a sequence is needed for the last two."""
    return CONTROLS if shape in (Shape.CLASS, Shape.SCALAR) else CONTROLS[:3]


def refused_control(controls: Sequence[Control], shape: Shape, name: str, *, pretrained: bool) -> str | None:
    """Why one of these controls cannot stand beside a run on the task of that name, None where all can."""
    known = controls_of(shape)
    for control in controls:
        if control not in known:
            return f"controls: {control!r} is not for the task {name!r}, which knows {', '.join(map(repr, known))}"
        if control == "frozen" and not pretrained:
            return "controls: 'frozen' needs a pre-trained bundle"
    return None


def reads_letters(arm: str) -> bool:
    """Whether an arm has nothing of the pre-trained model, its tokenizer and head included."""
    return arm in ("cnn", "k-mers")


def letter_model(arm: str, readings: Mapping[str, Reading], outputs: int, seed: int) -> AnsweringModel:
    """The CNN with the random weights of ``seed``, or the linear model of k-mers, which begins at 0."""
    letters = OneHot.of_letters(LETTERS.vocabulary)
    if arm == "k-mers":
        head = KmerHead(outputs)
        for parameter in head.parameters():
            torch.nn.init.zeros_(parameter)
        return AnsweringModel(letters, head)
    longest = max(int(reading.table.lengths_N.max()) for reading in readings.values())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "cnn"))
        return AnsweringModel(letters, ConvolutionHead(outputs, longest if longest <= LONGEST_LAID_OUT else None))


def letter_training(config: TrainingConfig) -> TrainingConfig:
    """As long and as often looked at as the run itself, with Optimus 5-prime's Adam: rate 0.001, no decay of weights.

    A rate for fine-tuning is far too low for random weights (doi:10.1038/s41587-019-0164-5).
    """
    rate, adam = ScheduleConfig(kind="constant", rate=1e-3), OptimizerConfig(weight_decay=0.0, clip=None)
    return config.model_copy(update={"schedule": rate, "optimizer": adam})


def thaw_of(arm: Arm, thaw: tuple[Thaw, ...]) -> tuple[Thaw, ...]:
    """The schedule is the pre-trained model's; where the head is all that learns, it learns alone.

    Random weights learn nothing while frozen: ``scratch`` is not held back by a schedule made for another arm.
    """
    alone = (Thaw(step=0, blocks=0),)
    return {"pretrained": thaw, "frozen": alone, "one-hot": alone}.get(arm, ())


def training_of(arm: Arm, config: TrainingConfig, rates: ControlRates) -> TrainingConfig:
    """How an arm is trained: as long as the run, and as the run where nothing else is said."""
    if arm == "cnn":
        return letter_training(config)
    rate = {"scratch": rates.network, "frozen": rates.head, "one-hot": rates.head}.get(arm)
    return config if rate is None else from_random(config, rate)


def from_random(config: TrainingConfig, rate: float) -> TrainingConfig:
    """The same run for weights that begin at random: its schedule scaled to ``rate``, with a warm-up, clipped.

    The warm-up takes a twentieth of the steps and gradients are clipped at 1, as in pre-training, where the run itself
    has less: without them a deep network may diverge, which would flatter the other arm.
    """
    share = rate / config.schedule.rate
    schedule = config.schedule.model_copy(
        update={
            "rate": rate,
            "initial_rate": config.schedule.initial_rate * share,
            "final_rate": config.schedule.final_rate * share,
            "warmup": max(config.schedule.warmup, config.steps // 20),
        }
    )
    optimizer = config.optimizer.model_copy(update={"clip": config.optimizer.clip or 1.0})
    return config.model_copy(update={"schedule": schedule, "optimizer": optimizer})
