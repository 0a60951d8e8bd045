"""Single tokens, pairs, spans and codons: the share that was asked for, in the company that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import windows
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.objectives import MaskedConfig
from nuclex.objectives.selection import Pattern, Selection, selected_tokens
from nuclex.tokenizers import NucleotideConfig

TOKENIZER = NucleotideConfig().build()
PATTERNS: list[Pattern] = ["single", "double", "span", "codon"]


def table() -> TokenTable:
    random = np.random.default_rng(0)
    return tokenize(["".join(random.choice(list("ACGT"), 900)) for _ in range(300)], TOKENIZER)


TABLE = table()


def batch(longest: int = 1024) -> PackedBatch:
    return pack(TABLE, windows(TABLE, longest), TOKENIZER)


LARGE = batch()


def by_sequence(selected_T: NDArray[np.bool_], of: PackedBatch = LARGE) -> NDArray[np.bool_]:
    """(300, 900) without start and end tokens."""
    return selected_T[~of.special_T].reshape(300, 900)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_the_share_is_the_one_asked_for(pattern: Pattern, share: float) -> None:
    """Within four standard errors of the mean over sequences, which are independent; tokens of a pattern are not."""
    shares_N = by_sequence(selected_tokens(LARGE, Selection(share, pattern), 1, 0)).mean(1)
    assert abs(shares_N.mean() - share) < 4 * shares_N.std() / np.sqrt(len(shares_N))
    assert not selected_tokens(LARGE, Selection(share, pattern), 1, 0)[LARGE.special_M].any()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_is_a_function_of_sequence_and_position(pattern: Pattern) -> None:
    cut = batch(longest=130)
    whole_NL = by_sequence(selected_tokens(LARGE, Selection(0.2, pattern), 3, 2))
    cut_T = selected_tokens(cut, Selection(0.2, pattern), 3, 2)
    inside = ~cut.special_T
    rows = {int(row): place for place, row in enumerate(TABLE.rows_N)}
    places = [rows[int(row)] for row in cut.row_T[inside]]
    assert (cut_T[inside] == whole_NL[places, cut.position_T[inside]]).all()
    assert (by_sequence(selected_tokens(LARGE, Selection(0.2, pattern), 3, 3)) != whole_NL).any()
    assert (by_sequence(selected_tokens(LARGE, Selection(0.2, pattern), 4, 2)) != whole_NL).any()


def test_single_tokens_are_independent_of_their_neighbours() -> None:
    chosen_NL = by_sequence(selected_tokens(LARGE, Selection(0.15, "single"), 0, 0))
    both = int((chosen_NL[:, 1:] & chosen_NL[:, :-1]).sum())
    assert stats.binomtest(both, chosen_NL[:, 1:].size, 0.15**2).pvalue > 1e-4


def test_pairs_are_never_alone() -> None:
    chosen_NL = by_sequence(selected_tokens(LARGE, Selection(0.15, "double"), 0, 0))
    alone_NL = chosen_NL[:, 1:-1] & ~chosen_NL[:, :-2] & ~chosen_NL[:, 2:]
    assert not alone_NL[:, 1:-1].any()


@pytest.mark.parametrize("span", [1.0, 2.0, 5.0])
def test_spans_have_geometric_lengths(span: float) -> None:
    """Where they are rare they do not meet: then runs have the lengths of spans, each one more with 1 - 1 / span."""
    chosen_NL = by_sequence(selected_tokens(LARGE, Selection(0.004 * span, "span", span=span), 0, 0))
    lengths = []
    for row in chosen_NL[:, 1:-1]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        lengths += (edges[1::2] - edges[::2]).tolist()
    found = np.array(lengths)
    assert len(found) > 500
    assert found.mean() == pytest.approx(span, rel=0.1)
    if span > 1:
        counts = np.bincount(found)[1:5]
        chances = (1 - 1 / span) ** np.arange(4) / span
        expected = np.append(chances, 1 - chances.sum()) * len(found)
        observed = np.append(counts, len(found) - counts.sum())
        assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_codons_are_chosen_whole(frame: int) -> None:
    chosen_NL = by_sequence(selected_tokens(LARGE, Selection(0.15, "codon", frame=frame), 0, 0))
    assert not chosen_NL[:, :frame].any()
    whole = chosen_NL[:, frame : frame + 3 * ((900 - frame) // 3)].reshape(300, -1, 3)
    assert (whole.all(2) == whole.any(2)).all()


def test_an_objective_has_a_pattern_and_helms_fate() -> None:
    config = MaskedConfig.from_data({"kind": "masked", "pattern": "codon", "mask": 1.0, "random": 0.0, "share": 0.3})
    question = config.ask(LARGE, TOKENIZER, 5, 1)
    assert (question.inputs_T[question.selected_M] == TOKENIZER.mask_id).all()
    assert (question.selected_M == np.flatnonzero(selected_tokens(LARGE, Selection(0.3, "codon"), 5, 1))).all()
    assert (question.targets_M == LARGE.tokens_T[question.selected_M]).all()
