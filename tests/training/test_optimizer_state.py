from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from learners import Line
from nuclex.core.errors import InputError
from nuclex.training.checkpoint import Place, load_checkpoint, save_checkpoint
from nuclex.training.optimizer import OptimizerConfig, build_optimizer
from nuclex.training.optimizer_state import refuse_forgetful

TORCH = ["adamw", "sgd", "momentum", "nadam", "rmsprop", "adagrad", "torch.adafactor", "lookahead_adam"]
MORE = ["lamb", "adafactor", "madgrad", "lion", "muon", "novograd", "adopt", "lookahead_radam", "ranger"]


class Two(nn.Module):
    """Weights of every kind that optimizers tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList([nn.Linear(4, 4)])
        self.head = nn.Linear(4, 2)

    def learn(self, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            self.head(self.blocks[0](self.embedding(torch.randint(5, (6,))))).square().sum().backward()
            for group in optimizer.param_groups:
                group["lr"] = 1e-2 * group["share"]
            optimizer.step()
            optimizer.zero_grad()


def made(seed: int, **settings: Any) -> tuple[Two, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Two()
    config = OptimizerConfig.from_data(settings)
    return model, build_optimizer(model.named_parameters(), config)


@pytest.mark.parametrize("name", TORCH + MORE)
def test_stopped_and_resumed_is_never_stopped(name: str, tmp_path: Path) -> None:
    """Through a checkpoint on the disk, at every place up to the seventh update."""
    if name in MORE:
        pytest.importorskip("pytorch_optimizer")
    whole, optimizer = made(0, name=name, layer_decay=0.8)
    for step in range(7):
        whole.learn(optimizer, range(step, step + 1))
        save_checkpoint(tmp_path, whole, optimizer, Place(step + 1), {"seed": 1})
    whole.learn(optimizer, range(7, 15))
    assert all(torch.isfinite(value).all() for value in whole.parameters())
    for step in (1, 3, 7):
        again, other = made(9, name=name, layer_decay=0.8)
        load_checkpoint(tmp_path / f"step-{step:08d}", again, other, {"seed": 1})
        again.learn(other, range(step, 15))
        for (place, found), wanted in zip(again.named_parameters(), whole.parameters(), strict=True):
            assert torch.equal(found, wanted), (step, place)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "lbfgs", "weight_decay": 0.0}, "'lbfgs' cannot be used here, where an update is one step after"),
        ({"name": "torch.muon"}, "'torch.muon' cannot be used here.*only supports 2D"),
        ({"name": "soap"}, "'soap' cannot be resumed: it keeps 'GG', a list, which a checkpoint does not hold"),
        ({"name": "prodigy"}, "'prodigy' cannot be resumed: it keeps .* for many weights at once"),
        ({"name": "stablespam"}, "'stablespam' cannot be resumed: what it keeps is not all that its next update"),
        ({"name": "lomo"}, "'lomo' does not take weights and a rate"),
    ],
)
def test_what_cannot_be_resumed_is_refused(settings: dict[str, Any], sentence: str) -> None:
    if settings["name"] not in ("lbfgs", "torch.muon"):
        pytest.importorskip("pytorch_optimizer")
    with pytest.raises(InputError, match=f"training.optimizer.name: {sentence}"):
        made(0, **settings)


def test_the_trial_sees_what_is_forgotten() -> None:
    class Counting(torch.optim.SGD):
        """Plain descent whose steps grow with a count that stands nowhere in its state."""

        count = 0

        def step(self, closure: Any = None) -> None:
            self.count += 1
            for group in self.param_groups:
                group["lr"] *= self.count
            super().step()

    with pytest.raises(InputError, match="'counting' cannot be resumed: what it keeps is not all"):
        refuse_forgetful("counting", lambda named: Counting([parameter for _, parameter in named]))
    refuse_forgetful("plain", lambda named: torch.optim.SGD([parameter for _, parameter in named]))


def test_the_trial_leaves_the_callers_random_numbers_alone() -> None:
    model = Line()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build_optimizer(model.named_parameters(), OptimizerConfig(name="nadam"))
    assert torch.equal(torch.rand(2), expected)
