"""Fine-tuning: a pre-trained model and a question become a run folder, measured once on the test split, with controls.

The usual controls are the same network with random weights, trained on the same batches for as long, and the head alone
on the pre-trained model; without them nobody knows what pre-training gave, and what fine-tuning. Whatever is chosen
(weights, threshold, penalty) is chosen on validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from nuclex.bundle.fingerprint import parameter_hash
from nuclex.bundle.weights import unshared
from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import InputError
from nuclex.core.plain import from_json
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.models import LanguageModel
from nuclex.models.heads import PooledHeadConfig
from nuclex.tasks import SPLITS, Task
from nuclex.tokenizers import Tokenizer, tokenizer_hash
from nuclex.training.arm import ArmRun, fitting, retell
from nuclex.training.controls import CONTROLS, LETTERS, Arm, reads_letters, training_of
from nuclex.training.distributed import refuse_several
from nuclex.training.duration import TrainingConfig
from nuclex.training.grid import Settings, points, search
from nuclex.training.question import FinetuneConfig
from nuclex.training.results import compare, headline, spread, write_rows
from nuclex.training.run import opened_run, write_facts
from nuclex.training.shapes import WAYS, Asked
from nuclex.training.start import Start
from nuclex.training.supervised import Answers, Measured, Reading, epoch_batches, outputs_of

__all__ = ["FinetuneConfig", "finetune", "validated"]

RESULTS = "results.json"


def finetune(
    config: FinetuneConfig,
    out: str | Path = Path("finetuned"),
    *,
    resume: bool = False,
    device: str = "cpu",
    kin: Sequence[Path] = (),
) -> dict[str, Any]:
    """Fine-tune and measure; returns run, bundle, steps and metrics. ``resume`` continues a stopped run.

    ``out`` holds the pre-trained run (its bundle has the weights that were best on validation), folders in it by the
    names of the ``controls`` these, ``results.json`` the test scores side by side. ``kin`` are runs with other bundles:
    a control that has nothing of the bundle is taken from them where it would come out the same, bit for bit. With a
    ``grid`` each combination is trained first, and the one that is best on validation goes on as the run. Raises
    InputError (exit 2) where recipe, bundle and data do not fit, StoppedError after a signal.
    """
    refuse_several("finetune")
    run, start = Path(out), _start(config)
    asked = _Asked.of(config, start)
    searched, results = None, {}
    with opened_run(run, config, resume=resume):
        if config.grid:
            searched = search(points(config.grid), run, partial(_tried, config, start, device))
            chosen = config.at(searched.settings[searched.chosen], controls=list(config.controls))
            asked, results = _Asked.of(chosen, _again(chosen, start)), {"grid": searched.to_data()}
        results |= _measured(asked, run, device, kin)
        if config.seeds > 1:
            results["seeds"] = _seeds(asked.config, config.seeds, run, device, results)
        with atomic_file(run / RESULTS) as temporary:
            write_json(temporary, results)
        if (run / "bundle").is_dir():
            retell(run / "bundle", results)
    tried = {} if searched is None else {"grid": searched.rows()}
    told = {"run": str(run), "bundle": str(run / "bundle"), "steps": asked.training.steps}
    return {**told, "metrics": headline(results, asked.answers), **tried}


@dataclass(frozen=True, eq=False)
class _Asked:
    """A run with all that it reads before it begins; ``training`` counts in updates."""

    config: FinetuneConfig
    start: Start
    task: Task
    answers: Answers
    readings: dict[str, Reading]
    training: TrainingConfig

    @classmethod
    def of(cls, config: FinetuneConfig, start: Start) -> Self:
        """Read the data; InputError where they do not fit the model or the head."""
        _refuse_blind(config, start)
        task = config.task.read()
        config = config.about(task)
        answers, readings = _answers(config, task, start.tokenizer, start.network.longest)
        an_epoch = _an_epoch(config, readings["train"])
        return cls(config, start, task, answers, readings, config.training.counted(lambda _: an_epoch))

    def begin(self, run: Path, device: str) -> None:
        """Write down what follows from the recipe, and what it runs on."""
        facts = {"seed": self.config.seed, "threads": torch.get_num_threads(), "device": device}
        write_facts(run, plan=_plan(self), provenance=provenance(**facts))


def _again(config: FinetuneConfig, start: Start) -> Start:
    """The same start, with the vectors that it kept, where no run changes its weights; else a new one."""
    return start if config.probes else _start(config)


def _tried(config: FinetuneConfig, start: Start, device: str, settings: Settings, folder: Path) -> dict[str, float]:
    """Train with these settings of the grid; the validation numbers of the best weights."""
    tried = config.at(settings, controls=[])
    asked, arm = _Asked.of(tried, _again(tried, start)), _itself(tried)
    with opened_run(folder, tried, resume=folder.exists()):
        asked.begin(folder, device)
        run = ArmRun(tried, asked.task, asked.start, asked.answers, asked.readings, asked.training)
        return run.validated(arm, folder, device)


def validated(config: FinetuneConfig, folder: Path, device: str = "cpu") -> dict[str, float]:
    """Train once, without controls, or go on with it; the validation numbers of the best weights.

    The test split is not asked. InputError where recipe, bundle and data do not fit, StoppedError after a signal.
    """
    return _tried(config, _start(config), device, {}, folder)


def identity(config: FinetuneConfig) -> str:
    """A hash of what a run is asked on and begins from: the task's sequences and answers, weights, tokenizer.

    InputError where recipe, bundle and data do not fit.
    """
    asked = _Asked.of(config.at({}, controls=[]), _start(config))
    bundle = asked.start.bundle
    weights = "" if bundle is None else parameter_hash(unshared(bundle.model))
    told = f"{asked.task.digest} {tokenizer_hash(asked.start.tokenizer)} {weights}"
    return hashlib.sha256(told.encode()).hexdigest()


def _measured(asked: _Asked, run: Path, device: str, kin: Sequence[Path]) -> dict[str, Any]:
    """Train and measure the run itself and its controls: what ``results.json`` holds."""
    config, task, answers, readings = asked.config, asked.task, asked.answers, asked.readings
    arms, done = _arms(config, run), {}
    hows = {arm: _training(config, asked.training, arm) for arm in arms}
    asked.begin(run, device)
    lettered = _answers(config, task, LETTERS, None) if any(map(reads_letters, arms)) else (answers, readings)
    for arm, folder in arms.items():
        how = hows[arm]
        say(f"fine-tuning: {arm}" + ("" if how is None else f", {how.steps} steps, rate {how.schedule.rate:g}"))
        read = lettered if reads_letters(arm) else (answers, readings)
        done[arm] = ArmRun(config, task, asked.start, *read, how).go(arm, folder, device, kin)
    beside: dict[str, Measured] = {arm: measured for arm, (_, measured) in done.items()}
    runs = {
        arm: {"validation": numbers, "settings": measured.settings, "training": _told(hows[arm])}
        for arm, (numbers, measured) in done.items()
    }
    described = {"name": task.name, "shape": str(task.shape), "digest": task.digest, "counts": task.counts()}
    compared = compare(task, answers, beside | _baselines(answers, run))
    return {"task": {**described, "notes": dict(task.notes)}, "runs": runs, **compared}


def _seeds(config: FinetuneConfig, count: int, run: Path, device: str, first: dict[str, Any]) -> dict[str, Any]:
    """The run again with the seeds after its own, without controls, each in a folder; and how far they lie apart."""
    found = [first]
    for seed in range(config.seed + 1, config.seed + count):
        folder = run / "seeds" / f"seed-{seed}"
        finetune(config.at({}, seed=seed, controls=[]), folder, resume=folder.exists(), device=device)
        found.append(from_json((folder / RESULTS).read_bytes()))
    return spread([results["test"]["all"][_itself(config)] for results in found])


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


def _plan(asked: _Asked) -> dict[str, Any]:
    """What follows from the recipe and its data, as plain data."""
    config, task, start, readings = asked.config, asked.task, asked.start, asked.readings
    with torch.device("meta"):
        model = LanguageModel(start.network, vocabulary_size=len(start.tokenizer), pad_id=0, mask_id=0)
        outputs = outputs_of(task.classes, task.targets)
        head, _ = fitting(lambda: (config.answering_head.build(start.network.width, outputs), {}))
    tokens_N, an_epoch = readings["train"].tokens_N, _an_epoch(config, readings["train"])
    steps, adapter = asked.training.steps, config.adapter
    return {
        "parameters": sum(value.numel() for value in model.parameters()),
        "head_parameters": sum(value.numel() for value in head.parameters()),
        **({} if adapter is None else {"adapter_parameters": adapter.parameters(model)}),
        "examples": task.counts(),
        "train_tokens": int(tokens_N.sum()),
        "longest_tokens": max(int(reading.tokens_N.max()) for reading in readings.values()),
        "steps": steps,
        "epochs": round(steps / an_epoch, 2),
        "thaw": [item.begins(an_epoch) for item in config.thaw],
    }
