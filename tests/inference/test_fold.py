"""Structures of any sequences: those that were measured, in every form of text, with settings over the bundle's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nuclex
from nuclex.bio.folding import greedy_pairs, matching_pairs, mea_pairs
from nuclex.bio.secondary_structure import parse_bpseq, parse_ct, parse_dot_bracket
from nuclex.bundle import Bundle, load
from nuclex.cli.main import run
from nuclex.core.config import load_config
from nuclex.core.errors import CorruptError, InputError
from nuclex.inference.fold import FoldConfig, Folded, folded
from nuclex.inference.predict import predict
from nuclex.tasks import Example
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.pairs import measured_pairs

MODEL: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "tokenizer": {"kind": "nucleotide"},
    "training": {"steps": 4, "evaluate_every": 4, "schedule": {"rate": 3e-3}},
    "batching": {"examples": 2},
    "controls": [],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("folds") / "run"
    task = {"kind": "simulated-structure", "simulation": {"families": 3, "members": 4}}
    keys = {**MODEL, "task": task, "head": {"kind": "pair", "channels": 4, "blocks": 1}}
    finetune(load_config(FinetuneConfig, None, keys), folder)
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    (folder.parent / "test.fa").write_text("".join(f">{row['id']} x\n{row['sequence']}\n" for row in rows))
    return load(folder / "bundle")


def inputs(bundle: Bundle) -> Path:
    assert bundle.path is not None
    return Path(bundle.path).parents[1] / "test.fa"


def all_of(bundle: Bundle, path: Path, **keys: Any) -> list[Folded]:
    return list(folded(bundle, path, FoldConfig.from_data(keys)))


def test_structures_are_those_that_were_measured_and_predicted(bundle: Bundle, tmp_path: Path) -> None:
    found = all_of(bundle, inputs(bundle))
    predict(bundle, inputs(bundle), tmp_path / "p.dbn")
    assert "".join(rna.text(".dbn", 0) for rna in found) == (tmp_path / "p.dbn").read_text()
    assert any(len(rna.pairs) for rna in found)
    for rna in found:
        again = greedy_pairs(rna.probability_LL, rna.sequence, threshold=rna.threshold)
        assert np.array_equal(again, rna.pairs)


def test_what_a_format_cannot_hold_names_the_rna() -> None:
    """31 pairs that all cross each other are one layer more than there are brackets."""
    crossing = np.array([(i, i + 31) for i in range(31)], dtype=np.int32)
    knotted = Folded("knot", "A" * 62, crossing, np.full((62, 62), 0.5), 0.1, "matching")
    with pytest.raises(InputError, match=r"'knot' as \.dbn: base pair \(30, 61\) crosses pairs of all 30 kinds"):
        knotted.text(".dbn", 0.0)
    assert np.array_equal(parse_ct(knotted.text(".ct", 0), "x")[0].pairs, crossing)
    told = json.loads(knotted.text(".json", 0.6))
    assert (told["dot_bracket"], len(told["pairs"])) == (None, 31)
    measured = measured_pairs([Example("A" * 62, crossing, "knot")], [crossing])
    assert (measured.rows[0]["dot_bracket"], measured.scores["strict_f1"].tolist()) == (None, [1.0])
    energetic = Folded("dG=-3", "ACG", np.empty((0, 2), dtype=np.int32), np.zeros((3, 3)), 0.5, "greedy")
    with pytest.raises(InputError, match=r"'dG=-3' as \.ct: .* cannot begin like an energy"):
        energetic.text(".ct", 0)


@pytest.mark.parametrize("idle", ["lowest", "highest", "step", "tune"])
def test_keys_that_would_do_nothing_are_refused(bundle: Bundle, idle: str) -> None:
    with pytest.raises(
        InputError, match=f"decoding.{idle}: .* give --threshold; allowed: canonical, gamma, method, min"
    ):
        all_of(bundle, inputs(bundle), decoding={idle: 0.5})


def test_every_form_of_text_holds_the_same_structure(bundle: Bundle) -> None:
    for rna in all_of(bundle, inputs(bundle), decoding={"method": "matching"}, threshold=0.3)[:3]:
        ct, bpseq = parse_ct(rna.text(".ct", 0), "x")[0], parse_bpseq(rna.text(".bpseq", 0), "x")
        assert np.array_equal(parse_dot_bracket(rna.text(".dbn", 0).splitlines()[2]), rna.pairs)
        assert ct == bpseq
        assert (ct.name, ct.sequence) == (rna.id, rna.sequence)
        assert np.array_equal(ct.pairs, rna.pairs)
        told = json.loads(rna.text(".json", 0.4))
        assert [pair[:2] for pair in told["pairs"]] == rna.pairs.tolist()
        assert told["mean_pair_probability"] == pytest.approx(rna.probability_P.mean(), abs=1e-5)
        listed = {(i, j): p for i, j, p in told["probabilities"]}
        above = np.argwhere(np.triu(rna.probability_LL >= 0.4, 1)).tolist()
        assert listed.keys() == {(i, j) for i, j in above}
        assert all(p == pytest.approx(rna.probability_LL[i, j], abs=1e-6) for (i, j), p in listed.items())
        assert (told["threshold"], told["method"], told["cut"]) == (0.3, "matching", 0.4)
    empty = Folded("e", "ACG", np.empty((0, 2), dtype=np.int32), np.zeros((3, 3)), 0.5, "greedy")
    assert json.loads(empty.text(".json", 0.1))["mean_pair_probability"] is None


@pytest.mark.parametrize(("method", "decode"), [("mea", mea_pairs), ("matching", matching_pairs)])
def test_settings_go_over_those_of_the_bundle(bundle: Bundle, method: str, decode: Any) -> None:
    decoding = {"method": method, "gamma": 2.0, "min_loop": 6, "canonical": False}
    for rna in all_of(bundle, inputs(bundle), decoding=decoding, threshold=0.2)[:3]:
        expected = decode(rna.probability_LL, rna.sequence, threshold=0.2, gamma=2.0, min_loop=6, canonical=False)
        assert np.array_equal(rna.pairs, expected)


def test_t_u_lower_case_and_n(bundle: Bundle, tmp_path: Path) -> None:
    sequence = "GGGAAACGUNNACGUUUCCC"
    (tmp_path / "a.fa").write_text(f">a\n{sequence}\n>b\n{sequence.lower()}\n>c\n{sequence.replace('U', 'T')}\n")
    first, lower, dna = all_of(bundle, tmp_path / "a.fa", threshold=0.01)
    assert (lower.sequence, dna.sequence) == (sequence.lower(), sequence.replace("U", "T"))
    assert len(first.pairs)
    for other in (lower, dna):
        np.testing.assert_allclose(other.probability_LL, first.probability_LL, atol=1e-6)
        assert np.array_equal(other.pairs, first.pairs)


def test_what_does_not_fit_gets_a_sentence(bundle: Bundle, tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not fine-tuned"):
        folded(load(tiny_bundle), "none.fa", FoldConfig())
    with pytest.raises(InputError, match=r"decoding\.methd: unknown key \(did you mean 'method'\?\)"):
        folded(bundle, "none.fa", FoldConfig(decoding={"methd": "mea"}))
    with pytest.raises(InputError, match=r"decoding\.gamma 2\.0: the greedy method has none"):
        folded(bundle, "none.fa", FoldConfig(decoding={"gamma": 2.0}))
    random = np.random.default_rng(1)
    rows = [("".join(random.choice(list("ACGU"), 20)), "xy"[number % 2]) for number in range(30)]
    (tmp_path / "c.fa").write_text("".join(f">s{n} {label}\n{text}\n" for n, (text, label) in enumerate(rows)))
    keys = {**MODEL, "task": {"kind": "fasta-class", "train": str(tmp_path / "c.fa")}}
    finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    with pytest.raises(InputError, match="answers with a class; folding needs a bundle fine-tuned on structures"):
        folded(load(tmp_path / "run" / "bundle"), "none.fa", FoldConfig())


def test_unreadable_settings_are_damage(bundle: Bundle) -> None:
    assert bundle.task is not None
    settings = bundle.task.config["settings"]
    kept = dict(settings)
    try:
        settings["decoding"] = {"method": "guess"}
        with pytest.raises(CorruptError, match="the settings of its decoding are not readable"):
            folded(bundle, "none.fa", FoldConfig())
    finally:
        settings.update(kept)


def test_as_it_is_typed(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--decoding.method", "mea", "--threshold=0.2", "--cut", "0.3", "--device", "cpu", "--json"]
    assert run(["fold", str(bundle.path), str(inputs(bundle)), "--out", str(tmp_path / "s.json"), *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    listed = json.loads((tmp_path / "s.json").read_text())
    found = all_of(bundle, inputs(bundle), decoding={"method": "mea"}, threshold=0.2)
    assert told["sequences"] == len(listed) == len(found)
    for row, rna in zip(listed, found, strict=True):
        assert row == json.loads(rna.text(".json", 0.3))
    assert nuclex.fold(bundle, inputs(bundle), tmp_path / "s.ct")["sequences"] == len(found)
