"""Probabilities, substitutions and comparisons are those of the verbs, and of a plain pass written out."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asking import answer, client_of
from likelihoods import SMALL, chances, network_in
from made import fasta
from nuclex import score
from nuclex.bundle import load, write_bundle
from nuclex.cli.main import run
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


def test_letters_outside_of_whole_tokens_are_left_out_of_both(tiny_bundle: Path) -> None:
    """A model of codons has no word for the last letter of seven: the mean of both is over the six before it."""
    letters = load(tiny_bundle)
    codons = network_in(replace(letters, tokenizer=CodonConfig(frame=0, remainder="trim").build()), SMALL)
    with client_of(letters, codons) as client:
        [found] = answer(client, "compare", fasta="ACGUUGC")["sequences"]
    assert (found["shared"], found["difference"][6], found["b"]["own"][6]) == (6, None, None)
    assert found["a"]["own"][6] is not None
    for letter in "ab":
        assert found[letter]["per_letter"] == pytest.approx(np.log(found[letter]["own"][:6]).mean(), abs=1e-5)
    assert np.exp(found["b"]["log_likelihood"] / 6) == pytest.approx(np.exp(found["b"]["per_letter"]), abs=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_the_matrix_is_that_of_nuclex_score_run_as_a_command(tiny_bundle: Path, tmp_path: Path, causal: bool) -> None:
    """An independent way through: the verb as a process, with a CSV of all substitutions, or of all mutants."""
    bundle, letters = load(tiny_bundle), "ACGTTGCATG"
    if causal:
        bundle = network_in(bundle, SMALL.model_copy(update={"causal": True}))
    folder = tmp_path / "b"
    write_bundle(folder, bundle.model, bundle.tokenizer, bundle.record)
    with client_of(load(folder)) as client:
        found = answer(client, "mutate", fasta=f">x\n{letters}\n")
    changes = [(place, alt) for place in range(10) for alt in "ACGT" if alt != letters[place]]
    if causal:
        mutants = [letters, *(letters[:place] + alt + letters[place + 1 :] for place, alt in changes)]
        fasta(tmp_path / "m.fa", [(f"m{n}", text) for n, text in enumerate(mutants)])
        assert run(["score", str(folder), str(tmp_path / "m.fa"), "--out", str(tmp_path / "s.csv"), "--quiet"]) == 0
        rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))
        totals = [float(row["log_likelihood"]) for row in rows]
        expected = [total - totals[0] for total in totals[1:]]
    else:
        fasta(tmp_path / "x.fa", [("x", letters)])
        lines = [f"x,{place},{letters[place]},{alt}" for place, alt in changes]
        (tmp_path / "v.csv").write_text("\n".join(["id,start,ref,alt", *lines]) + "\n")
        asked = ["score", str(folder), str(tmp_path / "x.fa"), "--variants", str(tmp_path / "v.csv"), "--around", "20"]
        assert run([*asked, "--out", str(tmp_path / "s.csv"), "--quiet"]) == 0
        rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))
        expected = [float(row["score"]) for row in rows]
    served = [found["delta"][place]["ACGT".index(alt)] for place, alt in changes]
    assert served == pytest.approx(expected, abs=1e-4)
    assert np.std(served) > 0.01, "which a matrix of zeros would not be"
