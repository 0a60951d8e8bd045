"""The model card says what the record says, and what is missing."""

import dataclasses
import re

import pytest
import yaml

from nuclex.bundle import Record
from nuclex.bundle.card import is_simulated, model_card


def card(making, name="roberta", task=None, **changes):
    record = dataclasses.replace(making.record, **changes)
    return model_card(making.model(name), making.tokenizer(), record, task)


def front_matter(text):
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert head is not None
    return yaml.safe_load(head[1])


def test_front_matter_is_what_the_hub_reads(making):
    assert front_matter(card(making)) == {
        "license": "cc-by-4.0",
        "library_name": "transformers",
        "tags": ["nuclex", "biology", "nucleic-acids", "masked-lm"],
        "pipeline_tag": "fill-mask",
    }
    assert front_matter(card(making, "rinalmo"))["library_name"] == "nuclex"


def test_a_missing_licence_is_said_to_be_missing(making):
    text = card(making, licence=None)
    assert "license" not in front_matter(text)
    assert "No licence is stated." in text
    assert "No licence is stated." not in card(making)


def test_sections_numbers_and_notes_are_there(making):
    text = card(making)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Architecture", "Tokenizer", "Data", "Licence", "Training", "Evaluation", "Limits", "Use"]
    count = sum(value.numel() for value in making.model().parameters())
    for expected in (
        "# tiny\n",
        f"{count:,} parameters",
        "| validation_loss | 1.25 |",
        "| best_step | 40 |",
        "| sequences_out | 12 |",
        "| families.fa | 0000",
        "| packages.torch | 2.13.0 |",
        "| longest input in tokens | 48 |",
        "`<mask>`",
        "- Made for a test.",
        '"seed": 3',
    ):
        assert expected in text, expected


def test_loading_without_nuclex_is_shown_only_where_it_works(making):
    assert "import nuclex.hub" not in card(making)
    assert "nuclex need not be installed" in card(making)
    assert "import nuclex.hub\n" in card(making, "rinalmo")
    assert "nuclex need not be installed" not in card(making, "rinalmo")


def test_simulated_data_is_called_so(making):
    real, made_up = card(making), card(making, corpus={"simulated": True})
    assert "simulated" not in real.lower()
    assert "**It was trained on simulated sequences**" in made_up
    assert "simulated-data" in front_matter(made_up)["tags"]


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (None, False),
        ({"simulated": False}, False),
        ({"simulated": True}, True),
        ({"sources": [{"name": "not_simulated", "path": "simulated/a.fa"}]}, False),
    ],
)
def test_only_the_manifests_own_word_makes_data_simulated(corpus, expected):
    assert is_simulated(corpus) == expected


def test_nothing_recorded_is_said_so(making):
    empty = Record(recipe={}, provenance={}, metrics={}, corpus=None, name="x")
    text = model_card(making.model(), making.tokenizer(), empty, None)
    assert text.count("Not recorded.") == 3


def test_a_fine_tuned_head_has_a_section(making):
    assert '## Fine-tuned head\n\n```json\n{\n  "labels"' in card(making, task={"labels": ["a", "b"]})


def test_tables_stay_tables(making):
    text = card(
        making, metrics={"a|b": "x\ny", "long": "z" * 500, "none": None, "yes": True, "deep": {"er": 0.123456789}}
    )
    assert "| a|b | x y |" not in text
    assert "x y |" in text
    assert "z" * 119 + "… |" in text
    assert "| none | – |" in text
    assert "| yes | yes |" in text
    assert "| deep.er | 0.12346 |" in text


def test_many_rows_are_cut_with_a_word_about_it(making):
    text = card(making, metrics={f"m{number}": number for number in range(40)})
    assert "(10 more are in `nuclex.json`.)" in text
    assert "| m29 |" in text
    assert "| m30 |" not in text


SILVA = "SILVA 119: free for academic use, commercial use needs a licence"
MIXED = {
    "sources": [
        {"name": "silva", "dataset": "silva-16s", "licence": SILVA, "terms": "academic", "citation": "Quast 2013"}
        | {"sequences_out": 3, "nucleotides_out": 600},
        {"name": "hairpins", "dataset": "mirbase", "licence": "CC0", "terms": "open", "citation": "Kozomara 2019"}
        | {"sequences_out": 5, "nucleotides_out": 300},
        {"name": "own", "sequences_out": 1, "nucleotides_out": 100},
    ],
    "by_type": [
        {"name": "rRNA", "sequences": 3, "nucleotides": 600},
        {"name": "pre_miRNA", "sequences": 5, "nucleotides": 300},
        {"name": "(none)", "sequences": 1, "nucleotides": 100},
    ],
}


def test_composition_by_type_of_rna_with_shares(making):
    text = card(making, corpus=MIXED)
    assert "By type:\n\n| name | sequences | nucleotides | share of nucleotides |" in text
    for row in ("| rRNA | 3 | 600 | 0.6 |", "| pre_miRNA | 5 | 300 | 0.3 |", "| (none) | 1 | 100 | 0.1 |"):
        assert row in text


def test_the_strictest_licence_of_the_data_is_said(making):
    text = card(making, corpus=MIXED, licence=None)
    assert "The weights: no licence is stated." in text
    assert "it learned from: academic, non-commercial use only. The strictest is the licence of silva." in text
    assert "Of 1 of 3 sources no licence is known: own." in text
    assert f"| silva | silva-16s | 3 | 600 | {SILVA} | Quast 2013 |" in text
    assert "| own | – | 1 | 100 | not known | – |" in text
    front = front_matter(text)
    assert (front["license"], front["license_name"]) == ("other", "academic-use-only")
    assert text.count(SILVA) == 1, "told once, not among the files again"


def test_a_stated_licence_stands_beside_what_the_data_allow(making):
    stated = card(making, corpus=MIXED, licence="mit")
    assert front_matter(stated)["license"] == "mit"
    assert "must not promise more than the data allow" in stated
    free = {"sources": MIXED["sources"][1:2]}
    assert "must not promise" not in card(making, corpus=free, licence="mit")
    assert "it learned from: any use. " in card(making, corpus=free)
    assert "license" not in front_matter(card(making, corpus=free, licence=None))


def test_names_of_sources_hold_no_html(making):
    strange = {"sources": [{"name": "<b>x</b>", "terms": "open", "licence": "CC0<i>"}]}
    text = card(making, corpus=strange)
    assert "<b>" not in text
    assert "<i>" not in text
