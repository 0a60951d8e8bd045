"""Maps: the vectors of `embed`, in the plane of numpy's own decomposition, beside a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asking import answer, client_of
from made import fasta, letters
from nuclex import embed
from nuclex.bundle import load
from nuclex.inference.embed import embed_sequences
from nuclex.web.maps import principal_plane

pytest.importorskip("fastapi")


def test_points_are_principal_components_of_the_vectors(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = load(tiny_bundle)
    rows = [(f"r{n} family=f{n % 2}", letters(n, 30)) for n in range(6)]
    reference = fasta(tmp_path / "r.fa", rows)
    with client_of(bundle, reference=reference) as client:
        assert client.get("/api/v1/about").json()["reference"] == {"name": "r", "count": 6}
        found = answer(client, "embed", fasta=f">own\n{letters(0, 30)}\n")
        again = answer(client, "embed", fasta=f">own\n{letters(0, 30)}\n")
    named = [("own", letters(0, 30).encode()), *((name, text.encode()) for name, text in rows)]
    vectors = np.stack([one.vectors for one in embed_sequences(bundle, named)]).astype(float)
    centred = vectors - vectors.mean(0)
    values, directions = np.linalg.eigh(centred.T @ centred)
    places = np.array([[point["x"], point["y"]] for point in found["points"]])
    for axis in (0, 1):
        expected = centred @ directions[:, -1 - axis]
        assert np.abs(places[:, axis]) == pytest.approx(np.abs(expected), abs=1e-4)
        assert found["explained"][axis] == pytest.approx(values[-1 - axis] / values.sum(), abs=1e-4)
    assert [point["class"] for point in found["points"]] == [None, "f0", "f1", "f0", "f1", "f0", "f1"]
    assert (found["nearest"][0]["reference"], found["nearest"][0]["cosine"]) == ("r0", pytest.approx(1, abs=1e-5))
    assert again["points"] == found["points"], "what is known of the reference gives the same map"


def test_the_reference_is_the_one_that_was_given(tiny_bundle: Path, tmp_path: Path) -> None:
    """Every point of the reference is a record of the file, in its order, with its class, length and GC, by `embed`."""
    rows = [(f"r{n} class=c{n % 3} family=no", letters(n, 20 + n)) for n in range(9)]
    reference = fasta(tmp_path / "known.fa", rows)
    embed(tiny_bundle, reference, tmp_path / "v.npz")
    given = np.load(tmp_path / "v.npz")["embeddings"].astype(float)
    pasted = letters(4, 24).replace("T", "U")  # what r4 is, as RNA
    with client_of(load(tiny_bundle), reference=reference) as client:
        found = answer(client, "embed", fasta=f">mine\n{pasted}\n")
    points = [point for point in found["points"] if point["kind"] == "reference"]
    assert [(point["name"], point["class"], point["length"]) for point in points] == [
        (f"r{n}", f"c{n % 3}", 20 + n) for n in range(9)
    ]
    shares = [sum(letter in "GC" for letter in text) / len(text) for _, text in rows]
    assert [point["gc"] for point in points] == pytest.approx(shares)
    places = np.array([[point["x"], point["y"]] for point in found["points"]])
    plane, _ = principal_plane(np.concatenate([given[4:5], given]))
    assert places == pytest.approx(plane, abs=1e-4)
    first, *others = found["nearest"]
    assert (first["reference"], first["class"], first["same"]) == ("r4", "c1", True)
    assert [one["same"] for one in others] == [False, False]
    cosine = given @ given[4] / np.linalg.norm(given, axis=1) / np.linalg.norm(given[4])
    assert [one["reference"] for one in found["nearest"]] == [f"r{n}" for n in np.argsort(-cosine)[:3]]
    assert [one["cosine"] for one in found["nearest"]] == pytest.approx(np.sort(cosine)[::-1][:3], abs=1e-5)


def test_one_point_has_a_place() -> None:
    places, explained = principal_plane(np.ones((1, 4)))
    assert (places.tolist(), explained.tolist()) == ([[0.0, 0.0]], [0.0, 0.0])
