"""How the gradients of several devices become one sum, and how weights are shared out among them and come together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nuclex.bundle.weights import unshared
from nuclex.training.distributed import Group


class Together:
    """Passes of one model on the devices of a group, whose gradients become their sum with the last pass of an update.

    Losses come multiplied by the number of devices, since DDP and FSDP2 take means. ``by_hand``: the gradients do not
    arise in the parameters themselves, so no engine sees them come; they are summed when all are there.
    """

    def __init__(self, model: nn.Module, group: Group, *, by_hand: bool) -> None:
        self.model, self.group = model, group
        self.by_hand = by_hand and group.world > 1
        self._wraps = group.world > 1 and not group.sharded and not by_hand
        self._learning: list[bool] = []
        self._engine: nn.Module = _Pass(model)

    def begin(self) -> None:
        """Before an update: DDP is laid anew around the model where other weights learn than before."""
        learning = [value.requires_grad for value in self.model.parameters()]
        if self._wraps and learning != self._learning:
            self._learning = learning
            self._engine = nn.parallel.DistributedDataParallel(_Pass(self.model))

    def run(self, loss_of: Callable[[Any], Tensor]) -> Tensor:
        """``loss_of(model)``, watched by what sums the gradients."""
        return self._engine(loss_of)

    def waiting(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """In the block, forward and backward of one pass; before the last, DDP sums nothing yet."""
        engine = self._engine
        if not last and isinstance(engine, nn.parallel.DistributedDataParallel):
            return engine.no_sync()
        return contextlib.nullcontext()

    def end(self) -> None:
        """After the last pass: sum what no engine has summed."""
        if self.by_hand:
            for value in self.model.parameters():
                if value.grad is not None:
                    dist.all_reduce(value.grad)
                    value.grad.div_(self.group.world)


class _Pass(nn.Module):
    """A model as DDP needs it: the whole computation of a loss is its forward pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, loss_of: Callable[[Any], Tensor]) -> Tensor:
        return loss_of(self.model)


def whole(value: Tensor) -> Tensor:
    """A tensor that is shared out as one that is not; asked for by all processes at once."""
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def whole_weights(model: nn.Module, group: Group) -> dict[str, Tensor]:
    """The model's tensors, each once and whole, in the first process; what is shared out is gathered one by one."""
    kept = {}
    for name, value in unshared(model).items():
        full = whole(value).cpu() if group.sharded else value
        if group.first:
            kept[name] = full
    return kept


def shared_out(model: nn.Module, group: Group, *, halved: bool) -> None:
    """Give each process its part of every weight (FSDP2): block by block, the rest together.

    ``halved``: passes compute on copies in bfloat16, gradients are summed in float32.
    """
    if not group.sharded:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(next(model.parameters()).device.type, (group.world,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if halved else MixedPrecisionPolicy()
    blocks = model.get_submodule("blocks")
    for part in (*blocks.children(), model):
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
