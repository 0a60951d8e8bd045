"""A model under a head: frozen, it reads each sequence once, in any company; learning, it keeps nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nuclex.models import LanguageModel, Layout, RinalmoConfig, answering
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import ClassHeadConfig, build_head

SEQUENCES = [torch.arange(3, 3 + length) % 20 for length in (5, 9, 5, 7)]


@pytest.fixture
def model() -> AnsweringModel:
    torch.manual_seed(3)
    network = RinalmoConfig(depth=2, width=8, heads=2, dropout=0.3).backbone()
    under = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    return AnsweringModel(under, build_head(ClassHeadConfig(hidden=4), 8, 2, 0))


@pytest.fixture
def read(model: AnsweringModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each reading of the language model had."""
    found: list[int] = []
    encode = LanguageModel.encode

    def counted(self: LanguageModel, tokens_T: Tensor, layout: Layout) -> Tensor:
        found.append(len(tokens_T))
        return encode(self, tokens_T, layout)

    monkeypatch.setattr(LanguageModel, "encode", counted)
    return found


def freeze(model: AnsweringModel) -> None:
    model.model.requires_grad_(False).eval()


def ask(model: AnsweringModel, *which: int) -> Tensor:
    sequences = [SEQUENCES[number] for number in which]
    return model.class_logits(torch.cat(sequences), Layout.of([len(one) for one in sequences]))


def test_a_frozen_model_reads_each_sequence_once(model: AnsweringModel, read: list[int]) -> None:
    packed_NC = ask(model.eval(), 0, 1, 3)
    assert read == [21]
    freeze(model)
    alone_NC = ask(model, 0, 1, 3)
    assert read == [21, 5, 9, 7]
    torch.testing.assert_close(alone_NC, packed_NC)
    again_NC = ask(model, 3, 2, 1)
    assert read == [21, 5, 9, 7], "the third sequence has the letters of the first"
    assert torch.equal(again_NC[[2, 0]], alone_NC[[1, 2]])


def test_in_any_company_the_vectors_are_the_same_to_the_bit(model: AnsweringModel) -> None:
    freeze(model)
    one_NC = ask(model, 0, 1)
    model.forget()
    other_NC = ask(model, 1, 3)
    assert torch.equal(one_NC[1], other_NC[0])


@pytest.mark.parametrize("learns", ["weights", "dropout"])
def test_what_learns_or_drops_keeps_nothing(model: AnsweringModel, read: list[int], learns: str) -> None:
    freeze(model)
    before_NC = ask(model, 0, 1)
    if learns == "weights":
        model.model.norm.requires_grad_(True)
    else:
        model.model.train()
    ask(model, 0, 1)
    assert read[-1] == 14
    with torch.no_grad():
        model.model.embedding.tokens.weight.mul_(2)
    freeze(model)
    assert not torch.equal(ask(model, 0, 1), before_NC), "what was kept is of other weights"


def test_other_weights_are_read_anew_when_told(model: AnsweringModel, read: list[int]) -> None:
    freeze(model)
    ask(model, 0)
    model.forget()
    ask(model, 0)
    assert read == [5, 5]


def test_beyond_its_room_it_reads_again(
    model: AnsweringModel, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "KEPT_BYTES", 6 * 8 * 4)
    freeze(model)
    first_NC, second_NC = ask(model, 0, 1), ask(model, 0, 1)
    assert read == [5, 9, 9]
    assert torch.equal(first_NC, second_NC)


def test_the_head_learns_from_kept_vectors(model: AnsweringModel) -> None:
    freeze(model)
    for _ in range(2):
        model.zero_grad()
        ask(model, 0, 1).square().sum().backward()
        gradients = [part.grad for part in model.head.parameters()]
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
