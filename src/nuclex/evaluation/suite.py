"""A benchmark suite as one value: which questions are asked of a model, how, and what others reported.

An entry knows a task by the name of a fine-tuning recipe alone, so a new task joins a suite with a few lines of TOML.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nuclex.core.artifact import scratch_folder
from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError
from nuclex.data.homology import ClusterConfig, cluster, joined
from nuclex.tasks import SPLITS, Shape, Task
from nuclex.training.controls import controls_of
from nuclex.training.finetune import FinetuneConfig

Folding = Literal["energy", "jacobian", "attention"]
Units = Literal["sequence", "group", "mmseqs"]
ASKED = "asked"
"""The note of a task that says which of its examples a model is asked for, where they are not the test split."""
_OWN = {"bundle", "controls"}
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class QuotedConfig(Config):
    """A number of the literature: shown as quoted, with its source, and never part of a test."""

    model: str
    metric: str
    value: float
    source: str = Field(min_length=1)
    note: str = Field(default="", description="in what it differs from what is measured here")
    best: bool = Field(default=False, description="the best number known of this very question")


class EntryConfig(Config):
    """One question of a suite: a fine-tuning recipe by its name, and what of it is changed."""

    name: str = Field(pattern=_NAME)
    chapter: str = Field(default="", description="entries of one chapter stand together")
    recipe: str | None = Field(default=None, description="a recipe of fine-tuning: a name or a file")
    set: dict[str, Any] = Field(default={}, description='changes of the recipe: "training.steps" = 40')
    zero_shot: bool = Field(
        default=False, description="variants: ask the model alone, by likelihood; nothing is learned"
    )
    all_splits: bool | None = Field(
        default=None,
        description="zero_shot: ask for all examples, as none was learned from, or for those of the test split alone; "
        "None: all, unless a fine-tuned entry of the suite has the same task, to be compared with",
    )
    folded_by: tuple[Folding, ...] = Field(
        default=(), description="structures: what folds beside the trained models without having learned from labels"
    )
    waits_for: str | None = Field(default=None, description="what nuclex lacks to run this entry")
    units: Units = Field(
        default="sequence",
        description="what intervals and tests draw: distinct sequences, the task's groups, or clusters of MMseqs2",
    )
    cluster: ClusterConfig = ClusterConfig()
    quoted: tuple[QuotedConfig, ...] = ()
    stands_in_for: str = Field(
        default="", description="the question of the literature in whose place this one is asked, for lack of its data"
    )

    @model_validator(mode="after")
    def _either(self) -> Self:
        if taken := sorted(_OWN & self.set.keys()):
            raise ValueError(f"{self.name}: set: {taken[0]!r} is decided by the suite; leave it out")
        if self.zero_shot and self.folded_by:
            raise ValueError(f"{self.name}: zero_shot is for variants and folded_by for structures; give one of them")
        if self.all_splits is not None and not self.zero_shot:
            raise ValueError(f"{self.name}: all_splits is for zero_shot; what learns is asked for the test split")
        if self.stands_in_for and any(quoted.best for quoted in self.quoted):
            raise ValueError(f"{self.name}: a stand-in is another question, so the best number known is not of it")
        if (self.recipe is None) == (self.waits_for is None):
            raise ValueError(f"{self.name}: give recipe, or say in waits_for why there is none")
        return self

    def finetuning(self, bundle: Path, seed: int) -> FinetuneConfig:
        """The fine-tuning run of a bundle, with every control; InputError where the recipe and changes do not fit.

        ``seed`` is added to the recipe's own.
        """
        assert self.recipe is not None
        changes = {**self.set, "bundle": str(bundle)}
        config: FinetuneConfig = load_config(FinetuneConfig, self.recipe, changes)
        self._refuse_shape(config.task.shape)
        return config.model_copy(update={"seed": config.seed + seed, "controls": controls_of(config.task.shape)})

    def _refuse_shape(self, shape: Shape) -> None:
        for key, wanted, is_set in (
            ("zero_shot", Shape.VARIANT, self.zero_shot),
            ("folded_by", Shape.PAIR_MAP, bool(self.folded_by)),
        ):
            if is_set and shape is not wanted:
                raise InputError(f"{self.name}: {key} is for a {wanted}, and {self.recipe} asks for a {shape}")


class SuiteConfig(Config):
    """What ``recipes/benchmark/*.toml`` hold."""

    title: str
    about: str = ""
    seeds: int = Field(default=3, ge=1, description="training seeds of every run")
    leaks: Path | None = Field(
        default=None, description="a pre-training corpus that the test sequences are looked for in"
    )
    identity: float = Field(
        default=1.0, ge=0.5, le=1, description="of a leak; below 1 MMseqs2 looks for relatives, too"
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="of intervals, and of what is called significant")
    entries: tuple[EntryConfig, ...] = Field(min_length=1)

    def asks_all(self, entry: EntryConfig) -> bool:
        """Whether an entry is of the examples of all splits: nothing is learned, and no twin of it is fine-tuned."""
        if not entry.zero_shot or entry.all_splits is not None:
            return bool(entry.all_splits)
        learning = [other for other in self.entries if other.recipe is not None and not other.zero_shot]
        task = entry.finetuning(Path("-"), 0).task
        return all(other.finetuning(Path("-"), 0).task != task for other in learning)

    @field_validator("entries")
    @classmethod
    def _once(cls, entries: tuple[EntryConfig, ...]) -> tuple[EntryConfig, ...]:
        names = [entry.name for entry in entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the name {twice[0]!r} stands twice")
        return entries


def load_suite(suite: str | Path, overrides: dict[str, Any] | None = None) -> SuiteConfig:
    """A suite of a file, or by its short name: ``smoke`` is ``benchmark/smoke``."""
    from nuclex.core.recipe import shipped_recipes

    name = f"benchmark/{suite}"
    found: SuiteConfig = load_config(SuiteConfig, name if name in shipped_recipes() else suite, overrides)
    return found


def as_one_test(task: Task) -> Task:
    """The task with the examples of all its splits to test, in the order of the splits; ``notes`` say so.

    For a model that learns from none of them.
    """
    examples = tuple(example for split in SPLITS for example in task.examples(split))
    notes = {**task.notes, ASKED: "all splits"}
    return replace(task, splits={**task.splits, "test": examples}, notes=notes)


def units_of(task: Task, entry: EntryConfig, place: Path) -> NDArray[np.int64]:
    """The independent unit (N,) of each test sequence; equal sequences are always of one unit.

    ``place`` is a path beside which MMseqs2 may write. InputError where groups are asked for and a sequence has none,
    or MMseqs2 is missing.
    """
    examples = task.examples("test")
    letters, distinct_N = np.unique([example.letters for example in examples], return_inverse=True)
    if entry.units == "sequence":
        return distinct_N
    if entry.units == "group":
        names = [example.group for example in examples]
        if None in names:
            raise InputError(f"{entry.name}: units are groups, and {examples[names.index(None)].id!r} names none")
        return joined(distinct_N, np.unique(np.array(names, dtype=str), return_inverse=True)[1])
    with scratch_folder(place) as folder:
        groups_D = cluster((text.encode() for text in letters.tolist()), entry.cluster, folder).groups_N
    return groups_D[distinct_N]
