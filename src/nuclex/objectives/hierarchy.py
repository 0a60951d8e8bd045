"""Tokens as the leaves of a tree: codons below amino acids below everything, as HELM has it (arXiv:2410.12459).

The tree is data, computed from a genetic code of the NCBI or drawn at random as a control; losses read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nuclex.bio import GeneticCode
from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import CODONS
from nuclex.core.errors import InputError
from nuclex.core.randomness import integers, key, permutation
from nuclex.tokenizers.base import Tokenizer

ROOT, CODON_NODE, SENSE, START, STOP = "all tokens", "codons", "amino acids", "start", "stop"
LARGEST_GROUP = 6
"""Codons that mean the same: at most so many (Leu, Ser, Arg), also in a random tree."""


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A tree with the V tokens of a vocabulary as leaves.

    ``paths`` has for each token the names of the nodes above it, the one below the root first; the root, which is above
    all, and the token itself are left out. A name is a node: what bears it below different parents is refused.
    """

    tokens: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        parents: dict[str, str] = {}
        for path in self.paths:
            for above, name in zip((ROOT, *path), path, strict=False):
                if parents.setdefault(name, above) != above:
                    raise ValueError(f"the node {name!r} stands below {parents[name]!r} and below {above!r}")

    @classmethod
    def of_code(cls, tokens: Sequence[str], code: GeneticCode) -> Hierarchy:
        """HELM's tree: codons are amino acids, start or stop, an amino acid is its codons, other tokens stand alone.

        ``start`` is the codons of methionine; a codon that is a stop in some places is a stop here. A token is a codon
        if it is three of A, C, G and T or U.

        >>> Hierarchy.of_code(["<pad>", "GCU", "AUG"], GeneticCode.ncbi(1)).paths
        (('<pad>',), ('codons', 'amino acids', 'amino acid A'), ('codons', 'start'))
        """

        def path(codon: str) -> tuple[str, ...]:
            letter = "*" if codon in code.stop_codons else code.amino_acid(codon)
            kind = {"M": START, "*": STOP}.get(letter)
            return (CODON_NODE, SENSE, f"amino acid {letter}") if kind is None else (CODON_NODE, kind)

        return cls._of({codon: path(codon) for codon in code.codons}, tokens)

    @classmethod
    def random(cls, tokens: Sequence[str], seed: int) -> Hierarchy:
        """A control: the codons in random groups of 1 to 6 that stand below ``codons``, one level above amino acids.

        HELM's random tree names its groups after random amino acids and joins those of one name, so that some have
        eleven codons; here a group is as large as it was drawn.
        """
        order = permutation(key(seed, "hierarchy", "order"), len(CODONS)).tolist()
        paths, group = {}, 0
        while order:
            size = 1 + int(integers(key(seed, "hierarchy", "size"), LARGEST_GROUP, np.array([group]), np.array([0]))[0])
            for place in order[:size]:
                paths[CODONS[place]] = (CODON_NODE, f"group {group}")
            order, group = order[size:], group + 1
        return cls._of(paths, tokens)

    @classmethod
    def _of(cls, paths: Mapping[str, tuple[str, ...]], tokens: Sequence[str]) -> Hierarchy:
        found = tuple(paths.get(to_dna(token), (token,)) for token in tokens)
        if not any(len(path) > 1 for path in found):
            raise InputError("a hierarchy of codons needs tokens that are codons; none of these is three of A, C, G, T")
        return cls(tuple(tokens), found)

    @classmethod
    def of_tokenizer(cls, tokenizer: Tokenizer, code: GeneticCode) -> Hierarchy:
        """The tree of a genetic code over the tokens of a tokenizer."""
        return cls.of_code(tokenizer.vocabulary, code)

    def __len__(self) -> int:
        """How many tokens it has."""
        return len(self.tokens)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The names of all inner nodes, the root first; tokens that stand alone are below a node of their name."""
        return (ROOT, *dict.fromkeys(name for path in self.paths for name in path))

    @cached_property
    def height(self) -> int:
        """The most edges between the root and a token."""
        return max(len(path) for path in self.paths) + 1

    @cached_property
    def edges_V(self) -> NDArray[np.int64]:
        """Edges between the root and each token (V,)."""
        return np.array([len(path) + 1 for path in self.paths], dtype=np.int64)

    @cached_property
    def ancestors_VH(self) -> NDArray[np.int64]:
        """The node at each depth from 0 (the root) on the way to each token: (V, height), -1 where it has ended."""
        number = {name: place for place, name in enumerate(self.nodes)}
        found_VH = np.full((len(self), self.height), -1, dtype=np.int64)
        for token, path in enumerate(self.paths):
            found_VH[token, : len(path) + 1] = [0, *(number[name] for name in path)]
        return found_VH

    @cached_property
    def common_VV(self) -> NDArray[np.int64]:
        """The depth of the deepest node that two tokens share (V, V); a token with itself its own depth."""
        same_VVH = (self.ancestors_VH[:, None] == self.ancestors_VH[None]) & (self.ancestors_VH >= 0)[:, None]
        depth_VV = same_VVH.cumprod(axis=2).sum(axis=2) - 1
        np.fill_diagonal(depth_VV, self.edges_V)
        return depth_VV

    @cached_property
    def distance_VV(self) -> NDArray[np.float64]:
        """How far apart tokens are: the height of their deepest common node over that of the root, 0 to 1.

        The height of a node is ``height`` minus its depth; a token has none, and is 0 from itself.
        """
        distance_VV = (self.height - self.common_VV) / self.height
        np.fill_diagonal(distance_VV, 0)
        return distance_VV

    def widened(self, rows: int) -> Hierarchy:
        """The same with tokens that stand alone behind it, up to ``rows``: for tables rounded up beyond the tokens."""
        extra = tuple(f"<unused {row}>" for row in range(len(self), rows))
        return self if not extra else Hierarchy(self.tokens + extra, self.paths + tuple((name,) for name in extra))
