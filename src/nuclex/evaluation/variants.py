"""Do a model's own likelihoods tell what variants do, without having learned from any: the zero-shot benchmark.

The score of a variant is ln p(alternative) - ln p(reference), in nats, as ``inference.effects`` computes it, over all
letters of the example. Effects have no sign that likelihood must follow: less likely may be more or less expression. So
both are given, the rank correlation of score and effect, and that of their sizes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_dna
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.data.reference import Reference
from nuclex.data.variants import Variant
from nuclex.inference.effects import Manner, effect_rows, effects
from nuclex.inference.likelihood import Method, method_for
from nuclex.inference.parts import Part
from nuclex.metrics import auprc, auroc, spearman
from nuclex.tasks import SPLITS, Example, Shape, Split, Task
from nuclex.training.device import within_memory
from nuclex.training.scalars import interval_of

AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class VariantScores:
    """What a model makes of the variants of a task.

    ``rows`` are plain data, one a scored variant: id, group, label, score (nats) and convention; ``skipped`` counts the
    others by reason. ``metrics``: of all variants, and of each convention apart where there are several, since scores
    of different conventions are no numbers on one scale.
    """

    rows: list[dict[str, Any]]
    skipped: dict[str, int]
    metrics: dict[str, dict[str, Any]]


def variant_benchmark(
    bundle: Bundle, task: Task, *, splits: Sequence[Split] = SPLITS, method: Method | None = None, strands: int = 1
) -> VariantScores:
    """Score the variants of these splits (by default all: nothing is learned from any) and compare with their labels.

    Labels of 0 and 1 alone (1 is harmful) give AUROC and AUPRC of minus the score, with the share of 1 beside them;
    other labels give Spearman's correlation of score and label, and of their sizes. Intervals draw whole groups.
    ``strands = 2`` also asks the reverse complements. InputError for a task of another shape, a method that the model
    cannot be asked by, a window longer than the model reads.
    """
    if task.shape is not Shape.VARIANT:
        raise InputError(
            f"{task.name}: a task of the shape {str(Shape.VARIANT)!r} is needed, found {str(task.shape)!r}"
        )
    examples = [example for split in splits for example in task.examples(split)]
    longest = max(max(len(example.sequence), len(example.alternative or "")) for example in examples)
    # wide enough for all letters, wherever the variant is; what lies beyond the ends is clipped
    manner = Manner(method_for(bundle.model.config, method), 2 * longest + 8, strands == 2)
    rows, skipped = list[dict[str, Any]](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, within_memory():
        reference = _reference(examples, Path(folder))
        for first in range(0, len(examples), AT_ONCE):
            chunk = examples[first : first + AT_ONCE]
            changes = [change(example, task.name)._replace(name=str(n)) for n, example in enumerate(chunk)]
            part = effects(bundle, reference, changes, manner)
            skipped.update(part.texts["skipped"])
            rows += [_row(chunk[int(str(name))], score, how) for name, score, how in _short(part)]
    if not rows:
        raise InputError(f"{task.name}: no variant can be scored: {dict(skipped)}")
    return VariantScores(rows, dict(sorted(skipped.items())), _metrics(rows))


def change(example: Example, name: str = "variant") -> Variant:
    """What differs between reference and alternative, as a variant of the sequence of that name.

    As few letters as say it; where letters are put in or left out, the one before them too (behind them at the start),
    as in VCF. InputError where nothing differs.

    >>> change(Example("ACCGT", 0.5, "v", alternative="ACGT"))[1:4]
    (1, 'CC', 'C')
    """
    before, after = (to_dna(text.upper()) for text in (example.sequence, example.alternative or ""))
    if before == after:
        raise InputError(f"{name}: {example.id!r} changes nothing")
    shorter = min(len(before), len(after))
    start = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    if start + end == shorter:  # nothing is left of one of them
        start, end = (start - 1, end) if start else (0, end - 1)
    ref, alt = before[start : len(before) - end], after[start : len(after) - end]
    return Variant(_contig(example), start, ref, alt, example.id, f"{name}: {example.id!r}")


def _contig(example: Example) -> str:
    return to_dna(example.sequence.upper())


def _reference(examples: Sequence[Example], folder: Path) -> Reference:
    """The distinct reference sequences, each named by itself."""
    names = dict.fromkeys(_contig(example) for example in examples)
    path = folder / "references.fa"
    path.write_text("".join(f">{name}\n{name}\n" for name in names), encoding="ascii")
    return Reference(path, folder)


def _short(part: Part) -> Iterator[tuple[str, float, str]]:
    """Name, score and convention of each variant that was scored."""
    for name, _, _, _, _, score, convention, *_ in effect_rows(part):
        yield str(name), float(str(score)), str(convention)


def _row(example: Example, score: float, convention: str) -> dict[str, Any]:
    group = example.group or example.letters
    return {"id": example.id, "group": group, "label": example.number, "score": score, "convention": convention}


def _metrics(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    conventions = sorted({row["convention"] for row in rows})
    subsets = {"all": list(rows)}
    if len(conventions) > 1:
        subsets |= {name: [row for row in rows if row["convention"] == name] for name in conventions}
    return {name: dict(_measured(subset)) for name, subset in subsets.items()}


def _measured(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    label_N, score_N = (np.array([row[name] for row in rows]) for name in ("label", "score"))
    _, group_N = np.unique([row["group"] for row in rows], return_inverse=True)
    yield "n", len(rows)
    yield "groups", int(group_N.max()) + 1
    names: dict[str, tuple[Callable[..., float], list[NDArray[Any]]]] = {
        "spearman": (spearman, [label_N, score_N]),
        "spearman_of_sizes": (spearman, [np.abs(label_N), np.abs(score_N)]),
    }
    if set(label_N.tolist()) == {0.0, 1.0}:
        names = {"auroc": (auroc, [label_N, -score_N]), "auprc": (auprc, [label_N, -score_N])}
        yield "share_of_harmful", float(label_N.mean())
    for name, (statistic, columns) in names.items():
        yield name, interval_of(statistic, columns, group_N, name)
