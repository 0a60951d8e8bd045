"""A search beside the recipes it is about: what is trained in a trial, and what is told apart by which number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.core.recipe import read_recipe
from nuclex.data.store import Corpus
from nuclex.tokenizers import LearnedConfig
from nuclex.training.finetune import FinetuneConfig, identity
from nuclex.training.grid import refused
from nuclex.training.pretrain import PretrainConfig, check_lengths
from nuclex.tuning.question import FACTORS, PROXY, RATE, SPACE, STEPS, WARMUP, SearchConfig
from nuclex.tuning.space import Choice, Dimension

Recipe = PretrainConfig | FinetuneConfig
SEARCHED = ("model", "objective", "sampling", "training")
"""The tables of a recipe of pre-training of which values may be tried."""
TELLING = ("sampling.max_tokens", "training.best_metric", "training.best_mode")
"""What changes the number that trials are told apart by, and not the model alone."""


@dataclass(frozen=True)
class Goal:
    """The number of a look at validation by which trials are told apart."""

    metric: str
    mode: Literal["min", "max"]

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """``training.best_metric``; of a language model the validation loss, which its score is minus of."""
        metric, mode = recipe.training.best_metric, recipe.training.best_mode
        if metric == "score" and mode == "max" and isinstance(recipe, PretrainConfig):
            return cls("validation_loss", "min")
        return cls(metric, mode)

    def best(self, scores: Mapping[str, float]) -> str:
        """The name of the best score, the first of equals."""
        sign = 1 if self.mode == "max" else -1
        return max(scores, key=lambda name: sign * scores[name])


@dataclass(frozen=True)
class Asked:
    """A search with the full recipe that it is for, both checked."""

    config: SearchConfig
    full: Recipe

    @classmethod
    def of(cls, config: SearchConfig) -> Self:
        """Read the recipe; InputError where it cannot be searched as asked, before anything is trained."""
        data = read_recipe(config.full).data
        kind: type[Recipe] = FinetuneConfig if data.keys() & {"task", "data"} else PretrainConfig
        over = {} if config.corpus is None else {"corpus": str(config.corpus)}
        if over and kind is FinetuneConfig:
            raise InputError("corpus: is for pre-training; a recipe of fine-tuning is given its bundle: --base.bundle")
        asked = cls(config, load_config(kind, config.full, {**config.base, **over}))
        asked._check_keys()
        asked._check_width()
        for values in asked.corners():
            settings = asked.settings(values)
            for recipe in (asked.trial(settings), *(one for _, _, one in asked.finals(settings))):
                if isinstance(recipe, PretrainConfig):
                    check_lengths(recipe)
        return asked

    @property
    def pretraining(self) -> bool:
        """Whether it is a language model that is trained."""
        return isinstance(self.full, PretrainConfig)

    @property
    def goal(self) -> Goal:
        """By what trials are told apart."""
        return Goal.of(self.full)

    @property
    def space(self) -> dict[str, Dimension]:
        """What is searched, by key."""
        if self.config.space is None:
            return {key: Dimension.from_data(value) for key, value in SPACE.items()}
        return self.config.space

    @property
    def proxy(self) -> dict[str, Any]:
        """What is laid over the recipe in trials."""
        usual = PROXY if self.pretraining else {}
        return usual if self.config.proxy is None else self.config.proxy

    @property
    def factors(self) -> tuple[float, ...]:
        """Times the best rate, of the full runs."""
        return self.config.factors or (FACTORS if self.pretraining else FACTORS[:1])

    def settings(self, values: Mapping[str, Choice]) -> dict[str, Choice]:
        """What keys are set to where these values were drawn; shares become numbers of the trial."""
        plain = {key: value for key, value in values.items() if self.space[key].of is None}
        found: dict[str, Choice] = {}
        trial: dict[str, Any] | None = None
        for key, value in values.items():
            of = self.space[key].of
            if of is not None and trial is None:
                trial = self.trial(plain).to_data()
            found[key] = self.space[key].given(value, None if of is None else _number(trial, of, key))
        return found

    def trial(self, settings: Mapping[str, Any]) -> Any:
        """The recipe of a trial. InputError where the settings do not fit together."""
        return laid(self.full, {**self.proxy, **settings}, alone=True)

    def finals(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, float | None, Any]]:
        """The full runs: a name, times how much of the rate, and the recipe, in which shares are numbers of steps."""
        for factor in self.factors:
            rate = settings.get(RATE, self.full.training.schedule.rate)
            changed = settings if factor == 1 else {**settings, RATE: rate * factor}
            found = laid(self.full, changed)
            schedule, steps = found.training.schedule, found.training.steps
            if steps and schedule.warmup >= steps:
                raise InputError(f"{WARMUP}: {schedule.warmup} steps of warm-up do not fit the {steps} of the full run")
            yield f"x{factor:g}", factor, found
        if self.config.given:
            yield "given", None, self.full

    @property
    def shares_tokenizer(self) -> bool:
        """Whether one tokenizer is learned for all trials and full runs."""
        full = self.full
        learned = isinstance(full, PretrainConfig) and isinstance(full.tokenizer, LearnedConfig)
        own = any(key.split(".")[0] in ("tokenizer", "tokenizer_folder") for key in self.proxy)
        return learned and not own and isinstance(full, PretrainConfig) and full.tokenizer_folder is None

    def check_data(self) -> str:
        """The fingerprint of the corpus, or of a question and its bundle.

        InputError where there is none, or nothing in it to tell trials apart by.
        """
        if isinstance(self.full, PretrainConfig):
            if self.full.corpus is None:
                raise InputError("corpus: missing; give the folder of a corpus with --corpus DIR")
            corpus = Corpus.open(self.full.corpus)
            if not len(corpus.indices("validation")):
                raise InputError(f"{corpus.path}: has no validation split, by which trials are told apart")
            return corpus.fingerprint
        return identity(self.full)

    def _check_keys(self) -> None:
        full = self.full
        if isinstance(full, FinetuneConfig):
            if self.config.space is None:
                raise InputError("space: missing; of fine-tuning, say which keys are searched")
            if full.grid or full.seeds > 1:
                raise InputError("grid, seeds: a recipe that is searched has none; leave them out of it")
            if self.factors != (1.0,) or self.config.given:
                raise InputError("factors, given: fine-tuning has one full run, whose test split is asked once")
            if refusal := refused(dict.fromkeys(self.space, (0,))):
                raise InputError(refusal.replace("grid:", "space:"))
        for key in self.space:
            if self.pretraining and (key.split(".")[0] not in SEARCHED or key in TELLING):
                allowed = f"keys of these tables are: {', '.join(SEARCHED)}, without {', '.join(TELLING)}"
                raise InputError(f"space: {key!r} is not to be tried, since losses would not compare; {allowed}")
            if key in self.proxy:
                raise InputError(f"proxy: {key!r} is searched; it cannot be set as well")

    def _check_width(self) -> None:
        """A proxy of another width needs μP with the same base as the full model, or nothing carries over."""
        if not isinstance(self.full, PretrainConfig):
            return
        full, small = self.full.model.backbone(), laid(self.full, self.proxy).model.backbone()
        if small.width == full.width:
            return
        base = full.base_width or full.width
        if small.base_width != base:
            raise InputError(
                f"proxy: model.width is {small.width} under {full.width}, and rates carry over in maximal update "
                f"parametrisation alone: give model.base_width = {base} in it, too (docs/mup.md)"
            )

    def corners(self) -> Iterator[dict[str, Choice]]:
        """The lowest values of all keys, and each end of each beside the lowest of the others."""
        lowest = {key: dimension.ends[0] for key, dimension in self.space.items()}
        yield lowest
        for key, dimension in self.space.items():
            yield from ({**lowest, key: value} for value in dimension.ends[1:])


def laid(recipe: Recipe, settings: Mapping[str, Any], *, alone: bool = False) -> Any:
    """The recipe with these keys set; ``alone``: without the controls of fine-tuning. InputError if they do not fit."""
    if isinstance(recipe, FinetuneConfig):
        return recipe.at(settings, controls=[] if alone else list(recipe.controls))
    data = {name: value for name, value in recipe.to_data().items() if value is not None}
    for key, value in settings.items():
        if key.endswith(".kind"):
            _turn_into(data, key.split("."), value)
    return load_config(type(recipe), None, {**data, **settings})


def _turn_into(data: dict[str, Any], path: list[str], kind: Any) -> None:
    """Make the table at a path one of another kind, whose keys are as they are by default; one that is it stays."""
    for name in path[:-2]:
        data = data.get(name) or {}
    if isinstance(table := data.get(path[-2]), dict) and table.get("kind") != kind:
        data[path[-2]] = {"kind": kind}


def _number(data: Any, of: str, key: str) -> Any:
    for part in of.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    if isinstance(data, bool) or not isinstance(data, int | float) or not data:
        hint = "; give training.steps instead of training.epochs" if of == STEPS else ""
        raise InputError(f"space: {key!r} is a share of {of!r}, which is no number above 0 in the recipe{hint}")
    return data
