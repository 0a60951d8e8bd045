"""Random numbers as pure functions of a key and a counter, so that nothing has to be saved to repeat them.

A draw depends only on what it is for (seed, epoch, purpose, which sequence, which position), never on what was
drawn before it or on what else is in the batch. The mixing is SplitMix64 (Steele et al. 2014,
doi:10.1145/2660193.2660195), applied to key and counters in turn.
"""

from __future__ import annotations

import hashlib
import math
from operator import index
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def key(*parts: int | str) -> int:
    """A 64-bit key from anything that names a purpose, such as ``key(seed, epoch, "mask")``; NumPy's ints are ints."""
    text = "\x1f".join(f"str:{part}" if isinstance(part, str) else f"int:{index(part)}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Runs(NamedTuple):
    """A counter that stays the same for a while: value n for ``lengths_N[n]`` places; it is mixed once for each n."""

    values_N: NDArray[np.integer]
    lengths_N: NDArray[np.integer]


def bits(stream: int, *counters: NDArray[np.integer] | int | Runs) -> NDArray[np.uint64]:
    """64 random bits for each (broadcast) tuple of counters, such as (sequence index, position).

    The first counter may be ``Runs``, which gives the same bits as its values repeated would.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(stream, dtype=np.uint64)
        for counter in counters:
            values, lengths = counter if isinstance(counter, Runs) else (counter, None)
            step = (np.asarray(values).astype(np.uint64) + np.uint64(1)) * _INCREMENT
            state = _mix(step + state)
            state = state if lengths is None else np.repeat(state, lengths)
        return _mix(state)


def chosen(stream: int, share: float, *counters: NDArray[np.integer] | int | Runs) -> NDArray[np.bool_]:
    """True for a ``share`` (0 to 1) of all tuples of counters: where ``uniform`` is below it, without the division."""
    return bits(stream, *counters) >> np.uint64(11) < np.uint64(math.ceil(share * 2.0**53))


def uniform(stream: int, *counters: NDArray[np.integer] | int | Runs) -> NDArray[np.float64]:
    """A number in [0, 1) for each tuple of counters."""
    return (bits(stream, *counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(stream: int, below: NDArray[np.integer] | int, *counters: NDArray[np.integer] | int) -> NDArray[np.int64]:
    """A whole number in [0, ``below``) for each tuple of counters."""
    return np.asarray(np.floor(uniform(stream, *counters) * np.asarray(below)), dtype=np.int64)


def permutation(stream: int, length: int) -> NDArray[np.int64]:
    """A random order of ``range(length)``."""
    return np.asarray(np.argsort(bits(stream, np.arange(length)), kind="stable"), dtype=np.int64)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A new array: x ^= x >> 30, x *= FIRST, x ^= x >> 27, x *= SECOND, x ^= x >> 31, in two buffers."""
    mixed = np.array(state, dtype=np.uint64)
    shifted = np.empty_like(mixed)
    for shift, factor in ((np.uint64(30), _FIRST), (np.uint64(27), _SECOND)):
        np.right_shift(mixed, shift, out=shifted)
        np.bitwise_xor(mixed, shifted, out=mixed)
        np.multiply(mixed, factor, out=mixed)
    np.right_shift(mixed, np.uint64(31), out=shifted)
    return np.bitwise_xor(mixed, shifted, out=mixed)
