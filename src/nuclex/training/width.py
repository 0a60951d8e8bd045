"""How fast each weight learns in a network with a base width: by the rules of μP (``models/scaling``).

Adam and its kin make updates whose size does not follow the gradient's, SGD makes them in proportion to it; the rules
differ. Of optimizers that are neither (Muon, Lamb, LARS, …) no rule is known here, and they are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from nuclex.core.errors import InputError
from nuclex.models import LanguageModel
from nuclex.models.answering import AnsweringModel
from nuclex.models.scaling import Growth, Rule

RULES: Mapping[str, Rule] = {
    "Adam": "adam",
    "AdamW": "adam",
    "NAdam": "adam",
    "Adamax": "adam",
    "Adagrad": "adam",
    "RMSprop": "adam",
    "ADOPT": "adam",
    "Lion": "adam",
    "SGD": "sgd",
}
"""By class. RAdam is none of them: its first updates are those of SGD."""
ADAPTER = ".lora_"
STACKED = (".select.weight", ".delta_bias")
"""Weights that only Mamba and Mamba-2 have, whose matrices lay rows that grow with the width on rows that do not."""


def growth_of(model: nn.Module) -> dict[str, Growth] | None:
    """How every weight that may learn grew from the base width on, by its name; None without a base width.

    In fine-tuning the head is a part of it: what reads the hidden vectors is a read-out, what comes behind has the
    same size at every width. Of an adapter (LoRA) the first matrix reads as the matrix beside it does, and the second
    writes as it does.
    """
    if isinstance(model, LanguageModel):
        return _with_adapters(model, model.growth())
    if not isinstance(model, AnsweringModel) or not isinstance(model.model, LanguageModel):
        return None
    grown = _with_adapters(model.model, model.model.growth())
    if grown is None:
        return None
    of_network = {f"model.{name}": value for name, value in grown.items()}
    return {**of_network, **{f"head.{name}": value for name, value in model.head_growth.items()}}


def _with_adapters(model: LanguageModel, grown: dict[str, Growth] | None) -> dict[str, Growth] | None:
    if grown is None:
        return None
    found = dict(grown)
    for name, _ in model.named_parameters():
        layer, mark, part = name.partition(ADAPTER)
        if mark:
            beside = grown[f"{layer}.weight"]
            found[name] = Growth(inputs=beside.inputs) if part.startswith("A") else Growth(outputs=beside.outputs)
    return found


def rule_of(name: str, found: type[torch.optim.Optimizer], growth: Mapping[str, Growth]) -> Rule:
    """Which rule an optimizer follows; InputError where none is known."""
    rule = RULES.get(found.__name__)
    if rule is None:
        known = ", ".join(sorted(key.lower() for key in RULES))
        raise InputError(
            f"training.optimizer.name: how the rates of {name!r} follow the width is not known, as model.base_width "
            f"asks; known are {known}"
        )
    if rule == "sgd" and any(key.endswith(STACKED) for key in growth):
        raise InputError(
            f"training.optimizer.name: with {name!r} and model.base_width some rows of Mamba's matrices would need "
            f"other rates than their neighbours; take 'adamw'"
        )
    return rule
