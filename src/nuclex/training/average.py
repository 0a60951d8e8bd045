"""An exponential moving average of the weights, which often predicts better than the weights of the last update."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nuclex.bundle.weights import refuse_unfit, unshared
from nuclex.core.config import Config


class EmaConfig(Config):
    """Whether weights are averaged over updates, how slowly, where, and whether the average is what is looked at."""

    decay: float = Field(default=0.0, ge=0, lt=1, description="share of the average that stays at an update; 0 = none")
    warmup: bool = Field(
        default=False, description="update n keeps at most (1 + n) / (10 + n), so that the start fades"
    )
    on_cpu: bool = Field(default=False, description="keep the average in the memory of the CPU, not of the device")
    validate_average: bool = Field(default=True, description="scores during the run are of the average")

    def kept(self, step: int) -> float:
        """The share of the average that stays in update number ``step``, from 1 on.

        >>> [round(EmaConfig(decay=0.5, warmup=True).kept(step), 3) for step in (1, 2, 8, 9)]
        [0.182, 0.25, 0.5, 0.5]
        """
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay


class Average:
    """The averages of a model's floating-point tensors by name: a_n = d a_(n-1) + (1 - d) w_n, with a_0 = w_0."""

    def __init__(self, model: nn.Module, config: EmaConfig) -> None:
        self.config = config
        self.tensors = {name: self._own(value) for name, value in _floating(model).items()}

    def _own(self, value: Tensor) -> Tensor:
        return value.detach().to("cpu" if self.config.on_cpu else value.device, copy=True)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights that update number ``step`` (from 1 on) has left."""
        found = _floating(model)
        current = [found[name].to(value.device) for name, value in self.tensors.items()]
        get_ema_multi_avg_fn(self.config.kept(step))(list(self.tensors.values()), current, step)

    def take(self, tensors: Mapping[str, Tensor], origin: Path) -> None:
        """Go on from these averages; CorruptError if they are not those of this model."""
        refuse_unfit(self.tensors, tensors, origin)
        for name, value in self.tensors.items():
            value.copy_(tensors[name])

    @torch.no_grad()
    def lay_over(self, model: nn.Module) -> None:
        """Give the model the averages as its weights."""
        for name, value in _floating(model).items():
            value.copy_(self.tensors[name])

    @contextlib.contextmanager
    def instead(self, model: nn.Module) -> Iterator[None]:
        """Inside the block the model has the averages as its weights, and afterwards its own again, bit for bit."""
        own = {name: self._own(value) for name, value in _floating(model).items()}
        self.lay_over(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in _floating(model).items():
                    value.copy_(own[name])


def _floating(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in unshared(model).items() if value.is_floating_point()}
