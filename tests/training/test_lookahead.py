from __future__ import annotations

import pytest
import torch
from torch import nn

from nuclex.training.lookahead import EVERY, look_ahead


def test_every_sixth_update_goes_back_half_the_way() -> None:
    """Against the definition, with plain descent along a constant gradient."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 10.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    look_ahead(optimizer)
    slow = fast = 10.0
    for step in range(1, 2 * EVERY + 3):
        model.weight.grad = torch.ones(1, 1)
        optimizer.step()
        fast -= 1
        if step % EVERY == 0:
            slow = fast = slow + 0.5 * (fast - slow)
        assert model.weight.item() == pytest.approx(fast), step
    assert optimizer.state[model.weight]["slow"].item() == pytest.approx(slow)


def test_as_the_library_wraps_it() -> None:
    library = pytest.importorskip("pytorch_optimizer")
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 4), torch.randn(20, 3, 4)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([ours], lr=0.1)
    look_ahead(optimizer)
    wrapped = library.Lookahead(torch.optim.AdamW([theirs], lr=0.1), k=EVERY, alpha=0.5)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        wrapped.step()
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_what_does_not_learn_yet_is_left_alone() -> None:
    frozen, learning = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([frozen, learning], lr=0.1)
    look_ahead(optimizer)
    for step in range(14):
        learning.grad = torch.ones(2)
        if step > 7:
            frozen.grad = torch.ones(2)
        optimizer.step()
        if step == 7:
            assert not optimizer.state.get(frozen)
            assert frozen.tolist() == [1.0, 1.0]
    assert optimizer.state[frozen].keys() == {"step", "exp_avg", "exp_avg_sq", "slow"}
