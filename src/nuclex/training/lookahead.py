"""Lookahead (arXiv:1907.08610): slow weights follow the fast ones every few updates, and the fast go back to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EVERY, SHARE = 6, 0.5
"""Updates from one look to the next, and the way that the slow weights go then; timm's numbers."""


def look_ahead(optimizer: torch.optim.Optimizer) -> None:
    """From now on every ``EVERY``-th update of ``optimizer`` ends half-way between the slow and the fast weights.

    The slow weights are part of the optimizer's state (``slow``), so checkpoints hold them.
    """
    first: dict[nn.Parameter, Tensor] = {
        parameter: parameter.detach().clone() for group in optimizer.param_groups for parameter in group["params"]
    }

    @torch.no_grad()
    def follow(optimizer: torch.optim.Optimizer, _given: tuple[Any, ...], _keywords: dict[Any, Any]) -> None:
        for group in optimizer.param_groups:
            group["looked"] = group.get("looked", 0) + 1
            for parameter in group["params"]:
                begun = first.pop(parameter, None) if parameter.grad is not None else None
                state = optimizer.state[parameter] if parameter.grad is not None else optimizer.state.get(parameter, {})
                if begun is not None and "slow" not in state:
                    state["slow"] = begun
                if group["looked"] % EVERY == 0 and "slow" in state:
                    parameter.copy_(state["slow"].lerp_(parameter, SHARE))

    optimizer.register_step_post_hook(follow)
