"""What an optimizer remembers from update to update, as named tensors and plain numbers; and whether that is all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nuclex.core.errors import InputError, one_line

Named = Sequence[tuple[str, nn.Parameter]]
OTHERS = ("params", "lr", "share")
"""What is in a group and not remembered: the weights, and what is set before every update."""


def tensors_of(named: Iterable[tuple[str, nn.Parameter]], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors that it keeps for each weight, as ``weight.key``, and those for all, as ``key``."""
    state: Mapping[Any, Any] = optimizer.state
    own = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}
    return own | {
        f"{name}.{key}": value
        for name, parameter in named
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def numbers_of(named: Iterable[tuple[str, nn.Parameter]], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The plain numbers that it keeps: ``groups``, one table each, and ``weights`` by name where there are any.

    Raises InputError for what is neither a tensor of a weight nor a number.
    """
    weights: dict[str, dict[str, Any]] = {}
    for name, parameter in named:
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is None or isinstance(value, bool | int | float):
                weights.setdefault(name, {})[key] = value
            elif not isinstance(value, Tensor):
                raise InputError(f"it keeps {key!r}, a {type(value).__name__}, which a checkpoint does not hold")
    groups = []
    for group in optimizer.param_groups:
        held = {key: value for key, value in group.items() if key not in OTHERS}
        if odd := [key for key, value in held.items() if isinstance(value, Tensor)]:
            raise InputError(f"it keeps {odd[0]!r} for many weights at once, which a checkpoint does not hold")
        groups.append(
            {key: value for key, value in held.items() if type(value) in (int, float) and math.isfinite(value)}
        )
    return {"groups": groups, "weights": weights}


def remember(
    named: Iterable[tuple[str, nn.Parameter]],
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, Any],
) -> None:
    """Put back what ``tensors_of`` and ``numbers_of`` gave into an optimizer built the same way."""
    optimizer.state.clear()
    optimizer.state.update({key: value.clone() for key, value in tensors.items() if "." not in key})  # type: ignore[misc]
    home = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in named:
        held = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        group = home.get(parameter, {})
        moves = group.get("fused") or group.get("capturable")
        state = {
            key: value.to(parameter.device) if key != "step" or moves else value.clone() for key, value in held.items()
        }
        state.update(numbers.get("weights", {}).get(name, {}))
        if state:
            optimizer.state[parameter] = state
    for group, found in zip(optimizer.param_groups, numbers.get("groups", ()), strict=False):
        group.update(found)


def refuse_forgetful(name: str, build: Callable[[Named], torch.optim.Optimizer]) -> None:
    """InputError if an optimizer that ``build`` makes cannot update without a closure, or goes on otherwise resumed.

    It is tried on two small weights: twelve updates at a stretch, and the last seven of them from what a checkpoint
    keeps of the first five. Nothing of it stays.
    """
    place = f"training.optimizer.name: {name!r}"
    with torch.random.fork_rng(devices=[]):
        try:
            whole = _weights()
            optimizer = build(whole)
            _updates(whole, optimizer, range(5))
            kept = {key: value.clone() for key, value in tensors_of(whole, optimizer).items()}
            again = [(key, nn.Parameter(value.detach().clone())) for key, value in whole]
            numbers, resumed = numbers_of(whole, optimizer), build(again)
            remember(again, resumed, kept, numbers)
            for weights, used in ((whole, optimizer), (again, resumed)):
                _updates(weights, used, range(5, 12))
        except InputError as error:
            raise InputError(f"{place} cannot be resumed: {error}") from None
        except Exception as error:  # libraries of a hundred optimizers have their own ways to say no
            why = one_line(str(error)) or type(error).__name__
            raise InputError(
                f"{place} cannot be used here, where an update is one step after backward: {why}"
            ) from None
    if not all(torch.equal(one[1], other[1]) for one, other in zip(whole, again, strict=True)):
        raise InputError(f"{place} cannot be resumed: what it keeps is not all that its next update depends on")


def _weights() -> list[tuple[str, nn.Parameter]]:
    torch.manual_seed(0)
    shapes = {"blocks.0.weight": (4, 3), "blocks.0.bias": (4,), "head.weight": (3, 3)}
    return [(name, nn.Parameter(torch.randn(shape))) for name, shape in shapes.items()]


def _updates(weights: Named, optimizer: torch.optim.Optimizer, steps: Iterable[int]) -> None:
    for step in steps:
        torch.manual_seed(step)
        for _, parameter in weights:
            parameter.grad = torch.randn_like(parameter)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
