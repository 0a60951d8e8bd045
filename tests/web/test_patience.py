"""Connections over a real socket: who says nothing is cut off in time, who asks in time is answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed, so no connection is tried")
PATIENCE = 0.5


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Answers after more than the patience."""
    import asyncio

    if scope["type"] != "http":
        return
    await asyncio.sleep(2 * PATIENCE)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    from nuclex.web.patience import PatientProtocol

    settings = {"http": PatientProtocol.within(PATIENCE), "lifespan": "off", "log_config": None, "ws": "none"}
    server = uvicorn.Server(uvicorn.Config(slow, host="127.0.0.1", port=0, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


def until_closed(port: int, *parts: bytes) -> tuple[bytes, float]:
    """What comes back for these parts, sent a tenth of a second apart, and the seconds until the server closes."""
    began, found = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(0.1)
        while piece := line.recv(4096):
            found += piece
    return found, time.monotonic() - began


@pytest.mark.parametrize("parts", [(), (b"GET / HTTP/1.1\r\n",), (b"GET / HTTP/1.1\r\n", b"host: x\r\n", b"a: ")])
def test_who_sends_no_whole_head_is_cut_off(port: int, parts: tuple[bytes, ...]) -> None:
    found, seconds = until_closed(port, *parts)
    assert found == b""
    assert PATIENCE * 0.8 <= seconds < PATIENCE + 5


def test_a_slow_answer_is_waited_for_and_then_the_clock_runs_again(port: int) -> None:
    found, seconds = until_closed(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 200")
    assert found.endswith(b"ok")
    assert seconds >= 3 * PATIENCE * 0.9, "the answer takes two, the next request is waited for one"
