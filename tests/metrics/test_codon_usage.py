"""Codon usage against Biopython and against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Data import CodonTable
from Bio.SeqUtils import CodonAdaptationIndex

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError
from nuclex.metrics.codon_usage import (
    adaptation_index,
    adaptiveness,
    codon_counts,
    rscu,
    usage_divergence,
    weights_of,
)

CODE = GeneticCode.ncbi(1)


def drawn(count: int, seed: int) -> list[bytes]:
    draw = np.random.default_rng(seed)
    chances = draw.dirichlet(np.full(64, 0.5))
    return ["".join(draw.choice(CODONS, 60, p=chances)).encode() for _ in range(count)]


def test_counts() -> None:
    (counts,) = codon_counts([b"atgAUGGCCGCNTTTAA"])
    assert {codon: int(counts[CODONS.index(codon)]) for codon in ("ATG", "GCC", "TTT")} == {
        "ATG": 2,
        "GCC": 1,
        "TTT": 1,
    }
    assert counts.sum() == 4
    assert codon_counts([]).shape == (0, 64)


def test_rscu_by_hand() -> None:
    counts = np.zeros(64)
    for codon, count in {"GCA": 1, "GCC": 3, "ATG": 5, "TAA": 2}.items():
        counts[CODONS.index(codon)] = count
    found = dict(zip(CODONS, rscu(counts, CODE), strict=True))
    # four codons of alanine: mean 1; one of methionine: always 1; three stops: mean 2/3
    assert (found["GCA"], found["GCC"], found["GCG"], found["ATG"], found["TAA"]) == (1.0, 3.0, 0.0, 1.0, 3.0)
    assert np.isnan(found["AAA"])
    # in code 2 TGA is tryptophan, and AGA is a stop
    other = dict(zip(CODONS, rscu(counts + 1, GeneticCode.ncbi(2)), strict=True))
    assert other["TGA"] == other["TGG"] == 1.0
    assert other["AGA"] == pytest.approx(4 * 1 / 6)


@pytest.mark.parametrize("table", [1, 4, 12])
def test_adaptation_as_biopython(table: int) -> None:
    code, reference = GeneticCode.ncbi(table), drawn(30, 1)
    theirs = CodonAdaptationIndex([r.decode() for r in reference], CodonTable.unambiguous_dna_by_id[table])
    ours = adaptiveness(codon_counts(reference).sum(0), code)
    assert ours == pytest.approx([theirs[codon] for codon in CODONS])
    if table != 1:
        return
    stops = set(code.stop_codons)
    sequences = [
        "".join(c for c in map("".join, zip(*[iter(s.decode())] * 3, strict=True)) if c not in stops)
        for s in drawn(9, 2)
    ]  # Biopython's index counts stop codons among the codons
    found = adaptation_index(codon_counts([s.encode() for s in sequences]), ours, code)
    assert found == pytest.approx([theirs.calculate(sequence) for sequence in sequences])


def test_adaptation_leaves_out_what_has_no_synonym() -> None:
    weights = adaptiveness(codon_counts(drawn(5, 4)).sum(0), CODE)
    plain, longer = codon_counts([b"GCCAAA", b"ATGGCCTGGAAATAA"])
    first, second = adaptation_index(np.array([plain, longer]), weights, CODE)
    assert first == second
    assert np.isnan(adaptation_index(codon_counts([b"ATGTAA"]), weights, CODE)[0])


def test_a_given_table() -> None:
    counts = codon_counts(drawn(20, 5)).sum(0)
    written = {codon.replace("T", "U").lower(): max(int(n), 1) for codon, n in zip(CODONS, counts, strict=True)}
    assert weights_of(written, CODE) == pytest.approx(adaptiveness(np.maximum(counts, 1), CODE))
    with pytest.raises(InputError, match="'XYZ' is no codon"):
        weights_of({**written, "XYZ": 1}, CODE)
    with pytest.raises(InputError, match=r"the number of AAA is 0\.0; above 0 is needed"):
        weights_of({**written, "aaa": 0}, CODE)
    with pytest.raises(InputError, match="AAA has no number; every codon that has a synonym needs one"):
        weights_of({codon: 1 for codon in CODONS if codon != "AAA"}, CODE)
    assert weights_of({codon: 1 for codon in CODONS if codon not in ("ATG", "TAA")}, CODE).max() == 1
    with pytest.raises(InputError, match=r"the weight of AAA is 0\.0; above 0 is needed"):
        adaptation_index(counts[None], np.zeros(64), CODE)
    with pytest.raises(InputError, match="hold no codon"):
        adaptiveness(np.zeros(64), CODE)


def test_divergence() -> None:
    one, other = np.zeros(64), np.zeros(64)
    one[3], other[3], other[7] = 5, 1, 1
    assert usage_divergence(one, 9 * one) == 0.0
    assert usage_divergence(one, np.roll(one, 1)) == 1.0
    # mean (3/4, 1/4): 1/2 [log2 4/3] + 1/2 [1/2 log2 2/3 + 1/2 log2 2]
    assert usage_divergence(one, other) == pytest.approx(0.5 * np.log2(4 / 3) + 0.25 * np.log2(2 / 3) + 0.25)
