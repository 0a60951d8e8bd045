"""Convolutions that see no neighbour in a batch, and k-mers that are counted as one counts by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.layout import Layout
from nuclex.models.motifs import ConvolutionHead, KmerHead, kmer_shares
from nuclex.models.one_hot import OneHot
from nuclex.tokenizers import NucleotideConfig

TOKENIZER = NucleotideConfig().build()
LETTERS = OneHot.of_letters(TOKENIZER.vocabulary)


def read(*sequences: str) -> tuple[Tensor, Layout]:
    """Whole sequences one-hot, with start and end."""
    tokens = [torch.from_numpy(TOKENIZER.encode(sequence)) for sequence in sequences]
    layout = Layout.of([len(part) for part in tokens])
    return LETTERS.encode(torch.cat(tokens).long(), layout), layout


def test_letters_are_one_hot_and_ambiguous_ones_are_shared() -> None:
    letters_T4, _ = read("AUGN-")
    wanted = [[0] * 4, [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0.25] * 4, [0] * 4, [0] * 4]
    assert letters_T4.tolist() == wanted


@pytest.mark.parametrize("length", [None, 20])
def test_the_cnn_is_the_published_network(length: int | None) -> None:
    head = ConvolutionHead(1, length).double().eval()
    read_by_dense = 240 if length is None else 120 * 20
    first, others = 4 * 8 * 120 + 120, 120 * 8 * 120 + 120
    assert sum(value.numel() for value in head.parameters()) == first + 2 * others + read_by_dense * 40 + 40 + 41
    sequence = "ACGUUGCAAGCUUAGCAUGC"
    letters_T4, layout = read(sequence)
    values_L4 = letters_T4[1:-1].double().numpy()
    for convolution in head.convolutions:  # by hand: 3 zeros before and 4 behind, as TensorFlow pads a width of 8
        assert isinstance(convolution, nn.Conv1d)
        weight_CDk, bias_C = convolution.weight.detach().numpy(), convolution.bias
        assert bias_C is not None
        padded = np.vstack([np.zeros((3, values_L4.shape[1])), values_L4, np.zeros((4, values_L4.shape[1]))])
        rows = [np.einsum("kd,cdk->c", padded[place : place + 8], weight_CDk) for place in range(len(values_L4))]
        values_L4 = np.maximum(np.array(rows) + bias_C.detach().numpy(), 0)
    laid = np.concatenate([values_L4.max(0), values_L4.mean(0)]) if length is None else values_L4.T.ravel()
    wanted = head.decoder(F.relu(head.dense(torch.from_numpy(laid))))
    torch.testing.assert_close(head(letters_T4.double(), layout)[0], wanted, atol=1e-12, rtol=1e-10)


def test_shorter_sequences_end_where_the_longest_do() -> None:
    """Optimus 5-prime's way with 25 to 100 nt: zeros before the letters, which the convolutions read like letters."""
    head = ConvolutionHead(2, 12).double().eval()
    sequence = "ACGUUGC"
    letters_T4, layout = read(sequence)
    values_NCL = torch.zeros(1, 4, 12, dtype=torch.float64)
    for place, letter in enumerate(sequence, start=5):
        values_NCL[0, "ACGU".index(letter), place] = 1
    for convolution in head.convolutions:
        values_NCL = F.relu(convolution(F.pad(values_NCL, (3, 4))))
    wanted_N2 = head.decoder(F.relu(head.dense(values_NCL.flatten(1))))
    torch.testing.assert_close(head(letters_T4.double(), layout), wanted_N2, atol=1e-12, rtol=1e-10)
    assert values_NCL[0, :, 0].max() > 0, "the biases are seen before the sequence begins, as in theirs"
    with pytest.raises(ValueError, match="a sequence of 13 nucleotides, where 12 have weights"):
        head(*read("ACGU", "A" * 13))


def test_laid_out_it_knows_how_far_from_the_end_a_letter_is() -> None:
    """Without convolutions in the way: a dense layer that reads one letter of one column."""
    head = ConvolutionHead(1, 10).double().eval()
    letters_T4, layout = read("GACC", "CCCCGACC", "GACCC", "CCCCCCCCCC")
    with torch.no_grad():
        for convolution in head.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            convolution.weight.zero_()
            assert convolution.bias is not None
            convolution.bias.zero_()
            convolution.weight[:4, :4, 3] = torch.eye(4)  # each letter as it is
        head.dense.weight.zero_()
        head.dense.bias.zero_()
        head.dense.weight[:, 2 * 10 + 6] = 1  # G, four from the end
        head.decoder.weight.fill_(1 / 40)
        head.decoder.bias.zero_()
    torch.testing.assert_close(head(letters_T4.double(), layout)[:, 0], torch.tensor([1.0, 1, 0, 0]).double())


@pytest.mark.parametrize("length", [None, 36, 50])
def test_a_batch_of_unequal_lengths_is_as_one_by_one(length: int | None) -> None:
    head = ConvolutionHead(3, length).double().eval()
    sequences = ["A", "ACGUACGUAACCGGUUACGU", "GGGN", "UUUUUUUUUUUUUUUUUUUUUUUUUUUUUUUUUUUU"]

    def of(*part: str) -> Tensor:
        letters_T4, layout = read(*part)
        return head(letters_T4.double(), layout)

    alone_N3 = torch.cat([of(sequence) for sequence in sequences])
    torch.testing.assert_close(of(*sequences), alone_N3, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(of(*sequences[::-1]), alone_N3.flip(0), atol=1e-12, rtol=1e-10)


def test_kmers_are_counted_within_their_sequence_and_without_ambiguous_letters() -> None:
    sequences = ["ACGUACG", "A", "GGNGGGC", "UUAUU"]
    names = ["".join(word) for k in (1, 2, 3, 4) for word in product("ACGU", repeat=k)]
    wanted = []
    for sequence in sequences:
        row: list[float] = []
        for k in (1, 2, 3, 4):
            words = [sequence[place : place + k] for place in range(len(sequence) - k + 1)]
            plain = [word for word in words if "N" not in word]
            row += [plain.count(name) / max(len(plain), 1) for name in names if len(name) == k]
        wanted.append(row)
    torch.testing.assert_close(kmer_shares(*read(*sequences)), torch.tensor(wanted), atol=1e-7, rtol=0)
    torch.testing.assert_close(kmer_shares(*read("A")), torch.tensor(wanted[1:2]), atol=0, rtol=0)


def test_the_linear_head_reads_standardised_shares() -> None:
    head = KmerHead(2)
    letters_T4, layout = read("ACGU", "GG")
    head.mean_K.fill_(0.5)
    head.deviation_K.fill_(2)
    wanted_N2 = F.linear((kmer_shares(letters_T4, layout) - 0.5) / 2, head.decoder.weight, head.decoder.bias)
    torch.testing.assert_close(head(letters_T4, layout), wanted_N2)
