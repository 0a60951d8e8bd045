"""Focal loss (arXiv:1708.02002): what the model already knows counts less than what it does not."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from nuclex.data.pack import PackedBatch
from nuclex.objectives import CriterionConfig, Question
from nuclex.tokenizers import Tokenizer


class FocalConfig(CriterionConfig):
    """-(1 - p)^gamma ln p of the true token, in nats; gamma = 0 would be cross entropy, which has a name already."""

    kind: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=1, le=20, description="the greater, the less the easy tokens count")

    def total(self, logits_MV: Tensor, question: Question, batch: PackedBatch, tokenizer: Tokenizer) -> Tensor:
        """The SUM over M predictions, computed in float32; finite, with its gradient, for any logits."""
        targets_M = torch.from_numpy(question.targets_M).to(logits_MV.device)
        return focal_loss(logits_MV.float(), targets_M, self.gamma).sum()


def focal_loss(logits_NV: Tensor, target_N: Tensor, gamma: float) -> Tensor:
    """The loss of each of N predictions (N,), in nats.

    >>> focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=2.0)  # a quarter of ln 2
    tensor([0.1733])
    """
    log_N = F.log_softmax(logits_NV, dim=-1).gather(1, target_N[:, None])[:, 0]
    return -((-torch.expm1(log_N)) ** gamma) * log_N
