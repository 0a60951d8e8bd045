"""One arm of a fine-tuning run: train, take the weights that are best on validation, measure, write the bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nuclex.bundle import Record, TaskPart, load, write_bundle
from nuclex.bundle.fingerprint import parameter_hash
from nuclex.bundle.weights import unshared
from nuclex.core.errors import InputError
from nuclex.core.plain import plain
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.core.randomness import key
from nuclex.data.origins import origins
from nuclex.models import LanguageModel
from nuclex.models.answering import AnsweringModel, Head, head_over
from nuclex.models.heads import PooledHeadConfig
from nuclex.models.one_hot import OneHot
from nuclex.models.scaling import Growth
from nuclex.tasks import Shape, Task
from nuclex.tasks.partners import partners_of
from nuclex.tokenizers import tokenizer_hash
from nuclex.training.adapter import adapting, lay_in, merge
from nuclex.training.checkpoint import Place
from nuclex.training.classes import ClassAnswers
from nuclex.training.controls import Arm, letter_model, reads_letters, thaw_of
from nuclex.training.duration import TrainingConfig
from nuclex.training.linear import fit
from nuclex.training.loop import Outcome, train
from nuclex.training.question import FinetuneConfig
from nuclex.training.results import brief, read_arm, write_arm
from nuclex.training.run import load_best, run_digest
from nuclex.training.scalars import ScalarAnswers
from nuclex.training.spent import Clock
from nuclex.training.start import Start
from nuclex.training.supervised import Answers, Measured, Reading, SupervisedWork, learning_parameters, outputs_of


@dataclass(frozen=True, eq=False)
class ArmRun:
    """One arm: train, take the best weights, measure, write the bundle."""

    config: FinetuneConfig
    task: Task
    start: Start
    answers: Answers
    readings: dict[str, Reading]
    training: TrainingConfig | None

    def go(self, arm: Arm, folder: Path, device: str, kin: Sequence[Path]) -> tuple[dict[str, Any], Measured]:
        """The numbers on validation, and what was measured on the test split."""
        folder.mkdir(parents=True, exist_ok=True)
        model = self._model(arm).to(device)
        identity = self._identity(arm, model)
        for place in () if isinstance(model.model, LanguageModel) else (folder, *(run / arm for run in kin)):
            if (found := read_arm(place, identity)) is not None:
                say(f"{arm}: " + ("done already" if place == folder else f"the same as in {place}, taken from there"))
                write_arm(folder, identity, *found)
                return found
        clock = Clock(device)
        numbers, outcome = self._learned(arm, model, folder, identity)
        measured = self.answers.measure(model)
        if isinstance(model.model, LanguageModel):
            self._write_bundle(folder / "bundle", model.model, model.head, (numbers, measured, outcome), clock.told())
        numbers = {**numbers, "seconds": outcome.place.seconds, "tokens": outcome.place.tokens}
        write_arm(folder, identity, numbers, measured)
        return numbers, measured

    def validated(self, arm: Arm, folder: Path, device: str) -> dict[str, float]:
        """The numbers on validation of the best weights; the test split is not asked."""
        model = self._model(arm).to(device)
        return self._learned(arm, model, folder, self._identity(arm, model))[0]

    def _model(self, arm: Arm) -> AnsweringModel:
        config = self.config
        seed, outputs = key(config.seed, "head"), outputs_of(self.task.classes, self.task.targets)
        if reads_letters(arm):
            return letter_model(arm, self.readings, outputs, seed)
        under, head_config = self.start.model(arm, config.seed), config.answering_head
        if isinstance(under, OneHot) and isinstance(head_config, PooledHeadConfig):
            head_config = head_config.model_copy(update={"pooling": "mean"})  # its start token says nothing
        head, grown = fitting(lambda: head_over(head_config, under, outputs, seed))
        if arm == "pretrained" and config.adapter is not None:
            assert isinstance(under, LanguageModel)
            lay_in(under, config.adapter, key(config.seed, "adapter"))
        shared = config.probes and arm in ("pretrained", "frozen")  # the bundle's weights to the end
        return AnsweringModel(under, self.answers.ready(head), self.start.kept if shared else None, grown)

    def _learned(
        self, arm: Arm, model: AnsweringModel, folder: Path, identity: dict[str, Any]
    ) -> tuple[dict[str, float], Outcome]:
        """Train or fit; the weights that are best on validation are in ``model`` afterwards, and kept in ``folder``."""
        outcome = self._trained(arm, model, folder, identity)
        numbers = load_best(folder, model)
        if isinstance(model.model, LanguageModel) and adapting(model.model):
            merge(model.model)
        if not self.config.probes or arm == "scratch":
            model.forget()
        model.eval()
        return numbers, outcome

    def _trained(self, arm: Arm, model: AnsweringModel, folder: Path, identity: dict[str, Any]) -> Outcome:
        config, train_set = self.config, self.readings["train"]
        if self.training is None:
            assert isinstance(self.answers, ClassAnswers | ScalarAnswers)
            began, tokens = time.perf_counter(), int(train_set.tokens_N.sum())
            last = fit(model, self.answers, folder)
            return Outcome(Place(seconds=time.perf_counter() - began, tokens=tokens), last)
        names, thaw = [example.id for example in train_set.examples], thaw_of(arm, config.thaw)
        work = SupervisedWork(self.answers, train_set.tokens_N, config.batching, thaw, config.seed, names)
        learning = learning_parameters(model, work.thaw, self.training.steps)
        counts = [sum(value.numel() for value in values) for values in (learning, model.parameters())]
        say(f"{arm}: of {counts[1]} parameters {counts[0]} learn")
        return train(model, work, self.training, folder, identity)

    def _identity(self, arm: Arm, model: AnsweringModel) -> dict[str, Any]:
        return {
            "config": run_digest(self.config.alone),
            "task": self.task.digest,
            "tokenizer": tokenizer_hash(self.start.tokenizer),
            "start": parameter_hash(unshared(model)),
            "arm": arm,
            "seed": self.config.seed,
        }

    def _write_bundle(
        self,
        folder: Path,
        model: LanguageModel,
        head: Head,
        done: tuple[dict[str, float], Measured, Outcome],
        spent: dict[str, Any],
    ) -> None:
        numbers, measured, outcome = done
        config, origin, place = self.config, self.start.bundle, outcome.place
        counted = {"steps": place.step, "best_step": place.best_step, "tokens": place.tokens, "seconds": place.seconds}
        part = TaskPart(
            {
                "name": self.task.name,
                "shape": str(self.task.shape),
                "classes": list(self.task.classes),
                "head": config.answering_head.to_data(),
                "settings": measured.settings,
                "digest": self.task.digest,
            },
            dict(unshared(head)),
            partners_of(self.task) if self.task.shape is Shape.PARTNER else None,
        )
        means = {name: float(np.mean(values)) for name, values in measured.scores.items()}
        simulated = ("It was fine-tuned on simulated sequences.",) if self.task.notes.get("simulated") else ()
        record = Record(
            recipe=config.to_data(),
            provenance=provenance(seed=config.seed, **counted, spent=spent),
            metrics={**numbers, **{f"test_{name}": value for name, value in means.items()}},
            corpus=origin.record.corpus if origin is not None else None,
            name=f"{origin.record.name if origin is not None else self.start.network.kind} for {self.task.name}",
            licence=origin.record.licence if origin is not None else None,
            notes=((*origin.record.notes, *simulated) if origin is not None else simulated),
            finetuned=self._asked(),
        )
        write_bundle(folder, model.cpu(), self.start.tokenizer, record, task=part, replace=True)

    def _asked(self) -> dict[str, Any]:
        """What the model was asked, of which sequences, under whose licence, and what it began from."""
        task, origin = self.task, self.start.bundle
        found = {
            "task": task.name,
            "shape": str(task.shape),
            "counts": task.counts(),
            "notes": {name: value for name, value in task.notes.items() if name != "files"},
            "sources": origins(task.notes),
            "base": origin.source if origin is not None else None,
        }
        return plain(found)


def retell(folder: Path, results: Mapping[str, Any]) -> None:
    """Write into a finished bundle what all arms of its run found on the test split; weights stay as they are."""
    bundle = load(folder)
    record = replace(bundle.record, finetuned={**(bundle.record.finetuned or {}), **brief(results)})
    write_bundle(folder, bundle.model, bundle.tokenizer, record, task=bundle.task, replace=True)


def fitting(build: Callable[[], tuple[Head, dict[str, Growth]]]) -> tuple[Head, dict[str, Growth]]:
    """The head and how it grew; InputError where it cannot give as many answers as the task has."""
    try:
        return build()
    except ValueError as error:
        raise InputError(str(error)) from None
