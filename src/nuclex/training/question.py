"""What a fine-tuning run is asked, as one value: a model, a question with answers, how it learns, what is tried."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError, shown
from nuclex.models import AnyModelConfig, PartnerHeadConfig
from nuclex.models.heads import AnyHeadConfig, HeadConfig
from nuclex.tasks import AnyTaskConfig, Task
from nuclex.training.adapter import AdapterConfig
from nuclex.training.controls import Control, ControlRates, refused_control, usual_controls
from nuclex.training.duration import TrainingConfig
from nuclex.training.grid import Settings, flat, points, refused
from nuclex.training.pairs import DecodingConfig
from nuclex.training.pretrain import AnyTokenizerConfig
from nuclex.training.scalars import RegressionConfig
from nuclex.training.shapes import TABLES, WAYS
from nuclex.training.supervised import BatchingConfig, Thaw

OWN_DATA = {
    "path": "train",
    "sequence": "sequence_column",
    "target": "label_column",
    "id": "id_column",
    "group": "group_column",
    "split": "split_column",
    "partner": "partner_column",
    "partners": "partners",
}
"""Short names for a table of one's own: the keys of a recipe's table ``data``, and what ``task`` calls them."""


class FinetuneConfig(Config):
    """One fine-tuning run as one value; what ``recipes/finetune/*.toml`` hold.

    A recipe may have a table ``data`` with the keys of ``OWN_DATA``; they become keys of ``task``.
    """

    bundle: Path | None = Field(
        default=None, description="a pre-trained bundle; else `model` and `tokenizer` from scratch"
    )
    model: AnyModelConfig | None = None
    tokenizer: AnyTokenizerConfig | None = None
    task: AnyTaskConfig
    head: AnyHeadConfig | None = None
    decoding: DecodingConfig | None = Field(default=None, description="pair maps only")
    regression: RegressionConfig | None = Field(default=None, description="numbers only")
    thaw: tuple[Thaw, ...] = Field(default=(), description="when blocks begin to learn; empty = all from the start")
    adapter: AdapterConfig | None = Field(default=None, description="learn low-rank changes of the weights (LoRA)")
    batching: BatchingConfig = BatchingConfig()
    training: TrainingConfig = TrainingConfig()
    controls: tuple[Control, ...] = Field(default_factory=usual_controls, description="trained beside it; [] = nothing")
    control_rates: ControlRates = ControlRates()
    grid: dict[str, tuple[Any, ...]] = Field(
        default={}, description='lists of values to try, by key: "training.schedule.rate" = [1e-4, 1e-5]'
    )
    seeds: int = Field(default=1, ge=1, le=1000, description="runs with seed, seed + 1, ..., controls with the first")
    seed: int = 0

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """As for every config, once the tables ``data`` and ``grid`` are as they are kept."""
        given = _of_own_data(dict(data))
        if "grid" in given:
            given["grid"] = flat(given["grid"])
        return super().from_data(given)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        scratch = (self.model is not None, self.tokenizer is not None)
        if self.bundle is None and not all(scratch):
            raise ValueError("bundle: missing; give a pre-trained bundle, or model and tokenizer to begin from scratch")
        if self.bundle is not None and any(scratch):
            raise ValueError("bundle brings its own model and tokenizer; leave out the keys model and tokenizer")
        tables = {table for table in TABLES if getattr(self, table) is not None}
        if refusal := WAYS[self.task.shape].refusal(self.task.kind, self.head, tables):
            raise ValueError(refusal)
        asked = (self.controls, self.task.shape, self.task.kind)
        if refusal := refused_control(*asked, pretrained=self.bundle is not None):
            raise ValueError(refusal)
        if self.adapter is not None and self.thaw:
            raise ValueError("adapter: with it the model's own weights never learn; leave out the key thaw")
        if self.adapter is not None and self.bundle is None:
            raise ValueError("adapter: changes a pre-trained bundle; random weights have to learn themselves")
        return self

    @model_validator(mode="after")
    def _every_point_fits(self) -> Self:
        if refusal := refused(self.grid):
            raise ValueError(refusal)
        for settings in points(self.grid):
            try:
                self.at(settings)
            except InputError as error:
                raise ValueError(f"grid: {error}") from None
        return self

    @property
    def answering_head(self) -> HeadConfig:
        """The head that was asked for, or the usual one of the shape."""
        return self.head or WAYS[self.task.shape].heads[0]

    def about(self, task: Task) -> Self:
        """The run with a head that reads vectors as long as those of the task's partners, where it has such.

        InputError where the head is for longer or shorter ones.
        """
        head, partner = self.answering_head, task.examples("train")[0].partner
        if not isinstance(head, PartnerHeadConfig) or partner is None:
            return self
        size = len(partner.vector_P)
        if head.vector not in (None, size):
            raise InputError(f"head.vector is {head.vector}; the partners of {task.name!r} have {size} numbers each")
        return self.model_copy(update={"head": head.model_copy(update={"vector": size})})

    @property
    def probes(self) -> bool:
        """Whether the weights of the bundle stay as they are to the end, and the head alone learns."""
        frozen = bool(self.thaw) and all(item.blocks == 0 for item in self.thaw)
        return frozen and self.bundle is not None

    @property
    def alone(self) -> Self:
        """The same run without what stands beside it: no controls, nothing tried, one seed."""
        return self.model_copy(update={"controls": (), "grid": {}, "seeds": 1})

    def at(self, settings: Settings, **changes: Any) -> Self:
        """The run with these keys of the grid set, which tries nothing itself; InputError where they do not fit."""
        data: Mapping[str, Any] = {name: value for name, value in self.to_data().items() if value is not None}
        found: Self = load_config(type(self), None, {**data, "grid": {}, "seeds": 1, **settings, **changes})
        return found


def _of_own_data(given: dict[str, Any]) -> dict[str, Any]:
    """The recipe with the keys of its table ``data`` in its table ``task``; InputError where they are not those."""
    if "data" not in given:
        return given
    task, data = given.get("task", {}), given.pop("data")
    if not isinstance(data, Mapping) or not isinstance(task, Mapping):
        raise InputError(f"data: found {shown(data)}; a table with the keys {', '.join(OWN_DATA)} is needed")
    for key in data:
        if key not in OWN_DATA:
            raise InputError(f"data.{shown(key)}: unknown key; allowed: {', '.join(OWN_DATA)}")
        if OWN_DATA[key] in task:
            raise InputError(f"data.{key} and task.{OWN_DATA[key]} are two names of one thing; give one of them")
    return {**given, "task": {**task, **{OWN_DATA[key]: value for key, value in data.items()}}}
