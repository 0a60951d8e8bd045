"""What happens between two updates: looking, saving, stopping, and what is done about a batch that breaks a run."""

from __future__ import annotations

import contextlib
import math
import signal
from pathlib import Path
from typing import Any

from nuclex.core.errors import CorruptError, NonFiniteError, StoppedError
from nuclex.core.progress import say
from nuclex.training.anomalies import Anomaly
from nuclex.training.best import best_weights, keep_among_best, rated, save_weights
from nuclex.training.checkpoint import (
    checkpoint_name,
    latest_checkpoint,
    load_checkpoint,
    prune,
    save_checkpoint,
    save_shared_out,
)
from nuclex.training.stopping import Cut, Stopping
from nuclex.training.tracking import Trackers
from nuclex.training.update import Updates
from nuclex.training.watching import told


class Between:
    """What happens between two updates: looking, saving, stopping, and what is done about a refused batch.

    Of several processes all come through here at once and decide alike: by numbers that all have, by what the first one
    says, or by whether any of them was asked to stop. The first alone has ``trackers`` and writes.
    """

    def __init__(
        self, loop: Updates, run: Path, identity: dict[str, Any], trackers: Trackers | tuple[()], *, resumed: bool
    ) -> None:
        self.loop, self.place, self.config, self.group = loop, loop.place, loop.config, loop.group
        self.run, self.identity, self.trackers = run, identity, trackers
        self.checkpoints, self.stopping = run / "checkpoints", Stopping()
        self._saved = (self.place.step, self.place.looked) if resumed else None
        if self.config.anomaly.policy == "roll-back" and not self.group.shared(self._has_anchor()):
            self.place.anchor = self.place.step
            if not resumed:
                self._save()

    def attend(self) -> bool:
        """Look and save where it is time to; whether the run is over. StoppedError where a signal asked for it."""
        place, config = self.place, self.config
        if place.step != place.looked and (place.step % config.evaluate_every == 0 or self._over):
            with contextlib.suppress(Cut):  # it is done again when the run is taken up
                self._look()
        regular, asked = place.step % config.checkpoint_every == 0, self._asked()
        if place.step and (regular or self._over or asked):
            if regular and self._saved != (place.step, place.looked):
                place.anchor, place.returns = place.step, 0
            self._save()
        if asked:
            name = signal.Signals(asked).name
            raise StoppedError(f"{name}: stopped after step {place.step}; continue with --resume", asked)
        return self._over

    def _asked(self) -> int:
        """The signal with which any of the processes was asked to stop; 0 where none was."""
        return max(int(row[0]) for row in self.group.gathered([self.stopping.number or 0]))

    @property
    def _over(self) -> bool:
        patience = self.config.stop_after
        return self.place.step >= self.config.steps or bool(patience and self.place.stale >= patience)

    def tell(self, record: dict[str, Any]) -> None:
        """Write one record down."""
        for tracker in self.trackers:
            tracker.record(record)
        if self.trackers:
            self.place.lines = self.trackers[0].lines

    def refuse(self, found: Anomaly) -> None:
        """Leave a batch out, or go back before it, or end the run (NonFiniteError), as the recipe says."""
        place, rules = self.place, self.config.anomaly
        back = rules.policy == "roll-back"
        if rules.policy == "stop" or (place.returns if back else place.refused) >= rules.patience:
            self.tell(found.record("stop", place.step))
            if place.step:
                self._save()
            raise NonFiniteError(found.last_words(rules, place.step))
        drawn = place.step + place.skipped + 1
        if back:
            self._go_back()
        place.epoch, place.batch = found.epoch, found.batch + 1
        place.skipped, place.refused = drawn - place.step, place.refused + 1
        self.tell(found.record(rules.policy, place.step))
        went = f"back to step {place.step}, going on behind it" if back else "it is left out"
        say(f"{found.place}: {found.reason}; {went} ({place.skipped} batches left out so far)")

    def _has_anchor(self) -> bool:
        anchor = self.place.anchor
        return anchor is not None and (self.checkpoints / checkpoint_name(anchor)).is_dir()

    def _go_back(self) -> None:
        """Be again where the anchor is, apart from what was found and spent since; its checkpoint stays the newest."""
        place = self.place
        lasting = {name: getattr(place, name) for name in ("best_score", "best_step", "seconds", "refused", "anchor")}
        returns = place.returns + 1
        found = latest_checkpoint(self.checkpoints, place.anchor) if self.group.first else None
        name = self.group.shared(found and found.name)
        if name is None:
            raise CorruptError(f"{self.checkpoints}: the checkpoint of step {place.anchor} to go back to is missing")
        loop = self.loop
        earlier = load_checkpoint(self.checkpoints / name, loop.model, loop.optimizer, self.identity, loop.average)
        vars(place).update({**vars(earlier), **lasting, "returns": returns})
        self.group.wait()  # until all have read it
        if self.trackers:
            prune(self.checkpoints, self.config.keep_checkpoints, place.step)
            self.trackers[0].rewind(place.lines)
        self._saved = (place.step, place.looked)

    def _look(self) -> None:
        """Validation numbers; keeps the weights when the score is the best so far, or among the best."""
        place, config = self.place, self.config
        with self.loop.looked_at():
            numbers = self._numbers()
            score = rated(numbers, config.best_metric, config.best_mode)
            best = (
                rated({"score": place.best_score}, "score", config.best_mode) if place.best_score is not None else None
            )
            place.stale, place.waited = place.stale + 1, place.waited + 1
            reached = {"step": place.step, **numbers}
            if score is not None and score > (-math.inf if best is None else best):  # no number is never the best
                place.best_score, place.best_step, place.stale, place.waited = (
                    numbers[config.best_metric],
                    place.step,
                    0,
                    0,
                )
                save_weights(best_weights(self.run), self.loop.model, reached, self.group)
            if config.keep_best > 1:
                rule = config.best_metric, config.best_mode
                keep_among_best(self.checkpoints, self.loop.model, reached, rule, config.keep_best, self.group)
        if self.config.schedule.kind == "plateau" and place.waited >= self.config.schedule.patience:
            place.waited, place.reductions = 0, place.reductions + 1
        place.last, place.looked = numbers, place.step
        self.tell({"step": place.step, **numbers})
        told(place.step, numbers)

    def _numbers(self) -> dict[str, float]:
        """Validation numbers, the first process's for all; ``Cut`` where a signal cut any of them short.

        Who shares out a model needs the others to score, and nobody leaves them.
        """
        numbers, cut = {}, False
        try:
            with contextlib.nullcontext() if self.group.sharded else self.stopping.cutting():
                numbers = self.loop.evaluate()
        except Cut:
            cut = True
        if self.group.any(cut):
            raise Cut
        return dict(self.group.shared(numbers))

    def _save(self) -> None:
        """Write a checkpoint unless there is this one; only then the old ones go."""
        place = self.place
        if self._saved == (place.step, place.looked):
            return
        if self.trackers:
            self.trackers[0].sync()
        loop = self.loop
        write = save_shared_out if self.group.sharded else save_checkpoint
        if self.group.first or self.group.sharded:
            write(self.checkpoints, loop.model, loop.optimizer, place, self.identity, loop.average)
        self._saved = (place.step, place.looked)
        if not self.trackers:
            return
        spared = [place.anchor] if self.config.anomaly.policy == "roll-back" and place.anchor is not None else []
        prune(self.checkpoints, self.config.keep_checkpoints, place.step, spared)
