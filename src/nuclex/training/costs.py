"""What a network costs: trained numbers by part, arithmetic for each token, and what is kept for the gradient."""

from __future__ import annotations

import math

import torch

from nuclex.models import BackboneConfig, LanguageModel
from nuclex.models.architecture import MixerName
from nuclex.models.blocks.long_convolution import transform_size
from nuclex.models.blocks.state_space import StateSpaceConfig

SCAN = 2.5
"""Multiplications with additions for each number of a state space's memory, besides the weight that fades it: of 7
operations (times step size, exponential, fade, write twice, read twice) the first two count with the weight."""
MEMORY_EVERY = 32
"""Tokens between two memories of a state space that are kept for the gradient."""


def count_parameters(config: BackboneConfig, vocabulary_size: int) -> dict[str, int]:
    """Trained numbers by part (embedding, blocks, norm, head); a tied decoder counts with the embedding."""
    with torch.device("meta"):
        model = LanguageModel(config, vocabulary_size=vocabulary_size, pad_id=0, mask_id=0)
    parts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
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
    ways = 2 if _both_ways(name, config) else 1
    if name == "mamba":
        return ways * SCAN * space.inner(width) * space.state_size
    if name == "mamba2":
        inner, size, chunk = space.inner(width), space.state_size, space.chunk
        return ways * (chunk * (inner + space.groups * size) + 2 * inner * size)
    transform = 5 * math.log2(2 * length) + 3  # two of 2 L numbers, 5/2 n log2 n each, and their product
    return (config.hyena.order - 1) * width * transform


def activation_bytes(config: BackboneConfig, vocabulary_size: int, tokens: int, head_share: float, length: int) -> int:
    """What autograd keeps for one micro-batch in fp32, of sequences of ``length`` tokens.

    Small networks of every kind, measured, keep within a tenth of it. Not in it: where no fused kernel does
    attention's dropout (on a CPU), its weights are kept as well, which is 9 bytes for each head and each pair of
    tokens of a sequence.
    """
    width, rows = config.width, config.rows(vocabulary_size)
    head = {"dense": 3 * width + 2 * rows, "linear": width + 2 * rows, "none": 0}[config.head] * head_share
    per_token, per_pass = 2 * width * (1 + config.embedding_gate) + head, 0.0
    for name in config.mixers:
        token, once = _kept_by_mixer(name, config, length)
        token += _kept_around(config)
        if _both_ways(name, config):
            token = 2 * token + width
        per_token, per_pass = per_token + token, per_pass + once
    return int(4 * (tokens * per_token + per_pass))


def _both_ways(name: MixerName, config: BackboneConfig) -> bool:
    """Whether a layer is two, of which one reads backwards; attention and Hyena look both ways by themselves."""
    return name in ("mamba", "mamba2") and not config.causal


def _kept_around(config: BackboneConfig) -> float:
    """Numbers a token that a block keeps besides its mixer's: its norms, its feed-forward, its dropout."""
    inner = {"swiglu": 4, "swiglu-beta": 5}.get(config.activation, 2) * config.inner
    one_norm = (3 if config.norm_kind == "rms" else 2) + bool(config.dropout)
    return (2 if config.inner else 1) * one_norm * config.width + inner


def _kept_by_mixer(name: MixerName, config: BackboneConfig, length: int) -> tuple[float, float]:
    """Numbers that a mixer keeps for each token, and for each pass."""
    width, space = config.width, config.state_space
    inner = space.inner(width)
    if name == "attention":
        if config.positions == "relative":
            return 8 * width + 3 * config.heads * length, 2 * length * (length + 2 * width)
        return (7 if config.positions == "rotary" else 5) * width, 0
    if name == "mamba":
        rank = space.rank or math.ceil(width / 16)
        return 9 * inner + inner * space.state_size / MEMORY_EVERY + rank + 4 * space.state_size, 0
    if name == "mamba2":
        return _kept_by_dual(space, width), 0
    order, size = config.hyena.order, transform_size(length)
    token = (4 * order + 1 + 2 * (order - 1) * size / length) * width
    network = 3 * (config.hyena.filter_layers + 1) * config.hyena.filter_order + width
    return token, (order - 1) * 2 * size * width + network * size / 2


def _kept_by_dual(space: StateSpaceConfig, width: int) -> float:
    inner, heads, size = space.inner(width), space.heads(width), space.state_size
    shared = space.groups * (8 * size + space.chunk)
    return 10 * inner + heads * (2 * size + 2 * space.chunk + 6) + 2 * inner * size / space.chunk + shared
