"""Synonymous sequences: what they keep, and how divisions are measured."""

from __future__ import annotations

import numpy as np
import pytest

from designers import bundle_of
from nuclex.bio.genetic_code import GeneticCode
from nuclex.core.errors import InputError
from nuclex.evaluation.synonymous import SynonymousConfig, divide, synonymous_clusters, synonymous_variants
from nuclex.inference.codon_reader import as_codons

CODE = GeneticCode.ncbi(1)
GENES = [("a", b"ATGGCTCTGTCTCGTGGTTAA"), ("b", b"ATGAAAAACGATGAACAACATTTTTAA"), ("c", b"ATGCCTCCCCCACCGCCTTAG")]


def test_variants_keep_the_protein_in_its_order() -> None:
    codons = as_codons("ATGCTGAGTGGTTAA")
    found = synonymous_variants(codons, 60, CODE, stream=1)
    assert len(set(found)) == len(found) == 60
    assert {CODE.translate(text) for text in found} == {"MLSG*"}
    assert {text[-3:] for text in found} == {b"TAA"}
    used = {text[3:6] for text in synonymous_variants(codons, 144, CODE, stream=1)}
    assert used == {codon.encode() for codon in CODE.codons_of("L")}
    assert len(synonymous_variants(("ATG", "TGG", "TTT"), 9, CODE, stream=1)) == 2


def test_divisions() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    apart = np.eye(3)[labels] * 50 + draw.normal(size=(60, 3))
    found = divide(apart, labels)
    assert (found.rand, found.information) == (1.0, pytest.approx(1.0))
    assert found.silhouette == pytest.approx(found.proteins_silhouette)
    assert found.silhouette > 0.9
    assert found.davies_bouldin < 0.2
    none = divide(draw.normal(size=(60, 3)), labels)
    assert abs(none.rand) < 0.2
    assert none.proteins_silhouette < 0.1
    same = divide(np.ones((60, 3)), labels)
    assert same.rand == 0.0
    assert np.isnan([same.silhouette, same.davies_bouldin, same.calinski_harabasz]).all()


def test_a_model_and_the_composition_side_by_side() -> None:
    config = SynonymousConfig(proteins=3, variants=8)
    genes = [GENES[0], ("again", GENES[0][1]), *GENES[1:], ("poor", b"ATGTGGTAA")]
    found = synonymous_clusters(bundle_of("gpt2"), genes, config, CODE)
    assert (found.proteins, found.sequences) == (3, 24)
    assert found == synonymous_clusters(bundle_of("gpt2"), genes, config, CODE)
    assert found.composition.rand > 0
    with pytest.raises(InputError, match="synonymous: found 1 proteins with 8 variants; two are needed"):
        synonymous_clusters(bundle_of("gpt2"), [GENES[0], ("poor", b"ATGTGGTAA")], config, CODE)
