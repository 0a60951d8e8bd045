"""What stands between the network and the API: whose requests are served, how large and how slow they may be.

- Only requests whose Host is an address, ``localhost`` or a name that the server was given are served: a page elsewhere
  that lets its own name point here (DNS rebinding) is not. Requests that change something and come from another site
  (Origin) are refused, and none is allowed to read an answer (no CORS).
- A body is read before the API sees it, up to a number of bytes, within a time. Answers must be taken within a time.
- Every answer forbids what the page does not need: no other host, no inline script, no frame around it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from nuclex.core.errors import shown

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Rules:
    """Names that the server goes by (addresses are always served), and what a request may be."""

    names: frozenset[str]
    body_bytes: int
    seconds: float


class _RefusedError(Exception):
    """The request is not passed on: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard:
    """An ASGI application around another one."""

    def __init__(self, application: Application, rules: Rules) -> None:
        self._application, self._rules = application, rules

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with a sentence."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._application(scope, receive, send)
            return  # websockets: there are none
        try:
            _check_origin(scope, self._rules)
            body = await self._body(scope, receive)
        except _RefusedError as refusal:
            await _refuse(send, refusal)
            return

        async def patient(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with_headers(message["headers"])}
            async with asyncio.timeout(self._rules.seconds):
                await send(message)

        try:
            await self._application(scope, _replayed(body, receive), patient)
        except TimeoutError:
            return  # whoever does not take the answer does not get it; the server closes the connection

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        most, body = self._rules.body_bytes, bytearray()
        sentence = f"body: has more than {most} bytes, which is the limit here"
        said = _header(scope, b"content-length")
        if said.isdigit() and len(said) < 20 and int(said) > most:
            raise _RefusedError(413, sentence)
        try:
            async with asyncio.timeout(self._rules.seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _RefusedError(400, "body: ended before it was whole")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise _RefusedError(413, sentence)
        except TimeoutError:
            raise _RefusedError(408, f"body: did not come within {self._rules.seconds:g} s") from None
        if body and not _header(scope, b"content-type").lower().startswith("application/json"):
            raise _RefusedError(415, "content-type: application/json is needed")
        return bytes(body)


def _check_origin(scope: Message, rules: Rules) -> None:
    host = _header(scope, b"host")
    if not _served(host, rules.names):
        allowed = ", ".join(sorted(rules.names))
        raise _RefusedError(421, f"host: found {shown(host)}; addresses and these names are served: {allowed}")
    origin = _header(scope, b"origin")
    if scope["method"] not in ("GET", "HEAD", "OPTIONS") and origin and _of_origin(origin) != host:
        raise _RefusedError(403, f"origin: found {shown(origin)}; only the server's own page may ask this")


def _of_origin(origin: str) -> str:
    try:
        return urllib.parse.urlsplit(origin).netloc
    except ValueError:
        return ""


def _served(host: str, names: frozenset[str]) -> bool:
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _header(scope: Message, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _with_headers(headers: Any) -> list[tuple[bytes, bytes]]:
    given = [(bytes(name), bytes(value)) for name, value in headers]
    there = {name for name, _ in given}
    more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    return given + [(name, value) for name, value in more if name not in there]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then what the connection says."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _refuse(send: Send, refusal: _RefusedError) -> None:
    content = json.dumps({"error": refusal.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if refusal.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": _with_headers(headers)})
    await send({"type": "http.response.body", "body": content})
