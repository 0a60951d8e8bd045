"""What a network costs: trained numbers by part, arithmetic for each token, and what its optimizer remembers."""

from __future__ import annotations

import math
import re

import torch
from torch import nn

from nuclex.models import BackboneConfig, LanguageModel
from nuclex.models.architecture import MixerName
from nuclex.training.optimizer import ADAMW, OptimizerConfig, build_optimizer

SCAN = 2.5
"""Multiplications with additions for each number of a state space's memory, besides the weight that fades it: of 7
operations (times step size, exponential, fade, write twice, read twice) the first two count with the weight."""


def count_parameters(config: BackboneConfig, vocabulary_size: int) -> dict[str, int]:
    """Trained numbers by part (embedding, blocks, norm, head); a tied decoder counts with the embedding."""
    parts: dict[str, int] = {}
    for name, parameter in _bare(config, vocabulary_size).named_parameters():
        part = name.split(".")[0]
        parts[part] = parts.get(part, 0) + parameter.numel()
    return parts


def flops_per_token(
    config: BackboneConfig, parts: dict[str, int], vocabulary_size: int, length: float, head_share: float
) -> float:
    """Multiplications and additions of forward (2 a weight) and backward (4), for a token of a sequence of ``length``.

    What mixers do besides their weights is included (``mixing``); what kernels compute anew in the backward pass to
    save memory is not. Weights for distances (Hyena's filters, relative positions) count once a token; a pass over many
    sequences needs them less often.
    """
    width, rows = config.width, config.rows(vocabulary_size)
    head = {"dense": width * (width + rows), "linear": width * rows, "none": 0}[config.head] * head_share
    widened = config.position_use == "add" and config.position_width != width
    embedding = width * (width * config.embedding_gate + config.position_width * widened)
    return 6 * (parts["blocks"] + embedding + head + sum(mixing(name, config, length) for name in config.mixers))


def mixing(name: MixerName, config: BackboneConfig, length: float) -> float:
    """Multiplications with additions that a layer does for a token besides those with its weights, forwards.

    Causal attention counts half of the pairs, but all of them where positions are relative, which no kernel skips. A
    layer that looks both ways through two mixers counts twice. ``length`` is that of the sequence, in tokens.
    """
    width, space = config.width, config.state_space
    if name == "attention":
        if config.positions == "relative":  # a score for each of 2 L distances besides
            return 4 * width * length
        return 2 * width * length * (0.5 if config.causal else 1.0)
    ways = 2 if both_ways(name, config) else 1
    if name == "mamba":
        return ways * SCAN * space.inner(width) * space.state_size
    if name == "mamba2":
        inner, size, chunk = space.inner(width), space.state_size, space.chunk
        return ways * (chunk * (inner + space.groups * size) + 2 * inner * size)
    transform = 5 * math.log2(2 * length) + 3  # two of 2 L numbers, 5/2 n log2 n each, and their product
    return (config.hyena.order - 1) * width * transform


def both_ways(name: MixerName, config: BackboneConfig) -> bool:
    """Whether a layer is two, of which one reads backwards; attention and Hyena look both ways by themselves."""
    return name in ("mamba", "mamba2") and not config.causal


def optimizer_bytes(config: BackboneConfig, vocabulary_size: int, optimizer: OptimizerConfig) -> tuple[int, int]:
    """What an optimizer remembers from update to update, and what it takes besides while it works on a CPU.

    AdamW remembers two numbers a weight and works in place. Any other one makes an update of one tensor of each shape,
    here and now, and is asked what it kept; while it works it takes two numbers for each weight of the largest tensor.
    """
    weights = list(_bare(config, vocabulary_size).named_parameters())
    if optimizer.name.lower() == ADAMW:
        return 8 * sum(value.numel() for _, value in weights), 0
    alike: dict[tuple[str, torch.Size], int] = {}
    for name, value in weights:
        kind = (re.sub(r"\.\d+\.", ".0.", name), value.shape)
        alike[kind] = alike.get(kind, 0) + 1
    tried = {kind: nn.Parameter(torch.zeros(kind[1])) for kind in alike}
    found = build_optimizer(((name, value) for (name, _), value in tried.items()), optimizer)
    for value in tried.values():
        value.grad = torch.full_like(value, 1e-3)
    found.step()
    kept = {kind: sum(_bytes(part) for part in found.state[value].values()) for kind, value in tried.items()}
    return sum(kept[kind] * count for kind, count in alike.items()), 8 * max(value.numel() for _, value in weights)


def _bytes(part: object) -> int:
    if isinstance(part, list | tuple):
        return sum(map(_bytes, part))
    return part.nbytes if isinstance(part, torch.Tensor) else 0


def _bare(config: BackboneConfig, vocabulary_size: int) -> LanguageModel:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return LanguageModel(config, vocabulary_size=vocabulary_size, pad_id=0, mask_id=0)
