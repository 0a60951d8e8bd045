"""AdamW (arXiv:1711.05101) as PyTorch has it, with weight decay on matrices only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from pydantic import Field
from torch import nn

from nuclex.core.config import Config

UNDECAYED = ("A_log",)
"""Matrices by name that are logarithms of rates: pulling them to 0 would make every channel forget alike."""


class OptimizerConfig(Config):
    """AdamW's numbers; the learning rate is the schedule's."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float | None = Field(
        default=1.0, ge=0, description="largest norm of the whole gradient; 0 or None = no limit"
    )


def build_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig, rates: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """Matrices decay; biases, norms and other vectors do not, nor how fast a state space forgets.

    ``rates`` gives the learning rate of parameters by name, as a share of the schedule's (1 where it is silent); a
    group of equal ones holds it as ``share``.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and name.split(".")[-1] not in UNDECAYED
            groups.setdefault(((rates or {}).get(name, 1.0), decays), []).append(parameter)
    listed = [
        {"params": members, "weight_decay": config.weight_decay if decays else 0.0, "share": share}
        for (share, decays), members in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]
    return torch.optim.AdamW(listed, lr=0.0, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The schedule's learning rate for the next update, in each group its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
