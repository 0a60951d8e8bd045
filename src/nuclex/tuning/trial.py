"""One trial of a search: a run folder, trained or gone on with, and the record of what came out."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError, InputError, NonFiniteError
from nuclex.core.plain import from_json, plain
from nuclex.core.progress import say
from nuclex.training.best import BEST_NUMBERS, best_weights
from nuclex.training.finetune import validated
from nuclex.training.pretrain import PretrainConfig, plan, pretrain
from nuclex.training.tracking import read_metrics
from nuclex.training.watching import watched
from nuclex.tuning.asked import Asked
from nuclex.tuning.study import TRIALS, Study, Ticket, turn

RECORD, TOKENIZER = "trial.json", "tokenizer"
HEAVY = ("checkpoints", "bundle", "tokenizer")
State = Literal["complete", "pruned", "diverged", "refused"]


class Record(Config):
    """What is kept of a trial: the values drawn, what keys were set to, and its best numbers on validation.

    ``flops``: of the updates it made, as planned, in full batches; ``flops_full``: of the same at full width. None of
    fine-tuning.
    """

    number: int
    state: State
    values: dict[str, Any]
    settings: dict[str, Any]
    score: float | None = None
    numbers: dict[str, float | None] = Field(default={})
    steps: int = 0
    why: str = ""
    flops: float | None = None
    flops_full: float | None = None


class _PrunedError(Exception):
    """A trial is ended early."""


@dataclass(frozen=True)
class Trainer:
    """What trains the trials of one search on one device."""

    asked: Asked
    study: Study
    folder: Path
    device: str

    def go(self, ticket: Ticket) -> Record:
        """Train a trial to its end, write its record and tell the study; what is recorded is only told."""
        run = trial_folder(self.folder, ticket.number)
        record = read_record(run / RECORD)
        if record is None:
            record = self._trained(ticket, run)
            run.mkdir(parents=True, exist_ok=True)
            with atomic_file(run / RECORD) as temporary:
                write_json(temporary, record.to_data())
        with turn(self.folder):
            self.study.tell(ticket, record.score if record.state == "complete" else None)
            if self.asked.config.keep == "best":
                drop_beaten(self.folder, self.asked)
        return record

    def _trained(self, ticket: Ticket, run: Path) -> Record:
        settings: dict[str, Any] = {}
        try:
            settings = plain(self.asked.settings(ticket.values))
            recipe = with_tokenizer(self.asked, self.asked.trial(settings), self.folder)
            full = with_tokenizer(self.asked, next(iter(self.asked.finals(settings)))[2], self.folder)
        except InputError as error:
            say(f"trial {ticket.number}: refused: {error}")
            return Record(
                number=ticket.number, state="refused", values=ticket.values, settings=settings, why=str(error)
            )
        told = ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
                         for name, value in settings.items())  # fmt: skip
        say(f"trial {ticket.number}, {ticket.number + 1} of {self.asked.config.trials}: {told}")
        state, why = self._trained_to_the_end(ticket, recipe, run)
        numbers = best_numbers(run) if state != "diverged" else {}
        score = numbers.get(self.asked.goal.metric)
        if state == "complete" and (score is None or not math.isfinite(score)):
            state, why, score = "diverged", f"{self.asked.goal.metric} is no finite number", None
        record = Record(
            number=ticket.number,
            state=state,
            values=ticket.values,
            settings=settings,
            score=score,
            numbers={name: value if math.isfinite(value) else None for name, value in numbers.items()},
            steps=steps_of(run),
            why=why,
        )
        return record.model_copy(update=costs(record.steps, recipe, full))

    def _trained_to_the_end(self, ticket: Ticket, recipe: Any, run: Path) -> tuple[State, str]:
        watch = None if self.asked.config.pruner == "none" else partial(self._looked, ticket)
        try:
            with watched(watch):
                train(recipe, run, self.device)
        except _PrunedError:
            return "pruned", "looked worse than others did at the same step"
        except NonFiniteError as error:
            say(f"trial {ticket.number}: {error}")
            return "diverged", str(error)
        return "complete", ""

    def _looked(self, ticket: Ticket, step: int, numbers: Mapping[str, float]) -> None:
        value = numbers.get(self.asked.goal.metric)
        if value is not None and self.study.report(ticket, step, float(value)):
            say(f"trial {ticket.number}: ended at step {step}: {self.asked.goal.metric} {value:.4g}")
            raise _PrunedError


def train(recipe: Any, run: Path, device: str) -> None:
    """Train, or go on: a language model, or a model on a question without its test split."""
    if isinstance(recipe, PretrainConfig):
        pretrain(recipe, run, resume=run.exists(), device=device)
    else:
        validated(recipe, run, device)


def with_tokenizer(asked: Asked, recipe: Any, folder: Path) -> Any:
    """The recipe with the tokenizer that the search has learned for all of its runs, where it has."""
    return recipe.model_copy(update={"tokenizer_folder": folder / TOKENIZER}) if asked.shares_tokenizer else recipe


def costs(steps: int, recipe: Any, full: Any) -> dict[str, float]:
    """FLOPs of so many updates of a recipe of pre-training, and of as many as large at full width."""
    if not isinstance(recipe, PretrainConfig):
        return {}
    tokens = steps * recipe.sampling.batch_tokens
    return {"flops": tokens * flops_per_token(recipe), "flops_full": tokens * flops_per_token(full)}


def flops_per_token(recipe: PretrainConfig) -> float:
    """As planned, whatever the corpus: forward and backward, of a sequence of the greatest length."""
    return float(plan(recipe.model_copy(update={"corpus": None}))["flops_per_token"])


def best_numbers(run: Path) -> dict[str, float]:
    """The validation numbers of a run's best weights; none where no look gave any."""
    path = best_weights(run) / BEST_NUMBERS
    if not path.is_file():
        return {}
    return {name: float(value) for name, value in from_json(path.read_bytes()).items()}


def steps_of(run: Path) -> int:
    """The last step that a run wrote down."""
    if not (run / "metrics.jsonl").is_file():
        return 0
    return max((int(record["step"]) for record in read_metrics(run)), default=0)


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial is trained."""
    return folder / TRIALS / f"trial-{number:03d}"


def read_record(path: Path) -> Record | None:
    """The record of a trial that is done, None of another. CorruptError where it is not readable."""
    if not path.is_file():
        return None
    try:
        found: Record = Record.from_data(from_json(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        raise CorruptError(f"{path}: is not readable; it was edited or damaged") from None
    return found


def records_of(folder: Path) -> list[Record]:
    """The records of all trials that are done, by number."""
    found = (read_record(path) for path in (folder / TRIALS).glob(f"trial-*/{RECORD}"))
    return sorted((one for one in found if one is not None), key=lambda one: one.number)


def best_of(records: list[Record], asked: Asked) -> Record | None:
    """The trial with the best score, the first of equals; None where none was trained to its end."""
    done = {str(one.number): one for one in records if one.state == "complete"}
    scores = {name: one.score for name, one in done.items() if one.score is not None}
    return done[asked.goal.best(scores)] if scores else None


def drop_beaten(folder: Path, asked: Asked) -> None:
    """Delete the weights of the trials that are done and are not the best; their records and curves stay."""
    records = records_of(folder)
    best = best_of(records, asked)
    for record in records:
        if best is None or record.number != best.number:
            for name in HEAVY:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(trial_folder(folder, record.number) / name)
