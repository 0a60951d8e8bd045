"""The guard: foreign hosts and pages, large and slow bodies, and the headers of every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asking import client_of
from nuclex.bundle import load
from nuclex.web.guard import HEADERS, Guard, Rules

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def client(tiny_bundle: Path) -> Iterator[Any]:
    with client_of(load(tiny_bundle)) as made:
        yield made


def test_only_its_own_names_and_addresses_are_served(client: Any) -> None:
    for host, status in (("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 421)):
        assert client.get("/api/v1/about", headers={"host": host}).status_code == status
    assert client.get("/api/v1/about", headers={"host": "127.0.0.1.evil.example"}).status_code == 421


def test_no_other_page_may_ask(client: Any) -> None:
    for origin, status in (("http://testserver", 202), ("https://evil.example", 403), ("null", 403)):
        response = client.post("/api/v1/predict", json={"fasta": "ACGT"}, headers={"origin": origin})
        assert response.status_code == status
        assert "access-control-allow-origin" not in response.headers
    plain = client.post("/api/v1/predict", content=b'{"fasta": "ACGT"}', headers={"content-type": "text/plain"})
    assert plain.status_code == 415


def test_every_answer_has_the_headers(client: Any) -> None:
    for path in ("/", "/api", "/api/v1/about", "/nothing", "/api/v1/jobs/x"):
        response = client.get(path)
        assert {name: response.headers[name] for name in HEADERS} == HEADERS, path
    assert "unsafe" not in HEADERS["content-security-policy"]


def test_200_megabytes_are_refused_unread() -> None:
    """Said in advance or not, what is too large is refused when the limit is passed, and the rest is not read."""
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1 << 16
        return {"type": "http.request", "body": bytes(1 << 16), "more_body": taken < 200 << 20}

    status, _ = asked(receive, [])
    assert (status, taken <= (1 << 20) + (1 << 17)) == (413, True)
    taken = 0
    status, _ = asked(receive, [(b"content-length", str(200 << 20).encode())])
    assert (status, taken) == (413, 0)


def test_a_slow_body_is_given_up() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {}

    status, body = asked(receive, [])
    assert (status, body) == (408, b'{"error": "body: did not come within 0.2 s"}')


def asked(receive: Any, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application was asked")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(never, Rules(frozenset({"localhost"}), 1 << 20, 0.2))
    scope = {"type": "http", "method": "POST", "headers": [(b"host", b"localhost"), *headers]}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]
