"""What follows from a config before anything runs: parameters, arithmetic, memory, how much text it deserves."""

from __future__ import annotations

from nuclex.core.config import Config
from nuclex.data.sample import SamplingConfig
from nuclex.models import ModelConfig
from nuclex.training.costs import activation_bytes, count_parameters, flops_per_token

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
    epochs: float | None = None
    """The length that the recipe gives, where it gives it in epochs: ``steps`` are counted on the corpus then."""
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
    activations = activation_bytes(config, vocabulary_size, sampling.micro_tokens, head_share, sampling.max_tokens)
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
