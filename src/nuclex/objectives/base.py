"""What every objective promises: how it corrupts a batch, and the loss of the predictions it asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import Tensor

from nuclex.core.config import Config
from nuclex.core.registry import Registry
from nuclex.data.pack import PackedBatch
from nuclex.objectives.criteria import AnyCriterionConfig, CrossEntropyConfig
from nuclex.objectives.question import Question
from nuclex.tokenizers.base import Tokenizer


class ObjectiveConfig(Config, ABC):
    """A way to learn from sequences alone; ``kind`` names it."""

    kind: str
    criterion: AnyCriterionConfig = Field(default=CrossEntropyConfig(), description="how a wrong answer is counted")

    @property
    @abstractmethod
    def causal(self) -> bool:
        """Whether a token is predicted from those before it alone; the model's ``causal`` must say the same."""

    @abstractmethod
    def ask(self, batch: PackedBatch, tokenizer: Tokenizer, seed: int, epoch: int) -> Question:
        """Turn a batch into a question; a pure function of (seed, epoch, sequence, position)."""

    def loss(self, logits_MV: Tensor, question: Question, batch: PackedBatch, tokenizer: Tokenizer) -> Tensor:
        """The SUM of the losses of M predictions, in nats; the caller divides by the count of the whole batch."""
        return self.criterion.total(logits_MV, question, batch, tokenizer)

    @abstractmethod
    def expected_share(self) -> float:
        """The share of tokens that reach the language head."""


OBJECTIVES: Registry[ObjectiveConfig] = Registry("objectives", ObjectiveConfig)  # type: ignore[type-abstract]

AnyObjectiveConfig = Annotated[SerializeAsAny[ObjectiveConfig], BeforeValidator(OBJECTIVES.validator())]
"""The type of a config field that takes any registered objective."""
