"""AdamW (arXiv:1711.05101) as PyTorch has it, with weight decay on matrices only."""

from __future__ import annotations

from collections.abc import Iterable

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


def build_optimizer(parameters: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig) -> torch.optim.AdamW:
    """Two groups: matrices decay; biases, norms and other vectors do not, nor how fast a state space forgets."""
    trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    decayed = {name for name, parameter in trained if parameter.ndim >= 2 and name.split(".")[-1] not in UNDECAYED}
    matrices = [parameter for name, parameter in trained if name in decayed]
    vectors = [parameter for name, parameter in trained if name not in decayed]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=0.0, betas=betas, eps=config.epsilon, fused=True
    )
