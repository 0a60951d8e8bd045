"""Tables to download: seven digits, nothing that a spreadsheet runs, and the numbers of the answer."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from asking import answer, client_of
from made import fasta, letters
from nuclex.bundle import load
from nuclex.web.tables import csv_file, rounded

CDS = ">x\nATGGCCAAGCTGTAA\n"


def test_numbers_are_as_short_as_they_are_sure() -> None:
    assert rounded(1 / 3) == 0.3333333
    assert rounded(np.array([[1e-12, -2e9 / 3]])) == [[1e-12, -666666700.0]]
    assert np.isnan(rounded([float("nan")])[0])


@pytest.mark.parametrize(
    ("value", "said"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("-x", "'-x"), ("-", "-"), (-1.5, "-1.5")]
)
def test_no_text_is_a_formula(value: object, said: str) -> None:
    [row] = list(csv.reader(io.StringIO(csv_file("x", ("a",), [[value]]).make().decode())))[1:]
    assert row == [said]


def test_every_table_has_the_numbers_of_its_answer(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    bundle = load(tiny_bundle)
    reference = fasta(tmp_path / "r.fa", [(f"r{n} family=f{n % 2}", letters(n, 30)) for n in range(4)])
    with client_of(bundle, bundle, reference=reference) as client:

        def asked(kind: str, name: str) -> tuple[dict, list[dict[str, str]]]:
            found = answer(client, kind, fasta=CDS)
            files = client.get(f"/api/v1/jobs/{found['job']}/files").json()["files"]
            for file in files:
                content = client.get(f"/api/v1/jobs/{found['job']}/files/{file['name']}").content
                assert file["bytes"] in (None, len(content))
            assert name in [file["name"] for file in files]
            text = client.get(f"/api/v1/jobs/{found['job']}/files/{name}").text
            return found, list(csv.DictReader(io.StringIO(text)))

        found, rows = asked("predict", "predict.csv")
        [one] = found["sequences"]
        assert [float(row["probability"]) for row in rows] == np.ravel(one["probabilities"]).tolist()
        found, rows = asked("mutate", "mutations.csv")
        assert len(rows) == 45
        for row in rows:
            place = int(row["start"])
            assert found["letters"][place] == row["ref"]
            assert found["delta"][place][found["symbols"].index(row["alt"])] == float(row["delta"])
        found, rows = asked("codons", "codons.csv")
        assert [float(row["probability"]) for row in rows] == [one["probability"] for one in found["codons"]]
        found, rows = asked("compare", "compare.csv")
        assert [float(row["own_b"]) for row in rows] == found["sequences"][0]["b"]["own"]
        found, rows = asked("embed", "map.csv")
        assert [(row["name"], float(row["y"]), row["class"]) for row in rows] == [
            (point["name"], point["y"], point["class"] or "") for point in found["points"]
        ]
