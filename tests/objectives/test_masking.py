from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import Pieces, crop, windows
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.objectives.masking import folds_of, mask_fold, mask_tokens
from nuclex.objectives.question import Question
from nuclex.tokenizers import CodonConfig, NucleotideConfig

TOKENIZER = NucleotideConfig().build()
SHARES = (0.15, 0.8, 0.1)


def random_table(sequences: int, length: int, seed: int = 0) -> TokenTable:
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACGTRY"), random.integers(1, length))) for _ in range(sequences)]
    return tokenize(texts, TOKENIZER, random.permutation(10 * sequences)[:sequences])


TABLE = random_table(60, 80)


def whole(table: TokenTable, index: NDArray[np.int64]) -> PackedBatch:
    return pack(table, windows(table, 1000, index), TOKENIZER)


@pytest.fixture(scope="module")
def large() -> PackedBatch:
    return pack(table := random_table(400, 1000, seed=1), windows(table, 1024), TOKENIZER)


def fates(batch: PackedBatch, question: Question) -> dict[tuple[int, int], tuple[int, int]]:
    """(row, position) of every selected token: what it was and what is shown."""
    where = question.selected_M
    shown = question.inputs_T[where]
    return {
        (int(row), int(position)): (int(target), int(token))
        for row, position, target, token in zip(
            batch.row_T[where], batch.position_T[where], question.targets_M, shown, strict=True
        )
    }


def within(count: int, total: int, share: float) -> bool:
    return bool(stats.binomtest(count, total, share).pvalue > 1e-4)


def test_the_shares_are_those_of_bert(large: PackedBatch) -> None:
    question = mask_tokens(large, SHARES, TOKENIZER, seed=0, epoch=0)
    maskable, chosen = int((~large.special_T).sum()), len(question.selected_M)
    assert maskable > 150_000
    assert within(chosen, maskable, 0.15)
    shown = question.inputs_T[question.selected_M]
    masked = int((shown == TOKENIZER.mask_id).sum())
    assert within(masked, chosen, 0.8)
    # a random token is the true one in 1 of 5 cases, where that is A, C, G or T (never for R and Y)
    common = question.targets_M <= 8
    changed = (shown != TOKENIZER.mask_id) & (shown != question.targets_M)
    assert within(int(changed[common].sum()), int(common.sum()), 0.1 * 0.8)
    assert within(int(changed[~common].sum()), int((~common).sum()), 0.1)


def test_random_tokens_are_a_c_g_t_and_n_evenly(large: PackedBatch) -> None:
    question = mask_tokens(large, (0.5, 0.0, 1.0), TOKENIZER, seed=0, epoch=0)
    shown = question.inputs_T[question.selected_M]
    values, counts = np.unique(shown, return_counts=True)
    assert "".join(TOKENIZER.vocabulary[value] for value in values) == "ACGTN"
    assert stats.chisquare(counts).pvalue > 1e-4
    table = stats.contingency.crosstab(shown, question.targets_M).count
    assert stats.chi2_contingency(table).pvalue > 1e-4, "what replaces a token does not depend on it"


def test_what_is_not_selected_is_shown_as_it_is_and_nothing_is_changed(large: PackedBatch) -> None:
    before = large.tokens_T.copy()
    question = mask_tokens(large, SHARES, TOKENIZER, seed=0, epoch=0)
    assert np.array_equal(large.tokens_T, before)
    untouched = np.ones(len(before), dtype=bool)
    untouched[question.selected_M] = False
    assert np.array_equal(question.inputs_T[untouched], before[untouched])
    assert np.array_equal(question.targets_M, before[question.selected_M])
    assert (np.diff(question.selected_M) > 0).all()


@pytest.mark.parametrize("shares", [SHARES, (0.999, 1.0, 0.0), (0.999, 0.0, 1.0)])
def test_special_tokens_are_never_hidden_and_never_put_in(
    shares: tuple[float, float, float], large: PackedBatch
) -> None:
    question = mask_tokens(large, shares, TOKENIZER, seed=3, epoch=1)
    assert not large.special_T[question.selected_M].any()
    shown = question.inputs_T[question.selected_M]
    assert set(shown.tolist()) & set(TOKENIZER.special_ids.tolist()) <= {TOKENIZER.mask_id}


def test_seed_and_epoch_decide_and_nothing_else(large: PackedBatch) -> None:
    first, again = (mask_tokens(large, SHARES, TOKENIZER, seed=0, epoch=0) for _ in range(2))
    assert np.array_equal(first.inputs_T, again.inputs_T)
    for other in (mask_tokens(large, SHARES, TOKENIZER, 1, 0), mask_tokens(large, SHARES, TOKENIZER, 0, 1)):
        both = len(np.intersect1d(first.selected_M, other.selected_M))
        assert within(both, len(first.selected_M), 0.15), "selections are independent of each other"


def test_a_token_meets_its_fate_whatever_it_is_packed_with() -> None:
    together = fates(batch := whole(TABLE, np.arange(60)), mask_tokens(batch, SHARES, TOKENIZER, 0, 0))
    order = np.random.default_rng(5).permutation(60)
    shuffled = fates(batch := whole(TABLE, order), mask_tokens(batch, SHARES, TOKENIZER, 0, 0))
    alone: dict[tuple[int, int], tuple[int, int]] = {}
    for index in range(60):
        batch = whole(TABLE, np.array([index]))
        alone |= fates(batch, mask_tokens(batch, SHARES, TOKENIZER, 0, 0))
    assert together == shuffled == alone
    assert len(together) > 200


def test_a_token_meets_its_fate_in_whichever_window_it_stands() -> None:
    full = fates(batch := whole(TABLE, np.arange(60)), mask_tokens(batch, SHARES, TOKENIZER, 0, 0))
    for pieces in (windows(TABLE, 12), crop(TABLE, np.arange(60), 12, 99)):
        batch = pack(TABLE, pieces, TOKENIZER)
        cut = fates(batch, mask_tokens(batch, SHARES, TOKENIZER, 0, 0))
        assert cut.items() <= full.items()
        shown = {
            (int(r), int(p)) for r, p, s in zip(batch.row_T, batch.position_T, batch.special_T, strict=True) if not s
        }
        assert cut.keys() == full.keys() & shown


def test_codons_are_replaced_by_codons() -> None:
    codons = CodonConfig(frame=0).build()
    table = tokenize(["ATGGCC" * 200] * 20, codons)
    batch = pack(table, windows(table, 1000), codons)
    question = mask_tokens(batch, (0.5, 0.0, 1.0), codons, 0, 0)
    assert set(question.inputs_T[question.selected_M].tolist()) == set(codons.random_ids.tolist())


# ---- folds ----


@pytest.mark.parametrize("folds", [1, 2, 7, 14, 100])
def test_every_position_is_hidden_exactly_once(folds: int) -> None:
    batch = whole(TABLE, np.arange(60))
    fold_T = folds_of(batch, folds)
    assert (fold_T[batch.special_T] == -1).all()
    assert ((fold_T[~batch.special_T] >= 0) & (fold_T[~batch.special_T] < folds)).all()
    questions = [mask_fold(batch, fold_T, fold, TOKENIZER.mask_id) for fold in range(folds)]
    asked = np.concatenate([question.selected_M for question in questions])
    assert sorted(asked.tolist()) == np.flatnonzero(~batch.special_T).tolist()
    for question in questions:
        assert (question.inputs_T[question.selected_M] == TOKENIZER.mask_id).all()
        kept = np.setdiff1d(np.arange(len(batch.tokens_T)), question.selected_M)
        assert np.array_equal(question.inputs_T[kept], batch.tokens_T[kept])
        assert np.array_equal(question.targets_M, batch.tokens_T[question.selected_M])


def test_each_sequence_is_dealt_evenly() -> None:
    batch = whole(TABLE, np.arange(60))
    fold_T = folds_of(batch, 7)
    for part in np.split(fold_T, np.cumsum(batch.lengths_N)[:-1]):
        counts = np.bincount(part[part >= 0], minlength=7)
        assert counts.max() - counts.min() <= 1


def test_folds_do_not_depend_on_packing() -> None:
    def dealt(index: NDArray[np.int64]) -> dict[tuple[int, int], int]:
        batch = whole(TABLE, index)
        fold_T = folds_of(batch, 7)
        return {
            (int(row), int(position)): int(fold)
            for row, position, fold in zip(batch.row_T, batch.position_T, fold_T, strict=True)
            if fold >= 0
        }

    alone: dict[tuple[int, int], int] = {}
    for index in range(60):
        alone |= dealt(np.array([index]))
    assert dealt(np.arange(60)) == dealt(np.random.default_rng(2).permutation(60)) == alone


def test_neighbours_fall_into_folds_at_random() -> None:
    table = random_table(200, 500, seed=4)
    batch = pack(table, windows(table, 1000), TOKENIZER)
    fold_T = folds_of(batch, 7)
    inner = (fold_T[:-1] >= 0) & (fold_T[1:] >= 0)
    together = stats.contingency.crosstab(fold_T[:-1][inner], fold_T[1:][inner]).count
    shares = together.diagonal().sum() / together.sum()
    assert abs(shares - 1 / 7) < 0.02
    other = folds_of(batch, 7, seed=1)
    assert abs((other == fold_T)[fold_T >= 0].mean() - 1 / 7) < 0.02


def test_an_empty_piece_asks_nothing() -> None:
    table = tokenize(["", "ACG"], TOKENIZER)
    pieces = Pieces(np.array([0, 1]), np.zeros(2, int), np.array([0, 3]), np.ones(2, bool), np.ones(2, bool))
    batch = pack(table, pieces, TOKENIZER)
    fold_T = folds_of(batch, 7)
    assert fold_T.tolist()[:3] == [-1, -1, -1]
    assert sorted(fold_T.tolist()[3:6]) == [0, 1, 2]
    assert len(mask_tokens(batch, (0.999, 1, 0), TOKENIZER, 0, 0).selected_M) == 3
