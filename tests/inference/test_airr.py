"""Regions are learned, measured by borders as by hand, given by locus, and told as AIRR tells them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuclex.bio.regions import FRAMEWORKS_AND_LOOPS, spans_of
from nuclex.core.config import load_config
from nuclex.inference.predict import predict
from nuclex.training.finetune import FinetuneConfig, finetune

LETTERS = dict(zip(FRAMEWORKS_AND_LOOPS, ("AAC", "GGT", "CCA", "TTG", "ACA", "GTG", "CAC"), strict=True))
KEYS: dict[str, Any] = {
    "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
    "head": {"kind": "position", "hidden": 16},
    "batching": {"examples": 16, "micro_tokens": 2000},
    "training": {"steps": 80, "evaluate_every": 40, "checkpoint_every": 80, "schedule": {"rate": 2e-2}},
}


def repertoire(path: Path, count: int = 80) -> Path:
    """Reads whose regions are told by their codons, of varying lengths, with letters around them."""
    random = np.random.default_rng(0)
    columns = [f"{name}_{side}" for name in FRAMEWORKS_AND_LOOPS for side in ("start", "end")]
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t")
        writer.writerow(["sequence_id", "sequence", "v_call", "junction", *columns])
        for row in range(count):
            sequence, ends = "T" * 3 * int(random.integers(0, 3)), []
            for name in FRAMEWORKS_AND_LOOPS:
                size = int(random.integers(1, 5))
                ends += [len(sequence) + 1, len(sequence) + 3 * size]
                sequence += LETTERS[name] * size
            locus = "IGHV1-2*02" if row % 2 else "IGKV3-20"
            writer.writerow([f"s{row}", sequence, locus, f"ACG{'ACGT'[row % 4]}{row}", *ends])
    return path


def run_of(folder: Path, **tokenizer: Any) -> Path:
    codons = tokenizer["kind"] == "codon"
    task = {"kind": "antibody-regions", "path": str(repertoire(folder / "all.tsv")), "codons": codons}
    finetune(load_config(FinetuneConfig, None, {**KEYS, "tokenizer": tokenizer, "task": task}), folder / "run")
    return folder / "run"


def test_codons_learn_regions_and_their_borders_are_measured(tmp_path: Path) -> None:
    run = run_of(tmp_path, kind="codon", frame=0)
    results = json.loads((run / "results.json").read_text())
    test = results["test"]["all"]
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    model, base = test["scratch"], test["majority-by-position"]
    assert model["accuracy"]["value"] > 0.95 > 0.8 > base["accuracy"]["value"]
    right = [np.mean([a == b for a, b in zip(row["truth"], row["predicted"], strict=True)]) for row in rows]
    assert model["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert model["exact_borders"]["value"] == pytest.approx(
        np.mean([model["borders"][name]["exact"]["value"] for name in model["borders"]])
    )
    for name in FRAMEWORKS_AND_LOOPS:
        both = [(spans_of(row["truth"], [name])[name], row["regions"].get(name, [-99, -99])) for row in rows]
        border = model["borders"][f"{name}_start"]
        assert border["exact"]["value"] == pytest.approx(np.mean([a[0] == b[0] for a, b in both]))
        hits = sum(max(min(a[1], b[1]) - max(a[0], b[0]), 0) for a, b in both)
        assert model["regions"][name]["accuracy"]["value"] == pytest.approx(hits / sum(a[1] - a[0] for a, _ in both))
    assert set(model["strata"]) == {"IGH", "IGK"}
    assert sum(one["n"] for one in model["strata"].values()) == test["n"]
    assert results["runs"]["scratch"]["settings"] == {"regions": list(FRAMEWORKS_AND_LOOPS)}


def test_regions_are_told_as_airr_tells_them(tmp_path: Path) -> None:
    run = run_of(tmp_path, kind="nucleotide")
    done = predict(run / "bundle", tmp_path / "all.tsv", tmp_path / "out.airr.tsv")
    assert done["sequences"] == 80
    predict(run / "bundle", tmp_path / "all.tsv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as handle:
        named: dict[str, list[str]] = {}
        for row in csv.DictReader(handle):
            named.setdefault(row["id"], []).append(row["class"])
    with (tmp_path / "out.airr.tsv").open() as handle, (tmp_path / "all.tsv").open() as truth:
        rows, true = list(csv.DictReader(handle, delimiter="\t")), list(csv.DictReader(truth, delimiter="\t"))
    assert [row["sequence_id"] for row in rows] == [row["sequence_id"] for row in true]
    right = 0
    for row, other in zip(rows, true, strict=True):
        for name, (start, end) in spans_of(named[row["sequence_id"]], FRAMEWORKS_AND_LOOPS).items():
            assert (int(row[f"{name}_start"]), int(row[f"{name}_end"])) == (start + 1, end)
            assert row[name] == row["sequence"][start:end]
        right += sum(row[f"{name}_start"] == other[f"{name}_start"] for name in FRAMEWORKS_AND_LOOPS)
    assert right > 0.8 * 7 * len(rows)
    for column in ("productive", "v_call", "v_cigar", "germline_alignment"):
        assert {row[column] for row in rows} == {""}
