"""Probabilities, substitutions and comparisons are those of the verbs, and of a plain pass written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asking import answer, client_of
from likelihoods import SMALL, chances, network_in
from nuclex import score
from nuclex.bundle import load
from nuclex.inference.score import score_sequences
from nuclex.tokenizers import CodonConfig, KmerConfig

pytest.importorskip("fastapi")
TEXT = ">one\nGGGAUACCAUGCCC\n>two\nACGNUACG\n"


def test_predictions_are_those_of_a_hidden_token_and_of_score(tiny_bundle: Path) -> None:
    bundle = load(tiny_bundle)
    with client_of(bundle) as client:
        found = answer(client, "predict", fasta=TEXT)
    assert found["way"] == "masked"
    scores = score_sequences(bundle, [("one", b"GGGAUACCAUGCCC"), ("two", b"ACGNUACG")])
    for sequence, expected in zip(found["sequences"], scores, strict=True):
        assert sequence["symbols"] == ["A", "C", "G", "U"]
        assert sequence["log_likelihood"] == pytest.approx(expected.log_likelihood, abs=1e-4)
        assert np.log(sequence["own"]).sum() == pytest.approx(expected.log_likelihood, abs=1e-4)
        rows = np.array(sequence["probabilities"])
        assert rows.sum(1) == pytest.approx(np.ones(len(rows)), abs=1e-6)
        ids = bundle.tokenizer.encode(sequence["letters"]).tolist()
        for place in (0, 3):
            hidden = [*ids[: place + 1], bundle.tokenizer.mask_id, *ids[place + 2 :]]
            p_V = chances(bundle, hidden)[place + 1]
            four = p_V[bundle.tokenizer.encode("ACGU", start=False, end=False)]
            assert rows[place] == pytest.approx(four / four.sum(), abs=1e-5)
            assert sequence["other"][place] == pytest.approx(1 - four.sum(), abs=1e-5)
            assert sequence["own"][place] == pytest.approx(p_V[ids[place + 1]], abs=1e-5)


def test_a_model_that_reads_from_the_left_is_asked_from_the_left(tiny_bundle: Path) -> None:
    bundle = network_in(load(tiny_bundle), SMALL.model_copy(update={"causal": True}))
    with client_of(bundle) as client:
        found = answer(client, "predict", fasta="ACGTTGCA")
        changed = answer(client, "mutate", fasta="ACGTTGCA")
    [expected] = score_sequences(bundle, [("x", b"ACGTTGCA")])
    assert (found["way"], changed["way"]) == ("next", "next")
    assert found["sequences"][0]["log_likelihood"] == pytest.approx(expected.log_likelihood, abs=1e-4)
    [mutant] = score_sequences(bundle, [("x", b"ACGTTGGA")])
    assert changed["delta"][6][2] == pytest.approx(mutant.log_likelihood - expected.log_likelihood, abs=1e-4)


@pytest.mark.parametrize("rules", [None, CodonConfig(frame=0), KmerConfig(k=2, stride=2)])
def test_substitutions_are_the_effects_of_score(tiny_bundle: Path, tmp_path: Path, rules: object) -> None:
    bundle = load(tiny_bundle)
    if isinstance(rules, CodonConfig | KmerConfig):
        from dataclasses import replace

        bundle = network_in(replace(bundle, tokenizer=rules.build()), SMALL)
    letters = "ATGGCCAAGCTGTACTGCGA"[:18]
    with client_of(bundle) as client:
        found = answer(client, "mutate", fasta=f">x\n{letters}\n")
    rows = [(p, letters[p], alt) for p in range(18) for alt in "ACGT" if alt != letters[p]]
    (tmp_path / "x.fa").write_text(f">x\n{letters}\n")
    lines = [f"x,{place},{ref},{alt}" for place, ref, alt in rows]
    (tmp_path / "v.csv").write_text("\n".join(["id,start,ref,alt", *lines]) + "\n")
    score(bundle, tmp_path / "x.fa", tmp_path / "s.csv", variants=str(tmp_path / "v.csv"), around=42)
    effects = [float(line.split(",")[5]) for line in (tmp_path / "s.csv").read_text().splitlines()[1:]]
    assert len(effects) == len(rows)
    for (place, _, alt), effect in zip(rows, effects, strict=True):
        assert found["delta"][place]["ACGT".index(alt)] == pytest.approx(effect, abs=1e-4)
    assert all(found["delta"][place]["ACGT".index(letters[place])] is None for place in range(18))


def test_two_bundles_are_compared_letter_by_letter(tiny_bundle: Path) -> None:
    one = load(tiny_bundle)
    other = network_in(one, SMALL)
    with client_of(one, other) as client:
        found = answer(client, "compare", fasta="ACGUUGCA")
    [sequence] = found["sequences"]
    expected = [next(iter(score_sequences(bundle, [("x", b"ACGUUGCA")]))).log_likelihood for bundle in (one, other)]
    assert [sequence[letter]["log_likelihood"] for letter in "ab"] == pytest.approx(expected, abs=1e-4)
    assert sum(sequence["difference"]) == pytest.approx(expected[1] - expected[0], abs=1e-4)
