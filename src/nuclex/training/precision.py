"""In which numbers forward and backward are computed; the weights that are kept and updated are float32 always.

``bf16`` is PyTorch's autocast: matrix products in bfloat16, the rest in float32. ``bf16-weights`` computes everything
on a copy of the model in bfloat16, made anew for every update, and adds its gradients to those of the float32 weights
after each micro-batch: less memory is moved, which is most of the time of small models on a CPU (arXiv:1710.03740
describes the float32 masters). Losses are summed in float32 in every mode.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nuclex.training.distributed import ALONE, Group
from nuclex.training.summing import Together

Precision = Literal["fp32", "bf16", "bf16-weights"]


class Computing:
    """Computes losses and gradients of ``model`` in a precision; the gradients arrive in ``model``'s parameters."""

    def __init__(self, model: nn.Module, precision: Precision, group: Group = ALONE) -> None:
        self.model, self.precision, self.group = model, precision, group
        copied = precision == "bf16-weights" and not group.sharded  # FSDP2 makes copies of its own
        self.twin = copy.deepcopy(model).to(torch.bfloat16) if copied else None
        self.together = Together(model, group, by_hand=copied)

    def begin(self) -> None:
        """Before an update: the copy gets the weights as they are, what is frozen, and the mode."""
        self.together.begin()
        if self.twin is None:
            return
        with torch.no_grad():
            pairs = zip(self.twin.parameters(), self.model.parameters(), strict=True)
            twins, masters = (list(part) for part in zip(*pairs, strict=True))
            torch._foreach_copy_(twins, masters)
            for copied, own in zip(self.twin.buffers(), self.model.buffers(), strict=True):
                copied.copy_(own)
            for copied, own in zip(twins, masters, strict=True):
                copied.requires_grad_(own.requires_grad)
        for copied_part, own_part in zip(self.twin.modules(), self.model.modules(), strict=True):
            copied_part.training = own_part.training

    def gradients(self, loss_of: Callable[[Any], Tensor], *, counts: bool = True, last: bool = True) -> float:
        """Add the gradients of ``loss_of(model)`` to the parameters' and return the loss.

        With the ``last`` pass of an update the gradients become the sums over all devices. What does not count is
        computed all the same, and adds nothing.
        """
        with self.together.waiting(last):
            with self.context():
                loss = self.together.run(loss_of) if self.twin is None else loss_of(self.twin)
            if loss.requires_grad:
                (loss * (self.group.world if counts else 0) if self.group.world > 1 else loss).backward()
        if self.twin is not None:
            self._handed_over()
        if last:
            self.together.end()
        return loss.item() if counts else 0.0

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """What a forward pass of ``model`` itself runs under; scoring during a run does."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(next(self.model.parameters()).device.type, dtype=torch.bfloat16)

    def _handed_over(self) -> None:
        assert self.twin is not None
        for copied, own in zip(self.twin.parameters(), self.model.parameters(), strict=True):
            if copied.grad is not None:
                own.grad = copied.grad.to(own.dtype) if own.grad is None else own.grad.add_(copied.grad)
                copied.grad = None
