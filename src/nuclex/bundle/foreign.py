"""Formats of other programs: what they call a network's sizes and weights, translated there and back.

Only names and plain data are here and in the file of each format; the other programs are not needed. A network fits a
format if and only if what the format says of it, read again, is the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from nuclex.core.errors import CorruptError, InputError, shown
from nuclex.models.architecture import BackboneConfig, MixerName
from nuclex.models.blocks.state_space import StateSpaceConfig

Keys = dict[str, Any]


class Weight(NamedTuple):
    """One weight of nuclex and what it is called elsewhere; under several names it lies in equal parts, in that order.

    ``shape``: elsewhere it is the ``same``, ``turned`` (D, F instead of F, D), or a ``kernel`` (E, 1, K instead of
    E, K). A weight that stands twice is kept twice there, and the later copy is the one that is used.
    """

    native: str
    foreign: tuple[str, ...]
    shape: Literal["same", "turned", "kernel"] = "same"


@dataclass(frozen=True)
class Format:
    """How another program describes the networks that it has."""

    name: str
    """The ``model_type`` of its ``config.json``, where it has one."""
    classes: tuple[str, str]
    """Its class with a language head, and the one without ("" = it has none)."""
    prefix: str
    """In front of the names of ``body`` where there is a head, too."""
    keys: Callable[[BackboneConfig, int], Keys]
    """Its keys for a network and the id of the padding token; what it has no key for is left out."""
    network: Callable[[Keys], BackboneConfig]
    """The network of its keys, with a head; InputError for a variant that nuclex does not compute."""
    body: Callable[[BackboneConfig], Iterable[Weight]]
    head: Callable[[BackboneConfig], Iterable[Weight]]
    mixer: MixerName = "attention"
    """What all of its layers are."""
    more: tuple[str, ...] = ()
    """How the names of weights begin that it may have beyond a language model's; an import leaves them out."""
    headless: Mapping[str, Any] = field(default_factory=dict)
    """What its class without a head must be told so that it is nothing but the network."""

    def weights(self, config: BackboneConfig) -> list[Weight]:
        """Every weight of the network, under the names that it has in a file."""
        if config.head == "none":
            return list(self.body(config))
        prefixed = [
            weight._replace(foreign=tuple(f"{self.prefix}{name}" for name in weight.foreign))
            for weight in self.body(config)
        ]
        return [*prefixed, *self.head(config)]

    def class_of(self, config: BackboneConfig) -> str:
        """The name of the class that holds such a network."""
        return self.classes[config.head == "none"]

    def misfit(self, config: BackboneConfig, pad_id: int) -> str | None:
        """Why this program has no such network, in a few words; None where it has it."""
        if set(config.mixers) != {self.mixer}:
            return f"its layers are {' and '.join(sorted(set(config.mixers)))}, where only {self.mixer} fits"
        try:
            theirs = self.network({**self.keys(config, pad_id), "pad_token_id": pad_id})
        except ValidationError as error:
            first = error.errors()[0]
            return f"{first['loc'][-1] if first['loc'] else 'config'} is {shown(first['input'])}: {first['msg']}"
        except (InputError, ValueError) as error:
            return str(error)
        if config.head == "none" and self.classes[1]:
            theirs = theirs.model_copy(update={"head": "none"})
        for name, own, other in _differences(essence(config), essence(theirs)):
            return f"{name} is {shown(own)}, where only {shown(other)} fits"
        return None


def named(pairs: Iterable[tuple[str, str]], *, native: str = "", foreign: str = "") -> Iterator[Weight]:
    """Weights that keep their shape: pairs of (their name, nuclex's name), each behind its prefix."""
    for theirs, ours in pairs:
        yield Weight(f"{native}{ours}", (f"{foreign}{theirs}",))


def with_biases(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each pair of layers as two pairs of weights.

    >>> with_biases([("dense", "into")])
    [('dense.weight', 'into.weight'), ('dense.bias', 'into.bias')]
    """
    return [(f"{theirs}.{kind}", f"{ours}.{kind}") for theirs, ours in pairs for kind in ("weight", "bias")]


def refuse_variant(keys: Mapping[str, Any], allowed: Mapping[str, tuple[Any, ...]], name: str) -> None:
    """InputError for a key that says something which nuclex does not compute; a missing key says what is usual."""
    for key, values in allowed.items():
        if key in keys and keys[key] not in values:
            raise InputError(
                f"config.json: {key}: found {shown(keys[key])}; only {values[0]!r} can be read as {name} by nuclex"
            )


def to_foreign(tensors: Mapping[str, Tensor], weights: Iterable[Weight]) -> dict[str, Tensor]:
    """A model's tensors (``unshared``) under the other program's names; copies, none of which shares memory."""
    renamed: dict[str, Tensor] = {}
    for weight in weights:
        value = tensors[weight.native].detach()
        for name, part in zip(weight.foreign, value.chunk(len(weight.foreign)), strict=True):
            if weight.shape != "same":
                part = part.T if weight.shape == "turned" else part[:, None]
            renamed[name] = part.clone(memory_format=torch.contiguous_format)
    return renamed


def from_foreign(tensors: Mapping[str, Tensor], weights: Iterable[Weight], origin: Path) -> dict[str, Tensor]:
    """The reverse of ``to_foreign``; CorruptError where tensors are missing, left over or contradict their twins."""
    weights = list(weights)
    wanted = [name for weight in weights for name in weight.foreign]
    if missing := [name for name in wanted if name not in tensors]:
        raise CorruptError(f"{origin}: lacks the weight {and_more(missing)}")
    if extra := sorted(tensors.keys() - set(wanted)):
        raise CorruptError(f"{origin}: holds the weight {and_more(extra)}, which this architecture does not have")
    native: dict[str, Tensor] = {}
    for weight in weights:
        value = _joined(weight, [tensors[name] for name in weight.foreign], origin)
        if weight.native in native and not torch.equal(native[weight.native], value):
            name = weight.foreign[0]
            raise CorruptError(f"{origin}: the weight {name!r} differs from the other copy of {weight.native!r}")
        native[weight.native] = value
    return native


def and_more(names: list[str], most: int = 3) -> str:
    """The first few names, and how many more there are.

    >>> and_more(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    text = ", ".join(repr(name) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def _joined(weight: Weight, parts: list[Tensor], origin: Path) -> Tensor:
    axes = {"same": range(9), "turned": (2,), "kernel": (3,)}[weight.shape]
    if len({part.shape for part in parts}) > 1:
        raise CorruptError(f"{origin}: {and_more(list(weight.foreign))} differ in shape")
    if parts[0].ndim not in axes:
        raise CorruptError(f"{origin}: the weight {weight.foreign[0]!r} has shape {tuple(parts[0].shape)}")
    if weight.shape == "turned":
        parts = [part.T for part in parts]
    elif weight.shape == "kernel":
        parts = [part[:, 0] for part in parts]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def essence(config: BackboneConfig) -> BackboneConfig:
    """The config without what changes nothing that is computed: first weights, speed, keys of parts that it has not.

    μP's 1/d with the multiplier √d is 1/√d, and at its base width μP is the standard parametrisation.
    """
    kinds, attends = set(config.mixers), config.attends
    positions = config.positions if attends or config.positions == "learned" else "none"
    idle = {"initialisation", "initializer_range", "vocabulary_multiple"}
    if not attends:
        idle |= {"heads", "attention_bias", "attention_scale", "attention_multiplier", "attention_dropout"}
    elif math.isclose(config.attention.factor(config.width // config.heads) ** 2, config.heads / config.width):
        idle |= {"attention_scale", "attention_multiplier"}
    if not config.inner:
        idle |= {"activation", "feedforward_bias"}
    if config.head == "none":
        idle.add("tied")
    if config.head == "none" or config.width == config.base_width:
        idle |= {"base_width", "base_inner"}
    if positions != "rotary":
        idle.add("rotary_base")
    if positions != "learned":
        idle |= {"max_positions", "position_offset", "position_use", "position_width"}
    elif config.position_width == config.width:
        idle.add("position_width")
    if "hyena" not in kinds:
        idle.add("hyena")
    if len(kinds) == 1:
        idle.add("attention_every")
    standard = BackboneConfig(depth=1, width=2, inner=0)
    usual = {name: getattr(standard, name) for name in idle}
    mixer = {"mixer": config.mixers[0]} if len(kinds) == 1 else {}
    changes = {**usual, **mixer, "positions": positions, "state_space": _state_space(config, kinds)}
    return config.model_copy(update=changes)


def _state_space(config: BackboneConfig, kinds: set[MixerName]) -> StateSpaceConfig:
    if not kinds & {"mamba", "mamba2"}:
        return StateSpaceConfig()
    sizes = config.state_space
    idle = {"delta_min", "delta_max", "delta_floor", "chunk"}
    if "mamba2" not in kinds:
        idle |= {"head_size", "groups", "norm_epsilon", "norm_before_gate"}
    if "mamba" not in kinds:
        idle.add("rank")
    rank = {"rank": sizes.rank or math.ceil(config.width / 16)}
    return sizes.model_copy(update={**rank, **{name: StateSpaceConfig.model_fields[name].default for name in idle}})


def _differences(one: Any, other: Any, before: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name in type(one).model_fields:
        own, theirs = getattr(one, name), getattr(other, name)
        if isinstance(own, StateSpaceConfig) and own != theirs:
            yield from _differences(own, theirs, f"{before}{name}.")
        elif own != theirs:
            yield f"{before}{name}", own, theirs
