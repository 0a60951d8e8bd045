"""Files whose sum nobody published: the first copy is accepted once, and its sum is demanded from then on.

What was accepted stands beside the copy in the cache, in ``NAME.sum.json``: sha256, length and where it came from.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from nuclex.core.artifact import atomic_file, sha256_file, write_json
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError
from nuclex.core.plain import from_json
from nuclex.core.progress import say


class FirstSum(Config):
    """The sha256 (hex) and the length in bytes of the copy that was accepted first, and where it came from."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    origin: str


def accepted(copy: Path) -> FirstSum | None:
    """What was accepted as the file at ``copy`` of the cache, None if nothing; CorruptError for a damaged record."""
    record = _record(copy)
    if not record.is_file():
        return None
    try:
        return FirstSum.from_data(from_json(record.read_bytes()))
    except (ValidationError, ValueError, OSError):
        raise CorruptError(
            f"{record}: is not the readable record of a sum; remove it to accept a first copy again"
        ) from None


def accept(found: Path, copy: Path, origin: str) -> FirstSum:
    """Take the file ``found`` for what the one at ``copy`` of the cache has to be; say so, and write it down."""
    first = FirstSum(sha256=sha256_file(found), bytes=found.stat().st_size, origin=origin)
    with atomic_file(_record(copy)) as temporary:
        write_json(temporary, first.to_data())
    say(f"{copy.name}: accepted with the sha256 {first.sha256}, which nothing was there to check against")
    return first


def _record(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.sum.json")
