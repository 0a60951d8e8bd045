"""Learning from answers: the batches of a fine-tuning run, what is frozen when, and a shape's way of being learned.

What differs between shapes (loss, validation numbers, test scores) is an ``Answers``; everything else is here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from nuclex.bundle import Bundle
from nuclex.bundle.weights import restore
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.randomness import key, permutation
from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import budget_cuts, windows
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.models.answering import AnsweringModel, Head
from nuclex.models.backbone import LanguageModel
from nuclex.models.heads import HEADS, build_head
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import Tokenizer
from nuclex.training.adapter import adapting
from nuclex.training.duration import updates
from nuclex.training.loop import Work

TIE = 1e-6
"""How much a nat of validation loss counts beside the metric: it only decides between models of equal metric."""


class BatchingConfig(Config):
    """How many sequences one optimizer step sees: as many as both limits allow, at least one."""

    examples: int = Field(default=32, ge=1, description="sequences in one step")
    tokens: int | None = Field(default=None, ge=1, description="tokens in one step; None = no limit")
    micro_tokens: int = Field(default=16_384, ge=1, description="tokens in one forward pass, where sequences share one")


class Thaw(Config):
    """From update ``step`` (0-based) on, the ``blocks`` topmost blocks of the network and its last norm learn.

    ``epoch`` says it in epochs done before, 3 or 0.5, where it stands instead of ``step``. What begins to learn here
    does so at ``rate`` times the schedule's learning rate, to the end.
    """

    step: int | None = Field(default=None, ge=0)
    epoch: float | None = Field(default=None, ge=0, description="given instead of step: epochs done before")
    blocks: int | Literal["every", "all"] = Field(
        description='blocks from the top; "every" = all of them; "all" = embedding too; 0 = the head alone'
    )
    rate: float = Field(default=1.0, gt=0, le=1, description="RiNALMo's code has 0.1 for structures")

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if isinstance(self.blocks, int) and self.blocks < 0:
            raise ValueError(f"blocks is {self.blocks}; 0 or more, 'every' or 'all' is needed")
        if (self.step is None) == (self.epoch is None):
            raise ValueError("give step or epoch, one of them: when these blocks begin to learn")
        return self

    def begins(self, an_epoch: int) -> int:
        """The update (0-based) from which on it holds, where an epoch has so many."""
        return updates(self.epoch, an_epoch) if self.epoch is not None else self.step or 0

    def counted(self, an_epoch: int) -> Self:
        """The same by ``step``."""
        return self.model_copy(update={"step": self.begins(an_epoch), "epoch": None})


@dataclass(frozen=True)
class Reading:
    """Sequences as a model reads them: whole, with start and end tokens."""

    examples: tuple[Example, ...]
    table: TokenTable
    tokenizer: Tokenizer
    longest: int | None = None

    @classmethod
    def of(cls, examples: Sequence[Example], tokenizer: Tokenizer, longest: int | None) -> Reading:
        """Tokenize; InputError names the example that is refused, or that has more than ``longest`` tokens."""
        sequences = (example.sequence for example in examples)
        table = tokenize(sequences, tokenizer, name_of=lambda index: repr(examples[index].id))
        reading = cls(tuple(examples), table, tokenizer, longest)
        if longest is not None and reading.tokens_N.max() > longest:
            worst = int(reading.tokens_N.argmax())
            found = f"{examples[worst].id!r} has {reading.tokens_N[worst]} tokens with start and end"
            raise InputError(f"{found}; this model reads at most {longest}; leave longer ones out")
        return reading

    @property
    def tokens_N(self) -> NDArray[np.int64]:
        """Tokens of each sequence, start and end included."""
        return self.table.lengths_N + 2

    def batch(self, index_N: NDArray[np.int64]) -> PackedBatch:
        """These sequences end to end."""
        return pack(self.table, windows(self.table, int(self.tokens_N.max()), index_N), self.tokenizer)

    def tokens_of(self, index: int, device: torch.device) -> Tensor:
        """Token ids (T,) of one sequence."""
        return torch.from_numpy(self.batch(np.array([index])).tokens_T).to(device)

    def partners(self, index_N: NDArray[np.int64], device: torch.device) -> Tensor | None:
        """The vectors (N, P) of what these sequences are asked about together with; None where they stand alone."""
        found = [self.examples[index].partner for index in index_N.tolist()]
        vectors = [partner.vector_P for partner in found if partner is not None]
        return torch.from_numpy(np.stack(vectors)).to(device) if len(vectors) == len(found) else None

    def packs(self, index_N: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
        """The sequences in order of length, cut into runs of at most ``budget`` tokens."""
        ordered_N = index_N[np.argsort(self.tokens_N[index_N], kind="stable")]
        cuts = budget_cuts(self.tokens_N[ordered_N], budget)
        return [ordered_N[first:last] for first, last in pairwise(cuts)]


@dataclass(frozen=True, eq=False)
class Measured:
    """What one model did on the N test sequences, in their order.

    ``rows`` say it in plain data, one a sequence; ``scores`` are per-sequence numbers (N,) whose means are reported,
    and by which two models are compared; ``settings`` were chosen on validation (such as a threshold).
    """

    rows: list[dict[str, Any]]
    scores: dict[str, NDArray[np.float64]]
    settings: dict[str, Any]


class Answers(ABC):
    """How one shape of question is learned and measured."""

    compared: ClassVar[tuple[str, ...]]
    """The ``scores`` by which models are compared, the one to quote first."""
    quoted: tuple[str, ...] = ()
    """What of ``pooled`` is quoted beside it."""
    task: Task
    readings: dict[str, Reading]
    micro_tokens: int

    def micros(self, index_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """These train examples as forward passes: packed by length."""
        return self.readings["train"].packs(index_N, self.micro_tokens)

    def ready(self, head: Head) -> Head:
        """A new head, told what it has to know of the train split before it learns; most have to know nothing."""
        return head

    @abstractmethod
    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """The sum of the losses of these train examples, each counting as one target."""

    @abstractmethod
    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Validation numbers, the higher ``score`` the better the model."""

    @abstractmethod
    def measure(self, model: AnsweringModel) -> Measured:
        """Choose what is to be chosen on validation, then answer the test split once."""

    @abstractmethod
    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """Metrics of these test sequences that are no mean of ``scores``, as plain data."""

    def baselines(self) -> dict[str, Measured]:
        """What is known of the test sequences without a model, by name, to stand beside it; most shapes have none."""
        return {}


class SupervisedWork(Work[NDArray[np.int64]]):
    """Fine-tuning for the training loop; a micro-batch is the numbers of some train examples."""

    def __init__(
        self,
        answers: Answers,
        tokens_N: NDArray[np.int64],
        batching: BatchingConfig,
        thaw: Sequence[Thaw],
        seed: int,
        names: Sequence[str] = (),
    ) -> None:
        self.answers, self.tokens_N, self.batching, self.seed = answers, tokens_N, batching, seed
        self.names = names
        self._epoch = lru_cache(maxsize=2)(self._plan)
        self.thaw = sorted((item.counted(self.batches(0)) for item in thaw), key=lambda item: item.step or 0)

    def _plan(self, epoch: int) -> list[NDArray[np.int64]]:
        return epoch_batches(self.tokens_N, self.batching, self.seed, epoch)

    def batches(self, epoch: int) -> int:
        """Optimizer updates in this epoch."""
        return len(self._epoch(epoch))

    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> Sequence[NDArray[np.int64]]:
        """The forward passes of one device."""
        return self.answers.micros(self._epoch(epoch)[batch])[rank::world]

    def targets(self, micro: NDArray[np.int64]) -> int:
        """Examples: a class is one target, and so is a whole pair map."""
        return len(micro)

    def tokens(self, micro: NDArray[np.int64]) -> int:
        """Packed tokens, special ones included."""
        return int(self.tokens_N[micro].sum())

    def members(self, micro: NDArray[np.int64]) -> Sequence[str]:
        """Ids of the examples, where they are known."""
        return [self.names[index] for index in micro.tolist()] if self.names else []

    def loss(self, model: nn.Module, micro: NDArray[np.int64]) -> Tensor:
        """The sum of the examples' losses."""
        assert isinstance(model, AnsweringModel)
        return self.answers.loss(model, micro)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Validation numbers of the shape."""
        assert isinstance(model, AnsweringModel)
        return self.answers.validate(model)

    def prepare(self, model: nn.Module, step: int) -> None:
        """Freeze what does not learn now: a function of the step alone, so that a resumed run does the same.

        A language model of which nothing learns reads without dropout.
        """
        assert isinstance(model, AnsweringModel)
        learning = {id(parameter) for parameter in learning_parameters(model, self.thaw, step)}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        if not any(parameter.requires_grad for parameter in model.model.parameters()):
            model.model.eval()

    def rates(self, model: nn.Module) -> dict[str, float]:
        """Of each parameter that of the first ``Thaw`` with which it learns; the head's are not listed."""
        assert isinstance(model, AnsweringModel)
        found = {id(parameter): 1.0 for parameter in model.head.parameters()}
        for item in self.thaw:
            for parameter in learning_parameters(model, (item,), item.step or 0):
                found.setdefault(id(parameter), item.rate)
        return {name: found[id(value)] for name, value in model.named_parameters() if found.get(id(value), 1.0) != 1}


def epoch_batches(
    tokens_N: NDArray[np.int64], batching: BatchingConfig, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """All examples, by their tokens, in the order of an epoch, cut into batches."""
    order_N = permutation(key(seed, epoch, "order"), len(tokens_N))
    return cut_batches(order_N, tokens_N[order_N], batching)


def cut_batches(
    order_N: NDArray[np.int64], tokens_N: NDArray[np.int64], batching: BatchingConfig
) -> list[NDArray[np.int64]]:
    """Cut an order of examples into batches within both limits; ``tokens_N`` are the examples' tokens in that order."""
    batches: list[list[int]] = [[]]
    tokens = 0
    for index, length in zip(order_N.tolist(), tokens_N.tolist(), strict=True):
        over = batching.tokens is not None and tokens + length > batching.tokens
        if batches[-1] and (over or len(batches[-1]) == batching.examples):
            batches.append([])
            tokens = 0
        batches[-1].append(index)
        tokens += length
    return [np.asarray(batch, dtype=np.int64) for batch in batches]


def learning_parameters(model: AnsweringModel, thaw: Sequence[Thaw], step: int) -> list[nn.Parameter]:
    """The parameters that learn in update ``step``: all where nothing is said about thawing, and always the head's.

    Where the language model has adapters, they and the head. ``thaw`` is by steps, in their order.
    """
    if changes := adapting(model.model):
        return [*model.head.parameters(), *changes]
    blocks: int | Literal["every", "all"] = 0 if thaw else "all"
    for item in thaw:
        if item.step is not None and item.step <= step:
            blocks = item.blocks
    if blocks == "all":
        return list(model.parameters())
    parts: list[nn.Module] = [model.head]
    if blocks and isinstance(model.model, LanguageModel):
        parts += [model.model.norm, *list(model.model.blocks)[0 if blocks == "every" else -blocks :]]
    return [parameter for part in parts for parameter in part.parameters()]


def outputs_of(classes: Sequence[str], targets: Sequence[str]) -> int:
    """How many numbers a head gives: one a class or a target, or one where the answer is a single number."""
    return max(len(classes), len(targets), 1)


def answering_model(bundle: Bundle) -> AnsweringModel:
    """The language model of a fine-tuned bundle with its head, in evaluation mode; InputError if it has no head."""
    if bundle.task is None:
        raise InputError(f"{bundle.path}: was not fine-tuned; give a bundle made by `nuclex finetune`")
    config = bundle.task.config
    try:
        head_config, shape, classes = HEADS.parse(config["head"]), Shape(config["shape"]), list(config["classes"])
        outputs = outputs_of(classes, dict(config.get("settings") or {}).get("targets", ()))
    except (KeyError, ValueError, TypeError):
        raise CorruptError(f"{bundle.path}: the description of its head is not readable") from None
    if shape is Shape.CLASS and not classes:
        raise CorruptError(f"{bundle.path}: the description of its head names no classes")
    head = build_head(head_config, bundle.model.config.width, outputs, 0)
    restore(head, bundle.task.weights, bundle.path)
    return AnsweringModel(bundle.model, head.to(next(bundle.model.parameters()).device)).eval()
