"""Sets of sequences as clouds of a model's vectors: how far from real ones they lie, how much of those they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bundle import Bundle
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.progress import counted
from nuclex.core.randomness import key, permutation
from nuclex.inference.embed import embed_sequences
from nuclex.metrics.frechet import cover, frechet_distance, principal_axes

NOISE = "random numbers"
FEWEST = 4
Named = Sequence[tuple[str, bytes]]
Vectors = NDArray[np.float64]


class CloudConfig(Config):
    """How vectors are taken and compared."""

    layer: int | None = Field(default=None, description="the block after which vectors are read; None = the last")
    components: int | None = Field(
        default=None, ge=1, description="directions in which the real vectors are widest that are kept; None = all"
    )
    ridge: float = Field(default=0.0, ge=0, description="added to each variance before distances (HELM: 1e-6)")
    neighbours: int = Field(default=3, ge=1, description="k of precision and recall")


@dataclass(frozen=True)
class Cloud:
    """How one set lies to the real one: d², squared units of the vectors; precision, recall and their mean."""

    frechet: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Clouds:
    """Every set against the same real one; all have ``size`` vectors of ``width`` numbers.

    ``left_out``: how many sequences of a set the model does not read. ``enough``: whether there are more than twice as
    many vectors as numbers; where not, distances are too large, by about as much in every set.
    """

    sets: Mapping[str, Cloud]
    size: int
    width: int
    left_out: Mapping[str, int]

    @property
    def enough(self) -> bool:
        """Whether distances say more than that there are few vectors."""
        return self.size > 2 * self.width


def compare_clouds(bundle: Bundle, sets: Mapping[str, Named], real: Named, how: tuple[CloudConfig, int]) -> Clouds:
    """Compare each set with the real one in the bundle's mean vectors, beside random ones; ``how`` ends with a seed.

    Sets of equally many sequences are drawn from alike, place for place.

    InputError where the model reads fewer than four sequences of a set.
    """
    config, seed = how
    wanted = {**sets, "": real}
    readable = {name: _readable(bundle, named) for name, named in wanted.items()}
    for name, named in readable.items():
        if len(named) < FEWEST:
            read = f"{name or 'real'}: this bundle reads {len(named)} of {len(wanted[name])} sequences"
            raise InputError(f"{read}; {FEWEST} are needed, or a bundle that reads them, such as one of nucleotides")
    size = min(map(len, readable.values()))
    chosen = {name: _drawn(named, size, key(seed, "clouds")) for name, named in readable.items()}
    vectors = {name: _embedded(bundle, named, config.layer) for name, named in chosen.items()}
    real_ND = vectors.pop("")
    draw = np.random.default_rng(key(seed, "noise"))
    vectors[NOISE] = draw.normal(real_ND.mean(), real_ND.std(), real_ND.shape)
    if config.components is not None:
        mean_D, axes_KD = principal_axes(real_ND, config.components)
        real_ND = (real_ND - mean_D) @ axes_KD.T
        vectors = {name: (part - mean_D) @ axes_KD.T for name, part in vectors.items()}
    found = {}
    for name, part in vectors.items():
        covered = cover(part, real_ND, config.neighbours)
        distance = frechet_distance(part, real_ND, config.ridge)
        found[name] = Cloud(distance, covered.precision, covered.recall, covered.f1)
    left_out = {name: len(wanted[name]) - len(named) for name, named in readable.items() if name}
    return Clouds(found, size, real_ND.shape[1], left_out)


def shuffled(sequence: bytes, stream: int) -> bytes:
    """The codons of a coding sequence in random order, the first and the last in place.

    >>> shuffled(b"ATGAAACCCTAA", 1) in (b"ATGAAACCCTAA", b"ATGCCCAAATAA")
    True
    """
    codons = [sequence[start : start + 3] for start in range(0, len(sequence) - len(sequence) % 3, 3)]
    inner = codons[1:-1]
    return b"".join([*codons[:1], *(inner[place] for place in permutation(stream, len(inner))), *codons[1:][-1:]])


def _readable(bundle: Bundle, named: Named) -> Named:
    """Those that the tokenizer does not refuse, and finds a token in."""
    found = []
    for name, text in named:
        try:
            ids = bundle.tokenizer.encode(text, start=False, end=False)
        except InputError:
            continue
        if len(ids):
            found.append((name, text))
    return found


def _drawn(named: Named, size: int, stream: int) -> Named:
    kept = np.sort(permutation(stream, len(named))[:size])
    return [named[place] for place in kept.tolist()]


def _embedded(bundle: Bundle, named: Named, layer: int | None) -> Vectors:
    found = counted("embedding", embed_sequences(bundle, named, layer=layer), len(named))
    return np.stack([one.vectors for one in found]).astype(np.float64)
