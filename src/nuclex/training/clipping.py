"""Limits on gradients: the norm of all, each number, or each row's norm beside that of its weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nuclex.training.optimizer import OptimizerConfig
from nuclex.training.summing import whole

LEAST_NORM = 1e-3
"""What a row of weights counts at least, so that rows of zeros can begin to learn (arXiv:2102.06171)."""


def clip_gradients(model: nn.Module, config: OptimizerConfig) -> float:
    """Limit the gradients of ``model`` in place as ``clip_mode`` says; returns the norm of the whole before that.

    Where that norm is not finite the batch is refused anyway, whatever is done here.
    """
    limit = config.clip or math.inf
    parameters = list(model.parameters())
    norm = whole(nn.utils.get_total_norm([value.grad for value in parameters if value.grad is not None]))
    if config.clip_mode == "norm" or limit == math.inf:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    elif config.clip_mode == "value":
        nn.utils.clip_grad_value_(parameters, limit)
    else:
        clip_adaptively([value for name, value in model.named_parameters() if "head" not in name.split(".")], limit)
    return norm.item()


@torch.no_grad()
def clip_adaptively(parameters: list[nn.Parameter], limit: float) -> None:
    """Shrink the gradient of a row where its norm is more than ``limit`` times the norm of the row's weights.

    A row is what makes one output: of a matrix or kernel all that shares its first index, of a vector the whole.
    Source: Brock et al. 2021, arXiv:2102.06171, equation 3; as there, the last layer is left out by the caller.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            most = limit * _row_norms(parameter).clamp(min=LEAST_NORM)
            norms = _row_norms(parameter.grad)
            parameter.grad.mul_(torch.where(norms > most, most / norms.clamp(min=1e-6), torch.ones_like(norms)))


def _row_norms(value: Tensor) -> Tensor:
    axes = tuple(range(1, value.ndim)) if value.ndim > 1 else None
    return torch.linalg.vector_norm(value, dim=axes, keepdim=True)
