from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

from nuclex.training.schedule import ScheduleConfig, learning_rate


def rates(schedule: ScheduleConfig, steps: int) -> list[float]:
    return [learning_rate(schedule, step, steps) for step in range(steps)]


def test_cosine_by_hand() -> None:
    schedule = ScheduleConfig(kind="cosine", rate=1.0, warmup=4, initial_rate=0.2, final_rate=0.1)
    # warm-up from 0.2 in steps of 0.2; then (1 + cos(pi k / 6)) / 2 of the way between 0.1 and 1
    root = math.sqrt(3) / 2
    shares = [1, (1 + root) / 2, 0.75, 0.5, 0.25, (1 - root) / 2]
    expected = [0.2, 0.4, 0.6, 0.8, *(0.1 + 0.9 * share for share in shares)]
    assert rates(schedule, 10) == pytest.approx(expected, rel=1e-12)


def test_linear_by_hand() -> None:
    schedule = ScheduleConfig(kind="linear", rate=1.0, warmup=2, final_rate=0.2)
    assert rates(schedule, 6) == pytest.approx([0.0, 0.5, 1.0, 0.8, 0.6, 0.4], rel=1e-12)
    to_zero = ScheduleConfig(kind="linear", rate=3.0)
    assert rates(to_zero, 3) == pytest.approx([3.0, 2.0, 1.0], rel=1e-12)


def test_constant_by_hand() -> None:
    schedule = ScheduleConfig(kind="constant", rate=0.5, warmup=2, initial_rate=0.1, final_rate=0.3)
    assert rates(schedule, 5) == pytest.approx([0.1, 0.3, 0.5, 0.5, 0.5], rel=1e-12)


def test_past_the_decay_the_rate_stays() -> None:
    schedule = ScheduleConfig(kind="linear", rate=1.0, final_rate=0.5, decay=2)
    assert rates(schedule, 5) == pytest.approx([1.0, 0.75, 0.5, 0.5, 0.5], rel=1e-12)
    wave = ScheduleConfig(kind="cosine", rate=1.0, decay=4, cycles=1.0)
    assert learning_rate(wave, 2, 100) == pytest.approx(0.0, abs=1e-12)
    assert [learning_rate(wave, step, 100) for step in (4, 5, 99)] == pytest.approx([1.0, 1.0, 1.0])


def test_rinalmos_schedule() -> None:
    # arXiv:2403.00043: 1e-7 to the rate over 2 000 steps, cosine over 200 000 steps to 1e-5
    schedule = ScheduleConfig(rate=5e-5, warmup=2000, initial_rate=1e-7, final_rate=1e-5, decay=200_000)
    at = {step: learning_rate(schedule, step, 300_000) for step in (0, 1000, 2000, 52_000, 102_000, 202_000, 299_999)}
    assert at[0] == 1e-7
    assert at[1000] == pytest.approx((1e-7 + 5e-5) / 2)
    assert at[2000] == 5e-5
    assert at[52_000] == pytest.approx(1e-5 + 4e-5 * (1 + math.sqrt(0.5)) / 2)
    assert at[102_000] == pytest.approx(3e-5)
    assert at[202_000] == pytest.approx(1e-5)
    assert at[299_999] == pytest.approx(1e-5)


def test_rinalmos_cosine_is_that_of_torch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-4)
    reference = CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-5)
    schedule = ScheduleConfig(rate=1e-4, final_rate=1e-5, decay=50)
    for step in range(51):
        assert learning_rate(schedule, step, 80) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        reference.step()


def test_rna_bertas_schedule() -> None:
    # 38 114 steps, 765 of warm-up from 0, and 0.41 of a cosine: it ends at 0.0778 of the rate
    schedule = ScheduleConfig(rate=5.52e-4, warmup=765, cycles=0.41)
    assert learning_rate(schedule, 0, 38_114) == 0
    assert learning_rate(schedule, 765, 38_114) == 5.52e-4
    assert learning_rate(schedule, 38_114, 38_114) / 5.52e-4 == pytest.approx(0.0778, abs=5e-5)


def test_rna_bertas_cosine_is_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    reference = transformers.get_cosine_schedule_with_warmup(optimizer, 5, 40, num_cycles=0.41)
    schedule = ScheduleConfig(rate=2.0, warmup=5, cycles=0.41)
    for step in range(40):
        assert learning_rate(schedule, step, 40) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        reference.step()


@pytest.mark.parametrize(
    ("keys", "reference"),
    [
        ({"kind": "step", "every": 7, "factor": 0.5}, lambda by: StepLR(by, 7, 0.5)),
        ({"kind": "multistep", "at": [3, 11, 12], "factor": 0.3}, lambda by: MultiStepLR(by, [3, 11, 12], 0.3)),
        ({"kind": "polynomial", "power": 2.5, "decay": 30}, lambda by: PolynomialLR(by, 30, 2.5)),
        ({"restarts": 4, "decay": 10, "final_rate": 0.1}, lambda by: CosineAnnealingWarmRestarts(by, 10, 1, 0.1)),
        ({"restarts": 3, "decay": 5, "growth": 2.0}, lambda by: CosineAnnealingWarmRestarts(by, 5, 2)),
    ],
    ids=["step", "multistep", "polynomial", "cycles", "growing"],
)
def test_the_others_are_those_of_torch(keys: dict[str, Any], reference: Callable[[Any], Any]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    other, schedule = reference(optimizer), ScheduleConfig.from_data({"rate": 2.0, **keys})
    for step in range(35):
        assert learning_rate(schedule, step, 35) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        other.step()


def test_cycles_by_hand() -> None:
    """Two cycles of 2 and 4 steps in the room that is left by warm-up and cool-down, the second from half the rate."""
    schedule = ScheduleConfig(
        kind="linear", rate=1.0, warmup=1, cooldown=2, restarts=2, growth=2.0, damping=0.5, final_rate=0.1
    )
    wanted = [0.0, 1.0, 0.55, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1]
    assert rates(schedule, 9) == pytest.approx(wanted)


def test_k_decay_stays_high_for_longer() -> None:
    schedule = ScheduleConfig(rate=1.0, k_decay=2.0)
    assert learning_rate(schedule, 5, 10) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.25)))


def test_an_epoch_has_one_rate() -> None:
    schedule = ScheduleConfig(kind="linear", rate=1.0, per="epoch")
    found = [learning_rate(schedule, step, 12, an_epoch=4) for step in range(12)]
    assert found == pytest.approx([1.0] * 4 + [8 / 12] * 4 + [4 / 12] * 4)


def test_a_plateau_lowers_the_rate_down_to_the_last() -> None:
    schedule = ScheduleConfig(kind="plateau", rate=1.0, factor=0.1, final_rate=0.005, warmup=2)
    assert learning_rate(schedule, 1, 9, reductions=1) == 0.5
    assert [learning_rate(schedule, 5, 9, reductions=times) for times in range(4)] == pytest.approx(
        [1, 0.1, 0.01, 0.005]
    )


def test_noise_is_within_its_limit_and_a_function_of_the_step() -> None:
    schedule = ScheduleConfig(kind="constant", rate=1.0, noise=0.3, noise_from=0.5)
    found = rates(schedule, 400)
    assert found[:200] == [1.0] * 200
    noisy = found[200:]
    assert all(0.7 < rate < 1.3 for rate in noisy)
    assert len(set(noisy)) == 200
    assert np.std(noisy) > 0.1
    assert rates(schedule, 400) == found
    assert rates(schedule.model_copy(update={"noise_seed": 1}), 400) != found


@given(
    st.sampled_from(["cosine", "linear", "constant", "polynomial", "step", "plateau"]),
    st.integers(0, 50),
    st.integers(1, 50) | st.none(),
    st.integers(1, 100),
)
def test_the_rate_stays_between_its_ends(kind: str, warmup: int, decay: int | None, steps: int) -> None:
    schedule = ScheduleConfig(kind=kind, rate=1.0, warmup=warmup, initial_rate=0.05, final_rate=0.1, decay=decay)
    found = rates(schedule, steps)
    assert all(0.05 <= rate <= 1.0 + 1e-12 for rate in found)
    assert found[: warmup + 1] == sorted(found[: warmup + 1]), "the warm-up rises"
    assert found[warmup:] == sorted(found[warmup:], reverse=True), "the decay falls"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"rate": 0}, {"warmup": -1}, {"cycles": 0}, {"decay": 0}, {"final_rate": -1e-9}),
        *({"kind": "step", "restarts": 2}, {"kind": "multistep"}, {"at": [3]}, {"kind": "multistep", "at": [3, 2]}),
    ],
)
def test_what_is_no_schedule_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScheduleConfig.from_data(wrong)
