"""Generated sequences beside real ones: the numbers, the files, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from designers import bundle_of
from drawn import check_report
from nuclex.bio.genetic_code import CODONS
from nuclex.bundle import write_bundle
from nuclex.cli.main import run
from nuclex.core.errors import InputError
from nuclex.core.randomness import key, permutation
from nuclex.evaluation.judge import GENERATED, REAL, JudgeConfig, judge, judged
from nuclex.metrics.codon_usage import codon_counts, usage_divergence
from nuclex.metrics.edit_distance import difference

SENSE = [codon for codon in CODONS if codon not in ("TAA", "TAG", "TGA")]


def drawn(count: int, seed: int, codons: list[str] = SENSE) -> list[tuple[str, bytes]]:
    draw = np.random.default_rng(seed)
    chosen = [draw.choice(codons, int(draw.integers(8, 25))) for _ in range(count)]
    return [(f"s{row}", ("ATG" + "".join(one) + "TAA").encode()) for row, one in enumerate(chosen)]


def written(path: Path, named: list[tuple[str, bytes]]) -> Path:
    path.write_bytes(b"".join(f">{name}\n".encode() + text + b"\n" for name, text in named))
    return path


def test_numbers_by_hand() -> None:
    real = drawn(21, 0)
    made = [("copy", real[0][1]), ("open", real[1][1][:-3]), *drawn(6, 1)]
    found = judged(bundle_of("gpt2"), made, real, JudgeConfig(pairs=10**6))
    assert dict(found.sizes) == {GENERATED: 8, REAL: 10, "real, compared with": 11}
    order = permutation(key(0, "halves"), 21).tolist()
    compared = [real[place][1] for place in order[::2]]
    assert sorted(name for name, _ in found.sets[REAL].named) == sorted(real[place][0] for place in order[1::2])
    numbers = found.sets[GENERATED].numbers()
    assert numbers["valid"].value == pytest.approx(7 / 8)
    texts = [text for _, text in made]
    pairs = [difference(a, b) for row, a in enumerate(texts) for b in texts[row + 1 :]]
    assert numbers["diversity"] == pytest.approx(np.mean(pairs))
    counts = [codon_counts(part).sum(0) for part in (texts, compared)]
    assert numbers["divergence"] == pytest.approx(usage_divergence(*counts))
    assert "copies" not in numbers
    assert found.synonymous is None
    assert list(found.clouds.sets) == [GENERATED, REAL, "the same, codons shuffled", "random numbers"]


def test_what_is_written(tmp_path: Path) -> None:
    training = drawn(20, 5)
    made = [("copied", training[4][1]), *drawn(7, 1, ["GCA", "GCC"])]
    files = [written(tmp_path / name, part) for name, part in (("made.fa", made), ("real.fa", drawn(30, 0)))]
    settings = {"training": str(written(tmp_path / "t.fa", training)), "synonymous.proteins": 3, "most": 8}
    told = judge(bundle_of("gpt2"), *files, tmp_path / "out", settings)
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"manifest.json"}
    assert names == {"report.html", "judgement.json", "sequences.csv", "codons.csv", "codon-rose.svg"}
    kept = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert kept["sizes"] == told["sizes"] == {GENERATED: 8, REAL: 8, "real, compared with": 8}
    assert kept["sets"][GENERATED]["copies"] == 1 / 8
    assert kept["synonymous"]["proteins"] == 3
    with (tmp_path / "out" / "sequences.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    (copied,) = (row for row in rows if row["id"] == "copied")
    assert (copied["nearest"], copied["identity"], copied["valid"], copied["set"]) == ("s4", "1", "1", GENERATED)
    assert len(rows) == 16
    page = (tmp_path / "out" / "report.html").read_text()
    check_report(page)
    for word in ("Fréchet distance", "valid coding sequences", "Codon usage", "Rand index", "are few"):
        assert word in page


@pytest.mark.parametrize(
    ("made", "real", "settings", "sentence"),
    [
        (3, 20, {}, r"made\.fa: has 3 sequences; 4 or more are needed"),
        (9, 7, {}, r"real\.fa: has 7 sequences; 8 or more are needed"),
        (9, 20, {"genetic_code": 7}, "genetic code 7 is not known"),
        (9, 20, {"start_codons": "ATG,ATX"}, "start_codons: 'ATX' is no codon"),
        (9, 20, {"start_codons": ["ATX"]}, "start_codons: 'ATX' is no codon"),
        (9, 20, {"clouds.neighbours": 9}, "neighbours: found 9; with 9 vectors fewer are needed"),
        (9, 20, {"clouds.components": 30}, "components: found 30; 9 vectors of 16 have 8"),
        (9, 20, {"clouds.layer": 9}, "layer: found 9; this model has layers 0 to 2"),
        (9, 20, {"frechet": 1}, "frechet: unknown key"),
        (9, 20, {"usage": "none.fa"}, "none.fa"),
    ],
)
def test_what_cannot_be_leaves_nothing(tmp_path: Path, made: int, real: int, settings: dict, sentence: str) -> None:
    files = [written(tmp_path / "made.fa", drawn(made, 1)), written(tmp_path / "real.fa", drawn(real, 0))]
    with pytest.raises(InputError, match=sentence):
        judge(bundle_of("gpt2"), *files, tmp_path / "out", settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.fa", "real.fa"]


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = bundle_of("roberta", "nucleotide")
    write_bundle(tmp_path / "bundle", bundle.model, bundle.tokenizer, bundle.record)
    files = [written(tmp_path / name, drawn(10, seed)) for seed, name in enumerate(("made.fa", "real.fa"))]
    where = ["judge", tmp_path / "bundle", *files, "--out", tmp_path / "out", "--device", "cpu"]
    assert run([*map(str, where), "--clouds.components", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["vectors"]["width"] == 2
    assert told["sets"][GENERATED]["valid"]["value"] == 1.0
