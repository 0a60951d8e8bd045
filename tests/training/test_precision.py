"""Half precision: gradients close to those of float32, and weights that do not lose what is too small for bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from learners import Line
from nuclex.models import LanguageModel, Layout, RinalmoConfig, roberta
from nuclex.objectives import token_cross_entropy
from nuclex.training.precision import Computing, Precision

LENGTHS = (9, 30, 17, 5)
MODELS = {
    "roberta": roberta(3, 32, 4, 48, max_positions=64).model_copy(update={"dropout": 0.0, "attention_dropout": 0.0}),
    "rinalmo": RinalmoConfig(depth=3, width=40, heads=4, dropout=0, attention_dropout=0),
}


def made(name: str) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(MODELS[name].backbone(), vocabulary_size=22, pad_id=1, mask_id=4).train()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return model


def gradients(model: LanguageModel, precision: Precision, micros: int = 1) -> tuple[float, torch.Tensor]:
    ids = torch.randint(5, 22, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    chosen = torch.arange(0, len(ids), 3)
    computing = Computing(model, precision)
    computing.begin()
    loss = 0.0
    for _ in range(micros):
        loss += computing.gradients(
            lambda model: token_cross_entropy(model(ids, Layout.of(LENGTHS), chosen), ids[chosen]) / len(chosen)
        )
    assert all(value.grad is not None and value.grad.dtype == torch.float32 for value in model.parameters())
    return loss, torch.cat([value.grad.flatten() for value in model.parameters()])  # type: ignore[union-attr]


@pytest.mark.parametrize("precision", ["bf16", "bf16-weights"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_single_precision_to_within_a_few_per_cent(name: str, precision: Precision) -> None:
    loss, wanted = gradients(made(name), "fp32")
    half_loss, found = gradients(made(name), precision)
    assert half_loss == pytest.approx(loss, rel=0.02)
    assert half_loss != loss
    assert float((found - wanted).norm()) < 0.05 * float(wanted.norm())


def test_micro_batches_add_up_in_single_precision() -> None:
    once, many = (gradients(made("roberta"), "bf16-weights", micros)[1] for micros in (1, 300))
    assert torch.allclose(many, 300 * once, rtol=1e-4)  # in bfloat16 a sum stands still at 256 times what is added


def test_what_is_too_small_for_half_precision_is_not_lost() -> None:
    model = Line()
    computing = Computing(model, "bf16-weights")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    before = model.layer.weight.detach().clone()
    for _ in range(100):
        computing.begin()
        optimizer.zero_grad()
        computing.gradients(lambda line: line.layer(torch.ones(1, 3, dtype=line.layer.weight.dtype)).float().sum())
        optimizer.step()
    assert torch.allclose(model.layer.weight, before - 0.01, atol=1e-5)


def test_what_is_frozen_stays_so_and_what_is_thawed_learns() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    computing = Computing(model, "bf16-weights")
    for frozen in (True, False):
        model[0].requires_grad_(not frozen)
        computing.begin()
        computing.gradients(lambda twin: twin(torch.ones(3, 2, dtype=torch.bfloat16)).float().sum())
        assert (model[0].weight.grad is None) == frozen


def test_a_tied_matrix_stays_one() -> None:
    model = made("roberta")
    computing = Computing(model, "bf16-weights")
    assert computing.twin is not None
    assert computing.twin.head.decoder.weight is computing.twin.embedding.tokens.weight
