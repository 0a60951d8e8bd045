"""Structures from contact scores: found where the scores hold them, tuned on validation, scored as predictions are."""

from __future__ import annotations

import numpy as np
import pytest

from nuclex.bundle import load
from nuclex.core.errors import InputError
from nuclex.data.simulate import SimulationConfig
from nuclex.evaluation import contacts
from nuclex.evaluation.contacts import contact_benchmark, squeezed
from nuclex.tasks import SPLITS
from nuclex.tasks.classification import FastaClassConfig
from nuclex.tasks.structure import SimulatedStructureConfig
from nuclex.training.pairs import DecodingConfig


@pytest.fixture(scope="module")
def task():
    simulation = SimulationConfig(families=4, members=4, shortest=30, longest=50, outer_stems=1, branching=0.2)
    return SimulatedStructureConfig(simulation=simulation).read()


def planted(example, rng, strength):
    """Noise, and ``strength`` more where two bases truly pair."""
    length = len(example.sequence)
    score = rng.normal(size=(length, length))
    score[example.pairs[:, 0], example.pairs[:, 1]] += strength
    return score + score.T


@pytest.mark.parametrize("method", ["jacobian", "attention"])
def test_pairs_that_the_scores_hold_are_found(task, tiny_bundle, monkeypatch, method):
    """Of attention, the third of four heads holds them."""
    rng = np.random.default_rng(0)
    strengths = [30.0] if method == "jacobian" else [0.0, 0.0, 30.0, 0.0]
    examples = {example.sequence: example for split in SPLITS for example in task.examples(split)}

    def scores(bundle, sequence, heads=((0, 0),)):
        return (planted(examples[sequence], rng, strengths[2 * layer + head]) for layer, head in heads)

    monkeypatch.setattr(contacts, "attention_contacts", scores)
    monkeypatch.setattr(contacts, "jacobian_contacts", lambda *given: next(scores(*given)))
    found = contact_benchmark(load(tiny_bundle), task, method)
    assert found.scores["strict_f1"].mean() > 0.95
    assert [row["id"] for row in found.rows] == [example.id for example in task.examples("test")]
    assert found.settings["tuned_on"] == min(len(task.examples("validation")), 32)
    if method == "attention":
        assert (found.settings["layer"], found.settings["head"]) == (1, 0)


def test_a_model_is_asked_and_random_weights_know_little(task, tiny_bundle):
    bundle = load(tiny_bundle)
    for method in ("jacobian", "attention"):
        assert contact_benchmark(bundle, task, method, tuned_on=2).scores["strict_f1"].mean() < 0.5


def test_the_rules_say_which_pairs_may_form(task, tiny_bundle, monkeypatch):
    def everything(bundle, sequence):
        return np.triu(np.arange(len(sequence) ** 2.0).reshape(len(sequence), -1), 1)

    monkeypatch.setattr(contacts, "jacobian_contacts", everything)
    for rules, usual in ((None, True), (DecodingConfig(canonical=False, min_loop=0), False)):
        rows = contact_benchmark(load(tiny_bundle), task, rules=rules).rows
        pairs = [(row["sequence"], i, j) for row in rows for i, j in row["predicted"]]
        assert (min(j - i for _, i, j in pairs) > 3) == usual
        letters = {"".join(sorted((text[i], text[j]))).replace("T", "U") for text, i, j in pairs}
        assert (letters <= {"AU", "CG", "GU"}) == usual


def test_squeezing_keeps_the_order_and_forgets_unit_and_offset():
    score = np.random.default_rng(1).normal(size=(12, 12))
    score += score.T
    found = squeezed(score)
    np.testing.assert_allclose(squeezed(7 * score + 3), found)
    above = found > 0
    assert np.array_equal(np.argsort(score[above]), np.argsort(found[above]))
    assert 0 <= found.min() <= found.max() < 1
    assert not squeezed(np.ones((8, 8))).any()
    assert not squeezed(np.full((12, 12), 0.7)).any()
    assert not squeezed(np.ones((3, 3))).any()


def test_other_questions_and_ways_are_refused(task, tiny_bundle, tmp_path):
    bundle = load(tiny_bundle)
    with pytest.raises(InputError, match="tuned_on: found 0"):
        contact_benchmark(bundle, task, tuned_on=0)
    with pytest.raises(InputError, match="method: found 'energy'; allowed: jacobian, attention"):
        contact_benchmark(bundle, task, "energy")
    (tmp_path / "a.fa").write_text("".join(f">s{n} {'ab'[n % 2]}\n{'ACGU' * (n + 3)}\n" for n in range(40)))
    with pytest.raises(InputError, match="asks for a class; contacts answer with base pairs"):
        contact_benchmark(bundle, FastaClassConfig(train=tmp_path / "a.fa").read())
