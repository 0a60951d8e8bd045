from __future__ import annotations

import pytest

from nuclex.data.sample import SamplingConfig
from nuclex.models import RinalmoConfig, rinalmo
from nuclex.models.published import RINALMO_SIZES
from nuclex.training.costs import activation_bytes
from nuclex.training.plan import GPUS, make_plan


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("nano", 7_508_824), ("micro", 33_491_074), ("mega", 148_056_972), ("giga", 650_901_793)],
)
def test_the_published_sizes_of_rinalmo(size: str, parameters: int) -> None:
    plan = make_plan(rinalmo(size), 22)  # type: ignore[arg-type]
    assert plan.parameters == parameters
    assert plan.tokens_compute_optimal == 20 * parameters
    assert plan.memory_bytes > 16 * parameters
    assert size in RINALMO_SIZES


def test_hours_are_operations_over_speed() -> None:
    sampling = SamplingConfig(max_tokens=500, batch_tokens=2000, micro_tokens=1000)
    model = RinalmoConfig(depth=2, width=64, heads=4)
    plan = make_plan(model, 22, sampling=sampling, steps=1000, length=120.0, head_share=0.2)
    assert plan.tokens == 2_000_000
    assert plan.length == 120
    peak, _ = GPUS["h100"]
    assert plan.hours["h100"] == pytest.approx(plan.flops_per_token * 2e6 / (0.4 * peak) / 3600)
    assert plan.hours["a100"] / plan.hours["h100"] == pytest.approx(989 / 312)
    assert plan.memory_bytes == 16 * plan.parameters + activation_bytes(model.backbone(), 22, 1000, 0.2, 500)
    without = make_plan(model, 22, sampling=sampling, length=9999.0)
    assert (without.steps, without.tokens) == (None, None)
    assert without.length == 500, "no piece is longer than the recipe allows"
    assert without.hours["h100"] == pytest.approx(
        without.flops_per_token * without.tokens_compute_optimal / (0.4 * peak) / 3600
    )


def test_a_plan_is_plain_data() -> None:
    plan = make_plan(RinalmoConfig(depth=1, width=16, heads=2), 22)
    assert type(plan).from_data(plan.to_data()) == plan
    wanted = {"parameters", "flops_per_token", "memory_bytes", "tokens_compute_optimal"}
    assert wanted <= plan.to_data().keys(), "names that the design promises"
