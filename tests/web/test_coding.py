"""Codons under a model: shares by hand from plain passes; what is no coding sequence is refused with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asking import answer, client_of
from likelihoods import SMALL, chances, network_in
from nuclex.bundle import load
from nuclex.tokenizers import CodonConfig

pytest.importorskip("fastapi")
WRONG = [
    ("ATGGC", "record 1 ('pasted'), letter 4: 2 of 5 letters are left"),
    ("ATGTAAGCC", "record 1 ('pasted'), letter 4: found the stop codon TAA (genetic code 1)"),
    ("ATGNNN", "record 1 ('pasted'), letter 4: found the codon 'NNN'"),
]


def test_shares_of_a_hidden_codon(tiny_bundle: Path) -> None:
    bundle = network_in(replace(load(tiny_bundle), tokenizer=CodonConfig(frame=0).build()), SMALL)
    with client_of(bundle) as client:
        found = answer(client, "codons", fasta="AUGGCCGCUUAA")
    ids = bundle.tokenizer.encode("ATGGCCGCTTAA").tolist()
    p_V = chances(bundle, [*ids[:2], bundle.tokenizer.mask_id, *ids[3:]])[2]
    alanine = {codon: p_V[bundle.tokenizer.encode(codon)[1]] for codon in ("GCA", "GCC", "GCG", "GCT")}
    second = found["codons"][1]
    assert second["probability"] == pytest.approx(alanine["GCC"], abs=1e-5)
    assert second["share"] == pytest.approx(alanine["GCC"] / sum(alanine.values()), abs=1e-5)
    assert {row["codon"] for row in second["alternatives"]} == {"GCA", "GCG", "GCU"}
    assert (second["usage"], found["protein"], found["gc3"]) == (0.5, "MAA*", 0.5)
    total = np.log([row["probability"] for row in found["codons"]]).sum()
    assert found["log_likelihood"] == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize(("letters", "sentence"), WRONG)
def test_what_is_no_coding_sequence(tiny_bundle: Path, letters: str, sentence: str) -> None:
    with client_of(load(tiny_bundle)) as client:
        response = client.post("/api/v1/codons", json={"fasta": letters})
    assert (response.status_code, response.json()["error"][: len(sentence)]) == (400, sentence)
