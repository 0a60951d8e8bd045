"""The model card says what the record says, and what is missing."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from nuclex.bundle import Record, citation
from nuclex.bundle.card import is_simulated, model_card
from nuclex.bundle.citation import papers_of


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
        "model-index": [
            {
                "name": "tiny",
                "results": [
                    {
                        "task": {"type": "fill-mask"},
                        "dataset": {"name": "families.fa", "type": "families.fa", "split": "validation"},
                        "metrics": [{"type": "loss", "value": 1.25, "name": "validation_loss"}],
                    }
                ],
            }
        ],
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
    first = ["Architecture", "Tokenizer", "Data", "Licence", "Training", "Time and energy", "Evaluation", "Limits"]
    assert headings == [*first, "Use", "Citation"]
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
    assert text.count("Not recorded.") == 4


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


def test_a_licence_that_the_hub_does_not_know_has_its_own_name(making):
    stated = front_matter(card(making, licence="My Lab's Terms 2.0"))
    assert (stated["license"], stated["license_name"]) == ("other", "my-lab-s-terms-2.0")
    assert front_matter(card(making, licence="CC-BY-4.0"))["license"] == "cc-by-4.0"


INTERVAL = {"value": 0.9, "low": 0.85, "high": 0.94}
FINETUNED = {
    "task": "ncrna classes",
    "shape": "class",
    "counts": {"train": 30, "test": 12},
    "notes": {"test": "fold 1"},
    "sources": [{"name": "rfam", "dataset": "rfam-seed", "licence": "free for academic use", "terms": "academic"}],
    "base": "lab/base@0123456789",
    "unit": "95 % bootstrap over distinct test sequences",
    "test": {
        "all": {
            "n": 12,
            "distinct": 11,
            "arms": {"frozen": {"accuracy": {**INTERVAL, "value": 0.86}}, "pretrained": {"accuracy": INTERVAL}},
            "differences": {"frozen": {"accuracy": {"difference": {**INTERVAL, "value": 0.04}, "p_value": 0.03}}},
        }
    },
}


def test_a_fine_tuned_model_has_its_test_controls_base_and_licence(making):
    text = card(making, "rinalmo", task={"name": "ncrna classes"}, finetuned=FINETUNED, licence=None)
    head = front_matter(text)
    assert (head["base_model"], head["base_model_relation"]) == ("lab/base", "finetune")
    assert (head["license"], head["license_name"]) == ("other", "academic-use-only")
    assert "pipeline_tag" not in head
    rows = text.split("## Evaluation")[1]
    assert rows.index("| this model | 0.900 [0.850, 0.940] |") < rows.index(
        "| the pre-trained weights left as they were"
    )
    assert "| accuracy | 0.040 [0.850, 0.940] | 0.03 |" in rows
    assert "n = 12 (11 distinct)" in rows
    assert "| rfam | rfam-seed | free for academic use | – |" in text
    assert "It began from `lab/base@0123456789`." in text


def test_the_front_matter_is_read_by_the_hubs_own_client(making):
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    read = hub.ModelCard(
        card(making, task={"name": "ncrna classes"}, finetuned=FINETUNED), ignore_metadata_errors=False
    )
    assert isinstance(read.data, hub.ModelCardData)
    (found,) = read.data.eval_results
    assert isinstance(found, hub.EvalResult)
    assert (found.task_type, found.metric_type, found.metric_value) == ("text-classification", "accuracy", 0.9)
    assert (found.metric_args, found.dataset_split) == ({"low": 0.85, "high": 0.94}, "test")
    assert read.data.to_dict()["model-index"][0]["results"][0]["dataset"]["name"] == "ncrna classes"


def test_no_path_of_the_machine_is_on_a_card(making):
    text = card(
        making,
        recipe={"corpus": "/vault/anna/corpus", "seed": 3},
        notes=("Imported from /vault/anna/model.pt.",),
        provenance={"command": ["/vault/anna/bin/nuclex", "--out=/vault/anna/run"]},
    )
    assert "anna" not in text
    assert '"corpus": "corpus"' in text
    assert "- Imported from model.pt." in text


def test_time_and_energy_are_told_as_measured_or_not(making):
    spent = {"device": "cpu", "processor": "A <b>", "wall_seconds": 12.5, "cpu_seconds": 20.0, "peak_memory_bytes": 10}
    text = card(making, provenance={"seconds": 9.0, "spent": spent})
    for row in (
        "over all its processes and breaks | 9 |",
        "| processor seconds of that process | 20 |",
        "| A &lt;b&gt; |",
    ):
        assert row in text
    assert "Energy was not measured." in text
    text = card(making, provenance={"spent": {**spent, "energy_joules": {"processors": 7.2e6, "gpu": 1.8e6}}})
    assert "| kilowatt-hours of the processors | 2 |" in text
    assert "| kilowatt-hours of the gpu | 0.5 |" in text
    assert "Energy is what counters of the machine gained" in text
    assert "not measured" not in text.partition("## Time and energy")[2].partition("\n## ")[0]


def test_whom_to_cite_is_told_with_dois(making):
    cited = "Sample et al. 2019, doi:10.1038/s41587-019-0164-5"
    sources = [{"name": "utrs", "dataset": "mpra-utr", "citation": cited}]
    text = card(making, "rinalmo", corpus={"sources": sources})
    assert "@software{nuclex," in text
    assert "  doi = {10.1038/s41467-025-60872-5}," in text
    assert "@misc{data-mpra-utr," in text
    assert "  note = {Sample et al. 2019}," in text
    assert "  doi = {10.1038/s41587-019-0164-5}," in text


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("roberta", ["roberta"]),
        ("bert", ["bert"]),
        ("gpt2", ["gpt2"]),
        ("rotary gpt2", ["gpt2"]),
        ("mamba", ["mamba"]),
        ("mamba2", ["mamba2"]),
        ("bimamba", ["mamba", "helm"]),
        ("hyena", ["hyena"]),
        ("hybrid", ["mamba", "gpt2"]),
        ("rinalmo", ["rinalmo"]),
    ],
)
def test_the_papers_are_those_of_the_network(making, name, keys):
    assert papers_of(making.model(name), making.record) == keys


def test_the_loss_of_helm_is_cited(making):
    record = dataclasses.replace(making.record, recipe={"objective": {"criterion": {"kind": "hierarchical"}}})
    assert papers_of(making.model("gpt2"), record) == ["gpt2", "helm"]


def test_nuclex_is_cited_as_its_citation_file_says():
    told = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))
    assert (told["title"], told["authors"]) == (citation.TITLE, [{"name": citation.AUTHOR}])
    assert (told["repository-code"], told["license"]) == (citation.URL, citation.LICENCE)
