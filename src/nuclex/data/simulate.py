"""RNA families made up by nuclex itself: known structures, known ancestry, always labelled as simulated.

A family starts as one random structure with a sequence that fits it. Its members are the leaves of a random tree;
along every branch paired bases change together (compensatory mutations), unpaired bases change alone, stems shrink at
their inner ends, loops gain and lose bases. So a base in a stem is predicted by its partner, not by a consensus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from nuclex.core.artifact import atomic_file
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.randomness import key

PAIRS = ("GC", "CG", "AU", "UA", "GU", "UG")
PAIR_WEIGHTS = np.array([0.3, 0.3, 0.16, 0.16, 0.04, 0.04])
"""How often each base pair stands in a stem; close to what is seen in ribosomal RNA, wobble pairs being rare."""
BASES = "ACGU"
TRIES = 10_000
"""Random structures that are looked at for one whose length is within the limits."""


class SimulationConfig(Config):
    """How many families, how large, and how far their members have drifted apart."""

    families: int = Field(default=8, ge=1)
    members: int = Field(default=250, ge=2, description="sequences per family")
    seed: int = 0
    shortest: int = Field(default=60, ge=20, description="shortest ancestor, in bases")
    longest: int = Field(default=130, ge=40, description="longest ancestor, in bases")
    outer_stems: int = Field(default=3, ge=1, description="at most this many stems side by side")
    branching: float = Field(default=0.5, ge=0, le=1, description="chance that a stem holds further stems")
    pair_rate: float = Field(default=2.0, ge=0, description="expected compensatory changes per pair from root to leaf")
    loop_rate: float = Field(default=0.8, ge=0, description="expected substitutions per unpaired base, root to leaf")
    conserved: float = Field(default=0.4, ge=0, le=1, description="share of unpaired bases that never change")
    star: float = Field(default=0.8, ge=0, le=1, description="shape of the tree: 1 = all lineages part at the root")
    indel_rate: float = Field(default=0.05, ge=0, description="expected gains and losses per column, root to leaf")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is more than longest {self.longest}")
        return self


@dataclass(frozen=True)
class SimulatedRna:
    """One simulated sequence (letters ACGU) with its dot-bracket structure and its family's name."""

    id: str
    family: str
    sequence: str
    structure: str


@dataclass
class _Column:
    """One base of an ancestor: its letter, the column it pairs with, whether it may change."""

    base: str
    fixed: bool = False
    partner: _Column | None = field(default=None, repr=False)


def simulate(config: SimulationConfig) -> Iterator[SimulatedRna]:
    """All members of all families, family by family; a pure function of the config."""
    for number in range(config.families):
        random = np.random.default_rng(key(config.seed, "simulate", number))
        family = f"sim{number + 1:02d}"
        root = _ancestor(random, config)
        for member, columns in enumerate(_leaves(root, config.members, 1.0, random, config), start=1):
            sequence, structure = _spell(columns)
            yield SimulatedRna(f"{family}_{member:04d}", family, sequence, structure)


def write_fasta(rnas: list[SimulatedRna], path: str | Path) -> None:
    """Write ``>id family=NAME simulated`` records; their structures go elsewhere (``write_structures``)."""
    with atomic_file(path) as temporary:
        temporary.write_text("".join(f">{rna.id} family={rna.family} simulated\n{rna.sequence}\n" for rna in rnas))


def write_structures(rnas: list[SimulatedRna], path: str | Path) -> None:
    """Write Vienna format: header, sequence, dot-bracket, three lines a molecule."""
    with atomic_file(path) as temporary:
        lines = (f">{rna.id} family={rna.family} simulated\n{rna.sequence}\n{rna.structure}\n" for rna in rnas)
        temporary.write_text("".join(lines))


def _ancestor(random: np.random.Generator, config: SimulationConfig) -> list[_Column]:
    """A random structure of outer stems side by side, each possibly branched, of a length within the limits."""
    for _ in range(TRIES):
        columns = _loop(random, 2, 6, config.conserved)
        for _ in range(int(random.integers(1, config.outer_stems + 1))):
            columns += _stem(random, config, depth=0) + _loop(random, 1, 6, config.conserved)
        if config.shortest <= len(columns) <= config.longest:
            return columns
    raise InputError(
        f"shortest: no structure of {config.shortest} to {config.longest} bases with at most {config.outer_stems} "
        f"outer stems was found in {TRIES} tries; widen the limits"
    )


def _stem(random: np.random.Generator, config: SimulationConfig, depth: int) -> list[_Column]:
    """A stem of 4 to 8 pairs around a hairpin loop, an interior loop, or a branching point."""
    conserved = config.conserved
    left: list[_Column] = []
    right: list[_Column] = []
    for _ in range(int(random.integers(4, 9))):
        outer, inner = _Column(""), _Column("")
        outer.partner, inner.partner = inner, outer
        outer.base, inner.base = _random_pair(random)
        left.append(outer)
        right.insert(0, inner)
    shape = random.random()
    if depth >= 2 or shape < 1 - config.branching:
        middle = _loop(random, 4, 9, conserved)
    elif shape < 1 - config.branching / 2:
        middle = _loop(random, 1, 4, conserved) + _stem(random, config, depth + 1) + _loop(random, 1, 4, conserved)
    else:
        middle = _loop(random, 1, 4, conserved)
        for _ in range(2):
            middle += _stem(random, config, depth + 2) + _loop(random, 1, 4, conserved)
    return left + middle + right


def _random_pair(random: np.random.Generator) -> tuple[str, str]:
    pair = PAIRS[random.choice(6, p=PAIR_WEIGHTS)]
    return pair[0], pair[1]


def _loop(random: np.random.Generator, shortest: int, longest: int, conserved: float) -> list[_Column]:
    length = int(random.integers(shortest, longest + 1))
    return [_Column(BASES[random.integers(4)], fixed=bool(random.random() < conserved)) for _ in range(length)]


def _leaves(
    columns: list[_Column], count: int, height: float, random: np.random.Generator, config: SimulationConfig
) -> Iterator[list[_Column]]:
    """Split ``count`` leaves at random between two branches, down to single leaves; ``height`` is the time left."""
    if count == 1:
        yield _evolve(columns, height, random, config)
        return
    time = height * float(random.uniform(0, 1 - config.star))
    left = int(random.integers(1, count))
    for share in (left, count - left):
        yield from _leaves(_evolve(columns, time, random, config), share, height - time, random, config)


def _evolve(
    columns: list[_Column], time: float, random: np.random.Generator, config: SimulationConfig
) -> list[_Column]:
    """A copy of an ancestor after ``time``: substitutions first, then gains and losses."""
    copies = {id(column): _Column(column.base, column.fixed) for column in columns}
    for column in columns:
        if column.partner is not None:
            copies[id(column)].partner = copies[id(column.partner)]
    changed = list(copies.values())
    done: set[int] = set()
    for column in changed:
        if column.partner is None:
            if not column.fixed and random.random() < -np.expm1(-config.loop_rate * time):
                column.base = BASES[random.integers(4)]
        elif id(column) not in done:
            done.add(id(column.partner))
            if random.random() < -np.expm1(-config.pair_rate * time):
                column.base, column.partner.base = _random_pair(random)
    return _gain_and_lose(changed, -np.expm1(-config.indel_rate * time), random)


def _gain_and_lose(columns: list[_Column], chance: float, random: np.random.Generator) -> list[_Column]:
    """Insert and delete bases of loops, down to four; drop pairs at the inner end of a stem, down to three."""
    kept: list[_Column] = []
    dropped: set[int] = set()
    lost = 0
    for index, column in enumerate(columns):
        if id(column) in dropped:
            continue
        event = random.random()
        if column.partner is None:
            lost = 0 if index and columns[index - 1].partner is not None else lost
            if event < chance / 2 and not column.fixed and _run_length(columns, index) - lost > 4:
                lost += 1
                continue
            kept.append(column)
            if event > 1 - chance / 2:
                kept.append(_Column(BASES[random.integers(4)]))
            continue
        kept.append(column)
        stacked = index + 1 < len(columns) and columns[index + 1].partner is not None
        opens = any(column.partner is later for later in columns[index + 1 :]) if event < chance else False
        if event < chance and opens and not stacked and _stem_length(columns, index) > 3:
            kept.pop()
            dropped.add(id(column.partner))
    return kept


def _run_length(columns: list[_Column], index: int) -> int:
    """Length of the unpaired run around ``index``."""
    first, last = index, index
    while first > 0 and columns[first - 1].partner is None:
        first -= 1
    while last + 1 < len(columns) and columns[last + 1].partner is None:
        last += 1
    return last - first + 1


def _stem_length(columns: list[_Column], index: int) -> int:
    """Number of neighbouring paired bases up to and including ``index``."""
    first = index
    while first > 0 and columns[first - 1].partner is not None:
        first -= 1
    return index - first + 1


def _spell(columns: list[_Column]) -> tuple[str, str]:
    """Sequence and dot-bracket of a leaf."""
    order = {id(column): place for place, column in enumerate(columns)}
    marks = [
        "." if column.partner is None else "(" if place < order[id(column.partner)] else ")"
        for place, column in enumerate(columns)
    ]
    return "".join(column.base for column in columns), "".join(marks)
