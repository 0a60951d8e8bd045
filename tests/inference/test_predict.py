"""Predictions from a bundle: the same as were measured, in every format, whole or not there at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nuclex.bio.secondary_structure import parse_dot_bracket
from nuclex.bundle import load
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.inference.predict import predict
from nuclex.tasks import read_vienna
from nuclex.training.finetune import FinetuneConfig, finetune

MODEL: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "tokenizer": {"kind": "nucleotide"},
    "training": {"steps": 4, "evaluate_every": 4, "schedule": {"rate": 3e-3}},
    "batching": {"examples": 2},
}


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on simulated structures, and its test sequences as FASTA."""
    run = tmp_path_factory.mktemp("folds") / "run"
    task = {"kind": "simulated-structure", "simulation": {"families": 3, "members": 4}}
    keys = {**MODEL, "task": task, "head": {"kind": "pair", "channels": 4, "blocks": 1}}
    finetune(load_config(FinetuneConfig, None, keys), run)
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    (run.parent / "test.fa").write_text("".join(f">{row['id']} x\n{row['sequence']}\n" for row in rows))
    return run


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three classes, and its sequences as FASTA."""
    folder = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(1)
    rows = [("".join(random.choice(list("ACGU"), 20)), "xyz"[number % 3]) for number in range(45)]
    (folder / "all.fa").write_text("".join(f">s{n} {label}\n{seq}\n" for n, (seq, label) in enumerate(rows)))
    keys = {**MODEL, "task": {"kind": "fasta-class", "train": str(folder / "all.fa")}}
    finetune(load_config(FinetuneConfig, None, keys), folder / "run")
    return folder


def test_structures_are_those_that_were_measured(folds: Path, tmp_path: Path) -> None:
    done = predict(folds / "bundle", folds.parent / "test.fa", tmp_path / "out.dbn")
    rows = [json.loads(line) for line in (folds / "test.jsonl").read_text().splitlines()]
    assert done == {"out": str(tmp_path / "out.dbn"), "sequences": len(rows), "shape": "pair map"}
    found = list(read_vienna(tmp_path / "out.dbn"))
    assert [(item.id, item.sequence, item.pairs.tolist()) for item in found] == [
        (row["id"], row["sequence"], row["predicted"]) for row in rows
    ]
    assert any(row["predicted"] for row in rows)
    assert all(parse_dot_bracket(row["dot_bracket"]).tolist() == row["predicted"] for row in rows)


@pytest.mark.parametrize("ending", ["tsv", "csv", "parquet"])
def test_classes_are_those_that_were_measured(classes: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    assert predict(classes / "run" / "bundle", classes / "all.fa", out)["sequences"] == 45
    if ending == "parquet":
        table: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    else:
        with out.open() as handle:
            table = list(csv.DictReader(handle, delimiter="\t" if ending == "tsv" else ","))
    assert list(table[0]) == ["id", "class", "p_x", "p_y", "p_z"]
    assert [row["id"] for row in table] == [f"s{number}" for number in range(45)]
    given = {row["id"]: row for row in table}
    for line in (classes / "run" / "test.jsonl").read_text().splitlines():
        row = json.loads(line)
        found = given[row["id"]]
        probability = {name: float(found[f"p_{name}"]) for name in "xyz"}
        assert sum(probability.values()) == pytest.approx(1, abs=1e-5)
        assert found["class"] == row["predicted"] == max(probability, key=probability.__getitem__)
        assert probability[row["predicted"]] == pytest.approx(row["probability"], abs=1e-5)


def test_an_answer_does_not_depend_on_the_other_sequences(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "one.fa").write_text("".join((classes / "all.fa").read_text().splitlines(keepends=True)[14:16]))
    opened = load(classes / "run" / "bundle")
    for name, inputs in (("all", classes / "all.fa"), ("one", tmp_path / "one.fa")):
        predict(opened, inputs, tmp_path / f"{name}.parquet")
    together, alone = (pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in ("all", "one"))
    assert alone[0]["id"] == together[7]["id"] == "s7"
    for name in "xyz":
        assert alone[0][f"p_{name}"] == pytest.approx(together[7][f"p_{name}"], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "ending", "sentence"),
    [
        (">a\nACGU\n", "dbn", r"a class is written to \.csv, \.tsv, \.parquet, found '\.dbn'"),
        (">a\nACGU\nthis is no sequence!\n", "tsv", r"in\.fa:3"),
        (">a\nACGU\n>b\nMEEPQSDPSVEPPLSQETFSDLWKLLPE\n", "tsv", r"in\.fa: 'b': .*unknown"),
        (None, "tsv", r"in\.fa: no such file"),
    ],
)
def test_what_cannot_be_answered_leaves_nothing(
    classes: Path, tmp_path: Path, text: str | None, ending: str, sentence: str
) -> None:
    if text is not None:
        (tmp_path / "in.fa").write_text(text)
    with pytest.raises(InputError, match=sentence):
        predict(classes / "run" / "bundle", tmp_path / "in.fa", tmp_path / "out" / f"x.{ending}")
    assert not list((tmp_path / "out").glob("*"))
