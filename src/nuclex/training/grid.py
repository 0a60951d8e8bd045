"""Which settings are best: every combination of listed values is trained, and validation alone says which one is kept.

The test split is never asked: a combination is told by the validation numbers of its best weights. Each is a run folder
of its own, so that a search that was stopped goes on where it was; of combinations that were beaten only the record
stays, not the weights.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import CorruptError
from nuclex.core.plain import from_json, plain
from nuclex.core.progress import say

Settings = Mapping[str, Any]
"""A value for each key of a grid."""
SEARCHED = ("adapter", "batching", "decoding", "head", "model", "regression", "thaw", "training")
"""The tables of a recipe of which values may be tried; the others say what is asked, of what, and how often."""
MOST_POINTS = 1000
NUMBERS, CHECKPOINTS, METRICS = "validation.json", "checkpoints", "metrics.jsonl"


@dataclass(frozen=True)
class Searched:
    """What was tried, with the validation numbers of each, and which has the best ``score``, the first of equals."""

    settings: tuple[Settings, ...]
    numbers: tuple[dict[str, Any], ...]

    @property
    def chosen(self) -> int:
        """The number of the best."""
        return max(range(len(self.numbers)), key=lambda place: (score_of(self.numbers[place]), -place))

    def to_data(self) -> dict[str, Any]:
        """Plain data for ``results.json``."""
        pairs = zip(self.settings, self.numbers, strict=True)
        tried = [{"settings": dict(settings), "validation": numbers} for settings, numbers in pairs]
        return plain({"by": "score", "chosen": self.chosen, "points": tried})

    def rows(self) -> list[dict[str, Any]]:
        """A line for each combination, for people."""
        pairs = enumerate(zip(self.settings, self.numbers, strict=True))
        return [
            {**settings, **numbers, "chosen": "yes" if place == self.chosen else ""}
            for place, (settings, numbers) in pairs
        ]


def flat(given: Any) -> Any:
    """Tables inside a grid as dotted keys: how the command line writes them.

    >>> flat({"training": {"schedule": {"rate": [1e-3, 1e-4]}}, "batching.examples": [8]})
    {'training.schedule.rate': [0.001, 0.0001], 'batching.examples': [8]}
    """
    if not isinstance(given, dict):
        return given
    found: dict[str, Any] = {}
    for name, value in given.items():
        inner = flat(value)
        found |= {f"{name}.{key}": one for key, one in inner.items()} if isinstance(inner, dict) else {name: value}
    return found


def points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the listed values, the last key changing fastest; none where there is no grid.

    >>> points({"a": [1, 2], "b": [3, 4]})
    [{'a': 1, 'b': 3}, {'a': 1, 'b': 4}, {'a': 2, 'b': 3}, {'a': 2, 'b': 4}]
    """
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())] if grid else []


def refused(grid: Mapping[str, Sequence[Any]]) -> str | None:
    """Why this cannot be tried, None where it can."""
    for key, values in grid.items():
        if key.split(".")[0] not in SEARCHED:
            return f"grid: {key!r} is not to be tried; keys of these tables are: {', '.join(SEARCHED)}"
        if not values:
            return f"grid: {key!r} has no values; a list of at least one is needed"
    if (count := math.prod(len(values) for values in grid.values())) > MOST_POINTS:
        return f"grid: has {count} combinations; at most {MOST_POINTS} are trained"
    return None


def search(settings: Sequence[Settings], run: Path, train: Callable[[Settings, Path], Mapping[str, Any]]) -> Searched:
    """Train at each of the settings that has no record yet; its weights, where they are the best, become the run's own.

    ``train`` is given the settings and a run folder, and returns the validation numbers of the best weights.
    CorruptError where a record is not readable.
    """
    numbers: list[dict[str, Any]] = []
    folders = [run / "grid" / f"point-{place:0{len(str(len(settings) - 1))}d}" for place in range(len(settings))]
    for folder, setting in zip(folders, settings, strict=True):
        found = _recorded(folder)
        if found is None:
            say(f"grid: {len(numbers) + 1} of {len(settings)}: " + ", ".join(f"{k} = {v}" for k, v in setting.items()))
            found = plain(dict(train(setting, folder)))
            with atomic_file(folder / NUMBERS) as temporary:
                write_json(temporary, found)
        numbers.append(found)
        best = Searched(tuple(settings[: len(numbers)]), tuple(numbers)).chosen
        for place in range(len(numbers)):
            if place != best:
                shutil.rmtree(folders[place] / CHECKPOINTS, ignore_errors=True)
    searched = Searched(tuple(settings), tuple(numbers))
    _take_over(folders[searched.chosen], run)
    return searched


def score_of(numbers: Mapping[str, Any]) -> float:
    """What runs are ranked by, the higher the better; a score that is not a number is the worst."""
    score = numbers.get("score")
    return -math.inf if score is None or not math.isfinite(score) else float(score)


def _recorded(folder: Path) -> dict[str, Any] | None:
    path = folder / NUMBERS
    if not path.is_file():
        return None
    try:
        found = from_json(path.read_bytes())
        score_of(found)
        return dict(found)
    except (OSError, ValueError, TypeError, AttributeError):
        raise CorruptError(f"{path}: is not readable; remove it, and it is made again") from None


def _take_over(folder: Path, run: Path) -> None:
    """Move the checkpoints of a finished run to where it is taken up, what it wrote down with them."""
    if (folder / CHECKPOINTS).is_dir() and not (run / CHECKPOINTS).exists():
        with atomic_file(run / METRICS) as temporary:
            shutil.copyfile(folder / METRICS, temporary)
        (folder / CHECKPOINTS).rename(run / CHECKPOINTS)
