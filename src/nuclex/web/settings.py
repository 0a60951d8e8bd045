"""How much a served model takes on: sizes, times, how many wait, how long a result is kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from nuclex.core.config import Config


class ServeConfig(Config):
    """Limits of `nuclex serve`; what goes beyond one is refused with a sentence that names it."""

    reference: Path | None = Field(default=None, description="sequences that the map shows beside the pasted ones")
    reference_most: int = Field(default=2000, ge=3, description="sequences of the reference that are read")
    body_bytes: int = Field(default=1 << 20, ge=1024, description="bytes of a request")
    sequences: int = Field(default=200, ge=1, description="sequences of a request")
    letters: int = Field(default=2000, ge=1, description="letters of one sequence")
    letters_together: int = Field(default=20_000, ge=1, description="letters of all sequences of a request")
    letters_coupled: int = Field(default=400, ge=1, description="letters of a sequence folded by couplings")
    seconds: float = Field(default=300.0, gt=0, description="how long a job may compute")
    queue: int = Field(default=16, ge=1, description="jobs that may wait")
    kept: int = Field(default=64, ge=1, description="finished jobs that are remembered, the newest")
    kept_bytes: int = Field(default=64 << 20, ge=1024, description="bytes of their results together")
    kept_seconds: float = Field(default=1800.0, gt=0, description="how long a finished job is remembered")
    request_seconds: float = Field(default=30.0, gt=0, description="how long a client may take to send or to receive")
    connections: int = Field(default=512, ge=8, description="connections at a time")
