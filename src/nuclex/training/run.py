"""A run folder from beginning to end: opened once, owned by one process, closed with its bundles."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from nuclex.bundle import Record, fill_bundle
from nuclex.bundle.weights import read_weights, restore
from nuclex.core.artifact import (
    TEMPORARY,
    atomic_file,
    atomic_folder,
    disk_errors,
    folder_around,
    verify_folder,
    write_json,
)
from nuclex.core.config import Config
from nuclex.core.errors import CorruptError, DiskError, InputError
from nuclex.core.lock import LOCK, owned
from nuclex.core.plain import difference
from nuclex.core.progress import say
from nuclex.models import LanguageModel
from nuclex.tokenizers import Tokenizer
from nuclex.training.best import BEST_NUMBERS, BEST_WEIGHTS, best_weights
from nuclex.training.device import within_memory

CONFIG = "config.json"
ADJUSTABLE = ("training", ("anomaly", "distributed"))
"""Where in a recipe the keys are that may differ when a run is taken up: what to do with a batch that breaks it, and
whether devices share the model."""
MOVABLE = ("bundle", "tokenizer_folder")
"""The keys of a recipe that name where the pre-trained model and a tokenizer lie; what these are, a run knows."""


@contextlib.contextmanager
def opened_run(run: Path, config: Config, *, resume: bool) -> Iterator[None]:
    """Own a run folder for the length of the block; an existing one is taken up with ``resume`` and an equal config.

    Only ``training.anomaly``, ``training.distributed`` and the paths of ``MOVABLE`` may differ. A new folder goes again
    if the block finds that recipe, data, memory and disk do not fit, before there is anything to resume. OutsideError
    at once where another process owns it.
    """
    with disk_errors(run), folder_around(run):
        _refuse_foreign(run)
        before = run.exists()
        try:
            with disk_errors(run), owned(run), _gone_if_unfit(run), disk_errors(run), within_memory():
                _begin(run, config, resume=resume)
                yield
        finally:
            if not before:
                with contextlib.suppress(OSError):  # not empty: it is a run now
                    run.rmdir()


def run_digest(config: Config) -> str:
    """sha256 of what a checkpoint must share with the config that takes it up."""
    return hashlib.sha256(json.dumps(lasting(config.to_data()), sort_keys=True).encode()).hexdigest()


def lasting(data: Any) -> Any:
    """A config as plain data without what may differ when a run is taken up."""
    if not isinstance(data, dict):
        return data
    (table, free), kept = ADJUSTABLE, dict(data)
    if isinstance(kept.get(table), dict):
        kept[table] = {name: value for name, value in kept[table].items() if name not in free}
    for name in MOVABLE:
        if kept.pop(name, None) is not None:
            kept[name] = "given"
    return kept


def _refuse_foreign(run: Path) -> None:
    """InputError for a file, and for a folder that holds something else than a run."""
    if run.is_dir() and not (run / CONFIG).is_file():
        strange = any(not part.name.startswith(TEMPORARY) and part.name != LOCK for part in run.iterdir())
    else:
        strange = run.exists() and not run.is_dir()
    if strange:
        raise InputError(f"{run}: exists and is not a run of nuclex; give another --out")


@contextlib.contextmanager
def _gone_if_unfit(run: Path) -> Iterator[None]:
    """Empty a new run folder again, while it is still ours, where there is nothing in it to resume."""
    new = not (run / CONFIG).is_file()
    try:
        yield
    except (InputError, CorruptError, DiskError):
        if new and next(run.rglob("checkpoints"), None) is None:
            for part in run.iterdir():
                if part.name != LOCK:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
        raise


def _begin(run: Path, config: Config, *, resume: bool) -> None:
    """Write config.json; where there is one, refuse a config that differs in more than may differ."""
    path, given = run / CONFIG, config.to_data()
    if path.is_file():
        if not resume:
            raise InputError(f"{run}: holds a run already; continue it with --resume or give another --out")
        try:
            found = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            raise CorruptError(f"{path}: is not readable JSON; it was edited or damaged") from None
        with contextlib.suppress(ValidationError):  # what nuclex has learnt since then is as it is by default
            found = type(config).from_data(found).to_data()
        if lasting(found) != lasting(given):
            why = difference(lasting(found), lasting(given))
            raise InputError(
                f"{path}: is not the config given now ({why}); resume with the same recipe or give another --out"
            )
        if found == given:
            return
        say(f"{path}: {difference(found, given)}")
    with atomic_file(path) as temporary:
        write_json(temporary, given)


def write_facts(run: Path, **facts: Any) -> None:
    """Write each of these as ``name.json``, whole or not at all."""
    for name, value in facts.items():
        with atomic_file(run / f"{name}.json") as temporary:
            write_json(temporary, value)


def finish_bundles(run: Path, model: LanguageModel, tokenizer: Tokenizer, record: Record) -> Path:
    """Write ``bundle/`` (the last weights) and, inside it, ``best/``, at once; returns the one to use.

    The model holds the best weights afterwards, where there are any.
    """
    best = best_weights(run)
    with atomic_folder(run / "bundle", replace=True) as folder:
        fill_bundle(folder, model, tokenizer, record)
        if best.is_dir():
            numbers = load_best(run, model)
            (folder / "best").mkdir()
            fill_bundle(folder / "best", model, tokenizer, replace(record, metrics=numbers))
    return run / "bundle" / "best" if best.is_dir() else run / "bundle"


def load_best(run: Path, model: nn.Module) -> dict[str, float]:
    """Put the best weights of a run into ``model``; returns the numbers they reached."""
    folder = best_weights(run)
    verify_folder(folder)
    restore(model, read_weights(folder / BEST_WEIGHTS), folder)
    return json.loads((folder / BEST_NUMBERS).read_text())
