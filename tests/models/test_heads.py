"""Heads against literal references: the whole L × L × 2D map, PyTorch's own instance norm, sums by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models import LanguageModel, Layout, RinalmoConfig, heads
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import (
    HEADS,
    ClassHeadConfig,
    HeadConfig,
    LinearHeadConfig,
    PairHead,
    PairHeadConfig,
    PooledHead,
    PositionHeadConfig,
    RibosomeLoadHead,
    RibosomeLoadHeadConfig,
    ScalarHeadConfig,
    TextConvolutionHeadConfig,
    build_head,
)

WIDTH = 12


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def naive_pair_logits(head: PairHead, hidden_LD: Tensor) -> Tensor:
    """RiNALMo's head as the facts describe it, word by word."""
    length = len(hidden_LD)
    rows = [[torch.cat([hidden_LD[i], hidden_LD[j]]) for j in range(length)] for i in range(length)]
    concat_LL2D = torch.stack([torch.stack(row) for row in rows])
    map_1CLL = head.projection(concat_LL2D).permute(2, 0, 1)[None]
    channels = map_1CLL.shape[1]
    for block in head.blocks:
        assert isinstance(block.convolutions, nn.ModuleList)
        layers: list[nn.Module] = []
        for convolution in block.convolutions:
            layers += [convolution, nn.InstanceNorm2d(channels), nn.ReLU()]
        map_1CLL = nn.Sequential(*layers)(map_1CLL) + map_1CLL
    score_LL = head.decoder(map_1CLL)[0, 0]
    answer_LL = torch.zeros(length, length, dtype=hidden_LD.dtype)
    for i in range(length):
        for j in range(i + 1, length):
            answer_LL[i, j] = answer_LL[j, i] = score_LL[i, j]
    return answer_LL


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_pair_head_is_the_literal_one(kernel: int) -> None:
    head = PairHeadConfig(channels=6, blocks=2, kernel=kernel).build(WIDTH, 1).double()
    hidden_LD = torch.randn(9, WIDTH, dtype=torch.float64, requires_grad=True)
    expected_LL = naive_pair_logits(head, hidden_LD)
    weight_LL = torch.randn(9, 9, dtype=torch.float64)
    wanted = torch.autograd.grad((expected_LL * weight_LL).sum(), [hidden_LD, *head.parameters()])
    found_LL = head(hidden_LD)
    found = torch.autograd.grad((found_LL * weight_LL).sum(), [hidden_LD, *head.parameters()])
    torch.testing.assert_close(found_LL, expected_LL, atol=1e-12, rtol=1e-10)
    for left, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(left, right, atol=1e-10, rtol=1e-8)


def test_what_learning_computes_again_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    head = PairHeadConfig(channels=6).build(WIDTH, 1)
    hidden_LD = torch.randn(9, WIDTH, requires_grad=True)
    kept: list[list[Tensor]] = []
    for least in (1 << 25, 6 * 9 * 9):
        monkeypatch.setattr(heads, "RECOMPUTED_FROM", least)
        norms = Counting(monkeypatch)
        found_LL = head(hidden_LD)
        kept.append([found_LL, *torch.autograd.grad(found_LL.square().sum(), [hidden_LD, *head.parameters()])])
        # each of 6 layers once; then again for the block, and most again for themselves
        assert norms.calls == 6 if least > 6 * 9 * 9 else norms.calls > 12
    for left, right in zip(*kept, strict=True):
        torch.testing.assert_close(left, right, atol=0, rtol=0)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("share", [1, 0.3, 0.05])
def test_a_map_taken_in_strips_gives_the_same(monkeypatch: pytest.MonkeyPatch, kernel: int, share: float) -> None:
    head = PairHeadConfig(channels=6, kernel=kernel).build(WIDTH, 1)
    hidden_LD = torch.randn(13, WIDTH, requires_grad=True)
    kept: list[list[Tensor]] = []
    calls, convolve = [0], F.conv2d

    def counted(*given: Any, **named: Any) -> Tensor:
        calls[0] += 1
        return convolve(*given, **named)

    monkeypatch.setattr(F, "conv2d", counted)
    for least in (heads.STRIPS_FROM, int(6 * 13 * 13 * 4 * share)):
        monkeypatch.setattr(heads, "STRIPS_FROM", least)
        before = calls[0]
        found_LL = head(hidden_LD)
        assert (calls[0] - before > 7) == (least < 1 << 20), "six layers and the decoder, each once or in strips"
        kept.append([found_LL, *torch.autograd.grad(found_LL.square().sum(), [hidden_LD, *head.parameters()])])
    for left, right in zip(*kept, strict=True):
        torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)


class Counting:
    """How often the norm of a layer is computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.norm = 0, F.group_norm
        monkeypatch.setattr(heads, "_instance_norm", self)

    def __call__(self, map_1CLL: Tensor) -> Tensor:
        self.calls += 1
        return self.norm(map_1CLL, map_1CLL.shape[1])


def test_pair_head_has_as_many_parameters_as_the_published_one() -> None:
    head = PairHeadConfig().build(1280, 1)
    linear_in = 2 * 1280 * 64 + 64
    block = 64 * 64 + 64 * 64 * 9 + 64 * 64
    conv_out = 64 * 9 + 1
    assert sum(value.numel() for value in head.parameters()) == linear_in + 2 * block + conv_out == 254_593


@pytest.mark.parametrize("length", [1, 2, 5])
def test_pair_logits_are_symmetric_with_an_empty_diagonal(length: int) -> None:
    logits_LL = PairHeadConfig(channels=4, blocks=1).build(WIDTH, 1)(torch.randn(length, WIDTH))
    assert logits_LL.shape == (length, length)
    assert torch.equal(logits_LL, logits_LL.T)
    assert torch.equal(logits_LL.diagonal(), torch.zeros(length))


def test_class_head_reads_the_start_token() -> None:
    head = ClassHeadConfig(hidden=5).build(WIDTH, 3)
    hidden_TD, layout = torch.randn(7, WIDTH), Layout.of([4, 3])
    expected_NC = head.decoder(nn.functional.gelu(head.dense(hidden_TD[[0, 4]])))
    torch.testing.assert_close(head(hidden_TD, layout), expected_NC)


def test_mean_pooling_leaves_start_and_end_out() -> None:
    head = ClassHeadConfig(pooling="mean", hidden=5).build(WIDTH, 3)
    hidden_TD, layout = torch.randn(7, WIDTH), Layout.of([4, 3])
    means_ND = torch.stack([(hidden_TD[1] + hidden_TD[2]) / 2, hidden_TD[5]])
    expected_NC = head.decoder(nn.functional.gelu(head.dense(means_ND)))
    torch.testing.assert_close(head(hidden_TD, layout), expected_NC)


@pytest.mark.parametrize("config", [ClassHeadConfig(hidden=8), ClassHeadConfig(hidden=8, pooling="mean")])
def test_a_class_does_not_depend_on_batch_mates(config: ClassHeadConfig) -> None:
    network = RinalmoConfig(depth=2, width=WIDTH, heads=2).backbone()
    model = AnsweringModel(
        LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4), build_head(config, WIDTH, 4, 1)
    ).eval()
    lengths = [5, 9, 9, 3]
    pieces = [torch.randint(5, 9, (length,)) for length in lengths]
    together_NC = model.class_logits(torch.cat(pieces), Layout.of(lengths))
    alone_NC = torch.cat([model.class_logits(piece, Layout.of([len(piece)])) for piece in pieces])
    torch.testing.assert_close(together_NC, alone_NC, atol=1e-5, rtol=1e-5)


def test_pairs_are_of_nucleotides_without_start_and_end() -> None:
    network = RinalmoConfig(depth=1, width=WIDTH, heads=2).backbone()
    language_model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    head = build_head(PairHeadConfig(channels=4, blocks=1), WIDTH, 1, 1)
    model = AnsweringModel(language_model, head).eval()
    tokens_T = torch.tensor([0, 5, 6, 7, 8, 5, 2])
    hidden_TD = language_model.encode(tokens_T, Layout.of([7]))
    assert torch.equal(model.pair_logits(tokens_T), head(hidden_TD[1:6]))


def test_a_seed_makes_a_head_and_nothing_else_notices() -> None:
    before = torch.get_rng_state()
    heads = [build_head(ClassHeadConfig(hidden=8), WIDTH, 4, seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [head.state_dict()["dense.weight"] for head in heads]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_heads_by_name() -> None:
    assert HEADS.names() == [
        "borders",
        "class",
        "linear",
        "pair",
        "partner",
        "position",
        "ribosome-load",
        "scalar",
        "text-cnn",
    ]
    assert isinstance(HEADS.parse({"kind": "class"}).build(WIDTH, 2), PooledHead)
    with pytest.raises(ValueError, match="an odd number is needed"):
        PairHeadConfig(kernel=2)


def literal_ribosome_load(head: RibosomeLoadHead, hidden_LD: Tensor) -> Tensor:
    """RiNALMo's head for one sequence, with PyTorch's own layers."""
    values_1CL = head.projection(hidden_LD).T[None]
    channels = values_1CL.shape[1]
    for block in head.blocks:
        mixed_1CL = values_1CL
        for part in block.convolutions:
            layer = nn.Conv1d(channels, channels, 3, padding="same", bias=False).double()
            layer.weight = part.convolution.weight
            norm = nn.InstanceNorm1d(channels)
            mixed_1CL = nn.functional.elu(norm(layer(mixed_1CL)))
        values_1CL = values_1CL + mixed_1CL
    return head.decoder(values_1CL[0].mean(1))


def test_ribosome_load_in_a_batch_is_the_literal_head_of_each_sequence() -> None:
    head = RibosomeLoadHeadConfig(channels=5, blocks=2, dropout=0.0).build(WIDTH, 1).double()
    lengths = [4, 9, 2, 9]
    hidden_TD = torch.randn(sum(lengths), WIDTH, dtype=torch.float64, requires_grad=True)
    weight_N1 = torch.randn(len(lengths), 1, dtype=torch.float64)
    pieces = hidden_TD.split(lengths)
    expected_N1 = torch.stack([literal_ribosome_load(head, piece) for piece in pieces])
    wanted = torch.autograd.grad((expected_N1 * weight_N1).sum(), [hidden_TD, *head.parameters()])
    found_N1 = head(hidden_TD, Layout.of(lengths))
    found = torch.autograd.grad((found_N1 * weight_N1).sum(), [hidden_TD, *head.parameters()])
    torch.testing.assert_close(found_N1, expected_N1, atol=1e-12, rtol=1e-10)
    assert all(value.abs().max() > 0 for value in wanted)
    for left, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(left, right, atol=1e-10, rtol=1e-8)


def test_ribosome_load_head_has_the_published_layers() -> None:
    head = RibosomeLoadHeadConfig().build(1280, 1)
    assert sum(value.numel() for value in head.parameters()) == (1280 * 32 + 32) + 6 * 2 * 32 * 32 * 3 + (32 + 1)
    assert head.dropout.p == 0.2
    one_N1 = head(torch.randn(1, 1280), Layout.of([1]))  # a norm over one token has no spread to divide by
    assert torch.isfinite(one_N1).all()


@pytest.mark.parametrize(
    "config",
    [
        ScalarHeadConfig(hidden=8),
        RibosomeLoadHeadConfig(channels=4, blocks=1),
        LinearHeadConfig(),
        TextConvolutionHeadConfig(maps=7),
    ],
)
def test_a_number_does_not_depend_on_batch_mates(config: HeadConfig) -> None:
    network = RinalmoConfig(depth=2, width=WIDTH, heads=2).backbone()
    language_model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    model = AnsweringModel(language_model, build_head(config, WIDTH, 1, 1)).eval()
    lengths = [5, 9, 9, 3]
    pieces = [torch.randint(5, 9, (length,)) for length in lengths]
    together_N = model.scalars(torch.cat(pieces), Layout.of(lengths))
    assert together_N.shape == (4,)
    alone_N = torch.cat([model.scalars(piece, Layout.of([len(piece)])) for piece in pieces])
    torch.testing.assert_close(together_N, alone_N, atol=1e-5, rtol=1e-5)


def test_one_output_for_two_classes_is_the_sigmoid() -> None:
    head = ClassHeadConfig(hidden=5, one_output=True).build(WIDTH, 2)
    hidden_TD, layout = torch.randn(7, WIDTH), Layout.of([4, 3])
    score_N = head.decoder(nn.functional.gelu(head.dense(hidden_TD[[0, 4]])))[:, 0]
    logits_NC = head(hidden_TD, layout)
    torch.testing.assert_close(logits_NC.softmax(-1)[:, 1], score_N.sigmoid())
    labels_N = torch.tensor([1, 0])
    binary = nn.functional.binary_cross_entropy_with_logits(score_N, labels_N.float())
    torch.testing.assert_close(nn.functional.cross_entropy(logits_NC, labels_N), binary)
    with pytest.raises(ValueError, match="for 2 classes, found 3"):
        ClassHeadConfig(one_output=True).build(WIDTH, 3)


def test_rinalmos_start_of_a_layer_is_pytorchs_own() -> None:
    """RiNALMo draws the weights of its splice head from U(-sqrt(1/d), sqrt(1/d))."""
    head = ClassHeadConfig(hidden=128).build(400, 2)
    for layer in (head.dense, head.decoder):
        bound = layer.in_features**-0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


@pytest.mark.parametrize("hidden", [None, 8])
def test_every_token_is_read_by_itself(hidden: int | None) -> None:
    network = RinalmoConfig(depth=1, width=WIDTH, heads=2).backbone()
    language_model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    model = AnsweringModel(language_model, build_head(PositionHeadConfig(hidden=hidden), WIDTH, 3, 1)).eval()
    pieces = [torch.tensor([0, 5, 6, 7, 2]), torch.tensor([0, 8, 2])]
    together_TC = model.position_logits(torch.cat(pieces), Layout.of([5, 3]))
    assert together_TC.shape == (4, 3)
    rows = [language_model.encode(piece, Layout.of([len(piece)]))[1:-1] for piece in pieces]
    torch.testing.assert_close(together_TC, model.head(torch.cat(rows)), atol=1e-5, rtol=1e-5)


def test_linear_head_is_one_layer_on_the_mean() -> None:
    head = LinearHeadConfig().build(WIDTH, 3)
    assert sum(value.numel() for value in head.parameters()) == 3 * WIDTH + 3
    hidden_TD = torch.randn(7, WIDTH)
    expected_C = head.decoder(hidden_TD[1:4].mean(0))
    torch.testing.assert_close(head(hidden_TD, Layout.of([5, 2]))[0], expected_C)
    first_NC = LinearHeadConfig(pooling="cls").build(WIDTH, 3)
    torch.testing.assert_close(first_NC(hidden_TD, Layout.of([5, 2])), first_NC.decoder(hidden_TD[[0, 5]]))
