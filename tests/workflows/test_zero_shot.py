"""A model asked as it is: the numbers are those of the variant benchmark, and are computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nuclex.bundle import load
from nuclex.core.errors import CorruptError
from nuclex.evaluation.benchmark import Question
from nuclex.evaluation.benchmark_comparisons import comparisons
from nuclex.evaluation.benchmark_lines import lines
from nuclex.evaluation.variants import variant_benchmark
from nuclex.tasks import Example, Shape, Task
from nuclex.workflows import zero_shot as workflow
from nuclex.workflows.zero_shot import Asked, chief_of, zero_shot

pytestmark = pytest.mark.usefixtures("silent")


def task(count: int = 24, *, binary: bool = False) -> Task:
    """Substitutions with made-up effects, two of each group, all of them in every split."""
    random = np.random.default_rng(0)
    examples = []
    for number in range(count):
        before = random.choice(list("ACGU"), 14)
        after = before.copy()
        after[5] = {"A": "C", "C": "G", "G": "U", "U": "A"}[str(before[5])]
        label = float(number % 2) if binary else float(random.normal())
        examples.append(Example("".join(before), label, f"v{number}", f"g{number // 2}", "".join(after)))
    return Task("toy", Shape.VARIANT, dict.fromkeys(("train", "validation", "test"), tuple(examples)))


@pytest.mark.parametrize(("binary", "chief"), [(False, "spearman_of_sizes"), (True, "auroc")])
def test_numbers_are_those_of_the_variant_benchmark(
    tiny_bundle: Path, tmp_path: Path, binary: bool, chief: str
) -> None:
    asked = task(binary=binary)
    system = zero_shot(asked, Asked("tiny", tiny_bundle, "1", "cpu"), tmp_path)
    assert chief_of(system)[0] == chief
    expected = variant_benchmark(load(tiny_bundle), asked, splits=("test",))
    units_N = np.unique([example.group for example in asked.examples("test")], return_inverse=True)[1]
    question = Question("q", "", {}, chief_of(system), units_N, (system,))
    found = {line.metric: line.interval for line in lines(question)}
    for name in found:
        wanted = expected.metrics["all"][name]
        got = found[name]
        assert (got.value, got.low, got.high) == pytest.approx((wanted["value"], wanted["low"], wanted["high"]))
    assert len(found) == 2
    assert comparisons([question]) == []


def test_it_is_computed_once_and_for_these_variants(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = (Asked("tiny", tiny_bundle, digest, "cpu") for digest in "12")
    first = zero_shot(task(), model, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(workflow, "variant_benchmark", None)
        assert zero_shot(task(), model, tmp_path).rows == first.rows
        for asked in ((task(20), model), (task(), other)):
            with pytest.raises(TypeError):  # made again
                zero_shot(*asked, tmp_path)
    assert len(zero_shot(task(20), model, tmp_path).rows[0]) == 20
    (tmp_path / "zero-shot.json").write_text('{"about": ')
    with pytest.raises(CorruptError, match=r"zero-shot.json: is not readable JSON of nuclex; remove it"):
        zero_shot(task(), model, tmp_path)
