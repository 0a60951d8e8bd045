"""What all results of verbs have in common, and the small parts that several of them hold."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Number = float | None
"""A number; null where it is not finite or does not apply."""
Plain = str | int | float | bool | None
"""A value of a setting or a measured one."""


class Answer(BaseModel):
    """A JSON object with these keys and no others; the string under a key is what the documentation says of it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )


def sometimes(alias: str | None = None) -> Any:
    """The default of a key that is not always there; where it is there, it is never null unless its kind says so."""
    return Field(default=None, alias=alias, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class Interval(Answer):
    """A measured value and the range in which the true one plausibly lies."""

    value: Number
    """The value that was measured."""
    low: Number
    """Lower end; null where no interval can be made."""
    high: Number
    """Upper end; null where no interval can be made."""
    n: int
    """How many rows it was measured on."""
    level: float
    """The share of such intervals that hold the true value, such as 0.95."""
    method: str
    """How the interval was made."""


class Lengths(Answer):
    """Lengths of sequences, in nucleotides."""

    min: int
    """The shortest."""
    q05: float
    """5 % are shorter."""
    q25: float
    """25 % are shorter."""
    q50: float
    """The median."""
    q75: float
    """75 % are shorter."""
    q95: float
    """95 % are shorter."""
    max: int
    """The longest."""
    mean: float
    """The mean."""
