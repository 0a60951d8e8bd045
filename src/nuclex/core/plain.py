"""Values as JSON can hold them."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

from nuclex.core.errors import one_line, shown


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


def from_json(content: bytes | str) -> Any:
    """What a JSON text says; ValueError where it is none, the standard library's own liberties refused too.

    Those are NaN and Infinity, numbers that become infinite, a key that stands twice, tables deeper than Python goes.

    >>> from_json('{"loss": 1.5}')
    {'loss': 1.5}
    """
    try:
        return json.loads(content, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("tables in tables in tables without end") from None


def difference(found: Any, given: Any, key: str = "") -> str:
    """The first key in which two tables differ, with both values, as a message says it.

    >>> difference({"model": {"depth": 2}}, {"model": {"depth": 3}})
    'model.depth was 2, now it is 3'
    """
    if isinstance(found, dict) and isinstance(given, dict):
        for name in [*given, *(name for name in found if name not in given)]:
            if found.get(name) != given.get(name):
                return difference(found.get(name), given.get(name), f"{key}.{name}" if key else name)
    return f"{one_line(key, 80) or 'the config'} was {shown(found)}, now it is {shown(given)}"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if isfinite(number) else _refuse("a number without bound")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table
