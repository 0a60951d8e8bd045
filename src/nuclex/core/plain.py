"""Values as JSON can hold them."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """The same as plain data: a number that is not finite becomes None, numpy's numbers become Python's.

    >>> plain({"low": float("nan"), "sizes": (1, 2), "out": Path("a/b")})
    {'low': None, 'sizes': [1, 2], 'out': 'a/b'}
    """
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if type(value).__module__ == "numpy":  # told by name: the command line's help must not wait for numpy
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not isfinite(value) else value
