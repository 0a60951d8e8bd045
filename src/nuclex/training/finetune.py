"""Fine-tuning: a pre-trained model and a question become a run folder, measured once on the test split, with controls.

The usual controls are the same network with random weights, trained on the same batches for as long, and the head alone
on the pre-trained model; without them nobody knows what pre-training gave, and what fine-tuning. Whatever is chosen
(weights, threshold, penalty) is chosen on validation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from nuclex.bundle import Record, TaskPart, write_bundle
from nuclex.bundle.fingerprint import parameter_hash
from nuclex.bundle.weights import unshared
from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.core.randomness import key
from nuclex.models import AnyModelConfig, LanguageModel
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import AnyHeadConfig, Head, HeadConfig, PooledHeadConfig, build_head
from nuclex.models.one_hot import OneHot
from nuclex.tasks import SPLITS, AnyTaskConfig, Task
from nuclex.tokenizers import Tokenizer, tokenizer_hash
from nuclex.training.checkpoint import Place
from nuclex.training.classes import ClassAnswers
from nuclex.training.controls import (
    CONTROLS,
    LETTERS,
    Arm,
    Control,
    ControlRates,
    letter_model,
    reads_letters,
    refused_control,
    thaw_of,
    training_of,
    usual_controls,
)
from nuclex.training.duration import TrainingConfig
from nuclex.training.linear import fit
from nuclex.training.loop import Outcome, train
from nuclex.training.pairs import DecodingConfig
from nuclex.training.pretrain import AnyTokenizerConfig
from nuclex.training.results import compare, headline, read_arm, write_arm, write_rows
from nuclex.training.run import load_best, opened_run, run_digest, write_facts
from nuclex.training.scalars import RegressionConfig, ScalarAnswers
from nuclex.training.shapes import TABLES, WAYS, Asked
from nuclex.training.start import Start
from nuclex.training.supervised import (
    Answers,
    BatchingConfig,
    Measured,
    Reading,
    SupervisedWork,
    Thaw,
    epoch_batches,
    outputs_of,
)


class FinetuneConfig(Config):
    """One fine-tuning run as one value; what ``recipes/finetune/*.toml`` hold."""

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
    batching: BatchingConfig = BatchingConfig()
    training: TrainingConfig = TrainingConfig()
    controls: tuple[Control, ...] = Field(default_factory=usual_controls, description="trained beside it; [] = nothing")
    control_rates: ControlRates = ControlRates()
    seed: int = 0

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
        return self

    @property
    def answering_head(self) -> HeadConfig:
        """The head that was asked for, or the usual one of the shape."""
        return self.head or WAYS[self.task.shape].heads[0]


def finetune(
    config: FinetuneConfig, out: str | Path, *, resume: bool = False, device: str = "cpu", kin: Sequence[Path] = ()
) -> dict[str, Any]:
    """Fine-tune and measure; returns run, bundle, steps and metrics. ``resume`` continues a stopped run.

    ``out`` holds the pre-trained run (its bundle has the weights that were best on validation), folders in it by the
    names of the ``controls`` these, ``results.json`` the test scores side by side. ``kin`` are runs with other bundles:
    a control that has nothing of the bundle is taken from them where it would come out the same, bit for bit. Raises
    InputError (exit 2) where recipe, bundle and data do not fit, StoppedError after a signal.
    """
    run, start = Path(out), _start(config)
    _refuse_blind(config, start)
    task = config.task.read()
    answers, readings = _answers(config, task, start.tokenizer, start.network.longest)
    arms, an_epoch = _arms(config, run), _an_epoch(config, readings["train"])
    training = config.training.counted(lambda _: an_epoch)
    hows = {arm: _training(config, training, arm) for arm in arms}
    with opened_run(run, config, resume=resume):
        facts = {"seed": config.seed, "threads": torch.get_num_threads(), "device": device}
        write_facts(run, plan=_plan(config, task, start, readings), provenance=provenance(**facts))
        done = {}
        lettered = _answers(config, task, LETTERS, None) if any(map(reads_letters, arms)) else (answers, readings)
        for arm, folder in arms.items():
            how = hows[arm]
            say(f"fine-tuning: {arm}" + ("" if how is None else f", {how.steps} steps, rate {how.schedule.rate:g}"))
            asked = lettered if reads_letters(arm) else (answers, readings)
            done[arm] = _Run(config, task, start, *asked, how).go(arm, folder, device, kin)
        beside: dict[str, Measured] = {arm: measured for arm, (_, measured) in done.items()}
        results = compare(task, answers, beside | _baselines(answers, run))
        runs = {
            arm: {"validation": numbers, "settings": measured.settings, "training": _told(hows[arm])}
            for arm, (numbers, measured) in done.items()
        }
        described = {"name": task.name, "shape": str(task.shape), "digest": task.digest, "counts": task.counts()}
        whole = {"task": {**described, "notes": dict(task.notes)}, "runs": runs, **results}
        with atomic_file(run / "results.json") as temporary:
            write_json(temporary, whole)
    metrics = headline(results, answers)
    return {"run": str(run), "bundle": str(run / "bundle"), "steps": training.steps, "metrics": metrics}


def _arms(config: FinetuneConfig, run: Path) -> dict[Arm, Path]:
    """What is trained, in order, and where; the frozen control is the first, while the weights are as they came."""
    itself = _itself(config)
    asked = {control for control in config.controls if control != itself}
    order: tuple[Arm, ...] = ("frozen", itself, *CONTROLS[1:])
    return {arm: run if arm == itself else run / arm for arm in order if arm == itself or arm in asked}


def _itself(config: FinetuneConfig) -> Arm:
    """The arm that is the run itself."""
    return "scratch" if config.bundle is None else "pretrained"


def _an_epoch(config: FinetuneConfig, train_set: Reading) -> int:
    """Optimizer updates of the first epoch."""
    return len(epoch_batches(train_set.tokens_N, config.batching, config.seed, 0))


def _training(config: FinetuneConfig, training: TrainingConfig, arm: Arm) -> TrainingConfig | None:
    """How an arm is trained, the run itself always as its recipe says; None for what is fitted."""
    if arm == "k-mers":
        return None
    return training if arm == _itself(config) else training_of(arm, training, config.control_rates)


def _told(training: TrainingConfig | None) -> dict[str, Any] | None:
    """How an arm was trained, for who compares it with another."""
    if training is None:
        return None
    schedule = training.schedule
    return {"steps": training.steps, "rate": schedule.rate, "warmup": schedule.warmup, "clip": training.optimizer.clip}


@dataclass(frozen=True, eq=False)
class _Run:
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
        outcome = self._learned(arm, model, folder, identity)
        numbers = load_best(folder, model)
        model.forget()
        model.eval()
        measured = self.answers.measure(model)
        if isinstance(model.model, LanguageModel):
            self._write_bundle(folder / "bundle", model.model, model.head, (numbers, measured, outcome))
        numbers = {**numbers, "seconds": outcome.place.seconds, "tokens": outcome.place.tokens}
        write_arm(folder, identity, numbers, measured)
        return numbers, measured

    def _model(self, arm: Arm) -> AnsweringModel:
        config = self.config
        seed, outputs = key(config.seed, "head"), outputs_of(self.task.classes)
        if reads_letters(arm):
            return letter_model(arm, self.readings, outputs, seed)
        under, head_config = self.start.model(arm, config.seed), config.answering_head
        if isinstance(under, OneHot) and isinstance(head_config, PooledHeadConfig):
            head_config = head_config.model_copy(update={"pooling": "mean"})  # its start token says nothing
        width = under.width if isinstance(under, OneHot) else self.start.network.width
        return AnsweringModel(under, _fitting(lambda: build_head(head_config, width, outputs, seed)))

    def _learned(self, arm: Arm, model: AnsweringModel, folder: Path, identity: dict[str, Any]) -> Outcome:
        """Train or fit, with the weights that are best on validation kept in ``folder``."""
        config, train_set = self.config, self.readings["train"]
        if self.training is None:
            assert isinstance(self.answers, ClassAnswers | ScalarAnswers)
            began, tokens = time.perf_counter(), int(train_set.tokens_N.sum())
            last = fit(model, self.answers, folder)
            return Outcome(Place(seconds=time.perf_counter() - began, tokens=tokens), last)
        names, thaw = [example.id for example in train_set.examples], thaw_of(arm, config.thaw)
        work = SupervisedWork(self.answers, train_set.tokens_N, config.batching, thaw, config.seed, names)
        return train(model, work, self.training, folder, identity)

    def _identity(self, arm: Arm, model: AnsweringModel) -> dict[str, Any]:
        return {
            "config": run_digest(self.config),
            "task": self.task.digest,
            "tokenizer": tokenizer_hash(self.start.tokenizer),
            "start": parameter_hash(unshared(model)),
            "arm": arm,
            "seed": self.config.seed,
        }

    def _write_bundle(
        self, folder: Path, model: LanguageModel, head: Head, done: tuple[dict[str, float], Measured, Outcome]
    ) -> None:
        numbers, measured, outcome = done
        config, origin = self.config, self.start.bundle
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
        )
        means = {name: float(np.mean(values)) for name, values in measured.scores.items()}
        simulated = ("It was fine-tuned on simulated sequences.",) if self.task.notes.get("simulated") else ()
        record = Record(
            recipe=config.to_data(),
            provenance=provenance(seed=config.seed, steps=outcome.place.step, best_step=outcome.place.best_step),
            metrics={**numbers, **{f"test_{name}": value for name, value in means.items()}},
            corpus=origin.record.corpus if origin is not None else None,
            name=f"{origin.record.name if origin is not None else self.start.network.kind} for {self.task.name}",
            licence=origin.record.licence if origin is not None else None,
            notes=((*origin.record.notes, *simulated) if origin is not None else simulated),
        )
        write_bundle(folder, model.cpu(), self.start.tokenizer, record, task=part, replace=True)


def _baselines(answers: Answers, run: Path) -> dict[str, Measured]:
    """What is known without a model, its answers kept in a folder each."""
    found = answers.baselines()
    for name, measured in found.items():
        (run / name).mkdir(exist_ok=True)
        write_rows(run / name, measured)
    return found


def _start(config: FinetuneConfig) -> Start:
    return Start.of(config.bundle, config.model, config.tokenizer)


def _refuse_blind(config: FinetuneConfig, start: Start) -> None:
    """InputError where the head reads a token that has seen nothing of its sequence."""
    head = config.answering_head
    if start.network.causal and isinstance(head, PooledHeadConfig) and head.pooling == "cls":
        raise InputError(
            "head.pooling: 'cls' reads the first token, and a causal model has seen nothing by then; "
            f"give --head.kind {head.kind} --head.pooling mean"
        )


def _fitting(build: Callable[[], Head]) -> Head:
    """The head; InputError where it cannot give as many answers as the task has."""
    try:
        return build()
    except ValueError as error:
        raise InputError(str(error)) from None


def _answers(
    config: FinetuneConfig, task: Task, tokenizer: Tokenizer, longest: int | None
) -> tuple[Answers, dict[str, Reading]]:
    readings: dict[str, Reading] = {}
    for split in SPLITS:
        try:
            readings[split] = Reading.of(task.examples(split), tokenizer, longest)
        except InputError as error:
            raise InputError(f"{task.name}, {split} split: {error}") from None
    asked = Asked(config.batching.micro_tokens, config.decoding, config.regression, config.head)
    return WAYS[task.shape].answers(task, readings, asked), readings


def _plan(config: FinetuneConfig, task: Task, start: Start, readings: dict[str, Reading]) -> dict[str, Any]:
    """What follows from the recipe and its data, as plain data."""
    with torch.device("meta"):
        model = LanguageModel(start.network, vocabulary_size=len(start.tokenizer), pad_id=0, mask_id=0)
        head = _fitting(lambda: config.answering_head.build(start.network.width, outputs_of(task.classes)))
    tokens_N, an_epoch = readings["train"].tokens_N, _an_epoch(config, readings["train"])
    steps = config.training.counted(lambda _: an_epoch).steps
    return {
        "parameters": sum(value.numel() for value in model.parameters()),
        "head_parameters": sum(value.numel() for value in head.parameters()),
        "examples": task.counts(),
        "train_tokens": int(tokens_N.sum()),
        "longest_tokens": max(int(reading.tokens_N.max()) for reading in readings.values()),
        "steps": steps,
        "epochs": round(steps / an_epoch, 2),
        "thaw": [item.begins(an_epoch) for item in config.thaw],
    }
