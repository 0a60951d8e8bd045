"""A run folder from beginning to end: opened once, owned by one process, closed with its bundles."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from nuclex.bundle import Record, fill_bundle
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
from nuclex.core.lock import owned
from nuclex.models import LanguageModel
from nuclex.tokenizers import Tokenizer
from nuclex.training.checkpoint import restore
from nuclex.training.device import within_memory
from nuclex.training.loop import BEST_NUMBERS, BEST_WEIGHTS, best_weights


@contextlib.contextmanager
def opened_run(run: Path, config: Config, *, resume: bool) -> Iterator[None]:
    """Own a run folder for the length of the block; an existing one is taken up with ``resume`` and an equal config.

    A new folder goes again if the block finds that recipe, data, memory and disk do not fit, before there is anything
    to resume.
    """
    with disk_errors(run), folder_around(run):
        before = run.exists()
        new = _begin(run, config, resume=resume)
        try:
            with disk_errors(run), owned(run), within_memory():
                yield
        except (InputError, CorruptError, DiskError):
            if new and not (run / "checkpoints").exists():
                shutil.rmtree(run)
                if before:
                    run.mkdir()
            raise


def _begin(run: Path, config: Config, *, resume: bool) -> bool:
    """Make the folder and write config.json; whether there was none before."""
    path = run / "config.json"
    if path.is_file():
        if not resume:
            raise InputError(f"{run}: holds a run already; continue it with --resume or give another --out")
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            raise CorruptError(f"{path}: is not readable JSON; it was edited or damaged") from None
        if found != config.to_data():
            why = _difference(found, config.to_data())
            raise InputError(
                f"{path}: is not the config given now ({why}); resume with the same recipe or give another --out"
            )
        return False
    if run.exists() and (not run.is_dir() or any(not part.name.startswith(TEMPORARY) for part in run.iterdir())):
        raise InputError(f"{run}: exists and is not a run of nuclex; give another --out")
    with atomic_file(path) as temporary:
        write_json(temporary, config.to_data())
    return True


def _difference(found: Any, given: Any, key: str = "") -> str:
    """The first key in which two configs differ, with both values."""
    if isinstance(found, dict) and isinstance(given, dict):
        for name in [*given, *(name for name in found if name not in given)]:
            if found.get(name) != given.get(name):
                return _difference(found.get(name), given.get(name), f"{key}.{name}" if key else name)
    return f"{key or 'the config'} was {found!r}, now it is {given!r}"


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
    from safetensors.torch import load_file

    folder = best_weights(run)
    verify_folder(folder)
    restore(model, load_file(folder / BEST_WEIGHTS), folder)
    return json.loads((folder / BEST_NUMBERS).read_text())
