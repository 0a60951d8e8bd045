"""Coding sequences for proteins, as files: what is written, what is compared, what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.SeqUtils import CodonAdaptationIndex

from designers import bundle_of
from nuclex.bio.avoided import Avoided
from nuclex.bio.genetic_code import GeneticCode
from nuclex.bundle import Bundle, write_bundle
from nuclex.cli.main import run
from nuclex.core.errors import InputError
from nuclex.data.read import read_sequences
from nuclex.inference.design import DesignConfig, design_sequences
from nuclex.inference.generate import GenerateConfig, generate
from nuclex.inference.score import score_sequences

PROTEINS = {"short": "MKLSRAG", "ended": "MSTNPKPQ*"}
NATURAL = {"short": "ATGAAACTGTCTCGTGCTGGTTAA", "ended": "ATGTCTACTAATCCAAAACCACAGTGA"}


def written(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return path


def made(
    bundle: Bundle, tmp_path: Path, **settings: Any
) -> tuple[dict[str, Any], dict[str, tuple[str, dict[str, str]]]]:
    proteins = written(tmp_path / "proteins.fa", PROTEINS)
    told = generate(bundle, tmp_path / "out.fa", settings, protein=proteins)
    records = {}
    for record in read_sequences(tmp_path / "out.fa"):
        facts = dict(word.split("=") for word in record.description.split()[1:])
        records[record.id] = (record.sequence.decode(), facts)
    return told, records


@pytest.mark.parametrize(("kind", "tokens"), [("gpt2", "codon"), ("mamba", "nucleotide"), ("roberta", "nucleotide")])
@pytest.mark.parametrize("method", ["sample", "best"])
def test_every_design_codes_for_its_protein_and_keeps_the_rules(
    kind: str, tokens: str, method: str, tmp_path: Path
) -> None:
    rules = {"avoid": ["GAGCTC", "AAAAAA"], "enzymes": ["EcoRI"], "homopolymer": 4, "gc_min": 0.2, "gc_max": 0.8}
    bundle = bundle_of(kind, tokens)
    rules |= {"sweeps": 1} if kind == "roberta" else {}
    told, records = made(bundle, tmp_path, method=method, count=3, gc_window=12, **rules)
    assert list(records) == ["short_1", "short_2", "short_3", "ended_1", "ended_2", "ended_3"]
    assert (told["proteins"], told["sequences"]) == (2, 6)
    texts = {name: text for name, (text, _) in records.items()}
    for name, text in texts.items():
        wanted = PROTEINS[name.partition("_")[0]].removesuffix("*") + "*"
        assert GeneticCode.ncbi(1).translate(text) == wanted
        assert not Avoided(rules["avoid"], rules["enzymes"], 4).found_in(text)
        assert set(text) <= set("ACGU" if tokens == "nucleotide" else "ACGT")
        shares = [np.mean([c in "GC" for c in text[s : s + 12]]) for s in range(len(text) - 11)]
        assert 0.2 <= min(shares) <= max(shares) <= 0.8
    scored = score_sequences(bundle, ((name, text.encode()) for name, text in texts.items()))
    for one in scored:
        assert float(records[one.id][1]["log_likelihood"]) == pytest.approx(one.log_likelihood, abs=1e-3)
    assert ("log_weight" in records["short_1"][1]) == (kind != "roberta" and method == "sample")


def test_beside_the_natural_sequence(tmp_path: Path) -> None:
    natural = written(tmp_path / "natural.fa", NATURAL)
    genes = written(tmp_path / "genes.fa", {"a": "ATGAAGCTGTCCCGTGCTGGTTAA" * 3, "b": "AAAAAACTGAGCCGCGCCGGC"})
    settings = {"natural": str(natural), "usage": str(genes), "table": str(tmp_path / "numbers.csv"), "count": 2}
    told, records = made(bundle_of("gpt2"), tmp_path, **settings)
    with (tmp_path / "numbers.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["id"] for row in rows] == ["natural", "short_1", "short_2", "natural", "ended_1", "ended_2"]
    index = CodonAdaptationIndex([record.sequence.decode() for record in read_sequences(genes)])
    for row in rows:
        text = NATURAL[row["protein"]] if row["id"] == "natural" else records[row["id"]][0]
        own = NATURAL[row["protein"]]
        assert float(row["cai"]) == pytest.approx(index.calculate(text[:-3]))
        assert float(row["gc"]) == pytest.approx(sum(c in "GC" for c in text) / len(text))
        same = [text[i : i + 3] == own[i : i + 3] for i in range(0, len(own), 3)]
        assert float(row["same_codons"]) == pytest.approx(np.mean(same))
        assert float(row["same_letters"]) == pytest.approx(np.mean([a == b for a, b in zip(text, own, strict=True)]))
        assert bool(row["log_weight"]) == (row["id"] != "natural")
    assert told["natural"]["cai"] == pytest.approx(np.mean([float(r["cai"]) for r in rows if r["id"] == "natural"]))
    designs = [float(r["same_codons"]) for r in rows if r["id"] != "natural"]
    assert told["designs"]["same_codons"] == pytest.approx(np.mean(designs))


def test_other_codes_and_no_stop() -> None:
    bundle = bundle_of("gpt2")
    for table in (2, 4, 31):
        code = GeneticCode.ncbi(table)
        ((one,),) = design_sequences(bundle, DesignConfig(genetic_code=table), [("w", "MWWR")])
        assert code.translate(one.sequence[:-3]) == "MWWR"
        assert one.sequence[-3:] in code.stop_codons
    ((one,),) = design_sequences(bundle, DesignConfig(stop=False), [("w", "MWW")])
    assert len(one.sequence) == 9


def test_a_number_decides_and_nothing_else() -> None:
    bundle = bundle_of("gpt2")
    several = [(str(number), "MKLSRAGLLSR") for number in range(3)]
    first = [d.sequence for one in design_sequences(bundle, DesignConfig(count=4), several) for d in one]
    again = [d.sequence for one in design_sequences(bundle, DesignConfig(count=4, batch=3), several) for d in one]
    assert first == again
    assert len(set(first)) > 3
    other = [d.sequence for one in design_sequences(bundle, DesignConfig(count=4, seed=1), several) for d in one]
    assert first != other


@pytest.mark.parametrize(
    ("proteins", "settings", "sentence"),
    [
        ({"x": "MAB"}, {}, r"p.fa:1: protein 'x': at 2: 'B' has no codon in genetic code 1"),
        ({"x": "MA*A"}, {}, r"p.fa:1: protein 'x': has a stop \(\*\) at 2, before its end"),
        ({"x": "ATGGCCAAATTTGGGCCCTAA"}, {}, r"p.fa:1: 'x' reads as nucleotides; give a protein"),
        ({"x": "M" * 90}, {}, r"protein 'x': needs 93 tokens with <cls> and <eos>; this model has 80 positions"),
        ({"x": "MKKK"}, {"gc_min": 0.9}, r"protein 'x': the GC of letters 0 to 15 can only be 0.07 to 0.33"),
        (
            {"x": "MW"},
            {"avoid": ["ATG"]},
            r"protein 'x': no synonymous sequence is without ATG; none gets past codon 0",
        ),
        ({"x": "MW"}, {"enzymes": "EcoRi"}, r"enzymes: 'EcoRi' is not one of the"),
        ({"x": "MW"}, {"gc_window": 10}, r"gc_window: give gc_min, gc_max or both with it"),
        ({"x": "MW"}, {"gc_min": 0.5, "gc_max": 0.4}, r"gc_min: found 0.5, which is more than gc_max, 0.4"),
        ({"x": "MW"}, {"genetic_code": 7}, r"genetic code 7 is not known"),
        ({"x": "MW"}, {"method": "best", "count": 9, "beam": 3}, r"count: found 9; a beam of 3 paths gives no more"),
        ({"x": "MW"}, {"sweeps": 9}, r"sweeps: found 9, which is not for draws from left to right; those read temp"),
        ({"x": "MW"}, {"beam": 32}, r"beam: found 32, which is not for draws from left to right"),
        ({"x": "MW"}, {"method": "best", "pool": 4}, r"pool: found 4, which is not for a beam from left to right"),
        (
            {"x": "MKLSRAGLLSR"},
            {"method": "exact"},
            r"protein 'x': has 2.69e\+07 synonymous sequences, and 65536 are loo",
        ),
        ({"x": "MW"}, {"method": "exact", "pool": 4}, r"pool: found 4, which is not for draws from all sequences of a"),
        ({"x": "MW"}, {"natural": "n.fa"}, r"natural: no sequence is called 'x'"),
        ({"short": "MKLSRAA"}, {"natural": "n.fa"}, r"n.fa:1: 'short' does not translate into the protein"),
        ({"x": "MW"}, {"table": "t.txt"}, r"t.txt: a table is written to .csv, .tsv, .parquet, found '.txt'"),
        ({"x": "MW"}, {"top_k": 3}, r"top_k: unknown key"),
    ],
)
def test_what_cannot_be_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proteins: dict[str, str], settings: dict[str, Any], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("p.fa"), proteins)
    written(Path("n.fa"), NATURAL)
    with pytest.raises(InputError, match=sentence):
        generate(bundle_of("gpt2"), "out.fa", settings, protein="p.fa")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.fa", "p.fa"]


@pytest.mark.parametrize(("method", "name"), [("sample", "pool"), ("best", "beam")])
def test_a_model_that_sees_both_sides_has_no_beam_and_no_pool(method: str, name: str) -> None:
    asked = DesignConfig.from_data({"method": method, name: 4})
    with pytest.raises(
        InputError, match=f"{name}: found 4, which is not for .+ sees both sides; those read temperature"
    ):
        list(design_sequences(bundle_of("roberta", "nucleotide"), asked, [("x", "MW")]))


def test_a_model_that_sees_both_sides_has_no_exact_draws() -> None:
    with pytest.raises(InputError, match="method: exact needs a model that reads from left to right"):
        list(design_sequences(bundle_of("roberta"), DesignConfig(method="exact"), [("x", "MW")]))


def test_exact_and_proven_in_the_files(tmp_path: Path) -> None:
    told, records = made(bundle_of("gpt2"), tmp_path, method="exact", count=2, homopolymer=3)
    assert list(records) == ["short_1", "short_2", "ended_1", "ended_2"]
    assert all("log_weight" not in facts and "proven" not in facts for _, facts in records.values())
    assert "proven" not in told["designs"]
    (tmp_path / "out.fa").unlink()
    settings = {"method": "best", "table": str(tmp_path / "numbers.csv"), "natural": str(tmp_path / "natural.fa")}
    written(tmp_path / "natural.fa", NATURAL)
    for beam, word in ((1, "no"), (20_000, "yes")):
        told, records = made(bundle_of("gpt2"), tmp_path, beam=beam, **settings)
        assert {facts["proven"] for _, facts in records.values()} == {word}
        assert told["designs"]["proven"] == 2 * (word == "yes")
        with (tmp_path / "numbers.csv").open() as handle:
            assert [row["proven"] for row in csv.DictReader(handle)] == ["", word, "", word]
        (tmp_path / "out.fa").unlink()
        (tmp_path / "numbers.csv").unlink()


@pytest.mark.parametrize("behind", ["TAATAA", "GCT"])
def test_a_natural_sequence_ends_with_its_protein(tmp_path: Path, behind: str) -> None:
    asked = DesignConfig(natural=written(tmp_path / "n.fa", {"x": "ATGTGG" + behind}))
    with pytest.raises(InputError, match=r"n.fa:1: 'x' does not translate into the protein"):
        list(design_sequences(bundle_of("gpt2"), asked, [("x", "MW")]))


def test_either_prompts_or_proteins() -> None:
    with pytest.raises(InputError, match="protein: give either prompts or proteins, not both"):
        generate(bundle_of("gpt2"), "out.fa", prompts="a.fa", protein="b.fa")
    with pytest.raises(InputError, match="config: found a GenerateConfig; proteins are designed by a DesignConfig"):
        generate(bundle_of("gpt2"), "out.fa", GenerateConfig(), protein="b.fa")


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = bundle_of("gpt2")
    write_bundle(tmp_path / "bundle", bundle.model, bundle.tokenizer, bundle.record)
    proteins, natural = written(tmp_path / "p.fa", PROTEINS), written(tmp_path / "n.fa", NATURAL)
    arguments = ["generate", tmp_path / "bundle", "--out", tmp_path / "o.fa", "--protein", proteins, "--device", "cpu"]
    flags = "--method best --beam 8 --avoid GGTCTC,AAAAA --enzymes EcoRI --homopolymer 4 --gc-max 0.8 --gc-window 10"
    arguments = [*map(str, arguments), *flags.split(), "--natural", str(natural), "--json"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["proteins"], told["sequences"]) == (2, 2)
    assert told["designs"]["log_likelihood"] >= told["natural"]["log_likelihood"]
    assert run([*arguments, "--gc-min", "0.75"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "can only be" in error
