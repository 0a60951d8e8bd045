"""`nuclex search`: trials on a proxy, as many processes as one likes, the best settings written for the full model."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuclex.core.artifact import TEMPORARY, atomic_file, disk_errors, write_json
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.lock import LOCK
from nuclex.core.plain import difference, from_json, plain
from nuclex.core.progress import say
from nuclex.core.toml import toml_text
from nuclex.training.distributed import refuse_several
from nuclex.training.pretrain import PretrainConfig
from nuclex.training.tokenize import tokenizer_train
from nuclex.tuning.asked import Asked
from nuclex.tuning.question import SearchConfig
from nuclex.tuning.report import draw
from nuclex.tuning.study import Study, claimed, clear_claims, optuna_here, turn
from nuclex.tuning.transfer import check_room, done_finals, saving, train_finals, write_chosen, write_transferred
from nuclex.tuning.trial import TOKENIZER, Record, Trainer, best_of, records_of

CONFIG, RECIPE, RESULTS, REPORT = "config.json", "search.toml", "results.json", "report.html"
FREE = ("trials", "factors", "given", "keep")
"""Keys that may differ when a search is gone on with."""
WAIT_S = 0.5


def search(
    config: SearchConfig, out: str | Path, *, workers: int = 1, finals: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """Search, go on with a search, or join one: the same call does all three.

    Returns the best trial, all trials, the transferred recipe and what was saved; ``finals`` trains the full runs, too.
    ``out`` holds a run folder for each trial, ``results.json`` and ``report.html``. Raises InputError (exit 2) where
    recipe and data do not fit, StoppedError after a signal (the trial in progress is gone on with by the next call).
    """
    refuse_several("search")
    optuna_here()
    if workers < 1:
        raise InputError(f"workers: found {workers}; 1 or more are needed")
    folder, asked = Path(out), Asked.of(config)
    new = not folder.exists()
    _begin(folder, asked, asked.check_data())
    _learn_tokenizer(folder, asked)
    try:
        check_room(folder, asked)
    except InputError:
        if new:
            shutil.rmtree(folder)
        raise
    with contextlib.closing(Study(folder, asked)) as study, _others(folder, workers, finals=finals, device=device):
        _work(study, Trainer(asked, study, folder, device))
        records = records_of(folder)
        best = best_of(records, asked)
        if best is None:
            raise InputError(f"{folder}: no trial came to its end; {records[0].why or 'see trials/'}")
        with turn(folder):
            transferred = write_transferred(folder, asked, best)
        results = {
            "goal": {"metric": asked.goal.metric, "mode": asked.goal.mode},
            "best": best.to_data(),
            "trials": [one.to_data() for one in records],
            "importance": study.importance(),
            "saving": saving(records, asked, best),
            "transferred": str(transferred),
        }
        report = _write(folder, asked, best, results, done_finals(folder, asked, best))
        if finals:
            report = _write(folder, asked, best, results, train_finals(folder, asked, best, device))
    with turn(folder):
        clear_claims(folder)
    return _told(folder, results, report)


def _write(
    folder: Path, asked: Asked, best: Record, results: dict[str, Any], finals: list[dict[str, Any]]
) -> Path | None:
    """Add the full runs to ``results``; write the chosen one's recipe, ``results.json`` and the page.

    Returns the page; None without what draws it.
    """
    with turn(folder):
        chosen = write_chosen(folder, asked, best, finals)
        results |= {"finals": finals, "chosen": chosen and str(chosen)}
        with atomic_file(folder / RESULTS) as temporary:
            write_json(temporary, plain(results))
        return draw(folder / REPORT, results, asked)


def _told(folder: Path, results: dict[str, Any], report: Path | None) -> dict[str, Any]:
    """What the verb prints: briefly, since ``results.json`` has it all."""
    best = results["best"]
    trials = [
        {"number": one["number"], "state": one["state"], **one["settings"], results["goal"]["metric"]: one["score"]}
        for one in results["trials"]
    ]
    return {
        "out": str(folder),
        "best": {"number": best["number"], **best["settings"], results["goal"]["metric"]: best["score"]},
        "trials": trials,
        "transferred": results["transferred"],
        **({"chosen": results["chosen"]} if results["chosen"] else {}),
        **({"importance": results["importance"]} if results["importance"] else {}),
        **({"saving": results["saving"]} if results["saving"] else {}),
        **({"finals": results["finals"]} if results["finals"] else {}),
        **({"report": str(report)} if report is not None else {}),
    }


def _work(study: Study, trainer: Trainer) -> None:
    """Train trials until all are done, those of others that were killed among them."""
    while True:
        with contextlib.ExitStack() as stack:
            ticket = study.next(stack)
            if ticket is not None:
                trainer.go(ticket)
        if ticket is None:
            if study.all_done():
                return
            time.sleep(WAIT_S)


def _begin(folder: Path, asked: Asked, data: str) -> None:
    """Write the search down, or refuse a folder that holds another one, or something else."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give another --out")
    names = [part.name for part in folder.iterdir()] if folder.is_dir() else []
    if CONFIG not in names and any(not name.startswith(TEMPORARY) and name != LOCK for name in names):
        raise InputError(f"{folder}: exists and is not a search of nuclex; give another --out")
    written: dict[str, Any] = {"search": asked.config.to_data(), "recipe": asked.full.to_data(), "corpus": data}
    with disk_errors(folder), turn(folder):
        if (folder / CONFIG).is_file():
            try:
                found = dict(from_json((folder / CONFIG).read_bytes()))
                found["search"] = dict(found["search"])
            except (ValueError, TypeError, KeyError):
                raise CorruptError(f"{folder / CONFIG}: is not readable; it was edited or damaged") from None
            was, given = ({**one, "search": _lasting(one.get("search", {}))} for one in (found, written))
            if was != given:
                raise InputError(
                    f"{folder / CONFIG}: is another search ({difference(was, given)}); go on with the same, or give "
                    "another --out"
                )
        with atomic_file(folder / CONFIG) as temporary:
            write_json(temporary, written)
        with atomic_file(folder / RECIPE) as temporary:
            about = "# This search, as it was asked for last.\n"
            temporary.write_text(about + toml_text(asked.config.to_data()), encoding="utf-8")


def _lasting(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in FREE}


def _learn_tokenizer(folder: Path, asked: Asked) -> None:
    """Learn the tokenizer of all runs once; who comes second waits for it."""
    if not asked.shares_tokenizer:
        return
    full = asked.full
    assert isinstance(full, PretrainConfig)
    assert full.corpus is not None
    while not (folder / TOKENIZER).is_dir():
        with contextlib.ExitStack() as stack:
            if claimed(stack, folder, TOKENIZER) and not (folder / TOKENIZER).is_dir():
                say("learning the tokenizer of all trials")
                tokenizer_train(full.corpus, folder / TOKENIZER, full.tokenizer)
        time.sleep(0 if (folder / TOKENIZER).is_dir() else WAIT_S)


@contextlib.contextmanager
def _others(folder: Path, workers: int, *, finals: bool, device: str) -> Iterator[None]:
    """So many other processes with the same search for the length of the block; what stops this one stops them."""
    words = [sys.executable, "-m", "nuclex", "search", str(folder / RECIPE), "--out", str(folder), "--device", device]
    words += ["--quiet", *(["--finals"] if finals else [])]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    helpers = [subprocess.Popen(words, env=given, stdout=subprocess.DEVNULL) for _ in range(workers - 1)]
    try:
        yield
    except BaseException:
        for helper in helpers:
            helper.terminate()
        raise
    finally:
        for helper in helpers:
            helper.wait()
    for helper in helpers:
        if helper.returncode:
            say(f"a worker ended early with exit code {helper.returncode}; the others did its part")
