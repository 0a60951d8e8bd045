"""The weights that were best on validation, kept beside a run's checkpoints: the best, and the few behind it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import nn

from nuclex.core.artifact import atomic_folder, verify_folder, write_json
from nuclex.core.errors import CorruptError, InputError
from nuclex.core.progress import say
from nuclex.training.checkpoint import discard
from nuclex.training.distributed import ALONE, Group
from nuclex.training.summing import whole_weights

BEST_WEIGHTS, BEST_NUMBERS = "model.safetensors", "numbers.json"
Direction = Literal["max", "min"]


def best_weights(run: Path) -> Path:
    """The folder where the weights of the best validation score are kept."""
    return run / "checkpoints" / "best"


def save_weights(folder: Path, model: nn.Module, numbers: dict[str, Any], group: Group = ALONE) -> None:
    """Write the model's weights (and the numbers they reached) as one summed folder; of a group the first writes."""
    from safetensors.torch import save_file

    weights = whole_weights(model, group)
    if not group.first:
        return
    with atomic_folder(folder, replace=True) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in weights.items()}, temporary / BEST_WEIGHTS)
        write_json(temporary / BEST_NUMBERS, numbers)


def rated(numbers: Mapping[str, float], metric: str, direction: Direction) -> float | None:
    """The number that decides, turned so that more is better; None where a look gave none.

    Raises InputError where a look gave numbers, but not the one that the recipe asks for.
    """
    found = numbers.get(metric)
    if found is None:
        if numbers and metric != "score":
            raise InputError(f"training.best_metric: found {metric!r}; a look gives {', '.join(sorted(numbers))}")
        return None
    return found if direction == "max" else -found


def keep_among_best(
    folder: Path,
    model: nn.Module,
    numbers: dict[str, Any],
    rule: tuple[str, Direction],
    count: int,
    group: Group = ALONE,
) -> None:
    """Write ``folder/best-XXXXXXXX`` if these weights are among the ``count`` best so far, and delete what is not.

    ``numbers`` holds ``step``, ``rule`` the metric and its direction. The earlier of equals is the better; a number
    that is not finite is none. What the other folders reached is read from them; a damaged one is told of and deleted.
    """
    step, value = int(numbers["step"]), rated(numbers, *rule)
    if value is None or not math.isfinite(value):
        return
    ranked = [(-value, step)]
    for path in sorted(folder.glob("best-*")) if group.first else ():
        try:
            verify_folder(path)
            reached = json.loads((path / BEST_NUMBERS).read_text())
        except CorruptError as error:
            say(f"refused damaged weights: {error}; they are deleted")
            discard(path)
            continue
        if reached["step"] != step:
            ranked.append((-(rated(reached, *rule) or 0.0), reached["step"]))
    kept = {number for _, number in sorted(ranked)[:count]}
    if group.shared(step in kept):
        save_weights(folder / _name(step), model, numbers, group)
    for _, number in ranked:
        if number not in kept and (folder / _name(number)).exists():
            discard(folder / _name(number))


def _name(step: int) -> str:
    return f"best-{step:08d}"
