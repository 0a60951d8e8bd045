from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from nuclex.bio.secondary_structure import parse_dot_bracket
from nuclex.core.errors import InputError
from nuclex.data.simulate import (
    PAIR_WEIGHTS,
    PAIRS,
    SimulatedRna,
    SimulationConfig,
    simulate,
    write_fasta,
    write_structures,
)

DRIFTED = SimulationConfig(families=4, members=40, indel_rate=0.5)
ALIGNED = SimulationConfig(families=4, members=150, indel_rate=0)


@pytest.fixture(scope="module")
def drifted() -> list[SimulatedRna]:
    return list(simulate(DRIFTED))


@pytest.fixture(scope="module")
def aligned() -> list[list[SimulatedRna]]:
    """Families without gains and losses: the members' bases stand in columns."""
    rnas = list(simulate(ALIGNED))
    return [rnas[first : first + 150] for first in range(0, 600, 150)]


def letters(family: list[SimulatedRna]) -> NDArray[np.int64]:
    """(members, columns) as numbers 0 to 3."""
    return np.array([["ACGU".index(base) for base in rna.sequence] for rna in family])


def entropy(values: NDArray[np.int64]) -> float:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(shares * np.log2(shares)).sum())


def information(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Mutual information of two columns, in bits."""
    return entropy(first) + entropy(second) - entropy(4 * first + second)


def test_the_same_config_gives_the_same_molecules(drifted: list[SimulatedRna]) -> None:
    assert list(simulate(DRIFTED)) == drifted
    other = list(simulate(DRIFTED.model_copy(update={"seed": 1})))
    assert not {rna.sequence for rna in other} & {rna.sequence for rna in drifted}


def test_a_family_does_not_depend_on_how_many_there_are(drifted: list[SimulatedRna]) -> None:
    fewer = list(simulate(DRIFTED.model_copy(update={"families": 2})))
    assert fewer == drifted[: len(fewer)]


def test_names_and_numbers_are_as_asked(drifted: list[SimulatedRna]) -> None:
    assert len(drifted) == len({rna.id for rna in drifted}) == 160
    assert set(Counter(rna.family for rna in drifted).values()) == {40}
    assert drifted[0].id == "sim01_0001"
    assert drifted[-1].id == "sim04_0040"
    assert all(rna.id.startswith(f"{rna.family}_") for rna in drifted)


def test_every_structure_is_balanced_and_every_pair_canonical(drifted: list[SimulatedRna]) -> None:
    kinds: Counter[str] = Counter()
    for rna in drifted:
        assert len(rna.sequence) == len(rna.structure)
        assert set(rna.sequence) <= set("ACGU")
        assert set(rna.structure) <= set("(.)")
        pairs = parse_dot_bracket(rna.structure)
        assert len(pairs) == rna.structure.count("(") > 0
        kinds.update(rna.sequence[left] + rna.sequence[right] for left, right in pairs)
        assert min(right - left for left, right in pairs) > 3, "a hairpin of under three bases cannot close"
    assert set(kinds) <= set(PAIRS)


def test_hairpins_stay_closable_however_fast_loops_shrink() -> None:
    config = SimulationConfig(families=4, members=30, indel_rate=3.0)
    rnas = list(simulate(config))
    loops = [loop for rna in rnas for loop in re.findall(r"\((\.*)\)", rna.structure)]
    assert min(map(len, loops)) >= 3
    lengths = {len(rna.sequence) for rna in rnas}
    assert len(lengths) > 20, "gains and losses change lengths"


def test_the_length_of_ancestors_is_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SimulationConfig(families=20, members=2, indel_rate=0, shortest=70, longest=90)
    assert all(70 <= len(rna.sequence) <= 90 for rna in simulate(config))
    with pytest.raises(ValidationError, match="shortest 91 is more than longest 90"):
        SimulationConfig(shortest=91, longest=90)
    monkeypatch.setattr("nuclex.data.simulate.TRIES", 20)
    with pytest.raises(InputError, match="shortest: no structure of 5000 to 6000 bases"):
        list(simulate(SimulationConfig(shortest=5000, longest=6000, branching=0)))


def test_without_rates_nothing_changes() -> None:
    frozen = SimulationConfig(families=3, members=5, pair_rate=0, loop_rate=0, indel_rate=0)
    molecules = {(rna.family, rna.sequence, rna.structure) for rna in simulate(frozen)}
    assert len(molecules) == 3
    conserved = SimulationConfig(families=1, members=40, pair_rate=0, loop_rate=50, conserved=1, indel_rate=0)
    assert len({rna.sequence for rna in simulate(conserved)}) == 1


def test_a_family_shares_one_structure_and_families_do_not(aligned: list[list[SimulatedRna]]) -> None:
    structures = [{rna.structure for rna in family} for family in aligned]
    assert all(len(structure) == 1 for structure in structures)
    assert len(set.union(*structures)) == 4
    consensus = []
    for family in aligned:
        columns = letters(family).T
        consensus.append("".join("ACGU"[np.bincount(column).argmax()] for column in columns))
    for first in range(4):
        for second in range(first):
            shortest = min(len(consensus[first]), len(consensus[second]))
            same = np.mean([a == b for a, b in zip(consensus[first], consensus[second], strict=False)])
            assert same < 0.25 + 4 * np.sqrt(0.25 * 0.75 / shortest), "families are no more alike than by chance"


def test_pairs_covary_where_single_bases_are_not_conserved(aligned: list[list[SimulatedRna]]) -> None:
    for family in aligned:
        columns = letters(family).T
        pairs = parse_dot_bracket(family[0].structure)
        within = np.array([information(columns[left], columns[right]) for left, right in pairs])
        shuffled = np.array(
            [
                information(columns[left], columns[right])
                for left, right in zip(pairs[:, 0], np.roll(pairs[:, 1], 3), strict=True)
            ]
        )
        assert within.mean() > 1, "a base tells its partner"
        assert shuffled.mean() < 0.35, "and no other base"
        paired = np.array([entropy(columns[place]) for place in pairs.ravel()])
        assert paired.mean() > 1.4, "of 2 bits: a consensus tells little about a paired base"


def test_unpaired_bases_change_alone_and_at_the_stated_rate() -> None:
    # All lineages part at the root, so every member is an independent draw from it after time 1.
    config = SimulationConfig(families=1, members=400, star=1, loop_rate=0.8, conserved=0, indel_rate=0, seed=3)
    family = list(simulate(config))
    columns = letters(family).T[[place for place, mark in enumerate(family[0].structure) if mark == "."]]
    same = np.array([np.bincount(column).max() for column in columns]) / 400
    expected = np.exp(-0.8) + (1 - np.exp(-0.8)) / 4  # not hit, or hit and given the same base again
    assert abs(same.mean() - expected) < 0.02
    informations = [information(first, second) for first, second in pairwise(columns)]
    assert np.mean(informations) < 0.05


def test_pairs_are_redrawn_with_their_weights() -> None:
    config = SimulationConfig(families=1, members=400, star=1, pair_rate=50, indel_rate=0)
    family = list(simulate(config))
    pairs = parse_dot_bracket(family[0].structure)
    counts = Counter(rna.sequence[left] + rna.sequence[right] for rna in family for left, right in pairs)
    expected = PAIR_WEIGHTS * sum(counts.values())
    assert PAIR_WEIGHTS.sum() == pytest.approx(1)
    assert stats.chisquare([counts[pair] for pair in PAIRS], expected).pvalue > 1e-4


def test_files_hold_what_was_simulated_and_say_so(tmp_path: Path, drifted: list[SimulatedRna]) -> None:
    write_fasta(drifted, tmp_path / "a.fa")
    write_structures(drifted, tmp_path / "a.dbn")
    lines = (tmp_path / "a.fa").read_text().splitlines()
    assert lines[0] == ">sim01_0001 family=sim01 simulated"
    assert lines[1::2] == [rna.sequence for rna in drifted]
    structures = (tmp_path / "a.dbn").read_text().splitlines()
    assert structures[0::3] == lines[0::2]
    assert structures[2::3] == [rna.structure for rna in drifted]
