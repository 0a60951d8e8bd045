"""The loss of masked language modelling: cross entropy at the selected positions only."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def masked_cross_entropy(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    """Sum (not mean) of -ln p(target), in nats and in float32: the caller divides by the count of the whole batch."""
    return F.cross_entropy(logits_MV.float(), targets_M, reduction="sum")
