"""A served model asked as a client asks it, without a network: for tests of the web floor."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from nuclex.bundle import Bundle

NAMES = frozenset({"testserver", "localhost"})


@contextlib.contextmanager
def client_of(*bundles: Bundle, **settings: Any) -> Iterator[Any]:
    """A client of a server of these bundles; ``client.desk`` is the server's desk."""
    from starlette.testclient import TestClient

    from nuclex.web.app import make_app
    from nuclex.web.desk import Desk
    from nuclex.web.guard import Guard, Rules
    from nuclex.web.settings import ServeConfig

    config = ServeConfig(**settings)
    desk = Desk(list(bundles), config)
    guarded = Guard(make_app(desk), Rules(NAMES, config.body_bytes, config.request_seconds))
    with TestClient(guarded) as client:
        client.desk = desk
        yield client


def ended(client: Any, job: str, patience: float = 60.0) -> dict[str, Any]:
    """A job when it has ended."""
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        told = client.get(f"/api/v1/jobs/{job}").json()
        if told["state"] in ("done", "failed", "cancelled"):
            return told
        time.sleep(0.01)
    raise AssertionError(f"the job did not end: {told}")


def answer(client: Any, kind: str, **body: Any) -> dict[str, Any]:
    """The result of a question that is answered; ``job`` in it is the job."""
    response = client.post(f"/api/v1/{kind}", json=body)
    assert response.status_code == 202, response.text
    told = ended(client, response.json()["job"])
    assert told["state"] == "done", told["error"]
    assert told["done"] >= (told["total"] or 0) * (kind != "fold")
    return {**told["result"], "job": told["job"]}
