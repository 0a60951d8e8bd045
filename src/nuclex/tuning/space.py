"""What may be searched: a key of a recipe and the numbers or names it may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from nuclex.core.config import Config

Number = int | float
Choice = bool | int | float | str


class Dimension(Config):
    """The values of one key: between ``low`` and ``high`` (both included), or one of ``choices``.

    Whole numbers where ``low``, ``high`` and ``step`` are. With ``of`` the number drawn is a share of another key's
    value, and the key is given their product, rounded to a whole number: warm-up as a share of the steps.
    """

    low: Number | None = None
    high: Number | None = None
    log: bool = Field(default=False, description="drawn evenly by its logarithm")
    step: Number | None = Field(default=None, description="low, low + step, ...; None = any number, or whole ones")
    choices: tuple[Choice, ...] = Field(default=(), description="names, numbers, true and false")
    of: str | None = Field(default=None, description="the key of which it is a share")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        ends = (self.low, self.high)
        if self.choices:
            if ends != (None, None) or self.log or self.step is not None or self.of is not None:
                raise ValueError("choices stand alone; leave out low, high, log, step and of")
            if len(self.choices) != len({(type(one), one) for one in self.choices}):
                raise ValueError(f"choices {list(self.choices)}: one of them stands there twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("low and high are needed, or choices")
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}; low must not be above high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and no step")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step is {self.step:g}; a step above 0 is needed")
        if self.step is not None and abs((self.high - self.low) / self.step % 1 - 0.5) < 0.5 - 1e-9:
            raise ValueError(f"high {self.high:g} is not low {self.low:g} plus steps of {self.step:g}")
        return self

    @property
    def whole(self) -> bool:
        """Whether it is drawn among whole numbers."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step) if one is not None)

    @property
    def ends(self) -> tuple[Choice, ...]:
        """The values that have to fit: the lowest and the highest, or all choices."""
        return self.choices or tuple(one for one in (self.low, self.high) if one is not None)

    def suggest(self, trial: Any, key: str) -> Choice:
        """Draw a value by an Optuna trial, or say again what it drew."""
        if self.choices:
            found: Choice = trial.suggest_categorical(key, list(self.choices))
        elif self.whole:
            found = trial.suggest_int(key, self.low, self.high, log=self.log, step=self.step or 1)
        else:
            found = trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)
        return found

    def given(self, value: Choice, of: Any) -> Choice:
        """What the key is set to: the value drawn, or that share of ``of``.

        >>> Dimension(low=0.01, high=0.2, of="training.steps").given(0.153, 5000)
        765
        """
        return value if self.of is None else round(float(value) * float(of))


def dimensions(given: Any, above: str = "") -> Any:
    """Nested tables of dimensions by dotted keys, as the command line writes them; anything else as it is.

    >>> dimensions({"training": {"schedule": {"rate": {"low": 1e-4}}}, "model.depth": {"choices": [1, 2]}})
    {'training.schedule.rate': {'low': 0.0001}, 'model.depth': {'choices': [1, 2]}}
    """
    if not isinstance(given, Mapping):
        return given
    found: dict[str, Any] = {}
    for name, value in given.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and value and not value.keys() & Dimension.model_fields.keys():
            inner = dimensions(value, f"{key}.")
        else:
            inner = {key: value}
        for place, one in inner.items():
            both = isinstance(one, Mapping) and isinstance(found.get(place), Mapping)
            found[place] = {**found[place], **one} if both else one
    return found
