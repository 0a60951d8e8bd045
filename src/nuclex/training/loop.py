"""The one training loop: pre-training and fine-tuning, interrupted or not, give the same weights.

Nothing random is carried from step to step: data order, masking and dropout are keyed by (seed, step), so a run that
was stopped and resumed does on a CPU bit for bit what the run that was never stopped does. Checkpoints are written
between updates only; whatever an update needed (batches left out, a roll-back) is done again if it was cut off.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from nuclex.core.artifact import clear_leftovers, verify_folder
from nuclex.core.errors import CorruptError
from nuclex.core.progress import bar, say
from nuclex.training.anomalies import Anomaly
from nuclex.training.average import Average
from nuclex.training.best import best_weights
from nuclex.training.between import Between
from nuclex.training.checkpoint import Place, latest_checkpoint, load_checkpoint, place_of
from nuclex.training.distributed import ALONE, Group
from nuclex.training.duration import TrainingConfig
from nuclex.training.optimizer import build_optimizer
from nuclex.training.summing import shared_out
from nuclex.training.tracking import open_trackers
from nuclex.training.update import Learner, Updates
from nuclex.training.width import growth_of
from nuclex.training.work import Work


@dataclass
class Outcome:
    """What a finished run leaves: where it stands and its last and best validation numbers."""

    place: Place
    last: dict[str, float] = field(default_factory=dict)


def train(
    model: nn.Module,
    work: Work[Any],
    config: TrainingConfig,
    run: Path,
    identity: dict[str, Any],
    group: Group = ALONE,
) -> Outcome:
    """Train ``model`` in place to the end of ``config``; the newest sound checkpoint in ``run`` is taken up first.

    Where an average of the weights is kept, ``model`` has the average as its weights in the end. Where the ``group``
    shares a model out, it is so afterwards. All processes of a group call this at once; the first one writes.
    Raises StoppedError after SIGINT or SIGTERM and NonFiniteError where a batch ends the run; both leave a checkpoint
    of the last finished step. CorruptError where there are checkpoints and none of them is whole.
    """
    config = config.counted(work.batches)
    shared_out(model, group, halved=config.precision == "bf16-weights")
    optimizer = build_optimizer(model.named_parameters(), config.optimizer, work.rates(model), growth_of(model))
    learner = Learner(optimizer, Average(model, config.ema) if config.ema.decay else None, group)
    if group.first:
        clear_leftovers(run)
        clear_leftovers(run / "checkpoints")
    found, place = _taken_up(model, learner, run, identity)
    resumed = place.step if found is not None else None
    trackers = open_trackers(run, config.track, resumed, place.lines) if group.first else ()
    loop = Updates(model, work, config, learner, place, int(identity["seed"]))
    between = Between(loop, run, identity, trackers, resumed=found is not None)
    try:
        with between.stopping.listening(), loop.own_random(), bar("training", config.steps, place.step) as progress:
            while not between.attend():
                made = loop.update()
                if isinstance(made, Anomaly):
                    between.refuse(made)
                    continue
                note = f"loss {made['loss']:.3f}, {made['tokens_per_s']:.0f} tokens/s"
                progress.advance(place.step - progress.done, note)
                if place.step % config.log_every == 0 or place.step == config.steps:
                    between.tell(made)
    finally:
        for tracker in trackers:
            tracker.close()
    if learner.average is not None:
        learner.average.lay_over(model)
    return Outcome(place, place.last)


def _taken_up(model: nn.Module, learner: Learner, run: Path, identity: dict[str, Any]) -> tuple[Path | None, Place]:
    """The checkpoint that ``_chosen`` names in the first process, taken up by all."""
    name, lost = learner.group.shared(_chosen(run, identity) if learner.group.first else None)
    if name is None:
        return None, Place()
    found = run / "checkpoints" / name
    place = load_checkpoint(found, model, learner.optimizer, identity, learner.average)
    if lost:
        place.best_score, place.best_step, place.looked = None, None, 0
    return found, place


def _chosen(run: Path, identity: dict[str, Any]) -> tuple[str | None, bool]:
    """The newest sound checkpoint by name; one from before the best weights were made where those are damaged.

    Where there is none from before, the run goes on without them, and says so: then the second is true.
    """
    folder, best = run / "checkpoints", best_weights(run)
    found = latest_checkpoint(folder)
    if found is None:
        return None, False
    place = place_of(found, identity)
    if place.best_step is None:
        return found.name, False
    try:
        verify_folder(best)  # now, and not when the run has ended
    except CorruptError as error:
        earlier = latest_checkpoint(folder, place.best_step - 1)
        if earlier is not None:
            say(f"refused damaged best weights: {error}; they are made again, going on from {earlier.name}")
        else:
            say(f"refused damaged best weights: {error}; from here on the best that comes is kept, theirs are lost")
        shutil.rmtree(best, ignore_errors=True)
        return (earlier or found).name, earlier is None
    return found.name, False
