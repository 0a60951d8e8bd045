from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim.lr_scheduler import CosineAnnealingLR

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


@given(
    st.sampled_from(["cosine", "linear", "constant"]),
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


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"warmup": -1}, {"cycles": 0}, {"decay": 0}, {"final_rate": -1e-9}])
def test_what_is_no_schedule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ScheduleConfig.from_data(wrong)
