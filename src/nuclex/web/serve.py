"""The verb serve: one bundle or two behind a page in the browser and a JSON API, on this machine by default"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any

from nuclex.bundle import Bundle, load
from nuclex.core.config import load_config
from nuclex.core.errors import InputError, OutsideError, missing_extra
from nuclex.core.progress import say
from nuclex.web.settings import ServeConfig


def serve(
    bundle: Bundle | str | Path,
    other: Bundle | str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "cpu",
    **settings: Any,
) -> dict[str, Any]:
    """Serve a page and an API until Ctrl-C or SIGTERM; with ``other`` two bundles, to be compared.

    ``settings`` are the keys of ``ServeConfig``: reference (a file of sequences for the map) and limits. ``port`` 0 is
    any that is free. Whoever can reach ``host`` can use it: there is no password. Gives the address and how many jobs
    were asked for. InputError for bundles and settings that are wrong, OutsideError for a port that is taken.
    """
    config: ServeConfig = load_config(ServeConfig, None, settings)
    if not 0 <= port < 1 << 16:
        raise InputError(f"port: found {port}; 0 to 65535 is allowed, and 0 is any that is free")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "fastapi", "web", "serving a page") from None
    bundles = [
        one if isinstance(one, Bundle) else load(one, device=device) for one in (bundle, other) if one is not None
    ]
    with _listening(host, port) as listener:
        return _serve(bundles, config, listener, host)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that the address is sure before it is told; InputError, OutsideError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f"host: {host!r} is no address of this machine: {error}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OutsideError(f"{host}:{port}: cannot be listened on: {error.strerror}; give another --port") from None
    return listener


def _serve(bundles: list[Bundle], config: ServeConfig, listener: socket.socket, host: str) -> dict[str, Any]:
    import uvicorn

    from nuclex.web.app import make_app
    from nuclex.web.desk import Desk
    from nuclex.web.guard import Guard, Rules
    from nuclex.web.patience import PatientProtocol

    desk = Desk(bundles, config)
    names = frozenset({"localhost", socket.gethostname().lower(), host.lower()})
    guarded = Guard(make_app(desk), Rules(names, config.body_bytes, config.request_seconds))
    server = uvicorn.Server(
        uvicorn.Config(
            guarded,
            http=PatientProtocol.within(config.request_seconds),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=config.connections,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
    )
    address = _address(listener)
    say(f"serving {' and '.join(bundle.record.name for bundle in bundles)} at {address} (Ctrl-C ends it)")
    if not _only_here(listener):
        say(f"open to others: whoever reaches {address} over the network can use it; there is no password")

    asyncio.run(server.serve(sockets=[listener]))  # which raises the signal that ended it, once all is closed
    return {"address": address}


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _only_here(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
