"""The memory of a search: which trial has which values, who trains it, what came out (Optuna, in one SQLite file).

Any number of processes share it. A process owns a trial through a lock that the system lets go when it ends, however
it ends; a trial that nobody owns and that is not done is gone on with, under its number and with its values. What a
trial is given depends on the seed, its number and what was known by then, so a search by one process that was killed
and begun again is the search that was not.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nuclex.core.errors import CorruptError, DiskError, OutsideError, missing_extra
from nuclex.core.lock import owned
from nuclex.core.randomness import key
from nuclex.tuning.asked import Asked
from nuclex.tuning.space import Choice

STORE, TRIALS, CLAIMS, NAME = "search.db", "trials", "claims", "search"
WAIT_S = 0.05
BUSY_S = 60
"""How long SQLite waits for another process that writes."""


@dataclass(frozen=True)
class Ticket:
    """A trial that this process owns: its number, the values that were drawn, and Optuna's trial."""

    number: int
    values: dict[str, Choice]
    trial: Any


class Study:
    """The trials of the search in ``folder``."""

    def __init__(self, folder: Path, asked: Asked) -> None:
        self.folder, self.asked, self.config = folder, asked, asked.config
        self.optuna = optuna_here()
        with turn(folder), self._asking():
            opened = partial(sqlite3.connect, folder / STORE, timeout=BUSY_S)  # an address has no place for "?"
            self.storage = self.optuna.storages.RDBStorage(f"sqlite:///{STORE}", engine_kwargs={"creator": opened})
            direction = {"min": "minimize", "max": "maximize"}[asked.goal.mode]
            self.optuna.create_study(storage=self.storage, study_name=NAME, direction=direction, load_if_exists=True)
            known, there = len(self._study().get_trials(deepcopy=False)), len(list(folder.glob(f"{TRIALS}/trial-*")))
        if known < there:
            raise CorruptError(f"{folder / STORE}: knows {known} trials, and {TRIALS}/ holds {there}; it was damaged")

    def close(self) -> None:
        """Let the file go."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def next(self, stack: contextlib.ExitStack) -> Ticket | None:
        """A trial that is not done and that nobody trains, or a new one; owned until ``stack`` ends.

        None where all trials are begun and in other hands, or done.
        """
        with turn(self.folder), self._asking():
            study = self._study()
            trials = study.get_trials(deepcopy=False)
            running = self.optuna.trial.TrialState.RUNNING
            for found in trials:
                if found.state == running and self._claimed(stack, found.number):
                    return self._ticket(self.optuna.trial.Trial(study, found._trial_id))
            if len(trials) >= self.config.trials:
                return None
            trial = study.ask()
            if not self._claimed(stack, trial.number):
                raise OutsideError(f"{self.folder / CLAIMS}: trial {trial.number} is in use before it was begun")
            return self._ticket(trial)

    def all_done(self) -> bool:
        """Whether every trial that was asked for is done."""
        with self._asking():
            trials = self._study().get_trials(deepcopy=False)
        return len(trials) >= self.config.trials and all(one.state.is_finished() for one in trials)

    def report(self, ticket: Ticket, step: int, value: float) -> bool:
        """Write down what a look gave; whether the trial had better end."""
        with self._asking():
            known = self.storage.get_trial(ticket.trial._trial_id).intermediate_values
            if step not in known:
                ticket.trial.report(value, step)
            return bool(ticket.trial.should_prune())

    def tell(self, ticket: Ticket, score: float | None) -> None:
        """Write down that a trial is done: with its score, or without one, which is worse than any."""
        states = self.optuna.trial.TrialState
        with self._asking():
            if score is None:
                self._study().tell(ticket.trial, state=states.PRUNED, skip_if_finished=True)
            else:
                self._study().tell(ticket.trial, score, skip_if_finished=True)

    def importance(self) -> dict[str, float]:
        """The share of the scores' variance that each key explains (fANOVA); none where too little is known.

        Source: Hutter, Hoos, Leyton-Brown 2014 (ICML), by Optuna.
        """
        importance, seed = self.optuna.importance, self.config.seed % (1 << 32)
        with self._asking():
            study = self._study()
            done = study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.COMPLETE,))
            if len(done) < 4 or len({one.value for one in done}) < 2:
                return {}
            evaluator = importance.FanovaImportanceEvaluator(seed=seed)
            found = importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(value) for name, value in found.items()}

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask the store in silence; DiskError where it cannot be written, CorruptError where it cannot be read."""
        store = self.folder / STORE
        try:
            with quiet_optuna(self.optuna):
                yield
        except Exception as error:
            if isinstance(error, ValueError) and "dynamic value space" in str(error):
                raise CorruptError(f"{store}: is of another search: its trials were drawn from other choices") from None
            if not type(error).__module__.startswith(("sqlalchemy", "alembic", "optuna")):
                raise
            found: BaseException = error
            while found.__cause__ is not None:
                found = found.__cause__
            if isinstance(found, sqlite3.OperationalError):
                raise DiskError(f"{store}: cannot be written: {found}") from error
            raise CorruptError(f"{store}: is not readable; it was edited or damaged") from error

    def _sampler(self, number: int, name: str) -> Any:
        """What draws the value of one key in one trial, whatever was drawn before: a kill between two does no harm."""
        samplers, seed = self.optuna.samplers, key(self.config.seed, "search", number, name) % (1 << 32)
        if self.config.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, n_startup_trials=self.config.startup)

    def _study(self) -> Any:
        """Optuna's study as it is now."""
        pruners, config = self.optuna.pruners, self.config
        pruner = {
            "none": pruners.NopPruner,
            "median": lambda: pruners.MedianPruner(n_startup_trials=config.startup),
            "halving": pruners.SuccessiveHalvingPruner,
            "hyperband": pruners.HyperbandPruner,
        }[config.pruner]()
        return self.optuna.load_study(study_name=NAME, storage=self.storage, pruner=pruner)

    def _ticket(self, trial: Any) -> Ticket:
        values: dict[str, Choice] = {}
        for name, dimension in self.asked.space.items():
            trial.study.sampler = self._sampler(trial.number, name)
            values[name] = dimension.suggest(trial, name)
        return Ticket(trial.number, values, trial)

    def _claimed(self, stack: contextlib.ExitStack, number: int) -> bool:
        return claimed(stack, self.folder, f"trial-{number}")


def clear_claims(folder: Path) -> None:
    """Remove the marks of work that nobody owns any more; to be called in a ``turn``."""
    for path in [*(folder / CLAIMS).glob("*"), folder / CLAIMS]:
        with contextlib.suppress(OSError):  # it holds the lock of somebody who works
            path.rmdir()


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until nobody else is inside, for a moment in which two processes must not do the same."""
    with contextlib.ExitStack() as stack:
        while not _held(stack, folder):
            time.sleep(WAIT_S)
        yield


def claimed(stack: contextlib.ExitStack, folder: Path, name: str) -> bool:
    """Own a piece of work until ``stack`` ends; False where another process does."""
    return _held(stack, folder / CLAIMS / name)


def _held(stack: contextlib.ExitStack, folder: Path) -> bool:
    try:
        stack.enter_context(owned(folder))
    except OutsideError:
        return False
    return True


def optuna_here() -> Any:
    """The library; InputError where it is not installed."""
    try:
        import optuna
        import optuna.importance
    except ImportError:
        raise missing_extra("optuna", "search", "a search") from None
    return optuna


@contextlib.contextmanager
def quiet_optuna(optuna: Any) -> Iterator[None]:
    """Optuna tells its stories elsewhere; its level is put back afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
