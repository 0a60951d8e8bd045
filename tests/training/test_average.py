from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nuclex.core.errors import CorruptError
from nuclex.training.average import Average, EmaConfig


def line(value: float) -> nn.Linear:
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, value)
    model.register_buffer("seen", torch.tensor(3))
    return model


def put(model: nn.Linear, value: float) -> None:
    nn.init.constant_(model.weight, value)


@pytest.mark.parametrize("on_cpu", [False, True])
def test_by_hand(on_cpu: bool) -> None:
    model = line(1.0)
    average = Average(model, EmaConfig(decay=0.75, on_cpu=on_cpu))
    wanted = 1.0
    for step, value in enumerate([5.0, -3.0, 2.0], start=1):
        put(model, value)
        average.update(model, step)
        wanted = 0.75 * wanted + 0.25 * value
        assert average.tensors["weight"].flatten().tolist() == pytest.approx([wanted] * 2)
    assert average.tensors.keys() == {"weight"}, "counts are not averaged"


def test_with_warm_up_the_first_weights_fade() -> None:
    model = line(0.0)
    average = Average(model, EmaConfig(decay=0.99, warmup=True))
    put(model, 1.0)
    average.update(model, 1)
    assert average.tensors["weight"][0, 0].item() == pytest.approx(1 - 2 / 11)
    average.update(model, 2)
    assert average.tensors["weight"][0, 0].item() == pytest.approx(1 - 2 / 11 * 3 / 12)


def test_inside_the_block_the_model_is_the_average() -> None:
    model = line(1.0)
    average = Average(model, EmaConfig(decay=0.5))
    put(model, 1 / 3)
    average.update(model, 1)
    own = model.weight.clone()
    with average.instead(model):
        assert model.weight.tolist() == [pytest.approx([2 / 3] * 2)]
    assert torch.equal(model.weight, own)
    with pytest.raises(KeyError), average.instead(model):
        raise KeyError
    assert torch.equal(model.weight, own), "also after an error"
    average.lay_over(model)
    assert torch.equal(model.weight, average.tensors["weight"])


def test_averages_of_another_model_are_not_taken() -> None:
    average = Average(line(1.0), EmaConfig(decay=0.5))
    average.take({"weight": torch.full((1, 2), 7.0)}, Path("x"))
    assert average.tensors["weight"].tolist() == [[7.0, 7.0]]
    with pytest.raises(CorruptError, match="x: lacks the weight 'weight'"):
        average.take({}, Path("x"))
    with pytest.raises(CorruptError, match="has shape"):
        average.take({"weight": torch.ones(3)}, Path("x"))
