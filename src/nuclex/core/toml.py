"""Recipes written as TOML, for people to read and for ``read_recipe`` to read again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def toml_text(data: Mapping[str, Any]) -> str:
    """Plain data as TOML: values first, then a table for each mapping; what is None is left out.

    >>> print(toml_text({"seed": 0, "model": {"kind": "gpt2", "tied": True, "dropout": 1e-05, "n": None}}), end="")
    seed = 0
    <BLANKLINE>
    [model]
    kind = "gpt2"
    tied = true
    dropout = 1e-05
    """
    return "\n\n".join(block for block in _blocks(data, ())).lstrip("\n") + "\n"


def _blocks(data: Mapping[str, Any], place: tuple[str, ...]) -> list[str]:
    values = [f"{_key(name)} = {_value(value)}" for name, value in data.items() if _is_value(value)]
    header = [f"[{'.'.join(map(_key, place))}]"] if place and (values or not data) else []
    found = ["\n".join([*header, *values])] if header or values else []
    for name, value in data.items():
        if isinstance(value, Mapping):
            found += _blocks(value, (*place, name))
    return found


def _is_value(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """One value on one line; text as JSON writes it, whose escapes TOML reads alike."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
