"""What the training loop asks of what is to be learnt: its batches, their losses and its validation numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from torch import Tensor, nn

Micro = TypeVar("Micro")


class Work(ABC, Generic[Micro]):
    """What is to be learnt: batches that are a pure function of (epoch, batch, rank, world), and their loss."""

    @abstractmethod
    def batches(self, epoch: int) -> int:
        """Optimizer updates in this epoch."""

    @abstractmethod
    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> Sequence[Micro]:
        """The forward passes of one device for one update."""

    @abstractmethod
    def targets(self, micro: Micro) -> int:
        """How many predictions the loss of this micro-batch sums over."""

    @abstractmethod
    def tokens(self, micro: Micro) -> int:
        """How many tokens the model reads in it."""

    @abstractmethod
    def loss(self, model: nn.Module, micro: Micro) -> Tensor:
        """The SUM of the losses of its predictions."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Validation numbers; ``score`` among them says which model is best (the higher the better)."""

    def members(self, micro: Micro) -> Sequence[int | str]:
        """Which sequences are in it: rows of a corpus, or names; for the record when a batch is refused."""
        return ()

    def prepare(self, model: nn.Module, step: int) -> None:
        """Called before update ``step`` and before looks at what it left; freezes parts of the model."""

    def rates(self, model: nn.Module) -> Mapping[str, float]:
        """The learning rate of parameters by name, as a share of the schedule's; 1 where nothing is said."""
        return {}
