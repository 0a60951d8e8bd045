from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nuclex.data.pack import pack
from nuclex.data.sample import overlapping_windows, windows
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.inference.windows import windows_of
from nuclex.models import Gpt2Config, LanguageModel, Layout, RinalmoConfig
from nuclex.objectives.masking import folds_of, mask_fold
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.validation import FOLDS, Scores, packed_batches, score, score_masked, score_next

TOKENIZER = NucleotideConfig().build()
RANDOM = np.random.default_rng(0)
TEXTS = ["".join(RANDOM.choice(list("ACGT"), length)) for length in (3, 40, 17, 1, 25, 17, 60)]
ROWS = [12, 5, 77, 3, 8, 40, 9]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    config = RinalmoConfig(depth=2, width=16, heads=2).backbone()
    return LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()


def table_of(order: NDArray[np.int64]) -> TokenTable:
    return tokenize([TEXTS[place] for place in order], TOKENIZER, [ROWS[place] for place in order])


def one_by_one(model: LanguageModel, text: str, row: int) -> tuple[int, int, float]:
    """The plainest way: one sequence alone, one turn after the other, one position after the other."""
    table = tokenize([text], TOKENIZER, [row])
    batch = pack(table, windows(table, 1000), TOKENIZER)
    folds, hits, cost = folds_of(batch, FOLDS), 0, 0.0
    for fold in range(FOLDS):
        question = mask_fold(batch, folds, fold, TOKENIZER.mask_id)
        with torch.no_grad():
            logits = model(torch.from_numpy(question.inputs_T), Layout.of([len(text) + 2])).double()
        for place, target in zip(question.selected_M.tolist(), question.targets_M.tolist(), strict=True):
            chances = torch.exp(logits[place]) / torch.exp(logits[place]).sum()
            hits += int(chances.argmax()) == target
            cost -= float(torch.log(chances[target]))
    return len(text), hits, cost


def test_scores_are_those_of_each_sequence_alone(model: LanguageModel) -> None:
    table = table_of(np.arange(7))
    scores = score_masked(model, TOKENIZER, table, windows(table, 1000))
    wanted = [one_by_one(model, text, row) for text, row in zip(TEXTS, ROWS, strict=True)]
    assert scores.tokens_N.tolist() == [tokens for tokens, _, _ in wanted] == [len(text) for text in TEXTS]
    assert scores.hits_N.tolist() == [hits for _, hits, _ in wanted]
    assert scores.nll_N == pytest.approx([cost for _, _, cost in wanted], rel=1e-5)


@pytest.mark.parametrize("micro_tokens", [1, 50, 130, 16_384])
def test_packing_does_not_change_the_numbers(micro_tokens: int, model: LanguageModel) -> None:
    table = table_of(np.arange(7))
    plain = score_masked(model, TOKENIZER, table, windows(table, 1000))
    packed = score_masked(model, TOKENIZER, table, windows(table, 1000), micro_tokens)
    assert packed.hits_N.tolist() == plain.hits_N.tolist()
    assert packed.nll_N == pytest.approx(plain.nll_N, rel=1e-5)


def test_order_does_not_change_the_numbers(model: LanguageModel) -> None:
    order = np.array([3, 6, 0, 5, 1, 4, 2])
    plain, shuffled = (
        score_masked(model, TOKENIZER, table, windows(table, 1000))
        for table in (table_of(np.arange(7)), table_of(order))
    )
    assert shuffled.hits_N.tolist() == plain.hits_N[order].tolist()
    assert shuffled.nll_N == pytest.approx(plain.nll_N[order], rel=1e-5)


def test_windows_tile_what_is_too_long(model: LanguageModel) -> None:
    table = table_of(np.arange(7))
    scores = score_masked(model, TOKENIZER, table, windows(table, 12))
    assert scores.tokens_N.tolist() == [len(text) for text in TEXTS], "every position once"
    short = [place for place, text in enumerate(TEXTS) if len(text) <= 10]
    whole = score_masked(model, TOKENIZER, table, windows(table, 1000))
    assert scores.nll_N[short] == pytest.approx(whole.nll_N[short], rel=1e-5)
    assert scores.nll_N[1] != pytest.approx(whole.nll_N[1], rel=1e-4), "a long one loses context"


def test_chosen_sequences_alone_are_scored(model: LanguageModel) -> None:
    table = table_of(np.arange(7))
    scores = score_masked(model, TOKENIZER, table, windows(table, 1000, np.array([1, 4])))
    assert np.flatnonzero(scores.tokens_N).tolist() == [1, 4]


def test_a_model_that_knows_nothing_scores_the_logarithm_of_the_vocabulary(model: LanguageModel) -> None:
    blank = LanguageModel(model.config, vocabulary_size=22, pad_id=1, mask_id=4).eval()
    with torch.no_grad():
        blank.head.decoder.weight.zero_()
        blank.head.decoder.bias.zero_()
    table = table_of(np.arange(7))
    summary = score_masked(blank, TOKENIZER, table, windows(table, 1000)).summary()
    assert summary["loss"] == pytest.approx(np.log(22), rel=1e-6)
    assert summary["perplexity"] == pytest.approx(22, rel=1e-5)
    assert summary["tokens"] == sum(map(len, TEXTS))
    with torch.no_grad():
        blank.head.decoder.bias[TOKENIZER.encode("G", start=False, end=False)] = 50.0
    table = table_of(np.arange(7))
    scores = score_masked(blank, TOKENIZER, table, windows(table, 1000))
    assert scores.accuracy == pytest.approx("".join(TEXTS).count("G") / sum(map(len, TEXTS)))


def test_a_model_in_training_is_not_scored(model: LanguageModel) -> None:
    table = table_of(np.arange(7))
    model.train()
    with pytest.raises(ValueError, match=r"call model\.eval\(\) before scoring"):
        score_masked(model, TOKENIZER, table, windows(table, 1000))
    model.eval()


# ---- foretelling ----


@pytest.fixture(scope="module")
def causal() -> LanguageModel:
    torch.manual_seed(0)
    config = Gpt2Config(depth=2, width=16, heads=2, inner=32, max_positions=64, positions="rotary").backbone()
    return LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()


def told(model: LanguageModel, text: str, room: int) -> tuple[int, int, float]:
    """The plainest way: for each next token the model is asked by itself, with the context that the rule gives."""
    ids, last = TOKENIZER.encode(text).tolist(), max(len(text) - room, 0)
    hits, cost = 0, 0.0
    for place in range(1, len(ids)):
        letter = min(place, len(text)) - 1  # of the sequence; the end goes with the last one
        begins = [first for first in (*range(0, last, room // 2), last) if first <= letter < first + room]
        first = begins[0] + (begins[0] > 0)  # <cls> stands in front of the first window only
        with torch.no_grad():
            logits = model(torch.tensor(ids[first:place]), Layout.of([place - first])).double()[-1]
        chances = logits.softmax(-1)
        hits += int(chances.argmax()) == ids[place]
        cost -= float(chances[ids[place]].log())
    return len(ids) - 1, hits, cost


@pytest.mark.parametrize("most", [70, 20, 11, 4])
@pytest.mark.parametrize("micro_tokens", [1, 700, 16_384])
def test_next_tokens_are_scored_as_one_asks_for_them(most: int, micro_tokens: int, causal: LanguageModel) -> None:
    table = table_of(np.arange(7))
    scores = score_next(causal, TOKENIZER, table, most, micro_tokens)
    wanted = [told(causal, text, most - 2) for text in TEXTS]
    assert scores.tokens_N.tolist() == [tokens for tokens, _, _ in wanted] == [len(text) + 1 for text in TEXTS]
    assert scores.hits_N.tolist() == [hits for _, hits, _ in wanted]
    assert scores.nll_N == pytest.approx([cost for _, _, cost in wanted], rel=1e-5)


@pytest.mark.parametrize("most", [4, 5, 11, 24])
def test_windows_are_those_in_which_inference_reads(most: int) -> None:
    table = tokenize(["A" * length for length in range(60)], TOKENIZER)
    pieces, known_P = overlapping_windows(table, most)
    other = windows_of(table.lengths_N, most, causal=True)
    for name in ("index_P", "first_P", "last_P", "starts_P", "ends_P"):
        assert getattr(pieces, name).tolist() == getattr(other.pieces, name).tolist(), name
    assert (pieces.first_P + known_P - pieces.starts_P).tolist() == other.from_P.tolist()


def test_the_model_decides_how_it_is_asked(model: LanguageModel, causal: LanguageModel) -> None:
    table = table_of(np.arange(7))
    assert score(causal, TOKENIZER, table, 20).nll_N.tolist() == score_next(causal, TOKENIZER, table, 20).nll_N.tolist()
    masked = score_masked(model, TOKENIZER, table, windows(table, 20))
    assert score(model, TOKENIZER, table, 20).nll_N.tolist() == masked.nll_N.tolist()
    causal.train()
    with pytest.raises(ValueError, match=r"call model\.eval\(\) before scoring"):
        score(causal, TOKENIZER, table, 20)
    causal.eval()


def test_numbers_by_hand() -> None:
    scores = Scores(np.array([2, 0, 3]), np.array([1, 0, 3]), np.array([1.0, 0.0, 0.5]))
    assert scores.summary() == {"loss": 0.3, "perplexity": float(np.exp(0.3)), "accuracy": 0.8, "tokens": 5}
    nothing = Scores(np.zeros(1, int), np.zeros(1, int), np.zeros(1))
    assert (nothing.loss, nothing.accuracy) == (0.0, 0.0)


def test_batches_hold_every_piece_once_within_the_budget() -> None:
    table = table_of(np.arange(7))
    pieces = windows(table, 30)
    parts = list(packed_batches(table, pieces, TOKENIZER, 64))
    assert all(len(batch.tokens_T) <= 64 for _, batch in parts)
    found = [(int(i), int(f)) for part, _ in parts for i, f in zip(part.index_P, part.first_P, strict=True)]
    assert sorted(found) == sorted(zip(pieces.index_P.tolist(), pieces.first_P.tolist(), strict=True))
    lengths = np.concatenate([batch.lengths_N for _, batch in parts])
    assert (np.diff(lengths) >= 0).all(), "equal lengths stand together"
