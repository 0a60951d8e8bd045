from __future__ import annotations

import pytest

from nuclex.core.errors import InputError
from nuclex.data.sample import SamplingConfig
from nuclex.models import RinalmoConfig, rinalmo
from nuclex.models.published import RINALMO_SIZES
from nuclex.training.duration import TrainingConfig
from nuclex.training.plan import GPUS, Asked, Terms, make_plan


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
    plan = make_plan(model, 22, Asked(sampling, TrainingConfig(steps=1000, precision="bf16"), 120.0, 0.2))
    assert plan.tokens == 2_000_000
    assert plan.length == 120
    peak = GPUS["h100"].bf16
    assert plan.hours["h100"] == pytest.approx(plan.flops_per_token * 2e6 / (0.4 * peak) / 3600)
    assert plan.hours["a100"] / plan.hours["h100"] == pytest.approx(989 / 312)
    single = make_plan(model, 22, Asked(sampling, TrainingConfig(steps=1000), 120.0, 0.2))
    assert single.hours["h100"] / plan.hours["h100"] == pytest.approx(989 / 67), "no tensor cores in float32"
    assert single.memory_bytes > plan.memory_bytes
    without = make_plan(model, 22, Asked(sampling, length=9999.0))
    assert (without.steps, without.tokens, without.precision) == (None, None, "fp32")
    assert without.length == 500, "no piece is longer than the recipe allows"
    operations = without.flops_per_token * without.tokens_compute_optimal
    assert without.hours["h100"] == pytest.approx(operations / (0.4 * GPUS["h100"].fp32) / 3600)


def test_money_is_hours_times_the_price_that_was_said() -> None:
    model = RinalmoConfig(depth=2, width=64, heads=4)
    usual, halved = (make_plan(model, 22, terms=Terms(share, {"a100": 1.5})) for share in (0.4, 0.2))
    assert usual.cost == {"a100": 1.5 * usual.hours["a100"]}, "no price is known that was not said"
    assert halved.hours["h200"] == pytest.approx(2 * usual.hours["h200"])
    for prices, said in (({"a1000": 1.0}, "no GPU is called 'a1000'; known: h200, "), ({"a100": -1.0}, "costs -1.0")):
        with pytest.raises(InputError, match=said):
            make_plan(model, 22, terms=Terms(0.4, prices))


def test_a_plan_is_plain_data() -> None:
    plan = make_plan(RinalmoConfig(depth=1, width=16, heads=2), 22)
    assert type(plan).from_data(plan.to_data()) == plan
    wanted = {"parameters", "flops_per_token", "memory_bytes", "tokens_compute_optimal"}
    assert wanted <= plan.to_data().keys(), "names that the design promises"
