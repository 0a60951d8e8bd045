"""From the best trial to the full model: the transferred recipe, the full runs, and what the search has saved."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import CorruptError, InputError, NonFiniteError
from nuclex.core.plain import from_json, plain
from nuclex.core.progress import say
from nuclex.core.toml import toml_text
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.pretrain import PretrainConfig, plan, pretrain
from nuclex.training.run import run_digest
from nuclex.tuning.asked import Asked
from nuclex.tuning.question import WARMUP
from nuclex.tuning.study import claimed, turn
from nuclex.tuning.trial import Record, best_numbers, flops_per_token, steps_of, with_tokenizer

FINALS, FINAL, TRANSFERRED, CHOSEN = "finals", "final.json", "transferred.toml", "chosen.toml"
WAIT_S = 0.5


def write_transferred(folder: Path, asked: Asked, best: Record) -> Path:
    """Write the full recipe with the best settings: what was a share of the trial's steps is as many steps."""
    drawn = ", ".join(f"{key} = {value:g}" if isinstance(value, float) else f"{key} = {value}"
                      for key, value in best.settings.items())  # fmt: skip
    about = f"{asked.config.full} with what trial {best.number} of a search found best: {drawn}."
    return _write(folder / TRANSFERRED, about, _transferred(asked, best))


def write_chosen(folder: Path, asked: Asked, best: Record, rows: list[dict[str, Any]]) -> Path | None:
    """Write the recipe of the full run that ``rows`` mark as chosen; None, and no file, where none is."""
    name = next((row["name"] for row in rows if row["chosen"]), None)
    if name is None:
        (folder / CHOSEN).unlink(missing_ok=True)
        return None
    recipe = next(recipe for one, _, recipe in asked.finals(best.settings) if one == name)
    about = f"{asked.config.full} as full run {name} of a search was trained, the best of {len(rows)} on validation."
    return _write(folder / CHOSEN, about, recipe)


def _write(path: Path, about: str, recipe: Any) -> Path:
    with atomic_file(path) as temporary:
        temporary.write_text(f"# {about}\n{toml_text(recipe.to_data())}", encoding="utf-8")
    return path


def _transferred(asked: Asked, best: Record) -> Any:
    """The full recipe at the best rate itself, whatever the factors are."""
    once = asked.config.model_copy(update={"factors": (1.0,), "given": False})
    return next(iter(Asked(once, asked.full).finals(best.settings)))[2]


def train_finals(folder: Path, asked: Asked, best: Record, device: str) -> list[dict[str, Any]]:
    """Train the full runs that are not done, or wait for who does; a row for each, as its record says.

    Each lies in a folder that names its trial, so that those of an earlier best stay. One whose loss is no finite
    number, or that a rule ended, is written down as diverged, without a score, and the others go on.
    """
    waiting = _wanted(folder, asked, best)
    found: dict[str, dict[str, Any]] = {}
    while waiting:
        left = []
        for name, factor, recipe in waiting:
            with contextlib.ExitStack() as stack:
                with turn(folder):
                    ours = claimed(stack, folder, name)
                if ours:
                    run = final_folder(folder, best, name, factor)
                    found[name] = _done(run, recipe) or _final(run, (name, factor, recipe), asked, device)
                else:
                    left.append((name, factor, recipe))
        if left:
            time.sleep(WAIT_S)
        waiting = left
    return _rows(found, asked, best)


def done_finals(folder: Path, asked: Asked, best: Record) -> list[dict[str, Any]]:
    """The rows of the full runs with the best trial's settings that are done already."""
    rows = {
        name: _done(final_folder(folder, best, name, factor), recipe)
        for name, factor, recipe in _wanted(folder, asked, best)
    }
    return _rows({name: row for name, row in rows.items() if row is not None}, asked, best)


def check_room(folder: Path, asked: Asked) -> None:
    """InputError where a full run, whose length is given in epochs, has no room for a warm-up that may be drawn."""
    full = asked.full
    if not isinstance(full, PretrainConfig) or not full.training.epochs:
        return
    tokens = plan(with_tokenizer(asked, full, folder))["epoch_tokens"]
    for values in asked.corners():
        for _, _, recipe in asked.finals(asked.settings(values)):
            steps, warmup = (
                full.training.epochs * tokens / recipe.sampling.batch_tokens,
                recipe.training.schedule.warmup,
            )
            if warmup >= steps:
                length = f"{full.training.epochs:g} epochs are about {steps:.0f} steps"
                raise InputError(f"{WARMUP}: {warmup} steps of warm-up do not fit the full run, whose {length}")


def final_folder(folder: Path, best: Record, name: str, factor: float | None) -> Path:
    """Where a full run lies: ``finals/trial-007-x0.875``, or ``finals/given`` with the recipe's own settings."""
    return folder / FINALS / (name if factor is None else f"trial-{best.number:03d}-{name}")


def _wanted(folder: Path, asked: Asked, best: Record) -> list[tuple[str, float | None, Any]]:
    return [(name, factor, with_tokenizer(asked, one, folder)) for name, factor, one in asked.finals(best.settings)]


def _rows(found: dict[str, dict[str, Any]], asked: Asked, best: Record) -> list[dict[str, Any]]:
    """In the order of the recipe, the one chosen on validation marked."""
    scores = {name: row["score"] for name, row in found.items() if row["score"] is not None}
    chosen = asked.goal.best(scores) if scores else None
    order = [name for name, _, _ in asked.finals(best.settings) if name in found]
    return [{**found[name], "chosen": "yes" if name == chosen else ""} for name in order]


def _done(run: Path, recipe: Any) -> dict[str, Any] | None:
    """The record of a full run of this recipe; None where there is none yet."""
    done = _read(run / FINAL)
    if done is None or done.get("recipe") != run_digest(recipe):
        return None
    bundle = done["bundle"] and str(run / done["bundle"])
    row = {key: value for key, value in done.items() if key != "recipe"} | {"bundle": bundle}
    return {"state": "complete", "why": ""} | row if "state" not in row else row  # as before runs that diverged had one


def _final(run: Path, wanted: tuple[str, float | None, Any], asked: Asked, device: str) -> dict[str, Any]:
    """One full run, trained or gone on with."""
    name, factor, recipe = wanted
    schedule = recipe.training.schedule
    say(f"full run {name}: rate {schedule.rate:.4g}, {schedule.warmup} steps of warm-up")
    bundle, why = None, ""
    try:
        if isinstance(recipe, PretrainConfig):
            bundle = pretrain(recipe, run, resume=run.exists(), device=device)["bundle"]
        else:
            bundle = finetune(recipe, run, resume=run.exists(), device=device)["bundle"]
    except NonFiniteError as error:
        why = str(error)
        say(f"full run {name}: {why}")
    row = {
        "name": name,
        "factor": factor,
        "rate": schedule.rate,
        "warmup": schedule.warmup,
        "steps": steps_of(run),
        "state": "complete" if bundle else "diverged",
        "score": best_numbers(run).get(asked.goal.metric) if bundle else None,
        "bundle": bundle,
        "why": why,
    }
    inside = bundle and str(Path(bundle).relative_to(run))
    with atomic_file(run / FINAL) as temporary:
        write_json(temporary, plain({**row, "bundle": inside, "recipe": run_digest(recipe)}))
    return dict(plain(row))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return dict(from_json(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        raise CorruptError(f"{path}: is not readable; it was edited or damaged") from None


def saving(records: list[Record], asked: Asked, best: Record | None) -> dict[str, float] | None:
    """What the search cost and what it would have cost at full width, in FLOPs as planned; None of fine-tuning.

    ``times`` is their ratio; ``times_with_final`` counts one full run on both sides, where its length is in steps.
    """
    counted = [one for one in records if one.flops is not None and one.flops_full is not None]
    if not counted or isinstance(asked.full, FinetuneConfig):
        return None
    flops, full = (sum(getattr(one, name) for one in counted) for name in ("flops", "flops_full"))
    found = {"flops": flops, "flops_at_full_width": full, "times": full / flops} if flops else None
    if found is not None and best is not None and (steps := asked.full.training.steps):
        recipe = _transferred(asked, best)
        final = steps * recipe.sampling.batch_tokens * flops_per_token(recipe)
        found |= {"flops_full_run": final, "times_with_final": (full + final) / (flops + final)}
    return found
