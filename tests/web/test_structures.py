"""Structures for the page: by couplings where there is no head, with the limits that they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asking import answer, client_of
from nuclex.bundle import load
from nuclex.evaluation.contacts import squeezed
from nuclex.inference.contacts import jacobian_contacts

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
