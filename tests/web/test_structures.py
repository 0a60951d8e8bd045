"""Structures for the page: by couplings where there is no head, with the limits that they have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nuclex
from asking import answer, client_of
from nuclex.bundle import load
from nuclex.core.config import load_config
from nuclex.evaluation.contacts import squeezed
from nuclex.inference.contacts import jacobian_contacts
from nuclex.training.finetune import FinetuneConfig, finetune

pytest.importorskip("fastapi")


def test_couplings_are_those_of_the_jacobian_and_files_come(tiny_bundle: Path) -> None:
    bundle, letters = load(tiny_bundle), "GGGAAACCCAUGCUUUGGG"
    with client_of(bundle) as client:
        found = answer(client, "fold", fasta=f">../x y\n{letters}\n")
        files = client.get(f"/api/v1/jobs/{found['job']}/files").json()["files"]
        contents = {row["name"]: client.get(f"/api/v1/jobs/{found['job']}/files/{row['name']}") for row in files}
    assert (found["way"], "not a probability" in found["note"]) == ("couplings", True)
    [one] = found["sequences"]
    expected = squeezed(jacobian_contacts(bundle, letters))
    listed = {(i, j): p for i, j, p in one["probable"]}
    assert listed.keys() == set(zip(*(axis.tolist() for axis in np.nonzero(np.triu(expected >= 0.5, 1))), strict=True))
    assert all(p == pytest.approx(expected[i, j], abs=1e-4) for (i, j), p in listed.items())
    assert len(one["layout"]) == len(letters) == len(one["dot_bracket"])
    assert sorted(contents) == ["0001-.._x.arcs.svg", "0001-.._x.ct", "0001-.._x.dbn", "0001-.._x.svg"]
    assert all(response.status_code == 200 for response in contents.values())
    assert contents["0001-.._x.dbn"].text == f">../x\n{letters}\n{one['dot_bracket']}\n"
    assert contents["0001-.._x.svg"].content.startswith(b"<svg")
    assert "attachment" in contents["0001-.._x.ct"].headers["content-disposition"]


def test_what_is_too_long_is_refused_with_its_record(tiny_bundle: Path) -> None:
    with client_of(load(tiny_bundle), letters_coupled=20) as client:
        response = client.post("/api/v1/fold", json={"fasta": ">a\nACGU\n>b\n" + "ACGU" * 6})
    assert response.status_code == 400
    assert response.json()["error"].startswith("record 2 ('b'): has 24 letters; by couplings, at most 20")


def test_a_head_folds_as_the_verb_does(tmp_path: Path) -> None:
    """`nuclex fold` by the same bundle: the same files, byte by byte, and the same probabilities of the pairs."""
    keys = {
        "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
        "tokenizer": {"kind": "nucleotide"},
        "training": {"steps": 4, "evaluate_every": 4, "schedule": {"rate": 3e-3}},
        "batching": {"examples": 2},
        "controls": [],
        "task": {"kind": "simulated-structure", "simulation": {"families": 3, "members": 4}},
        "head": {"kind": "pair", "channels": 4, "blocks": 1},
    }
    finetune(load_config(FinetuneConfig, None, keys), tmp_path / "run")
    bundle = load(tmp_path / "run/bundle")
    rows = [json.loads(line) for line in (tmp_path / "run/test.jsonl").read_text().splitlines()]
    text = "".join(f">{row['id']} x\n{row['sequence']}\n" for row in rows[:3])
    (tmp_path / "in.fa").write_text(text)
    nuclex.fold(bundle, tmp_path / "in.fa", tmp_path / "out")
    with client_of(bundle) as client:
        found = answer(client, "fold", fasta=text)
        for file in client.get(f"/api/v1/jobs/{found['job']}/files").json()["files"]:
            if not file["name"].endswith(".svg"):
                content = client.get(f"/api/v1/jobs/{found['job']}/files/{file['name']}").text
                assert content == (tmp_path / "out" / file["name"]).read_text()
        assert client.get("/api/v1/about").json()["bundles"][0]["doubts"][-1].startswith("It was fine-tuned")
    assert found["way"] == "head"
    first = json.loads((next((tmp_path / "out").glob("0001-*.json"))).read_text())
    assert f"p = {first['threshold']:.2f} on" in found["note"]
    assert sum(len(one["pairs"]) for one in found["sequences"]) > 0
    for number, one in enumerate(found["sequences"], 1):
        told = json.loads(next((tmp_path / "out").glob(f"{number:04}-*.json")).read_text())
        assert one["dot_bracket"] == told["dot_bracket"]
        expected = {(i, j): p for i, j, p in told["pairs"]}
        assert {(i, j) for i, j, _ in one["pairs"]} == expected.keys()
        assert all(p == pytest.approx(expected[i, j], abs=1e-6) for i, j, p in one["pairs"])


def test_a_downloaded_picture_calls_couplings_so(tiny_bundle: Path) -> None:
    with client_of(load(tiny_bundle)) as client:
        found = answer(client, "fold", fasta=">x\nGGGAAACCCAUGCUUUGGG\n")
        for name in ("0001-x.svg", "0001-x.arcs.svg"):
            drawn = client.get(f"/api/v1/jobs/{found['job']}/files/{name}").text
            assert "no probability" in drawn
            assert "probability of the pair" not in drawn
