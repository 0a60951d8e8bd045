"""Maximal update parametrisation (μP): learning rates found in a narrow network hold in a wide one (arXiv:2203.03466).

A network is compared with the same one at its base width, weight by weight. What grew with the width tells how large a
weight begins, and how fast it may learn, so that an update changes what comes out of every layer alike at all widths.
With m for how many times as many numbers an output sums over:

==============================  ====================  ============  ================  ===================
weight                          first size (std)      rate, Adam    decay, Adam       rate, SGD
==============================  ====================  ============  ================  ===================
matrix, both sides grew         m^-1/2                1 / m         m                 outputs / inputs
read-out inside, inputs grew    1 / m                 1 / m         m                 1 / m
read-out of the language head   1 (its input: 1 / m)  1             1                 m
vectors, embeddings, biases     1                     1             1                 growth of the outputs
nothing grew                    1                     1             1                 1
==============================  ====================  ============  ================  ===================

The first size is that of the base network. At the base width every number is 1: it is the standard parametrisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import ValidationError
from torch import nn

from nuclex.core.errors import InputError
from nuclex.models.base import ModelConfig
from nuclex.models.blocks.mixer import Mixer

Rule = Literal["adam", "sgd"]
READERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers whose weights have outputs first and inputs second; all other weights have no inputs to sum over."""


@dataclass(frozen=True)
class Growth:
    """How many times as many inputs and outputs a weight has as at the base width.

    ``multiplied``: what it reads is divided by that growth already, as before the last layer of the language head.
    """

    inputs: float = 1.0
    outputs: float = 1.0
    multiplied: bool = False

    @property
    def size(self) -> float:
        """Standard deviation of the first weights as a share of that at the base width."""
        if self.multiplied or self.inputs == 1:
            return 1.0
        return self.inputs**-0.5 if self.outputs != 1 else 1 / self.inputs

    def share(self, rule: Rule) -> float:
        """The learning rate as a share of the schedule's."""
        if rule == "adam":
            return 1.0 if self.multiplied else 1 / self.inputs
        return self.inputs if self.multiplied else self.outputs / self.inputs

    def decay(self, rule: Rule) -> float:
        """What weight decay is multiplied with, so that rate times decay is what it is at the base width."""
        return 1 / self.share(rule)


def at_width(config: ModelConfig, width: int) -> ModelConfig:
    """The same network at another width, feed-forward and narrow positions in proportion; all other keys stay.

    InputError where a size is no whole number then, or the network refuses the width.
    """
    sizes, own = {"width": width}, config.backbone().width
    for name in ("inner", "position_width"):
        if size := dict(config).get(name):
            sizes[name], left = divmod(size * width, own)
            if left:
                raise InputError(f"width {width}: {name} {size} does not go with it from width {own}")
    try:
        return type(config)(**{**dict(config), **sizes})
    except ValidationError as error:
        raise InputError(f"width {width}: {str(error.errors()[0]['msg']).removeprefix('Value error, ')}") from None


def growth(network: nn.Module, base: nn.Module, *, readout: str = "") -> dict[str, Growth]:
    """Of every weight of ``network``, by name, how it grew from the one of the same name in ``base``.

    ``readout`` is the name of the weight that is ``multiplied``. Only shapes are looked at: ``base`` may lie on
    torch's ``meta`` device, where it takes no memory.
    """
    found, twins = {}, dict(base.named_parameters(remove_duplicate=False))
    readers = {f"{name}.weight" for name, part in network.named_modules() if isinstance(part, READERS)}
    for name, weight in network.named_parameters(remove_duplicate=False):
        if name in twins:
            inputs = weight.shape[1] / twins[name].shape[1] if name in readers else 1.0
            outputs = weight.numel() / twins[name].numel() / inputs
            found[name] = Growth(inputs, outputs, multiplied=name == readout)
    return found


def resize(network: nn.Module, base: nn.Module, *, by_inputs: bool, readout: str = "") -> None:
    """Multiply the freshly drawn weights of linear and convolutional layers so that they have the sizes of μP.

    ``by_inputs``: they were drawn as PyTorch does, within inputs^-1/2, biases too; else all matrices are alike. Where
    a mixer lays several matrices on each other in one, each has the size of its own. What a mixer draws by rules of its
    own is drawn anew, and made as wide as it must be by the mixer itself.
    """
    grown = growth(network, base, readout=readout)
    with torch.no_grad():
        for name, part in network.named_modules():
            if isinstance(part, READERS):
                of_weight = grown[f"{name}.weight"]
                drawn = of_weight.inputs**-0.5 if by_inputs else 1.0
                part.weight.mul_(of_weight.size / drawn)
                if part.bias is not None:
                    part.bias.div_(drawn)
        for (name, part), twin in zip(network.named_modules(), base.modules(), strict=True):
            if isinstance(part, Mixer) and isinstance(twin, Mixer):
                _resize_parts(part, twin, {leaf: grown[f"{name}.{leaf}"] for leaf in part.stacked()})
                part.reset_special()
                part.spread(twin)


def _resize_parts(mixer: Mixer, base: Mixer, grown: Mapping[str, Growth]) -> None:
    """From the size of a matrix as a whole to that of each of the matrices in it."""
    for name, rows in mixer.stacked().items():
        parts = mixer.get_parameter(name).split(rows)
        for part, fewer in zip(parts, base.stacked()[name], strict=True):
            part.mul_(Growth(grown[name].inputs, len(part) / fewer).size / grown[name].size)
