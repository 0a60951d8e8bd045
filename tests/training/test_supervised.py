"""Batches that are a pure function of (seed, epoch), limits that hold, and parts that learn when they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from nuclex.core.errors import InputError
from nuclex.models import LanguageModel, Layout, RinalmoConfig
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import ClassHeadConfig, build_head
from nuclex.tasks import Example
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.optimizer import OptimizerConfig, build_optimizer, set_rate
from nuclex.training.precision import Computing, Precision
from nuclex.training.supervised import (
    Answers,
    BatchingConfig,
    Measured,
    Reading,
    SupervisedWork,
    Thaw,
    cut_batches,
    learning_parameters,
)


class OneAtATime(Answers):
    """Answers that only say how a batch is cut."""

    @property
    def compared(self) -> tuple[str, ...]:
        return ()

    def micros(self, index_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [index_N[place : place + 1] for place in range(len(index_N))]

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        raise NotImplementedError

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        raise NotImplementedError

    def measure(self, model: AnsweringModel) -> Measured:
        raise NotImplementedError

    def pooled(
        self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]
    ) -> dict[str, object]:
        raise NotImplementedError


@given(
    st.lists(st.integers(3, 60), min_size=1, max_size=40),
    st.integers(1, 8),
    st.one_of(st.none(), st.integers(1, 150)),
)
def test_batches_hold_all_examples_within_both_limits(lengths: list[int], examples: int, tokens: int | None) -> None:
    order_N = np.arange(len(lengths))[::-1]
    tokens_N = np.array(lengths)
    batches = cut_batches(order_N, tokens_N[order_N], BatchingConfig(examples=examples, tokens=tokens))
    assert np.concatenate(batches).tolist() == order_N.tolist()
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        assert len(batch) <= examples
        total = int(tokens_N[batch].sum())
        assert tokens is None or total <= tokens or len(batch) == 1
        if following is not None:  # a batch ends only where the next example would not fit
            over = tokens is not None and total + int(tokens_N[following[0]]) > tokens
            assert over or len(batch) == examples


def work(seed: int, thaw: tuple[Thaw, ...] = ()) -> SupervisedWork:
    return SupervisedWork(OneAtATime(), np.arange(3, 40), BatchingConfig(examples=5), thaw, seed)


def test_every_epoch_is_a_new_order_of_all_examples() -> None:
    made = work(1)
    epochs = [
        [int(micro[0]) for batch in range(made.batches(epoch)) for micro in made.micro_batches(epoch, batch, 0, 1)]
        for epoch in (0, 1, 0)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(37))
    assert epochs[0] == epochs[2] != epochs[1]
    first = work(1).micro_batches(0, 3, 0, 1)
    assert [int(micro[0]) for micro in first] == epochs[0][15:20]
    assert [int(micro[0]) for micro in work(2).micro_batches(0, 3, 0, 1)] != epochs[0][15:20]


def test_devices_share_a_batch_without_overlap() -> None:
    whole = [int(micro[0]) for micro in work(1).micro_batches(0, 0, 0, 1)]
    parts = [[int(micro[0]) for micro in work(1).micro_batches(0, 0, rank, 2)] for rank in (0, 1)]
    assert sorted(parts[0] + parts[1]) == sorted(whole)


def small_model() -> AnsweringModel:
    network = RinalmoConfig(depth=3, width=8, heads=2).backbone()
    model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    return AnsweringModel(model, build_head(ClassHeadConfig(hidden=4), 8, 2, 0))


def learning(model: AnsweringModel) -> set[str]:
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    return {".".join(name.split(".")[:3]) if ".blocks." in name else ".".join(name.split(".")[:2]) for name in names}


def test_blocks_thaw_from_the_top() -> None:
    schedule = (Thaw(step=9, blocks="all"), Thaw(step=2, blocks=1), Thaw(step=5, blocks=2))
    made, model = work(1, schedule), small_model()
    head = {"head.dense", "head.decoder"}
    top = {"model.norm", "model.blocks.2"}
    everything = {"model.embedding", "model.head", "model.blocks.0"}
    wanted = {1: head, 2: head | top, 4: head | top, 5: head | top | {"model.blocks.1"}}
    wanted[9] = wanted[5] | everything
    for step in (9, 1, 2, 4, 5):  # in any order: a function of the step alone
        made.prepare(model, step)
        assert learning(model) == wanted[step], step
    work(1).prepare(model, 0)
    assert learning(model) == wanted[9]
    assert len(learning_parameters(model, (), 0)) == len(list(model.parameters()))


@pytest.mark.parametrize("precision", ["fp32", "bf16-weights"])
def test_frozen_it_reads_without_dropout_and_once(monkeypatch: pytest.MonkeyPatch, precision: Precision) -> None:
    """Also the copy that computes in half precision; as soon as a block learns, dropout is everywhere."""
    encode, read = LanguageModel.encode, []

    def counted(self: LanguageModel, tokens_T: Tensor, layout: Layout) -> Tensor:
        read.append((len(tokens_T), self.training, self.blocks[0].training))
        return encode(self, tokens_T, layout)

    def loss(used: AnsweringModel) -> Tensor:
        assert used.head.training
        return used.class_logits(torch.arange(3, 12), Layout.of([4, 5])).float().square().sum()

    monkeypatch.setattr(LanguageModel, "encode", counted)
    made, model = work(1, (Thaw(step=0, blocks=0), Thaw(step=5, blocks=1))), small_model()
    computing = Computing(model, precision)
    for step in (0, 1, 5):
        model.train()
        made.prepare(model, step)
        computing.begin()
        computing.gradients(loss)
    assert read == [(4, False, False), (5, False, False), (9, True, True)]


def test_what_thaws_later_may_learn_more_slowly() -> None:
    schedule = (Thaw(step=0, blocks=0), Thaw(step=2, blocks=1, rate=0.1), Thaw(step=5, blocks="all", rate=0.5))
    model = small_model()
    rates = work(1, schedule).rates(model)
    optimizer = build_optimizer(model.named_parameters(), OptimizerConfig(), rates)
    set_rate(optimizer, 0.02)
    names = {id(value): name for name, value in model.named_parameters()}
    used = {names[id(value)]: group["lr"] for group in optimizer.param_groups for value in group["params"]}
    assert used.keys() == set(names.values())
    for name, rate in used.items():
        wanted = (
            0.02 if name.startswith("head.") else 0.002 if name.startswith(("model.norm", "model.blocks.2")) else 0.01
        )
        assert rate == pytest.approx(wanted), name
    assert work(1, (Thaw(step=0, blocks="all"),)).rates(model) == work(1).rates(model) == {}


def test_every_block_learns_while_the_embedding_stays() -> None:
    model = small_model()
    work(1, (Thaw(step=0, blocks="every"),)).prepare(model, 0)
    found = learning(model)
    assert found == {"head.dense", "head.decoder", "model.norm", "model.blocks.0", "model.blocks.1", "model.blocks.2"}


def test_blocks_thaw_by_epochs_as_by_steps() -> None:
    """37 examples by five are 8 updates an epoch."""
    by_epoch = (Thaw(epoch=0, blocks=0), Thaw(epoch=1.5, blocks=1, rate=0.5), Thaw(epoch=2, blocks="all"))
    by_step = (Thaw(step=0, blocks=0), Thaw(step=12, blocks=1, rate=0.5), Thaw(step=16, blocks="all"))
    made, model = work(1, by_epoch), small_model()
    assert made.thaw == list(by_step)
    assert made.rates(model) == work(1, by_step).rates(model) != {}
    made.prepare(model, 11)
    assert learning(model) == {"head.dense", "head.decoder"}
    made.prepare(model, 12)
    assert learning(model) == {"head.dense", "head.decoder", "model.norm", "model.blocks.2"}


@pytest.mark.parametrize("when", [{}, {"step": 1, "epoch": 1.0}])
def test_thaw_begins_at_a_step_or_at_an_epoch(when: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give step or epoch, one of them"):
        Thaw(**when, blocks=0)


def test_thaw_refuses_negative_blocks() -> None:
    with pytest.raises(ValueError, match="0 or more, 'every' or 'all'"):
        Thaw(step=0, blocks=-1)


def test_a_reading_is_whole_sequences_with_start_and_end() -> None:
    tokenizer = NucleotideConfig().build()
    reading = Reading.of([Example("ACG", "x", "a"), Example("uuuuu", "x", "b"), Example("A", "x", "c")], tokenizer, 7)
    assert reading.tokens_N.tolist() == [5, 7, 3]
    assert reading.batch(np.array([2, 0])).tokens_T.tolist() == [0, 5, 2, 0, 5, 6, 7, 2]
    assert reading.tokens_of(1, torch.device("cpu")).tolist() == [0, 8, 8, 8, 8, 8, 2]
    assert [pack.tolist() for pack in reading.packs(np.arange(3), 8)] == [[2, 0], [1]]


@pytest.mark.parametrize(
    ("sequence", "sentence"),
    [("ACGTACGT", "'bad' has 10 tokens with start and end; this model reads at most 7"), ("ÄÄ", "'bad': .* not ASCII")],
)
def test_a_sequence_that_cannot_be_read_is_named(sequence: str, sentence: str) -> None:
    examples = [Example("ACG", "x", "good"), Example(sequence, "x", "bad")]
    with pytest.raises(InputError, match=sentence):
        Reading.of(examples, NucleotideConfig().build(), 7)
