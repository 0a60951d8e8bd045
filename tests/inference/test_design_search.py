"""Designs against all synonymous sequences of short proteins: the likeliest, and how often each is drawn."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

import nuclex.inference.design_search as search
from designers import TOKENIZERS, bundle_of, plain_log_p
from nuclex.bio.avoided import Avoided
from nuclex.bio.genetic_code import GeneticCode
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.inference.codon_reader import MaskedReader
from nuclex.inference.design_search import Draws, best_paths, climbed, drawn_from_all, resampled, sample
from nuclex.inference.lattice import GcRange, Lattice, Rules
from nuclex.inference.score import score_sequences

CODE = GeneticCode.ncbi(1)
FREE = Rules(Avoided())
STRICT = Rules(Avoided(["CTN"], longest_run=3), GcRange(9, 0.2, 0.7))


def lattice_of(protein: str, rules: Rules = FREE) -> Lattice:
    return Lattice("p", protein, CODE, rules)


def every(lattice: Lattice) -> list[tuple[str, ...]]:
    return [codons for codons in product(*lattice.options) if not lattice.rules.broken_in("".join(codons))]


@pytest.mark.parametrize("tokens", TOKENIZERS)
@pytest.mark.parametrize("rules", [FREE, STRICT])
def test_a_beam_of_all_paths_is_brute_force(tokens: str, rules: Rules) -> None:
    bundle, lattice = bundle_of("gpt2", tokens), lattice_of("MLSA*", rules)
    all_of_them = every(lattice)
    assert len(all_of_them) >= 10
    texts = ("".join(codons).encode() for codons in all_of_them)
    scores = [one.log_likelihood for one in score_sequences(bundle, (("", text) for text in texts))]
    order = np.argsort(-np.array(scores))
    found = best_paths(bundle, lattice, 5, lattice.count)
    assert [path.codons for path in found] == [all_of_them[place] for place in order[:5].tolist()]
    assert [path.log_likelihood for path in found] == pytest.approx([scores[place] for place in order[:5]], abs=1e-4)
    assert all(path.proven for path in found)
    narrow = best_paths(bundle, lattice, 1, 3)[0]
    assert narrow.codons in all_of_them
    assert narrow.log_likelihood <= found[0].log_likelihood + 1e-4, "rounding alone may lift the same path"


@pytest.mark.parametrize("rules", [FREE, STRICT])
def test_a_beam_says_proven_only_of_what_is_the_best(rules: Rules) -> None:
    bundle, lattice = steep(), lattice_of("MLSA*", rules)
    truth = best_paths(bundle, lattice, 5, lattice.count)
    said = set[bool]()
    for width in (1, 2, 5, 20, 60):
        for place, path in enumerate(best_paths(bundle, lattice, min(width, 5), width)):
            assert path.proven is not None
            said.add(path.proven)
            if path.proven:
                assert path.codons == truth[place].codons
    assert said == {True, False}


def steep() -> Bundle:
    """A model that is so sure of every next codon that a narrow beam can prove what it finds."""
    bundle = bundle_of("gpt2")
    sure = copy.deepcopy(bundle.model)
    with torch.no_grad():
        sure.norm.weight.mul_(20)
    return replace(bundle, model=sure)


@pytest.mark.parametrize("tokens", ["codon", "nucleotide"])
@pytest.mark.parametrize(("rules", "temperature"), [(FREE, 1.0), (Rules(Avoided(["CTN", "AGC"])), 0.7)])
def test_sequences_are_drawn_from_what_is_stated(tokens: str, rules: Rules, temperature: float) -> None:
    bundle, lattice, count = bundle_of("gpt2", tokens), lattice_of("LSK", rules), 3000
    found = sample(bundle, lattice, Draws(7, np.arange(count), temperature))
    chances: dict[tuple[str, ...], tuple[float, float]] = {}

    def follow(before: tuple[str, ...], prefix, ln_p: float, ln_q: float) -> None:
        if len(before) == 3:
            chances[before] = (ln_p, ln_q)
            return
        onward = [(c, lattice.extended(prefix, c)) for c in lattice.options[len(before)]]
        logs = {c: plain_log_p(bundle, before, c) for c, further in onward if further is not None}
        weights = {c: np.exp(log / temperature) for c, log in logs.items()}
        for codon, further in onward:
            if further is not None:
                q = np.log(weights[codon] / sum(weights.values()))
                follow((*before, codon), further, ln_p + logs[codon], ln_q + q)

    follow((), lattice.start, 0.0, 0.0)
    counted = Counter(path.codons for path in found)
    assert counted.keys() <= chances.keys()
    expected = np.array([np.exp(q) for _, q in chances.values()]) * count
    assert expected.sum() == pytest.approx(count)
    seen = np.array([counted[codons] for codons in chances])
    often = expected > 5
    rest = [seen[~often].sum()], [expected[~often].sum()]
    seen, expected = np.append(seen[often], rest[0]), np.append(expected[often], rest[1])
    assert chisquare(seen[expected > 0], expected[expected > 0]).pvalue > 1e-3
    for path in found[:50]:
        ln_p, ln_q = chances[path.codons]
        assert (path.log_likelihood, path.log_weight) == pytest.approx((ln_p, ln_p - ln_q), abs=1e-4)
    if rules is FREE:  # what the weights are for: the mean weight is the sum of p over all synonymous sequences
        total = sum(np.exp(p) for p, _ in chances.values())
        weights = np.exp([path.log_weight for path in found])
        assert weights.mean() == pytest.approx(total, abs=4 * weights.std() / count**0.5)


@pytest.mark.parametrize(("kind", "tokens"), [("gpt2", "nucleotide"), ("mamba", "codon")])
@pytest.mark.parametrize(("rules", "temperature"), [(FREE, 1.0), (STRICT, 0.7)])
def test_exact_draws_follow_the_model_s_own_distribution(
    kind: str, tokens: str, rules: Rules, temperature: float
) -> None:
    bundle, lattice, count = bundle_of(kind, tokens), lattice_of("LSK", rules), 3000
    sequences = every(lattice)
    log_p = np.array([sum(plain_log_p(bundle, c[:place], c[place]) for place in range(3)) for c in sequences])
    expected = np.exp(log_p / temperature) / np.exp(log_p / temperature).sum() * count
    found = drawn_from_all(bundle, lattice, Draws(3, np.arange(count), temperature))
    counted = Counter(path.codons for path in found)
    assert counted.keys() <= set(sequences)
    assert chisquare([counted[codons] for codons in sequences], expected).pvalue > 1e-3
    assert found[0].log_likelihood == pytest.approx(log_p[sequences.index(found[0].codons)], abs=1e-4)
    assert np.isnan(found[0].log_weight)
    assert drawn_from_all(bundle, lattice, Draws(3, np.arange(7, 9), temperature)) == found[7:9]
    likeliest = drawn_from_all(bundle, lattice, Draws(3, np.arange(2), 0.0))
    assert {(path.codons, path.proven) for path in likeliest} == {(sequences[log_p.argmax()], True)}


def test_exact_draws_tell_p_from_q() -> None:
    """Where a codon decides how likely the next amino acid is, codon by codon is another distribution."""
    bundle, lattice, count = steep(), lattice_of("LSK"), 3000
    sequences = every(lattice)
    log_p = np.array([sum(plain_log_p(bundle, c[:place], c[place]) for place in range(3)) for c in sequences])
    chances = np.exp(log_p - log_p.max()) / np.exp(log_p - log_p.max()).sum()
    apart = []
    for found in (
        sample(bundle, lattice, Draws(3, np.arange(count))),
        drawn_from_all(bundle, lattice, Draws(3, np.arange(count))),
    ):
        counted = Counter(path.codons for path in found)
        apart.append(np.abs([counted[c] / count for c in sequences] - chances).sum() / 2)
    assert apart[0] > 5 * apart[1], apart


def test_too_many_sequences_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EVERY", 35)
    with pytest.raises(
        InputError, match=r"p: has 72 synonymous sequences, and 35 are looked at one by one; give a sho"
    ):
        drawn_from_all(bundle_of("gpt2"), lattice_of("LSK"), Draws(0, np.arange(1)))
    monkeypatch.setattr(search, "EVERY", 72)
    assert len(drawn_from_all(bundle_of("gpt2"), lattice_of("LSK"), Draws(0, np.arange(1)))) == 1


def test_a_pool_nears_the_model_s_own_distribution() -> None:
    bundle, lattice, count = bundle_of("gpt2"), lattice_of("LSK"), 1500
    sequences = every(lattice)
    log_p = [sum(plain_log_p(bundle, codons[:place], codons[place]) for place in range(3)) for codons in sequences]
    chances = np.exp(log_p) / np.exp(log_p).sum()
    apart = []
    for pool in (1, 32):
        found = sample(bundle, lattice, Draws(1, np.arange(count)), pool)
        counted = Counter(path.codons for path in found)
        seen = np.array([counted[codons] for codons in sequences]) / count
        apart.append(np.abs(seen - chances).sum() / 2)
        place = sequences.index(found[0].codons)
        assert found[0].log_likelihood == pytest.approx(log_p[place], abs=1e-4)
        assert np.isnan(found[0].log_weight) == (pool > 1)
    ideal = np.random.default_rng(0).multinomial(count, chances) / count
    assert apart[0] > 1.5 * apart[1], apart
    assert apart[1] < 1.5 * np.abs(ideal - chances).sum() / 2
    again = sample(bundle, lattice, Draws(1, np.arange(7, 9)), 32)
    assert [path.codons for path in again] == [path.codons for path in found[7:9]]


def test_neither_company_nor_batch_matters() -> None:
    bundle, lattice = bundle_of("mamba"), lattice_of("MLSRGLSR*", STRICT)
    whole = sample(bundle, lattice, Draws(3, np.arange(8)))
    assert [path.codons for path in sample(bundle, lattice, Draws(3, np.arange(5, 8)))] == [p.codons for p in whole[5:]]
    assert len({path.codons for path in whole}) > 3
    for path in whole:
        assert CODE.translate(path.sequence) == "MLSRGLSR*"
        assert not STRICT.broken_in(path.sequence)
    greedy = sample(bundle, lattice, Draws(3, np.arange(2), temperature=0.0))
    assert greedy[0].codons == greedy[1].codons == best_paths(bundle, lattice, 1, 1)[0].codons


def contradiction() -> Lattice:
    """Six letters of K and N in a row: words forbid AAG and AAC by themselves, and GC asks for one of both."""
    return lattice_of("KNK", Rules(Avoided(["AAGAA", "AAGAAC", "AACAAG"]), GcRange(9, 0.2, 0.3)))


def test_rules_that_contradict_each_other_are_said_to() -> None:
    lattice, bundle = contradiction(), bundle_of("gpt2")
    assert not every(lattice)
    sentence = r"p: .* led into a dead end: no synonymous sequence that keeps all rules together was found"
    with pytest.raises(InputError, match=sentence):
        sample(bundle, lattice, Draws(0, np.arange(2)))
    with pytest.raises(InputError, match=sentence):
        best_paths(bundle, lattice, 1, 100)
    with pytest.raises(InputError, match=sentence):
        drawn_from_all(bundle, lattice, Draws(0, np.arange(2)))


@pytest.mark.parametrize("tokens", ["codon", "nucleotide"])
def test_a_model_that_sees_both_sides(tokens: str) -> None:
    bundle, lattice = bundle_of("roberta", tokens), lattice_of("MLSRG*", STRICT)
    drawn = resampled(bundle, lattice, Draws(1, np.arange(6)), sweeps=2)
    assert len({path.codons for path in drawn}) > 1
    up = climbed(bundle, lattice, drawn)
    reader = MaskedReader(bundle)
    for path in [*drawn, *up]:
        assert CODE.translate(path.sequence) == "MLSRG*"
        assert not STRICT.broken_in(path.sequence)
    for path in up:  # no single change is likelier
        for place, options in enumerate(lattice.options):
            log = reader.log_p([path.codons], place, options)[0]
            allowed = [lattice.allows(list(path.codons), place, codon) for codon in options]
            assert options[int(np.where(allowed, log, -np.inf).argmax())] == path.codons[place]


def test_gibbs_draws_a_lone_codon_from_its_conditional() -> None:
    bundle, lattice, count = bundle_of("roberta"), lattice_of("ML"), 2000
    found = resampled(bundle, lattice, Draws(5, np.arange(count)), sweeps=1)
    log = MaskedReader(bundle).log_p([("ATG", "CTG")], 1, lattice.options[1])[0]
    chances = np.exp(log) / np.exp(log).sum()
    seen = Counter(path.codons[1] for path in found)
    assert chisquare([seen[codon] for codon in lattice.options[1]], chances * count).pvalue > 1e-3
