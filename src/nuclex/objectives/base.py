"""What every objective promises: how it corrupts a batch, and the loss of the predictions it asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, SerializeAsAny
from torch import Tensor
from torch.nn import functional as F

from nuclex.core.config import Config
from nuclex.core.registry import Registry
from nuclex.data.pack import PackedBatch
from nuclex.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class Question:
    """What the model reads (T,), at which tokens it is asked (M,), and the true tokens there (M,)."""

    inputs_T: NDArray[np.int64]
    selected_M: NDArray[np.int64]
    targets_M: NDArray[np.int64]


class ObjectiveConfig(Config, ABC):
    """A way to learn from sequences alone; ``kind`` names it."""

    kind: str

    @property
    @abstractmethod
    def causal(self) -> bool:
        """Whether a token is predicted from those before it alone; the model's ``causal`` must say the same."""

    @abstractmethod
    def ask(self, batch: PackedBatch, tokenizer: Tokenizer, seed: int, epoch: int) -> Question:
        """Turn a batch into a question; a pure function of (seed, epoch, sequence, position)."""

    @abstractmethod
    def loss(self, logits_MV: Tensor, targets_M: Tensor) -> Tensor:
        """The SUM of the losses of M predictions, in nats; the caller divides by the count of the whole batch."""

    @abstractmethod
    def expected_share(self) -> float:
        """The share of tokens that reach the language head."""


OBJECTIVES: Registry[ObjectiveConfig] = Registry("objectives", ObjectiveConfig)  # type: ignore[type-abstract]

AnyObjectiveConfig = Annotated[SerializeAsAny[ObjectiveConfig], BeforeValidator(OBJECTIVES.validator())]
"""The type of a config field that takes any registered objective."""


def token_cross_entropy(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    """Sum of -ln p(target) over M predictions, in nats, computed in float32."""
    return F.cross_entropy(logits_MV.float(), targets_M, reduction="sum")
