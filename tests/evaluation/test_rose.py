"""The rose of codons: its data by hand, its picture safe and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.evaluation.rose import codon_rose
from nuclex.evaluation.svg import inline

pytest.importorskip("matplotlib")


def test_data_and_picture() -> None:
    counts = np.zeros((2, 64))
    for column, codons in enumerate(({"GCA": 3, "GCC": 1, "TAA": 4}, {"GCA": 2, "ATG": 2})):
        for codon, count in codons.items():
            counts[column, CODONS.index(codon)] = count
    figure = codon_rose(*counts, GeneticCode.ncbi(1), ("made", "real"))
    rows = {row[0]: row[1:] for row in figure.data.rows}
    assert len(rows) == 64
    assert rows["GCA"] == ("A", 375.0, 500.0, 3.0, 4.0)
    assert rows["TAA"] == ("*", 500.0, 0.0, 3.0, None)
    assert rows["AAA"] == ("K", 0.0, 0.0, None, None)
    assert "TAA: 500.0 per thousand in made, 0.0 in real" in figure.alt or "ATG" in figure.alt
    assert inline(figure.svg, "a", "rose").count(">GCA<") == 1
    assert codon_rose(*counts, GeneticCode.ncbi(1), ("made", "real")).svg == figure.svg
    assert codon_rose(np.zeros(64), np.zeros(64), GeneticCode.ncbi(2), ("a", "b")).svg
