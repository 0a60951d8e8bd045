from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data.tokens import tokenize
from nuclex.tokenizers import CodonConfig, NucleotideConfig


@given(st.lists(st.text("ACGUTN", max_size=30), max_size=8))
def test_every_sequence_is_one_slice(sequences: list[str]) -> None:
    tokenizer = NucleotideConfig().build()
    table = tokenize(sequences, tokenizer)
    assert len(table) == len(sequences)
    assert table.lengths_N.tolist() == [len(sequence) for sequence in sequences]
    for index, sequence in enumerate(sequences):
        inside = table.ids[table.offsets[index] : table.offsets[index + 1]]
        assert inside.tolist() == tokenizer.encode(sequence, start=False, end=False).tolist()


def test_rows_and_clusters_are_kept_or_counted() -> None:
    tokenizer = NucleotideConfig().build()
    plain = tokenize(["A", "CC"], tokenizer)
    assert (plain.rows_N.tolist(), plain.clusters_N.tolist()) == ([0, 1], [0, 1])
    named = tokenize(iter([b"A", b"CC"]), tokenizer, [7, 3], np.array([5, 5]))
    assert (named.rows_N.tolist(), named.clusters_N.tolist()) == ([7, 3], [5, 5])
    assert named.rows_N.dtype == named.clusters_N.dtype == np.int64
    rows_only = tokenize(["A", "CC"], tokenizer, [7, 3])
    assert rows_only.clusters_N.tolist() == [7, 3]


def test_ids_take_the_least_room_that_holds_them() -> None:
    assert tokenize(["ACGT"], NucleotideConfig().build()).ids.dtype == np.uint8
    codons = CodonConfig(frame=0).build()
    assert tokenize(["ATGTAA"], codons).ids.tolist() == codons.encode("ATGTAA", start=False, end=False).tolist()


def test_no_sequences_make_an_empty_table() -> None:
    table = tokenize([], NucleotideConfig().build())
    assert (len(table), len(table.ids), table.offsets.tolist()) == (0, 0, [0])


def test_what_the_tokenizer_refuses_is_refused() -> None:
    with pytest.raises(InputError, match="'E'"):
        tokenize(["ACGT", "MEEPLEASE"], NucleotideConfig().build())
