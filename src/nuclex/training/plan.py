"""What follows from a config before anything runs: parameters, arithmetic, memory, how much text it deserves."""

from __future__ import annotations

import torch

from nuclex.core.config import Config
from nuclex.data.sample import SamplingConfig
from nuclex.models import BackboneConfig, LanguageModel, ModelConfig

TOKENS_PER_PARAMETER = 20
"""Compute-optimal ratio of training tokens to parameters (Hoffmann et al. 2022, arXiv:2203.15556)."""

GPUS: dict[str, tuple[float, float]] = {
    "h200": (989e12, 141e9),
    "h100": (989e12, 80e9),
    "a100": (312e12, 80e9),
    "l40s": (362e12, 48e9),
    "rtx4090": (165e12, 24e9),
}
"""Dense bf16 FLOP/s and bytes of memory, as the makers state them."""


class Plan(Config):
    """The consequences of a recipe; pure, printed by ``--dry-run``, saved with the run."""

    parameters: int
    parameters_by_part: dict[str, int]
    vocabulary_size: int
    flops_per_token: float
    """Forward and backward, a token of a sequence of ``length`` tokens."""
    memory_bytes: int
    """fp32 weights, gradients, two AdamW moments, and the activations of one micro-batch."""
    tokens_compute_optimal: int
    length: float
    steps: int | None = None
    tokens: int | None = None
    """Tokens the recipe's steps will read."""
    hours: dict[str, float]
    """For each named GPU at ``utilisation`` of its peak: hours for ``tokens`` (or the compute-optimal number)."""
    utilisation: float = 0.4


def make_plan(
    model: ModelConfig,
    vocabulary_size: int,
    *,
    sampling: SamplingConfig | None = None,
    steps: int | None = None,
    length: float | None = None,
    head_share: float = 0.15,
) -> Plan:
    """Count and estimate; ``length`` is the mean sequence length in tokens, ``head_share`` the share scored."""
    sampling, config = sampling or SamplingConfig(), model.backbone()
    length = min(length or sampling.max_tokens, sampling.max_tokens)
    parts = count_parameters(config, vocabulary_size)
    parameters, flops = sum(parts.values()), flops_per_token(config, parts, vocabulary_size, length, head_share)
    optimal = TOKENS_PER_PARAMETER * parameters
    tokens = None if steps is None else steps * sampling.batch_tokens
    utilisation = Plan.model_fields["utilisation"].default
    hours = {name: flops * (tokens or optimal) / (peak * utilisation) / 3600 for name, (peak, _) in GPUS.items()}
    activations = activation_bytes(config, vocabulary_size, sampling.micro_tokens, head_share)
    return Plan(
        parameters=parameters,
        parameters_by_part=parts,
        vocabulary_size=vocabulary_size,
        flops_per_token=flops,
        memory_bytes=16 * parameters + activations,
        tokens_compute_optimal=optimal,
        length=length,
        steps=steps,
        tokens=tokens,
        hours=hours,
    )


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
    """Multiplications and additions of forward (2 a weight) and backward (4), attention's L-dependent part included.

    What kernels compute anew in the backward pass to save memory is not counted; causal attention counts half.
    """
    head = config.width * (config.width + vocabulary_size) * head_share
    attention = 2 * config.depth * config.width * length * (0.5 if config.causal else 1.0)
    return 6 * (parts["blocks"] + head + attention)


def activation_bytes(config: BackboneConfig, vocabulary_size: int, tokens: int, head_share: float) -> int:
    """What autograd keeps for one micro-batch in fp32: inputs of norms, of matrix products and of activations.

    Small networks, measured, keep within 20 % of it. Not in it: where no fused kernel does attention's dropout (on a
    CPU), its weights are kept as well, which is 9 bytes for each head and each pair of tokens of a sequence.
    """
    gated = config.activation != "gelu"
    per_block = 9 * config.width + (5 if gated else 2) * config.inner
    head = head_share * (3 * config.width + 2 * vocabulary_size)
    return int(4 * tokens * (config.depth * per_block + 2 * config.width + head))
