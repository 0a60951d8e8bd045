"""Which sequences are coding sequences, looked at one by one."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.bio.genetic_code import GeneticCode
from nuclex.evaluation.coding_quality import CRITERIA, coding_quality

WEIGHTS = np.ones(64)
CODE = GeneticCode.ncbi(1)


@pytest.mark.parametrize(
    ("sequence", "broken"),
    [
        ("ATGGCCTAA", set()),
        ("auggccuga", set()),
        ("ATGGCCTA", {"whole codons", "stop codon last"}),
        ("CTGGCCTAG", {"start codon first"}),
        ("ATGTAAGCC", {"stop codon last", "no stop inside"}),
        ("ATGTAATAA", {"no stop inside"}),
        ("ATGGCNTAA", {"only A, C, G, T"}),
        ("AT", {"whole codons", "start codon first", "stop codon last"}),
    ],
)
def test_criteria(sequence: str, broken: set[str]) -> None:
    found = coding_quality([sequence.encode()], CODE, ("ATG",), WEIGHTS)
    assert {name for name, good in zip(CRITERIA, found.criteria_N5[0], strict=True) if not good} == broken
    assert found.valid_N[0] == (not broken)


def test_codes_and_starts() -> None:
    sequences = [b"CTGTGAGCCTAA", b"ATGAGAGCCAGG"]
    assert coding_quality(sequences, GeneticCode.ncbi(4), ("CTG", "ATG"), WEIGHTS).valid_N.tolist() == [True, False]
    # in code 2 AGA and AGG are stops, TGA is tryptophan
    assert coding_quality(sequences, GeneticCode.ncbi(2), ("CTG", "ATG"), WEIGHTS).criteria_N5[1, 3] == np.False_
    # in code 31 TAA and TAG are stop at the end and glutamate inside
    assert coding_quality([b"ATGTAAGCCTAG"], GeneticCode.ncbi(31), ("ATG",), WEIGHTS).valid_N.all()


def test_numbers() -> None:
    found = coding_quality([b"ATGGCCTAA", b"NNNGGC", b"NNN"], CODE, ("ATG",), WEIGHTS)
    assert found.codons_N.tolist() == [3, 2, 1]
    assert found.gc_N[:2] == pytest.approx([4 / 9, 1.0])
    assert found.gc3_N[:2] == pytest.approx([2 / 3, 1.0])
    assert np.isnan([found.gc_N[2], found.gc3_N[2], found.cai_N[2]]).all()
    assert found.cai_N[:2] == pytest.approx([1.0, 1.0])
