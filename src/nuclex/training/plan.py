"""What follows from a config before anything runs: parameters, arithmetic, memory, how much text it deserves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from nuclex.core.config import Config
from nuclex.core.errors import InputError, shown
from nuclex.core.randomness import key, permutation
from nuclex.data.sample import SamplingConfig, choose_members
from nuclex.data.store import Corpus
from nuclex.data.tokens import tokenize
from nuclex.models import BackboneConfig, ModelConfig
from nuclex.tokenizers import Tokenizer
from nuclex.training.costs import count_parameters, flops_per_token, optimizer_bytes
from nuclex.training.duration import TrainingConfig
from nuclex.training.memory import Held, Memory, Pass, step_memory
from nuclex.training.precision import Precision

TOKENS_PER_PARAMETER = 20
"""Compute-optimal ratio of training tokens to parameters (Hoffmann et al. 2022, arXiv:2203.15556)."""

READ_FOR_AN_EPOCH = 2048
"""Sequences of a corpus that are tokenized to learn how many tokens one has."""


class Gpu(NamedTuple):
    """Operations a second at its peak, in bfloat16 on dense matrices and in float32 (without TF32); bytes of memory."""

    bf16: float
    fp32: float
    memory: float

    def peak(self, precision: Precision) -> float:
        """Operations a second in a precision."""
        return self.fp32 if precision == "fp32" else self.bf16


GPUS: dict[str, Gpu] = {
    "h200": Gpu(989e12, 67e12, 141e9),
    "h100": Gpu(989e12, 67e12, 80e9),
    "a100": Gpu(312e12, 19.5e12, 80e9),
    "l40s": Gpu(362e12, 91.6e12, 48e9),
    "rtx4090": Gpu(165e12, 82.6e12, 24e9),
}
"""As the makers state them."""


class Plan(Config):
    """The consequences of a recipe; pure, printed by ``--dry-run``, saved with the run."""

    model_config = ConfigDict(use_attribute_docstrings=True)  # for the schema of `nuclex plan --json`

    parameters: int
    """Numbers that the network learns."""
    parameters_by_part: dict[str, int]
    """The same by part of the network."""
    vocabulary_size: int
    """Tokens that the tokenizer knows."""
    flops_per_token: float
    """Forward and backward, a token of a sequence of ``length`` tokens."""
    memory_bytes: int
    """The peak of one update on a GPU, of sequences as long as the recipe allows."""
    memory: dict[str, Memory]
    """``gpu``: with fused kernels, by reasoning; ``cpu``: without them, as measured (docs/plan.md)."""
    fits: dict[str, bool]
    """Whether the peak is less than the memory of each named GPU; other programs and torch itself take some, too."""
    tokens_compute_optimal: int
    """Tokens that a network of this size deserves: 20 a parameter (arXiv:2203.15556)."""
    length: float
    """The length of a sequence, in tokens, that arithmetic is for."""
    steps: int | None = None
    """Updates, where the recipe gives their number."""
    epochs: float | None = None
    """The length that the recipe gives, where it gives it in epochs: ``steps`` are counted on the corpus then."""
    tokens: int | None = None
    """Tokens the recipe's steps (or epochs of the corpus) will read."""
    epoch_tokens: int | None = None
    """Tokens in one epoch of the corpus, where one is given, estimated from up to 2 048 of its sequences."""
    epochs_compute_optimal: float | None = None
    """Epochs of the corpus in the compute-optimal number of tokens."""
    precision: Precision = "fp32"
    """The numbers that it computes with."""
    hours: dict[str, float]
    """For each named GPU at ``utilisation`` of its peak: hours for ``tokens`` (or the compute-optimal number)."""
    utilisation: float = Field(default=0.4, gt=0, le=1)
    """The share of its peak that a GPU reaches."""
    cost: dict[str, float] = Field(default={})
    """Hours times the price of an hour, in its currency, for each GPU whose price was said."""


class Asked(NamedTuple):
    """What a plan is made for besides the network.

    ``training`` None: no length, AdamW in fp32. ``length`` is the mean sequence length in tokens (None: the longest
    that sampling allows), ``head_share`` the share of tokens that is scored, ``epoch_tokens`` those of one epoch.
    """

    sampling: SamplingConfig = SamplingConfig()
    training: TrainingConfig | None = None
    length: float | None = None
    head_share: float = 0.15
    epoch_tokens: float | None = None


class Terms(NamedTuple):
    """What a GPU does of what it could, and what an hour of one costs (in any currency), by its name."""

    utilisation: float = 0.4
    prices: Mapping[str, float] | None = None


USUAL, USUAL_TERMS = Asked(), Terms()


def make_plan(model: ModelConfig, vocabulary_size: int, asked: Asked = USUAL, terms: Terms = USUAL_TERMS) -> Plan:
    """Count and estimate. InputError for a price of a GPU that is not among the named ones, or that is no price."""
    sampling, training, config = asked.sampling, asked.training, model.backbone()
    length = min(asked.length or sampling.max_tokens, sampling.max_tokens)
    parts, precision = count_parameters(config, vocabulary_size), training.precision if training else "fp32"
    flops = flops_per_token(config, parts, vocabulary_size, length, asked.head_share)
    optimal, tokens = TOKENS_PER_PARAMETER * sum(parts.values()), _tokens(asked)
    rates = {name: gpu.peak(precision) * terms.utilisation for name, gpu in GPUS.items()}
    hours = {name: flops * (tokens or optimal) / rate / 3600 for name, rate in rates.items()}
    memory = _memory(config, vocabulary_size, asked, sum(parts.values()))
    peak, epoch = memory["gpu"].peak, asked.epoch_tokens
    return Plan(
        parameters=sum(parts.values()),
        parameters_by_part=parts,
        vocabulary_size=vocabulary_size,
        flops_per_token=flops,
        memory_bytes=peak,
        memory=memory,
        fits={name: peak < gpu.memory for name, gpu in GPUS.items()},
        tokens_compute_optimal=optimal,
        length=length,
        steps=training.steps or None if training else None,
        epochs=training.epochs or None if training else None,
        tokens=tokens,
        epoch_tokens=None if epoch is None else round(epoch),
        epochs_compute_optimal=optimal / epoch if epoch else None,
        precision=precision,
        hours=hours,
        utilisation=terms.utilisation,
        cost={name: hours[name] * price for name, price in _priced(terms.prices).items()},
    )


def epoch_length(
    corpus: Corpus, tokenizer: Tokenizer, rows: NDArray[np.int64], sampling: SamplingConfig
) -> tuple[float, float]:
    """Tokens that one epoch over these rows of a corpus reads, special tokens included, and the mean of a piece.

    So many pieces as there are clusters (or sequences), times the mean of up to 2 048 that are drawn of them.
    """
    if sampling.members == "one-per-cluster":
        rows = rows[choose_members(corpus.clusters[rows], key(0, "plan", "member"))]
    drawn = rows[permutation(key(0, "plan"), len(rows))[:READ_FOR_AN_EPOCH]]
    table = tokenize((corpus.sequence(int(row)) for row in np.sort(drawn)), tokenizer)
    mean = float(np.minimum(table.lengths_N + 2, sampling.max_tokens).mean())
    return mean * len(rows), mean


def _tokens(asked: Asked) -> int | None:
    """What the recipe's length means in tokens, where that can be said."""
    if asked.training is None:
        return None
    if asked.training.steps:
        return asked.training.steps * asked.sampling.batch_tokens
    return None if asked.epoch_tokens is None else round(asked.training.epochs * asked.epoch_tokens)


def _memory(config: BackboneConfig, vocabulary_size: int, asked: Asked, parameters: int) -> dict[str, Memory]:
    """Memory of one update on a GPU and on a CPU."""
    sampling, training, weights = asked.sampling, asked.training or TrainingConfig(), 4 * parameters
    optimizer, working = optimizer_bytes(config, vocabulary_size, training.optimizer)
    found = {}
    for device in ("gpu", "cpu"):
        on_cpu = device == "cpu"
        average = weights if training.ema.decay and (on_cpu or not training.ema.on_cpu) else 0
        held = Held(weights, optimizer, average, working if on_cpu or not working else weights)  # a GPU: all at once
        tokens = min(sampling.micro_tokens, sampling.batch_tokens)
        run = Pass(tokens, sampling.max_tokens, asked.head_share, training.precision, on_cpu)
        several = sampling.batch_tokens > sampling.micro_tokens
        found[device] = step_memory(config, vocabulary_size, run, held, several=several)
    return found


def _priced(prices: Mapping[str, float] | None) -> Mapping[str, float]:
    for name, price in (prices or {}).items():
        if name not in GPUS:
            raise InputError(f"price: no GPU is called {shown(name)}; known: {', '.join(GPUS)}")
        if not price >= 0:
            raise InputError(f"price: an hour of {name} costs {price}; a number from 0 on is needed")
    return prices or {}
