"""A length in epochs is a length in updates, once the batches of an epoch are known."""

from __future__ import annotations

from typing import Any

import pytest

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.training.duration import TrainingConfig, updates


def given(**settings: Any) -> TrainingConfig:
    found: TrainingConfig = load_config(TrainingConfig, None, settings)
    return found


def of_seven(epoch: int) -> int:
    assert epoch == 0
    return 7


@pytest.mark.parametrize(
    ("epochs", "an_epoch", "wanted"),
    [(15, 2321, 34815), (3, 7, 21), (0.5, 7, 4), (0.1, 30, 3), (0.3, 10, 3), (1e-9, 7, 1), (0, 7, 0), (2.0001, 10, 21)],
)
def test_a_broken_epoch_is_rounded_up_and_rounding_adds_nothing(epochs: float, an_epoch: int, wanted: int) -> None:
    assert updates(epochs, an_epoch) == wanted


def test_steps_are_counted_where_epochs_are_given() -> None:
    assert (given().steps, given().epochs) == (1000, 0), "what it was before there were epochs"
    counted = given(epochs=2.5).counted(of_seven)
    assert (counted.steps, counted.epochs, counted.evaluate_every, counted.checkpoint_every) == (18, 0, 250, 500)
    each = given(steps=20, evaluate_every=0, checkpoint_every=0).counted(of_seven)
    assert (each.steps, each.evaluate_every, each.checkpoint_every) == (20, 7, 7)
    assert given(epochs=1e-6).counted(of_seven).steps == 1
    assert given(epochs=3).counted(lambda epoch: 0).steps == 3, "an epoch without batches is refused elsewhere"


def test_what_is_in_updates_stays_and_nothing_is_counted() -> None:
    def never(epoch: int) -> int:
        raise AssertionError

    config = given(steps=5)
    assert config.counted(never) is config
    counted = given(epochs=2, evaluate_every=0).counted(of_seven)
    assert counted.counted(never) is counted


@pytest.mark.parametrize("settings", [{"epochs": 2.0}, {"steps": 3}, {}, {"epochs": 1.0, "evaluate_every": 0}])
def test_both_ways_are_plain_data(settings: dict[str, Any]) -> None:
    config = given(**settings)
    assert TrainingConfig.from_data(config.to_data()) == config
    assert TrainingConfig(**settings) == config
    assert TrainingConfig.from_data(config.counted(of_seven).to_data()) == config.counted(of_seven)


def test_one_length_is_needed_and_only_one() -> None:
    with pytest.raises(InputError, match="steps is 300 and epochs is 15, and a run has one length; leave one of them"):
        given(steps=300, epochs=15)
    assert given(steps=300, epochs=0).steps == 300, "a flag over a recipe in epochs"
    assert given(steps=0, epochs=15).epochs == 15
    with pytest.raises(InputError, match="steps and epochs are both 0"):
        given(steps=0)
    with pytest.raises(InputError, match="epochs"):
        given(epochs=-1)
