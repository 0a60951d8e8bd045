"""What fine-tuning found: test scores with intervals, with and without what was seen before, beside the control.

The unit of every interval and test is a distinct sequence: equal test sequences under several names are one unit.
Relatives are not independent of each other either; ``groups`` says from how many families the sequences are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import CorruptError
from nuclex.core.plain import from_json, plain
from nuclex.metrics import bootstrap, paired_difference
from nuclex.tasks import Task
from nuclex.training.supervised import Answers, Measured

UNIT = "95 % bootstrap over distinct test sequences; one training seed, so the spread between seeds is not in it"

DIFFERENCES = {
    "scratch": "difference",
    "frozen": "difference_from_frozen",
    "one-hot": "difference_from_one_hot",
    "cnn": "difference_from_cnn",
    "k-mers": "difference_from_k_mers",
}
"""What the pre-trained run minus each control is called."""
ROWS, ARM = "test.jsonl", "arm.json"


def compare(task: Task, answers: Answers, arms: dict[str, Measured]) -> dict[str, Any]:
    """Scores of every arm on all test sequences and on those not seen in training, and their paired differences.

    ``arms`` are the pre-trained run and its controls, or the one there is. Plain data: subset → arm → metric, and
    beside the arms the ``DIFFERENCES``.
    """
    subsets = {"all": np.arange(len(task.seen))}
    if task.seen.any() and not task.seen.all():
        subsets["unseen"] = np.flatnonzero(~task.seen)
    _, cluster_N = np.unique([example.letters for example in task.examples("test")], return_inverse=True)
    group_N = np.array([example.group or "" for example in task.examples("test")])
    test: dict[str, Any] = {}
    for subset, which_N in subsets.items():
        clusters_N = cluster_N[which_N]
        found: dict[str, Any] = {"n": len(which_N), "distinct": len(np.unique(clusters_N))}
        found["groups"] = sorted({str(name) for name in group_N[which_N] if name})
        for arm, measured in arms.items():
            found[arm] = _summary(answers, measured, which_N, clusters_N)
        for control, name in DIFFERENCES.items():
            if {"pretrained", control} <= arms.keys():
                pair = [arms["pretrained"], arms[control]]
                found[name] = _difference(answers, pair, which_N, clusters_N)
        test[subset] = found
    return plain({"unit": UNIT, "compared": list(answers.compared), "test": test})


def scored(measured: Measured) -> list[dict[str, Any]]:
    """The rows of ``test.jsonl``: what was said of each test sequence, and its ``scores``, by which models compare."""
    columns = {name: values_N.tolist() for name, values_N in measured.scores.items()}
    return [
        {**row, "scores": plain({name: column[place] for name, column in columns.items()})}
        for place, row in enumerate(measured.rows)
    ]


def write_arm(folder: Path, identity: Mapping[str, Any], numbers: Mapping[str, Any], measured: Measured) -> None:
    """Keep what an arm of a run found: ``test.jsonl``, and then ``arm.json`` with what it is of."""
    with atomic_file(folder / ROWS) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in scored(measured)), encoding="utf-8")
    with atomic_file(folder / ARM) as temporary:
        write_json(temporary, plain({"identity": identity, "validation": numbers, "settings": measured.settings}))


def read_arm(folder: Path, identity: Mapping[str, Any]) -> tuple[dict[str, Any], Measured] | None:
    """What ``write_arm`` kept, where it is of the same start, recipe and data; CorruptError where it is not readable.

    What is kept has lost nothing: training it again would give the same, bit for bit.
    """
    if not (folder / ARM).is_file():
        return None
    try:
        kept = from_json((folder / ARM).read_bytes())
        if kept["identity"] != plain(dict(identity)):
            return None
        rows = [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]
        each = [row.pop("scores") for row in rows]
        scores = {name: np.array([row[name] for row in each], dtype=np.float64) for name in each[0]}
        return kept["validation"], Measured(rows, scores, kept["settings"])
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        raise CorruptError(f"{folder}: {ARM} or {ROWS} is not readable; remove both, and they are made again") from None


def headline(results: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """The few numbers to quote: the first compared score of every arm with its interval, and the difference."""
    name = answers.compared[0]
    quoted: dict[str, Any] = {}
    for subset, found in results["test"].items():
        prefix = "" if subset == "all" else f"{subset}_"
        quoted[f"{prefix}n"] = found["n"]
        for arm in ("pretrained", "scratch"):
            if arm in found:
                quoted |= _interval(f"{prefix}{arm}_{name}", found[arm][name])
        if "difference" in found:
            difference = found["difference"][name]
            quoted |= _interval(f"{prefix}difference", difference["difference"])
            quoted[f"{prefix}p_value"] = difference["p_value"]
    return quoted


def _summary(
    answers: Answers, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]
) -> dict[str, Any]:
    means = {
        name: asdict(bootstrap(values_N[which_N], clusters=clusters_N)) for name, values_N in measured.scores.items()
    }
    return {**means, **answers.pooled(measured, which_N, clusters_N)}


def _difference(
    answers: Answers, arms: list[Measured], which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]
) -> dict[str, Any]:
    a, b = arms
    return {
        name: asdict(paired_difference(a.scores[name][which_N], b.scores[name][which_N], clusters=clusters_N))
        for name in answers.compared
    }


def _interval(name: str, interval: dict[str, Any]) -> dict[str, Any]:
    return {name: interval["value"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
