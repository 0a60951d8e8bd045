"""What one update of a network needs of memory: weights, gradients, optimizer, and what is kept for the gradient.

Every operation keeps for the backward pass what its derivative needs. The functions here add that up operation by
operation, in bytes, for each way of computing (``precision``): a matrix product keeps what it reads, a norm what it
reads and how wide that spread, an activation what it reads, a product of two tensors both. A tensor that two
operations keep counts once. What is measured and what is not: ``docs/plan.md``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pydantic import ConfigDict

from nuclex.core.config import Config
from nuclex.models import BackboneConfig
from nuclex.models.architecture import MixerName
from nuclex.models.blocks.long_convolution import transform_size
from nuclex.training.costs import both_ways
from nuclex.training.precision import Precision

MEMORY_EVERY = 32
"""Tokens between two memories of a state space that are kept for the gradient."""


class Widths(NamedTuple):
    """Bytes of a number: of the stream between blocks and its norms, and of what comes out of a matrix product."""

    stream: int
    product: int

    @classmethod
    def of(cls, precision: Precision) -> Widths:
        """Those of a precision; ``bf16`` is autocast, whose stream stays in float32."""
        return {"fp32": cls(4, 4), "bf16": cls(4, 2), "bf16-weights": cls(2, 2)}[precision]

    @property
    def casts(self) -> bool:
        """Whether matrix products read copies that are made for them (autocast)."""
        return self.stream != self.product


class Pass(NamedTuple):
    """One forward and backward pass: its tokens, the length of its sequences, the share of tokens that is scored."""

    tokens: int
    length: int
    share: float
    precision: Precision = "fp32"
    on_cpu: bool = False

    @property
    def widths(self) -> Widths:
        """Bytes of its numbers."""
        return Widths.of(self.precision)


class Part(NamedTuple):
    """Bytes a token that a part of the network keeps until its backward pass, and what that needs while it runs."""

    kept: float
    passing: float = 0.0


class Held(NamedTuple):
    """Bytes that are there throughout: weights, optimizer, average; and what the optimizer takes while it works."""

    weights: int
    optimizer: int
    average: int = 0
    working: int = 0


class Memory(Config):
    """Bytes that one update takes on one device.

    ``peak`` is less than the sum where an update is one pass: the gradients arise as the activations go. It does not
    count what torch and its libraries take by themselves, nor gaps that an allocator leaves.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)  # for the schema of `nuclex plan --json`

    weights: int
    """The network's numbers."""
    gradients: int
    """Of every number its derivative."""
    optimizer: int
    """What the optimizer keeps of earlier updates."""
    average: int
    """The average of the weights, where the recipe asks for one."""
    activations: int
    """What is kept between forward and backward, copies of weights that autocast makes included."""
    peak: int
    """The most at any moment."""


def activation_bytes(config: BackboneConfig, vocabulary_size: int, run: Pass) -> int:
    """What autograd keeps of one pass at the end of its forward part, copies of weights not counted."""
    layers = [_layer(name, config, run) for name in config.mixers]
    per_token = _embedding(config, run).kept + _last_norm(config, run).kept + 24  # ids, positions, sequences
    per_token += _head(config, vocabulary_size, run).kept + sum(mixer.kept + around.kept for mixer, around in layers)
    return int(run.tokens * per_token + sum(_once(name, config, run) for name in config.mixers))


def step_memory(config: BackboneConfig, vocabulary_size: int, run: Pass, held: Held, *, several: bool) -> Memory:
    """Memory of one update; ``several``: of more than one pass, whose gradients add up.

    It is highest where the backward part begins, where it ends, or while the optimizer works.
    """
    activations = activation_bytes(config, vocabulary_size, run) + _cast_weights(config, vocabulary_size, run)
    twin = held.weights // 2 if run.precision == "bf16-weights" else 0  # in bfloat16, and so are its gradients
    table, before = 4 * config.width * config.rows(vocabulary_size), held.weights if several else 0
    by_head = table * (config.head != "none")
    above = max(back + by_head * (number > 0) for number, back in enumerate(_going_back(config, vocabulary_size, run)))
    below = max(twin or held.weights, before + twin) + table + 2 * run.widths.stream * config.width * run.tokens
    throughout = held.weights + twin + held.optimizer + held.average
    return Memory(
        weights=held.weights + twin,
        gradients=held.weights + twin,
        optimizer=held.optimizer,
        average=held.average,
        activations=activations,
        peak=int(throughout + max(before + activations + above, below, held.weights + held.working)),
    )


def _going_back(config: BackboneConfig, vocabulary_size: int, run: Pass) -> list[float]:
    """Bytes beyond all activations while the loss, the last norm, the last feed-forward and mixer go backward.

    Below the last layer less is kept, and as much is needed.
    """
    mixer, around = _layer(config.mixers[-1], config, run)
    passed, needed = 0.0, []
    for part in (_head(config, vocabulary_size, run), _last_norm(config, run), around, mixer):
        needed.append(run.tokens * (part.passing - passed))
        passed += part.kept
    return needed


def _cast_weights(config: BackboneConfig, vocabulary_size: int, run: Pass) -> int:
    """Copies in bfloat16 that autocast makes of the matrices of a pass."""
    if not run.widths.casts:
        return 0
    width, space = config.width, config.state_space
    inner = space.inner(width)
    feed = config.inner * width * (3 if config.activation.startswith("swiglu") else 2)
    matrices = {
        "attention": 4 * width**2,
        "mamba": 3 * inner * width + inner * (2 * _rank(config) + 2 * space.state_size),
        "mamba2": (3 * inner + 2 * space.groups * space.state_size + inner // space.head_size) * width,
        "hyena": (config.hyena.order + 2) * width**2,
    }
    layers = sum((matrices[name] + feed) * (2 if both_ways(name, config) else 1) for name in config.mixers)
    head = {"dense": width * (width + config.rows(vocabulary_size)), "linear": width * config.rows(vocabulary_size)}
    return int(2 * (layers + head.get(config.head, 0)))


def _norm(config: BackboneConfig, run: Pass) -> float:
    """What it reads; a root-mean-square norm that no kernel computes (CPU) that in float32, and its result, too."""
    if config.norm_kind == "rms" and run.on_cpu:
        return 8 * config.width + 4
    return run.widths.stream * config.width + 8


def _dropped(share: float, run: Pass, width: int, number: int) -> float:
    """Which numbers dropout lets through: a factor each on a CPU, a byte each elsewhere."""
    return (number if run.on_cpu else 1) * width * bool(share)


def _embedding(config: BackboneConfig, run: Pass) -> Part:
    """Its norm and gate and dropout; what comes out is kept by the first norm that reads it."""
    stream, product = run.widths
    kept = _dropped(config.embedding_dropout, run, config.width, stream) + config.embedding_norm * _norm(config, run)
    if config.embedding_gate:
        kept += config.width * (stream + product + product * run.widths.casts)
    return Part(kept)


def _last_norm(config: BackboneConfig, run: Pass) -> Part:
    """The stream behind the last block, and the gradients there: of the tokens that are scored, laid among zeros."""
    stream, width = run.widths.stream, config.width
    scored = (2 + run.share) * stream * width
    if not config.final_norm:
        return Part(0, scored)
    spelled_out = config.norm_kind == "rms" and run.on_cpu
    return Part(_norm(config, run), max(scored, (16 * spelled_out + stream) * width))


def _head(config: BackboneConfig, vocabulary_size: int, run: Pass) -> Part:
    """The scored tokens through the head; two gradients as large as the logarithms of the probabilities at once."""
    rows = config.rows(vocabulary_size) if config.head != "none" else 0
    read = {"dense": 4, "linear": 1, "none": 0}[config.head] * config.width
    return Part((run.widths.product * read + 4 * rows) * run.share, 8 * rows * run.share)


def _layer(name: MixerName, config: BackboneConfig, run: Pass) -> tuple[Part, Part]:
    """The mixer with its norm and dropout, and the feed-forward with its own."""
    stream, product = run.widths
    read, dropped = product * config.width, _dropped(config.dropout, run, config.width, product)
    mixed, around = _MIXERS[name](config, run), Part(0.0)
    mixer = Part(mixed.kept + _norm(config, run) + read + dropped, mixed.passing + stream * config.width)
    if config.inner:
        fed = _feed_forward(config, run)
        around = Part(fed.kept + _norm(config, run) + dropped, fed.passing + stream * config.width)
    if not both_ways(name, config):
        return mixer, around
    shared = 4 if stream == 4 else 0  # both read the same stream, of which half precision keeps two copies
    joined = (2 * product - shared) * config.width
    return Part(2 * mixer.kept + joined, mixer.passing), Part(2 * around.kept, around.passing)


def _feed_forward(config: BackboneConfig, run: Pass) -> Part:
    """Two matrices about an activation, or three about a gate; autocast copies for each matrix what it reads."""
    stream, product = run.widths
    read, inner = product * config.width, config.inner
    if not config.activation.startswith("swiglu"):
        return Part(read + 2 * product * inner, product * inner)
    read *= 2 if run.widths.casts else 1
    if config.activation == "swiglu":
        return Part(read + 4 * product * inner, 2 * product * inner)
    return Part(read + (3 * product + 2 * stream) * inner, (3 * stream - product) * inner)


def _attention(config: BackboneConfig, run: Pass) -> Part:
    """Queries, keys, values, what they were turned from, the mixture as it is and laid out for the last matrix.

    On a CPU all is computed in float32. There no fused kernel drops weights out, nor does one anywhere know of
    relative positions, which have a score for each of 2 L distances besides: then the weights are kept, too.
    """
    product, width, pairs = run.widths.product, config.width, config.heads * run.length
    if config.positions == "relative":
        passing = max(8, 5 * product - 4) * pairs + 8 * width
        return Part((5 * product + 12) * width + (2 * product + 4) * pairs, passing)
    dropped, rotary, halved = bool(config.attention_dropout), config.positions == "rotary", product < 4
    angles = 4 * width // config.heads * (rotary and halved)
    if run.on_cpu and dropped:
        return Part((12 + product) * width + 12 * pairs + angles, 4 * pairs + 8 * width)
    if run.on_cpu and halved:
        return Part((16 + product) * width + 4 * config.heads + angles, 16 * width)
    copies = 4 if halved and not dropped else 5  # the kernel for packed sequences needs no other layout
    return Part((copies + 2 * rotary) * product * width + 4 * config.heads + angles, 4 * product * width)


def _mamba(config: BackboneConfig, run: Pass) -> Part:
    """Values and gate, convolution, activation, step sizes (float32), scan, and the gated product.

    Backward the scan holds the gradients of what it read and of what it wrote.
    """
    (stream, product), space = run.widths, config.state_space
    inner, copied = space.inner(config.width), run.widths.casts
    projected = 2 * product + 4 * copied
    values = 2 * stream + (4 if stream < 4 else 0) + product * copied
    selected = product * (_rank(config) + 2 * space.state_size) + 8 * space.state_size
    memories = 4 * inner * space.state_size * math.ceil(run.length / MEMORY_EVERY) / run.length
    kept = inner * (projected + values + 8 + 3 * product) + selected + memories
    return Part(kept, (12 + stream - 2 * product) * inner)


def _mamba2(config: BackboneConfig, run: Pass) -> Part:
    """As the first, with matrix products in chunks, in float32: the fading of every pair in one, what it weighs.

    Backward the norm before the last matrix needs most.
    """
    (stream, product), space = run.widths, config.state_space
    inner, heads, size = space.inner(config.width), space.heads(config.width), space.state_size
    shared = space.groups * size
    mixed = inner + 2 * shared
    if run.widths.casts:
        projected = 4 * (mixed + inner + heads)
    else:
        projected = product * (mixed + inner + heads) + (4 * inner if product < 4 else 0)
    chunks = 4 * heads * (2 * size + 2 * space.chunk + 6) + 8 * inner * size / space.chunk
    chunks += 4 * inner + 8 * shared + 4 * space.groups * space.chunk
    return Part(projected + 2 * stream * mixed + chunks + (16 + product) * inner, (16 - product) * inner)


def _hyena(config: BackboneConfig, run: Pass) -> Part:
    """Gates before and after the short convolution; of each long one its input, spectrum and output."""
    stream, product = run.widths
    longs, padded = config.hyena.order - 1, transform_size(run.length) / run.length
    kept = 2 * stream * (longs + 2) + longs * (4 + stream + 8 * padded) + product
    return Part(kept * config.width, 16 * padded * config.width)


_MIXERS = {"attention": _attention, "mamba": _mamba, "mamba2": _mamba2, "hyena": _hyena}


def _once(name: MixerName, config: BackboneConfig, run: Pass) -> float:
    """Bytes that a layer keeps for each pass: Hyena's filters and the network that wrote them, relative positions."""
    width = config.width
    if name == "attention" and config.positions == "relative":
        return 4 * run.length * (2 * run.length + run.widths.product * width)
    if name != "hyena":
        return 0
    hyena, size = config.hyena, transform_size(run.length)
    network = 3 * (hyena.filter_layers + 1) * hyena.filter_order + width
    return 4 * ((hyena.order - 1) * 2 * size * width + network * size / 2)


def _rank(config: BackboneConfig) -> int:
    return config.state_space.rank or math.ceil(config.width / 16)
