from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import Pieces, crop, windows
from nuclex.data.tokens import tokenize
from nuclex.models import Gpt2Config, LanguageModel, Layout
from nuclex.objectives import OBJECTIVES, CausalConfig, Question, token_cross_entropy
from nuclex.objectives.causal import next_tokens
from nuclex.tokenizers import CodonConfig, NucleotideConfig

TOKENIZER = NucleotideConfig().build()
TEXTS = ["ACGTTGCA", "GG", "A", "", "TTTTACGACCAGTN"]
TABLE = tokenize(TEXTS, TOKENIZER, [4, 9, 2, 7, 30])
CONFIG = CausalConfig()


def asked(batch: PackedBatch, question: Question) -> list[tuple[str, str]]:
    """What each answer is read off, and what the true answer is, as tokens."""
    names = TOKENIZER.vocabulary
    shown = question.inputs_T[question.selected_M]
    return [(names[here], names[target]) for here, target in zip(shown, question.targets_M, strict=True)]


def by_hand(texts: list[str]) -> list[tuple[str, str]]:
    """Each token of a whole sequence with the one behind it, sequence by sequence."""
    spelled = [["<cls>", *text, "<eos>"] for text in texts]
    return [pair for tokens in spelled for pair in itertools.pairwise(tokens)]


def test_every_token_is_asked_for_the_next_of_its_own_sequence() -> None:
    batch = pack(TABLE, windows(TABLE, 100), TOKENIZER)
    question = CONFIG.ask(batch, TOKENIZER, 0, 0)
    assert np.array_equal(question.inputs_T, batch.tokens_T), "nothing is hidden"
    assert asked(batch, question) == by_hand(TEXTS)
    assert ("<cls>", "<eos>") in asked(batch, question), "the empty sequence ends at once"
    assert len(question.targets_M) == sum(len(text) + 1 for text in TEXTS)


def test_a_piece_knows_its_ends_only_where_it_touches_them() -> None:
    first_P, last_P = np.array([0, 2, 5]), np.array([2, 5, 8])  # of the first sequence: AC, GTT, GCA
    pieces = Pieces(np.zeros(3, int), first_P, last_P, first_P == 0, last_P == 8)
    batch = pack(TABLE, pieces, TOKENIZER)
    wanted = [("<cls>", "A"), ("A", "C"), ("G", "T"), ("T", "T"), ("G", "C"), ("C", "A"), ("A", "<eos>")]
    assert asked(batch, CONFIG.ask(batch, TOKENIZER, 0, 0)) == wanted


def test_what_is_known_of_a_piece_is_not_asked_for() -> None:
    batch = pack(TABLE, windows(TABLE, 100, np.array([0, 1])), TOKENIZER)
    question = next_tokens(batch, np.array([7, 1]))
    assert asked(batch, question) == [
        ("G", "C"),
        ("C", "A"),
        ("A", "<eos>"),
        ("<cls>", "G"),
        ("G", "G"),
        ("G", "<eos>"),
    ]


def test_seed_epoch_and_batch_mates_do_not_matter() -> None:
    batch = pack(TABLE, crop(TABLE, np.arange(5), 8, 3), TOKENIZER)
    first, other = CONFIG.ask(batch, TOKENIZER, 0, 0), CONFIG.ask(batch, TOKENIZER, 5, 9)
    assert np.array_equal(first.selected_M, other.selected_M)
    order = np.array([3, 1, 4, 0, 2])
    shuffled = pack(TABLE, windows(TABLE, 100, order), TOKENIZER)
    assert asked(shuffled, next_tokens(shuffled)) == by_hand([TEXTS[place] for place in order])


def loss(model: LanguageModel, index: NDArray[np.int64]) -> float:
    batch = pack(TABLE, windows(TABLE, 100, index), TOKENIZER)
    question = CONFIG.ask(batch, TOKENIZER, 0, 0)
    selected_M = torch.from_numpy(question.selected_M)
    logits_MV = model(torch.from_numpy(question.inputs_T), Layout.of(batch.lengths_N), selected_M)
    return CONFIG.loss(logits_MV, question, batch, TOKENIZER).item()


def test_the_loss_of_a_batch_is_that_of_its_sequences_written_out() -> None:
    torch.manual_seed(0)
    config = Gpt2Config(depth=1, width=8, heads=2, inner=16).backbone()
    model = LanguageModel(config, vocabulary_size=len(TOKENIZER), pad_id=1, mask_id=4).eval().double()
    wanted = 0.0
    for text in TEXTS:
        ids = torch.from_numpy(TOKENIZER.encode(text))
        chances = model(ids, Layout.of([len(ids)])).softmax(-1).detach()
        wanted -= sum(float(chances[place, ids[place + 1]].log()) for place in range(len(ids) - 1))
    together = loss(model, np.arange(5))
    assert together == pytest.approx(wanted, rel=1e-5)  # the loss is computed in float32
    assert sum(loss(model, np.array([place])) for place in range(5)) == pytest.approx(together, rel=1e-5)


def test_all_tokens_reach_the_head() -> None:
    assert CONFIG.expected_share() == 1.0
    assert CONFIG.causal
    assert OBJECTIVES.parse({"kind": "causal"}) == CONFIG
    assert token_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).item() == pytest.approx(2 * np.log(4))


def test_codons_are_foretold_as_codons() -> None:
    codons = CodonConfig(frame=0).build()
    table = tokenize(["ATGGCCTAA"], codons)
    question = CONFIG.ask(pack(table, windows(table, 100), codons), codons, 0, 0)
    assert [codons.vocabulary[target] for target in question.targets_M] == ["ATG", "GCC", "TAA", "<eos>"]
