"""The zero-shot benchmark: scores as the command line computes them, changes letter by letter, numbers as by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bundle import load
from nuclex.core.errors import InputError
from nuclex.evaluation.variants import change, variant_benchmark
from nuclex.inference.score import score
from nuclex.metrics import auroc, spearman
from nuclex.tasks import Example, Shape, Task, UtrVariantsConfig


def task_of(examples: list[Example]) -> Task:
    third = len(examples) // 3
    splits = {"train": examples[:third], "validation": examples[third : 2 * third], "test": examples[2 * third :]}
    return Task("toy", Shape.VARIANT, {name: tuple(found) for name, found in splits.items()})  # type: ignore[misc]


def substitutions(count: int, binary: bool = False) -> list[Example]:
    random = np.random.default_rng(0)
    examples = []
    for number in range(count):
        before = random.choice(list("ACGU"), 14)
        after = before.copy()
        place = int(random.integers(14))
        after[place] = random.choice([letter for letter in "ACGU" if letter != before[place]])
        label = float(number % 2) if binary else float(random.normal())
        examples.append(Example("".join(before), label, f"v{number}", f"g{number // 2}", "".join(after)))
    return examples


def test_scores_are_those_of_the_command_line(tiny_bundle: Path, tmp_path: Path) -> None:
    examples = substitutions(12)
    found = variant_benchmark(load(tiny_bundle), task_of(examples))
    (tmp_path / "r.fa").write_text("".join(f">{e.id}\n{e.sequence}\n" for e in examples))
    changes = [change(example) for example in examples]
    lines = (f"{e.id},{v.start},{v.ref},{v.alt}\n" for e, v in zip(examples, changes, strict=True))
    (tmp_path / "v.csv").write_text("id,start,ref,alt\n" + "".join(lines))
    score(tiny_bundle, tmp_path / "r.fa", tmp_path / "out.csv", variants=tmp_path / "v.csv", around=40)
    with (tmp_path / "out.csv").open() as handle:
        wanted = {row["contig"]: float(row["score"]) for row in csv.DictReader(handle)}
    assert {row["id"]: row["score"] for row in found.rows} == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert {row["convention"] for row in found.rows} == {"masked-marginal"}
    assert found.skipped == {}


def test_numbers_by_hand(tiny_bundle: Path) -> None:
    found = variant_benchmark(load(tiny_bundle), task_of(substitutions(30)))
    label, points = (np.array([row[name] for row in found.rows]) for name in ("label", "score"))
    metrics = found.metrics["all"]
    assert (metrics["n"], metrics["groups"]) == (30, 15)
    assert metrics["spearman"]["value"] == pytest.approx(spearman(label, points))
    assert metrics["spearman_of_sizes"]["value"] == pytest.approx(spearman(abs(label), abs(points)))
    assert metrics["spearman"]["low"] < metrics["spearman"]["value"] < metrics["spearman"]["high"]
    assert "15 clusters" in metrics["spearman"]["method"]
    assert list(found.metrics) == ["all"]


def test_harm_is_what_is_less_likely(tiny_bundle: Path) -> None:
    bundle = load(tiny_bundle)
    examples = substitutions(20, binary=True)
    scores = {row["id"]: row["score"] for row in variant_benchmark(bundle, task_of(examples)).rows}
    middle = float(np.median(list(scores.values())))
    told = [Example(e.sequence, float(scores[e.id] < middle), e.id, e.group, e.alternative) for e in examples]
    metrics = variant_benchmark(bundle, task_of(told)).metrics["all"]
    assert [metrics[name]["value"] for name in ("auroc", "auprc")] == pytest.approx([1.0, 1.0])
    assert metrics["share_of_harmful"] == 0.5
    found = variant_benchmark(bundle, task_of(examples))
    label, points = (np.array([row[name] for row in found.rows]) for name in ("label", "score"))
    assert found.metrics["all"]["auroc"]["value"] == pytest.approx(auroc(label, -points))


def test_indels_are_told_apart_and_splits_chosen(tiny_bundle: Path) -> None:
    examples = substitutions(9)
    examples += [
        Example(e.sequence, 0.1 * n, f"d{n}", e.group, e.sequence[:5] + e.sequence[6:]) for n, e in enumerate(examples)
    ]
    found = variant_benchmark(load(tiny_bundle), task_of(examples))
    assert set(found.metrics) == {"all", "masked-marginal", "pseudo-log-likelihood-difference"}
    assert [found.metrics[name]["n"] for name in sorted(found.metrics)] == [18, 9, 9]
    one = variant_benchmark(load(tiny_bundle), task_of(examples), splits=("test",))
    assert [row["id"] for row in one.rows] == [f"d{n}" for n in range(3, 9)]


@given(st.text("ACGU", min_size=2, max_size=12), st.text("ACGT", min_size=2, max_size=12))
def test_a_change_makes_the_alternative_out_of_the_reference(before: str, after: str) -> None:
    example = Example(before, 0.0, "v", alternative=after)
    if before.replace("U", "T") == after:
        with pytest.raises(InputError, match="toy: 'v' changes nothing"):
            change(example, "toy")
        return
    found = change(example)
    reference = before.replace("U", "T")
    assert reference[: found.start] + found.alt + reference[found.start + len(found.ref) :] == after
    assert found.ref
    assert found.alt
    assert reference[found.start : found.start + len(found.ref)] == found.ref


def test_another_shape_is_refused(tiny_bundle: Path) -> None:
    split = (Example("ACGT", 1.0, "a"),)
    task = Task("toy", Shape.SCALAR, {"train": split, "validation": split, "test": split})
    with pytest.raises(InputError, match="toy: a task of the shape 'variant score' is needed, found 'scalar'"):
        variant_benchmark(load(tiny_bundle), task)


@pytest.mark.real
@pytest.mark.slow
def test_real_variants_are_all_scored(mirror: Path, tiny_bundle: Path) -> None:
    task = UtrVariantsConfig(label="harm").read()
    found = variant_benchmark(load(tiny_bundle), task)
    assert len(found.rows) == sum(task.counts()[split] for split in ("train", "validation", "test"))
    assert found.skipped == {}
    area = found.metrics["all"]["auroc"]
    assert 0.3 < area["low"] < area["value"] < area["high"] < 0.7  # random weights
