"""What a search is asked, as one value: a recipe, what is laid over it to make it cheap, what is tried, how often."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nuclex.core.config import Config, load_config
from nuclex.core.recipe import read_recipe
from nuclex.training.grid import flat
from nuclex.tuning.space import Dimension, dimensions

RATE, WARMUP, STEPS = "training.schedule.rate", "training.schedule.warmup", "training.steps"
FACTORS = (1.0, 0.875, 0.75)
"""RNA-BERTa's three full runs: the best rate, and a little less."""
SPACE: dict[str, dict[str, Any]] = {
    RATE: {"low": 1e-4, "high": 5e-3, "log": True},
    WARMUP: {"low": 0.01, "high": 0.2, "of": STEPS},
}
"""RNA-BERTa's."""
PROXY: dict[str, Any] = {
    STEPS: 5000,
    "training.epochs": 0.0,
    "training.optimizer.weight_decay": 0.01,
    "training.precision": "fp32",
}
"""How long and how RNA-BERTa's trials are."""


class SearchConfig(Config):
    """One search as one value; what ``recipes/search/*.toml`` hold.

    ``base`` and ``proxy`` are keys of the recipe, in tables or dotted; ``base`` counts for trials and the full run,
    ``proxy`` for trials alone. ``space`` has a table for each key that is searched.
    """

    full: Path = Field(description="the full recipe of pre-training or fine-tuning: a file, or a shipped one's name")
    corpus: Path | None = Field(default=None, description="the corpus to pre-train on, where the recipe names none")
    base: dict[str, Any] = Field(default={}, description="keys laid over the recipe")
    proxy: dict[str, Any] | None = Field(
        default=None, description="keys laid over that in trials; None = 5000 steps as RNA-BERTa's, fine-tuning: none"
    )
    space: dict[str, Dimension] | None = Field(default=None, description="None = RNA-BERTa's rate and warm-up")
    trials: int = Field(default=32, ge=1, le=100_000)
    sampler: Literal["tpe", "random"] = Field(default="tpe", description="how the next trial's values are chosen")
    startup: int = Field(
        default=10, ge=1, description="trials at random before tpe begins, and before pruning by the median does"
    )
    pruner: Literal["none", "median", "halving", "hyperband"] = Field(
        default="none", description="which rule ends trials that look bad at a look at validation"
    )
    factors: tuple[float, ...] | None = Field(
        default=None, min_length=1, description="full runs at so many times the best rate; None = 1, 0.875, 0.75"
    )
    given: bool = Field(default=False, description="a full run with the recipe's own settings beside them")
    keep: Literal["best", "all"] = Field(default="best", description="whose weights stay: the best trial's, or all")
    seed: int = Field(default=0, ge=0)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """As for every config, once tables of tables are dotted keys."""
        given = dict(data)
        for name in ("base", "proxy"):
            given |= {name: flat(given[name])} if name in given else {}
        if "space" in given:
            given["space"] = dimensions(given["space"])
        return super().from_data(given)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.space is not None and not self.space:
            raise ValueError("space: has no keys; at least one is needed")
        for factor in self.factors or ():
            if factor <= 0:
                raise ValueError(f"factors: found {factor:g}; each is above 0")
        if len(set(self.factors or ())) != len(self.factors or ()):
            raise ValueError("factors: one of them stands there twice")
        return self


def read_search(path: str | Path, overrides: Mapping[str, Any] | None = None) -> SearchConfig:
    """A search's recipe, or RNA-BERTa's search of a recipe of pre-training. InputError where it is neither."""
    given = read_recipe(Path(path)).data
    if "full" not in given and given.keys() & {"model", "task", "data", "bundle"}:
        found: SearchConfig = load_config(SearchConfig, None, {"full": str(path), **(overrides or {})})
    else:
        found = load_config(SearchConfig, path, overrides)
    return found
