"""The kinds of values that flags take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token


def _whole(kind: Any, tokens: Sequence[Token]) -> int:
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ValueError(f"a whole number is needed, found {text!r}")
    return int(text)


Whole = Annotated[int, Parameter(converter=_whole)]
"""A whole number; by itself cyclopts takes 1.5 for 2."""
Files = Annotated[tuple[Path, ...], Parameter(negative="", consume_multiple=True)]
"""One file or more behind one flag."""
Names = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)]
"""One name or more behind one flag."""
Device = Literal["auto", "cpu", "cuda", "mps"]
Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", consume_multiple=False, help="KEY=VALUE: any key of the config."),
]
