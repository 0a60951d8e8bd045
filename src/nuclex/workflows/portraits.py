"""What a model looks like: how it foretells, where it puts a test's sequences, what its pair probabilities are worth.

All are kept beside the runs, for the next time the report is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nuclex.bundle import load
from nuclex.core.artifact import MANIFEST, sha256_file
from nuclex.core.errors import InputError
from nuclex.core.randomness import key, permutation
from nuclex.evaluation.benchmark import Map, PairCalibration
from nuclex.evaluation.held_out import HeldOut, held_out
from nuclex.inference.embed import Pool, embed_sequences
from nuclex.metrics.calibration import Reliability, reliability
from nuclex.tasks import Example, Shape, Task
from nuclex.training.pairs import pair_probabilities
from nuclex.training.supervised import Reading, answering_model
from nuclex.workflows.folder import kept
from nuclex.workflows.zero_shot import Asked

MAPPED, CALIBRATED = 500, 60
"""Test sequences drawn on a map, and test structures whose pair probabilities are looked at."""
FEWEST = 10
POOLS = "cls, of causal models mean"
"""What of a model is taken for a sequence: an older map of other vectors is made again."""


def held_out_of(model: Asked, out: Path) -> HeldOut | None:
    """How well a model, as it was pre-trained, foretold held-out sequences; None where its bundle does not say."""

    def read() -> dict[str, Any]:
        found = held_out(model.name, model.bundle)
        return {"held_out": None if found is None else asdict(found)}

    found = kept(out / "held-out" / f"{model.name}.json", {"model": model.digest}, read)["held_out"]
    return None if found is None else HeldOut(**found)


def map_of(question: tuple[str, Task], model: Asked, out: Path) -> Map | None:
    """A 2-D map (t-SNE of embeddings) of test sequences by class or family; None where they are not of several.

    ``question`` is its name in the suite and its task. None, too, for a model that cannot read the sequences.
    """
    name, task = question
    if task.shape not in (Shape.CLASS, Shape.PAIR_MAP):
        return None
    examples = task.examples("test")
    labels = [example.label if isinstance(example.label, str) else example.group for example in examples]
    chosen = _drawn(len(examples), MAPPED, "map")
    shown = [(examples[place], labels[place]) for place in chosen]
    return _map(name, shown, model, (out / "maps" / name, {"task": task.digest}))


def family_of(task: Task) -> str | None:
    """The family that is all of a task's test, as where families are held out one by one; None where it is none."""
    families = {example.group for example in task.examples("test")}
    return families.pop() if len(families) == 1 else None


def family_map(kind: str, tasks: Sequence[Task], model: Asked, out: Path) -> Map | None:
    """One map of the families that tasks of one ``kind`` hold out, each the whole test of one of them (``family_of``).

    Every family has at most an equal share of the marks. None where there are fewer than two families, and for a model
    that cannot read them.
    """
    most = max(MAPPED // max(len(tasks), 1), 1)
    shown = []
    for task in tasks:
        examples, family = task.examples("test"), family_of(task)
        shown += [(examples[place], family) for place in _drawn(len(examples), most, "map")]
    return _map(kind, shown, model, (out / "family-maps" / kind, {"tasks": [task.digest for task in tasks]}))


def _map(
    name: str, shown: Sequence[tuple[Example, str | None]], model: Asked, place: tuple[Path, dict[str, Any]]
) -> Map | None:
    """The map of examples with their labels; ``place`` is where it is kept, and what else it is about."""
    (folder, about), labels = place, [label for _, label in shown]
    if None in labels or len(set(labels)) < 2 or len(labels) < FEWEST:
        return None

    def drawn() -> dict[str, Any]:
        from sklearn.manifold import TSNE

        asked = [(example.id, example.letters.encode()) for example, _ in shown]
        pool: Pool = "mean" if model.bundle.model.config.causal else "cls"  # its first token has seen nothing
        vectors_ND = np.stack([item.vectors for item in embed_sequences(model.bundle, asked, pool=pool)])
        perplexity = min(30.0, (len(asked) - 1) / 3)
        points_N2 = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors_ND)
        return {"points": points_N2.astype(float).tolist(), "labels": [str(label) for label in labels], "pool": pool}

    try:
        found = kept(folder / f"{model.name}.json", {**about, "model": model.digest, "pool": POOLS}, drawn)
    except InputError:
        return None
    return Map(name, model.name, np.array(found["points"]), tuple(found["labels"]), found["pool"])


def pair_calibration(question: tuple[str, Task], model: Asked, run: Path, out: Path) -> PairCalibration | None:
    """Of a fine-tuned model's base pairs, probabilities beside the share that is true.

    None for other questions, and where the model has no finished ``run``.
    """
    name, task = question
    if task.shape is not Shape.PAIR_MAP or not (run / "bundle" / MANIFEST).is_file():
        return None
    chosen = _drawn(len(task.examples("test")), CALIBRATED, "calibration")

    def looked_at() -> dict[str, Any]:
        bundle, examples = load(run / "bundle", device=model.device), task.examples("test")
        reading = Reading.of([examples[place] for place in chosen], bundle.tokenizer, bundle.model.config.longest)
        each = [_of_pairs(*found) for found in pair_probabilities(answering_model(bundle), reading)]
        total = sum(each, reliability([], []))
        sums = {"count": total.count_B, "probability": total.probability_B, "right": total.right_B}
        told = {"structures": len(chosen), "gaps": [one.gaps.tolist() for one in each]}
        return {**told, **{part: values_B.tolist() for part, values_B in sums.items()}}

    about = {"task": task.digest, "model": sha256_file(run / "bundle" / MANIFEST), "gaps of": "each structure"}
    found = kept(out / "calibration" / name / f"{model.name}.json", about, looked_at)
    count_B, probability_B, right_B, gaps_SX = (
        np.array(found[part], dtype=float) for part in ("count", "probability", "right", "gaps")
    )
    whole = Reliability(count_B.astype(np.int64), probability_B, right_B)
    return PairCalibration(name, model.name, whole, np.array(chosen), gaps_SX)


def _of_pairs(example: Example, probability_LL: np.ndarray) -> Reliability:
    """All pairs i < j of one structure."""
    true_LL = np.zeros(probability_LL.shape, dtype=bool)
    true_LL[tuple(example.pairs.T)] = True
    upper = np.triu_indices(len(true_LL), 1)
    return reliability(probability_LL[upper], true_LL[upper])


def _drawn(count: int, most: int, purpose: str) -> list[int]:
    """Places of a fixed random sample, ascending."""
    chosen: list[int] = np.sort(permutation(key(0, purpose), count)[:most]).tolist()
    return chosen
