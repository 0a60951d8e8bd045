"""Reasons to distrust a model: chance worked out by hand, controls that it does not beat, nothing measured."""

import dataclasses
import math

import pytest

from nuclex.bundle.card import model_card
from nuclex.bundle.doubts import LANGUAGE_HEAD, doubts
from nuclex.tokenizers import CodonConfig, NucleotideConfig

LETTERS = NucleotideConfig().build()
HALF = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
"""The entropy of one half, one quarter and one quarter, by hand: 1.0397 nats."""
CORPUS = {"composition": {"A": 50, "C": 25, "G": 25}, "sequences_out": 100}


def record_of(making, loss=None, **changes):
    metrics = {} if loss is None else {"validation_loss": loss}
    changes = {"corpus": CORPUS, "finetuned": None, **changes}
    return dataclasses.replace(making.record, metrics=metrics, **changes)


@pytest.mark.parametrize(("loss", "warned"), [(HALF - 0.01, False), (HALF + 0.01, True)])
def test_letters_are_held_against_the_frequencies_of_the_corpus(making, loss, warned):
    found = doubts(record_of(making, loss), LETTERS, None)
    assert bool(found) == warned
    if warned:
        assert found == [
            f"It guesses no better than the letter frequencies of its corpus: {loss:.3f} nats a token on validation, "
            "against 1.040."
        ]


def test_a_causal_model_has_ends_to_foretell_too(making):
    """100 letters and 100 ends: half of all are ends, so chance is ln 2 / 2 + (HALF + ln 2) / 2."""
    chance = 0.5 * math.log(2) + 0.5 * (HALF + math.log(2))
    causal = {"recipe": {"objective": {"kind": "causal"}}}
    assert doubts(record_of(making, chance - 0.01, **causal), LETTERS, None) == []
    assert f"against {chance:.3f}" in doubts(record_of(making, chance + 0.01, **causal), LETTERS, None)[0]


def test_longer_tokens_are_held_against_all_alike(making):
    codons = CodonConfig(frame=0).build()
    chance = math.log(len(codons))
    assert doubts(record_of(making, chance - 0.01), codons, None) == []
    assert f"all {len(codons)} tokens alike" in doubts(record_of(making, chance + 0.01), codons, None)[0]


def test_what_was_not_measured_and_what_was_made_up_is_said(making):
    assert doubts(record_of(making), LETTERS, None) == [
        "Its record holds no measurement, so nobody knows how good it is."
    ]
    made_up = record_of(making, 0.5, corpus={**CORPUS, "simulated": True})
    assert [sentence[:34] for sentence in doubts(made_up, LETTERS, None)] == ["It was trained on simulated sequen"]


def test_a_control_that_is_not_beaten_is_named_on_the_card(making):
    def difference(low, high):
        return {"f1": {"difference": {"value": 0.02, "low": low, "high": high}, "p_value": 0.4}}

    differences = {"scratch": difference(-0.01, 0.05), "cnn": difference(0.01, 0.05)}
    test = {"all": {"n": 1200, "distinct": 1200, "arms": {}, "differences": differences}}
    record = record_of(making, finetuned={"task": "x", "shape": "class", "unit": "u", "test": test})
    sentence = (
        "On 1,200 test sequences it was not shown to differ from the same network from random weights: "
        "f1 +0.020 [-0.010, +0.050]."
    )
    assert doubts(record, LETTERS, {"name": "x"}) == [sentence, LANGUAGE_HEAD]
    text = model_card(making.model("roberta"), LETTERS, record, {"name": "x"})
    assert f"**{sentence}**" in text.split("## Architecture")[0]
    assert f"- {LANGUAGE_HEAD}" in text.split("## Limits")[1]


def test_the_card_of_a_model_no_better_than_chance_says_so_at_its_head(making):
    text = model_card(making.model("roberta"), making.tokenizer(), record_of(making, 1.2), None)
    assert "**It guesses no better than" in text.split("## Architecture")[0]
