"""Which optimizer makes updates of gradients, AdamW (arXiv:1711.05101) if none is named; only matrices decay."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from nuclex.core.config import Config
from nuclex.core.errors import InputError, shown
from nuclex.models.scaling import Growth
from nuclex.training.lookahead import look_ahead
from nuclex.training.optimizer_names import chosen
from nuclex.training.optimizer_state import refuse_forgetful
from nuclex.training.width import rule_of

UNDECAYED = ("A_log",)
"""Matrices by name that are logarithms of rates: pulling them to 0 would make every channel forget alike."""
ADAMW = "adamw"
_USUAL = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
_BLOCK = re.compile(r"(?:^|\.)blocks\.(\d+)\.")
_BY_KEYS = ("params", "lr", "weight_decay", "eps", "momentum")
"""Arguments of optimizers that have keys of their own, or none."""


def _usual(key: str) -> Any:
    """AdamW's number; of another optimizer its own, which None stands for."""
    return lambda given: _USUAL[key] if str(given.get("name", "")).lower() == ADAMW else None


class OptimizerConfig(Config):
    """Which optimizer, and its numbers; the learning rate is the schedule's."""

    name: str = Field(default=ADAMW, description="of torch.optim or pytorch-optimizer, or as timm calls it; any case")
    beta1: float | None = Field(default_factory=_usual("beta1"), ge=0, lt=1)
    beta2: float | None = Field(default_factory=_usual("beta2"), ge=0, lt=1)
    epsilon: float | None = Field(default_factory=_usual("epsilon"), gt=0)
    """None: the optimizer's own, as for the betas; AdamW's are 0.9, 0.999 and 1e-8."""
    momentum: float | None = Field(default=None, ge=0, lt=1, description="None = as the name says, 0.9 for sgd")
    weight_decay: float = Field(default=0.01, ge=0)
    options: dict[str, Any] = Field(default={}, description="further arguments of the optimizer, as its library has it")
    layer_decay: float | None = Field(
        default=None, gt=0, le=1, description="the rate of each block as a share of the one above; None = all alike"
    )
    clip: float | None = Field(default=1.0, ge=0, description="the limit of the gradient; 0 or None = no limit")
    clip_mode: Literal["norm", "value", "agc"] = Field(
        default="norm",
        description="what clip limits: the norm of the whole gradient, each number in it, or in each row of a matrix "
        "the gradient's norm as a share of the weights' (arXiv:2102.06171; not in the head)",
    )


def build_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]],
    config: OptimizerConfig,
    rates: Mapping[str, float] | None = None,
    growth: Mapping[str, Growth] | None = None,
) -> torch.optim.Optimizer:
    """Matrices decay; biases, norms and other vectors do not, nor how fast a state space forgets.

    ``rates`` gives the learning rate of parameters by name, as a share of the schedule's (1 where it is silent); a
    group of equal ones holds it as ``share``. ``layer_decay`` multiplies it, and so does what ``growth`` (of a network
    with a base width; ``training/width``) says of rates and decay. InputError for an optimizer that is not there, takes
    other settings, cannot be resumed bit for bit (it is tried on two small weights), or whose rates by width nobody
    knows.
    """
    found, settings, lookahead = chosen(config.name)
    given = _settings(config, found, settings)
    rates, decays = _by_width(config.name, found, rates or {}, growth)

    def build(named: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        groups = _groups(named, config, (rates, decays), apart="adamw_lr" in _arguments(found))
        optimizer = found(groups, **given)
        if lookahead:
            look_ahead(optimizer)
        return optimizer

    if config.name.lower() != ADAMW:
        refuse_forgetful(config.name, build)
    return build(parameters)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The schedule's learning rate for the next update, in each group its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def depth_shares(names: Iterable[str], decay: float) -> dict[str, float]:
    """The learning rate of each weight as a share of the head's: ``decay`` to the power of the steps down from there.

    As in BEiT (arXiv:2106.08254) and timm: head and last norm 1, the last block ``decay``, the embedding lowest.

    >>> depth_shares(["embedding.tokens.weight", "blocks.0.up.weight", "blocks.1.up.weight", "norm.weight"], 0.5)
    {'embedding.tokens.weight': 0.125, 'blocks.0.up.weight': 0.25, 'blocks.1.up.weight': 0.5, 'norm.weight': 1.0}
    """
    floors: dict[str, int | None] = {}
    for name in names:
        block = None if name.startswith("head.") else _BLOCK.search(name)
        below = "embedding" in name.split(".") and not name.startswith("head.")
        floors[name] = int(block[1]) + 1 if block else 0 if below else None
    top = max((floor for floor in floors.values() if floor is not None), default=0) + 1
    return {name: decay ** (top - (top if floor is None else floor)) for name, floor in floors.items()}


def _by_width(
    name: str, found: type[torch.optim.Optimizer], rates: Mapping[str, float], growth: Mapping[str, Growth] | None
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Shares of the learning rate and factors of the decay, 1 where a weight is not listed."""
    if growth is None:
        return rates, {}
    rule = rule_of(name, found, growth)
    shares = {key: rates.get(key, 1.0) * grown.share(rule) for key, grown in growth.items()}
    return {**rates, **shares}, {key: grown.decay(rule) for key, grown in growth.items()}


def _groups(
    named: Iterable[tuple[str, nn.Parameter]],
    config: OptimizerConfig,
    factors: tuple[Mapping[str, float], Mapping[str, float]],
    *,
    apart: bool,
) -> list[dict[str, Any]]:
    """Weights of one share and one decay together; ``apart``: Muon's, which treats the matrices of blocks apart."""
    rates, factor = factors
    learning = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    shares = depth_shares([name for name, _ in learning], 1.0 if config.layer_decay is None else config.layer_decay)
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in learning:
        decays = parameter.ndim >= 2 and name.split(".")[-1] not in UNDECAYED
        hidden = apart and parameter.ndim == 2 and decays and _BLOCK.search(name) is not None
        share = rates.get(name, 1.0) * shares[name]
        groups.setdefault((share, factor.get(name, 1.0) if decays else 0.0, hidden), []).append(parameter)
    return [
        {
            "params": members,
            "weight_decay": config.weight_decay * decay,
            "share": share,
            **({"use_muon": hidden} if apart else {}),
        }
        for (share, decay, hidden), members in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def _arguments(found: type[torch.optim.Optimizer]) -> dict[str, Any]:
    """The arguments of an optimizer by name, with their defaults."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    listed = inspect.signature(found).parameters.values()
    return {argument.name: argument.default for argument in listed if argument.kind in kinds}


def _settings(
    config: OptimizerConfig, found: type[torch.optim.Optimizer], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Keyword arguments for the constructor; InputError for what it does not take."""
    arguments, where = _arguments(found), f"which {config.name!r} does not take"
    if not {"params", "lr"} <= arguments.keys():
        raise InputError(f"training.optimizer.name: {config.name!r} does not take weights and a rate, as all others do")
    given: dict[str, Any] = {"lr": 1e-3, **settings}  # set anew before every update; some divide by it
    for key, argument, value in (("epsilon", "eps", config.epsilon), ("momentum", "momentum", config.momentum)):
        if value is not None:
            if not isinstance(arguments.get(argument), int | float):
                raise InputError(f"training.optimizer.{key}: found {value}, {where}")
            given[argument] = value
    if config.beta1 is not None or config.beta2 is not None:
        usual = settings.get("betas", arguments.get("betas"))
        if not isinstance(usual, tuple) or len(usual) != 2:
            hint = "; it has more of them: give options.betas" if isinstance(usual, tuple) else ""
            raise InputError(f"training.optimizer.beta1, beta2: found {config.beta1}, {config.beta2}, {where}{hint}")
        pair = zip((config.beta1, config.beta2), usual, strict=True)
        given["betas"] = tuple(own if value is None else value for value, own in pair)
    if config.weight_decay and "weight_decay" not in arguments:
        raise InputError(f"training.optimizer.weight_decay: found {config.weight_decay}, {where}; set it to 0")
    return {**given, **_options(config, arguments)}


def _options(config: OptimizerConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's further arguments, lists as tuples; InputError for one that is not there or has a key of its own."""
    own = set(_BY_KEYS) | ({"betas"} if len(arguments.get("betas") or ()) == 2 else set())
    for key in config.options:
        if key not in arguments or key in own:
            allowed = ", ".join(sorted(arguments.keys() - own)) or "none"
            raise InputError(
                f"training.optimizer.options: {config.name!r} has no {shown(key)} there; allowed: {allowed}"
            )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.options.items()}
