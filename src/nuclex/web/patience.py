"""Connections that are not held open for nothing: whoever sends no whole request head within a time is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which by itself waits for the head of a request without end."""

    patience_s = 30.0

    @classmethod
    def within(cls, seconds: float) -> type[PatientProtocol]:
        """The protocol with this patience."""
        return type("PatientProtocol", (cls,), {"patience_s": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; the clock runs."""
        super().connection_made(transport)
        self._head = self.loop.call_later(self.patience_s, self._give_up)

    def on_response_complete(self) -> None:
        """An answer is out; the clock runs again for the next request."""
        super().on_response_complete()
        self._head.cancel()
        self._head = self.loop.call_later(self.patience_s, self._give_up)

    def connection_lost(self, exc: Any) -> None:
        """The client is gone."""
        self._head.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy:
            self.transport.close()
