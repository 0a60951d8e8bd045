"""The kinds of values that flags take."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from nuclex.core.errors import InputError, shown


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
Prices = Annotated[tuple[str, ...] | None, Parameter(negative="", consume_multiple=True)]
"""NAME=NUMBER, once or more behind one flag."""


def refuse_missing(inputs: Path) -> None:
    """InputError at once where there is no such file of sequences, before what is heavy is imported.

    Nothing is opened, so that a pipe can still be read.
    """
    if str(inputs) != "-" and not os.path.exists(inputs):  # Path.exists raises for a long name
        from nuclex.data.compression import open_raw

        open_raw(inputs, str(inputs)).close()


def prices_of(texts: Sequence[str] | None) -> dict[str, float] | None:
    """Numbers by name; InputError where one is not written NAME=NUMBER.

    >>> prices_of(["h100=2.5", "a100=1"])
    {'h100': 2.5, 'a100': 1.0}
    """
    found = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        if not name or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", number):
            raise InputError(f"--price: found {shown(text)}; it is written NAME=NUMBER, as in h100=2.5")
        found[name] = float(number)
    return found or None
