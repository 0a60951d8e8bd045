"""The whole API: schemathesis finds no 5xx and nothing undescribed; hostile requests get sentences."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asking import answer, client_of, ended
from nuclex.bundle import load

pytest.importorskip("fastapi")
API = "/api/v1"


@pytest.fixture(scope="module")
def client(tiny_bundle: Path) -> Iterator[Any]:
    bundle = load(tiny_bundle)
    with client_of(bundle, bundle, queue=300, letters=200, letters_together=400, body_bytes=65_536) as made:
        yield made


BAD = [
    (b"{", "body: is not JSON"),
    (b"[" * 60_000, ""),
    (b"null", "body: "),
    (b'{"fasta": 3}', "fasta: Input should be a valid string, found 3"),
    (b'{"fasta": "ACGT", "bundle": "c"}', "bundle: "),
    (b'{"fasta": "ACGT", "nonsense": 1}', "nonsense: "),
    (b'{"fasta": "\\ud800"}', "fasta: "),
    (b'{"fasta": ">a\\nAC1T"}', "record 1 ('a'), letter 3: found '1'; A C G T U"),
    ('{"fasta": "ACéT"}'.encode(), "record 1 ('pasted'), letter 3: found 'é'"),
    (b'{"fasta": ">\\nACGT"}', "record 1: has no name"),
    (b'{"fasta": ">a\\n>b\\nAC"}', "record 1 ('a'): has no sequence"),
    (b'{"fasta": " "}', "fasta: holds no sequence"),
    (b'{"fasta": "' + b"A" * 201 + b'"}', "record 1 ('pasted'): has 201 letters; at most 200"),
    (b"\xff\xfe", ""),
]


@pytest.mark.parametrize(("body", "sentence"), BAD)
def test_every_bad_body_gets_one_sentence(client: Any, body: bytes, sentence: str) -> None:
    response = client.post(f"{API}/predict", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error.startswith(sentence)
    assert "\n" not in error
    assert "Traceback" not in error


def test_no_file_but_the_pages_own_is_served(client: Any) -> None:
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd", "/page/nothing"):
        assert client.get(path).status_code == 404, path
    assert client.get("/").status_code == 200
    assert client.get(f"{API}/jobs/..%2f..%2fx").status_code == 404


def test_the_description_can_be_read_without_any_script(client: Any) -> None:
    text = client.get("/api").text
    assert "POST /api/v1/predict" in text
    assert "<script" not in text
    assert "//" not in text.replace("<!doctype", "").split("</style>")[-1].replace("https://", "")


def test_two_hundred_requests_at_once(client: Any) -> None:
    found: list[Any] = []

    def ask() -> None:
        response = client.post(f"{API}/predict", json={"fasta": "ACGUACGU"})
        found.append((response.status_code, response.json()))

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in found] == [202] * 200
    tokens = {told["job"] for _, told in found}
    assert len(tokens) == 200
    states = {ended(client, token)["state"] for token in list(tokens)[-20:] if client.desk.jobs.find(token)}
    assert states == {"done"}


def test_memory_is_bounded(client: Any) -> None:
    """Results beyond those that are kept are gone: 80 jobs take no more than 64."""
    for _ in range(80):
        answer(client, "predict", fasta="ACGU" * 50)
    assert len(client.desk.jobs) <= 64 + 1


@pytest.mark.slow
def test_schemathesis(client: Any) -> None:
    check_with_schemathesis(client, 15)


@pytest.mark.long
def test_schemathesis_for_long(client: Any) -> None:
    check_with_schemathesis(client, 400)


def check_with_schemathesis(client: Any, examples: int) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, seed, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", client.app)
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
    asked = []
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @seed(1)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        def every(case: Any) -> None:
            response = case.call()
            case.validate_response(response, checks=checks)
            asked.append(response.status_code)

        from hypothesis import given

        given(case=strategy)(every)()
    assert len(asked) > examples
    assert max(asked) < 500
