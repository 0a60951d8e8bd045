"""What fine-tuning found: test scores with intervals, with and without what was seen before, beside the control.

The unit of every interval and test is a group of relatives where the task names one for every test sequence and there
are enough of them, else a distinct sequence: equal ones under several names are always one unit, but where pairs with
partners are divided by these. ``unit`` says which;
where families are too few to be drawn, ``groups`` says from which ones the sequences are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.core.artifact import atomic_file, write_json
from nuclex.core.errors import CorruptError
from nuclex.core.plain import from_json, plain
from nuclex.data.homology import joined
from nuclex.metrics import bootstrap, paired_difference
from nuclex.tasks import Example, Task
from nuclex.training.alone import ALONE
from nuclex.training.majority import BASELINES, FROM_NEARER_END, FROM_START, MEAN, MEAN_BY_POSITION
from nuclex.training.supervised import Answers, Measured

UNIT = "95 % bootstrap over {}; one training seed, so the spread between seeds is not in it"
SEQUENCES, GROUPS = "distinct test sequences", "groups of relatives among the test sequences, as the task names them"
FEWEST_GROUPS = 10
"""Of fewer units a bootstrap knows too little; sequences are drawn then, and the interval is within these groups."""

DIFFERENCES = {
    "scratch": "difference",
    "frozen": "difference_from_frozen",
    "one-hot": "difference_from_one_hot",
    "cnn": "difference_from_cnn",
    "k-mers": "difference_from_k_mers",
    FROM_START: "difference_from_majority",
    FROM_NEARER_END: "difference_from_majority_from_nearer_end",
    MEAN: "difference_from_train_mean",
    MEAN_BY_POSITION: "difference_from_mean_by_position",
    **{name: f"difference_from_{name.replace('-', '_')}" for name in ALONE},
}
"""What the pre-trained run minus each control, or each of the ``Answers.baselines``, is called."""
QUOTED = ("pretrained", "frozen", "scratch", *BASELINES, *ALONE)
"""The arms whose chief number is told when a run ends, where it has them."""
ROWS, ARM = "test.jsonl", "arm.json"


def compare(task: Task, answers: Answers, arms: dict[str, Measured]) -> dict[str, Any]:
    """Scores of every arm on all test sequences and on those not seen in training, and their paired differences.

    ``arms`` are the pre-trained run and its controls, or the one there is. Plain data: subset → arm → metric, and
    beside the arms the ``DIFFERENCES``. ``units`` of each subset is how many there are to be drawn.
    """
    examples = task.examples("test")
    subsets = {"all": np.arange(len(task.seen))}
    if task.seen.any() and not task.seen.all():
        subsets["unseen"] = np.flatnonzero(~task.seen)
    test: dict[str, Any] = {}
    for subset, which_N in subsets.items():
        chosen = [examples[place] for place in which_N.tolist()]
        clusters_N, drawn = units_of(chosen)
        found: dict[str, Any] = {"n": len(chosen), "distinct": len({example.letters for example in chosen})}
        found["groups"] = sorted({example.group for example in chosen if example.group})
        found |= {"unit": drawn, "units": len(np.unique(clusters_N))}
        for arm, measured in arms.items():
            found[arm] = _summary(answers, measured, which_N, clusters_N)
        for control, name in DIFFERENCES.items():
            if {"pretrained", control} <= arms.keys():
                pair = [arms["pretrained"], arms[control]]
                found[name] = _difference(answers, pair, which_N, clusters_N)
        test[subset] = found
    return plain({"unit": UNIT.format(test["all"]["unit"]), "compared": list(answers.compared), "test": test})


def units_of(examples: Sequence[Example]) -> tuple[NDArray[np.int64], str]:
    """The independent unit (N,) of each test sequence, and what these units are, in words."""
    distinct_N = np.unique([example.letters for example in examples], return_inverse=True)[1]
    names = [example.group for example in examples if example.group]
    if len(names) < len(examples) or len(set(names)) < FEWEST_GROUPS:
        return distinct_N, SEQUENCES
    groups_N = np.unique(names, return_inverse=True)[1]
    # a sequence that many partners have would join them all; the groups say what is new in the test
    return groups_N if examples[0].partner is not None else joined(distinct_N, groups_N), GROUPS


def scored(measured: Measured) -> list[dict[str, Any]]:
    """The rows of ``test.jsonl``: what was said of each test sequence, and its ``scores``, by which models compare."""
    columns = {name: values_N.tolist() for name, values_N in measured.scores.items()}
    return [
        {**row, "scores": plain({name: column[place] for name, column in columns.items()})}
        for place, row in enumerate(measured.rows)
    ]


def write_arm(folder: Path, identity: Mapping[str, Any], numbers: Mapping[str, Any], measured: Measured) -> None:
    """Keep what an arm of a run found: ``test.jsonl``, and then ``arm.json`` with what it is of."""
    write_rows(folder, measured)
    with atomic_file(folder / ARM) as temporary:
        write_json(temporary, plain({"identity": identity, "validation": numbers, "settings": measured.settings}))


def write_rows(folder: Path, measured: Measured) -> None:
    """Write ``test.jsonl``."""
    with atomic_file(folder / ROWS) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in scored(measured)), encoding="utf-8")


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


def spread(arms: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What runs with several seeds found, by metric: the ``values`` in their order, mean and sample deviation."""
    found = {}
    for name, first in arms[0].items():
        if isinstance(first, dict) and isinstance(first.get("value"), float | int):
            values = [arm[name]["value"] for arm in arms]
            whole_N = np.array([np.nan if value is None else value for value in values])
            found[name] = {"values": values, "mean": whole_N.mean(), "deviation": whole_N.std(ddof=1)}
    return plain(found)


def headline(results: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """The few numbers to quote: of every arm the first compared score and what else is ``quoted``, with intervals.

    And the difference of that score.
    """
    name = answers.compared[0]
    quoted: dict[str, Any] = {}
    for subset, found in results["test"].items():
        prefix = "" if subset == "all" else f"{subset}_"
        quoted[f"{prefix}n"] = found["n"]
        for arm in QUOTED:
            for metric in (name, *answers.quoted) if arm in found else ():
                quoted |= _interval(f"{prefix}{arm}_{metric}", found[arm][metric])
        if "difference" in found:
            difference = found["difference"][name]
            quoted |= _interval(f"{prefix}difference", difference["difference"])
            quoted[f"{prefix}p_value"] = difference["p_value"]
    return quoted


def brief(results: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle keeps of ``results.json``: means over the test split with intervals, and differences."""
    test = {}
    for subset, found in results["test"].items():
        arms = {
            arm: {name: _ends(value) for name, value in measures.items() if _is_interval(value)}
            for arm, measures in found.items()
            if arm in results["runs"] or arm in (*BASELINES, *ALONE)
        }
        differences = {
            control: {
                measure: {"difference": _ends(value["difference"]), "p_value": value["p_value"]}
                for measure, value in found[name].items()
            }
            for control, name in DIFFERENCES.items()
            if name in found
        }
        test[subset] = {"n": found["n"], "distinct": found["distinct"], "arms": arms, "differences": differences}
    seeds = {"seeds": results["seeds"]} if "seeds" in results else {}
    return {"unit": results["unit"], "test": test, **seeds}


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys()


def _ends(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in ("value", "low", "high")}


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
