from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.randomness import key
from nuclex.data.pack import pack
from nuclex.data.sample import Pieces, crop, windows
from nuclex.data.tokens import tokenize
from nuclex.tokenizers import NucleotideConfig

TOKENIZER = NucleotideConfig().build()
CLS, EOS = TOKENIZER.cls_id, TOKENIZER.eos_id


def test_a_packed_batch_spelled_out() -> None:
    table = tokenize(["ACG", "TTTTTTTTTT", "GA"], TOKENIZER, [40, 50, 60])
    index = np.array([2, 1, 1, 0])
    pieces = Pieces(
        index,
        np.array([0, 2, 7, 0]),
        np.array([2, 5, 10, 3]),
        np.array([True, False, False, True]),
        np.array([True, False, True, True]),
    )
    batch = pack(table, pieces, TOKENIZER)
    A, C, G, T = 5, 6, 7, 8
    assert batch.tokens_T.tolist() == [CLS, G, A, EOS, T, T, T, T, T, T, EOS, CLS, A, C, G, EOS]
    assert batch.lengths_N.tolist() == [4, 3, 4, 5]
    assert batch.row_T.tolist() == [60] * 4 + [50] * 7 + [40] * 5
    assert batch.special_T.nonzero()[0].tolist() == [0, 3, 10, 11, 15]
    inside = ~batch.special_T
    assert batch.position_T[inside].tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 0, 1, 2]
    assert batch.tokens_T.dtype == np.int64


sequences = st.lists(st.text("ACGT", max_size=25), min_size=1, max_size=8)


@given(sequences, st.integers(3, 20), st.integers(0, 2**32), st.booleans())
def test_every_token_is_the_one_it_says_it_is(texts: list[str], most: int, seed: int, tiled: bool) -> None:
    rows = [3 * place + 1 for place in range(len(texts))]
    table = tokenize(texts, TOKENIZER, rows)
    pieces = windows(table, most) if tiled else crop(table, np.arange(len(texts)), most, key(seed))
    batch = pack(table, pieces, TOKENIZER)
    assert len(batch.tokens_T) == batch.lengths_N.sum() == pieces.lengths_P.sum()
    specials = batch.tokens_T[batch.special_T]
    assert set(specials.tolist()) <= {CLS, EOS}
    assert (specials == CLS).sum() == pieces.starts_P.sum()
    assert (specials == EOS).sum() == pieces.ends_P.sum()
    inside = ~batch.special_T
    for token, row, position in zip(
        *(part[inside].tolist() for part in (batch.tokens_T, batch.row_T, batch.position_T)), strict=True
    ):
        assert TOKENIZER.vocabulary[token] == texts[rows.index(row)][position]
    stops = np.cumsum(batch.lengths_N)
    assert ((batch.tokens_T[stops - batch.lengths_N] == CLS) == pieces.starts_P).all()
    assert ((batch.tokens_T[stops - 1] == EOS) == pieces.ends_P).all()


@given(sequences)
def test_pieces_packed_together_are_pieces_packed_alone(texts: list[str]) -> None:
    table = tokenize(texts, TOKENIZER)
    pieces = windows(table, 9)
    together = pack(table, pieces, TOKENIZER)
    alone = [pack(table, pieces.take(np.array([place])), TOKENIZER) for place in range(len(pieces))]
    for name in ("tokens_T", "lengths_N", "row_T", "special_T"):
        joined = np.concatenate([getattr(batch, name) for batch in alone])
        assert np.array_equal(getattr(together, name), joined)
