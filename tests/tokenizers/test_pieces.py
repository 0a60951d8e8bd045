"""What learning reads of long sequences: pieces, every so many of them, in bounded memory."""

import random
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.tokenizers import BpeConfig
from nuclex.tokenizers.pieces import learning_text


def pieces(sequences, **values) -> list[str]:
    text = learning_text(sequences, BpeConfig(**values)).tobytes()
    assert text[0] == text[-1] == 0
    return [piece.translate(bytes.maketrans(b"\1\2\3\4", b"ACGT")).decode() for piece in text[1:-1].split(b"\0")]


SEQUENCES = st.lists(st.text("ACGTacgtUNRY", max_size=50), min_size=1, max_size=6)


@given(sequences=SEQUENCES, length=st.integers(2, 9), sample=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_pieces_are_runs_cut_to_length_and_every_so_many_of_them(sequences, length, sample):
    read = [sequence.upper().replace("U", "T") for sequence in sequences]
    expected = [piece for sequence in read for piece in re.findall(f"[ACGT]{{2,{length}}}", sequence)]
    if expected:
        assert pieces(sequences, piece_length=length, sample=sample) == expected[::sample]
    else:
        with pytest.raises(InputError, match="no nucleotides to learn from"):
            pieces(sequences, piece_length=length, sample=sample)


def test_more_than_is_allowed_is_thinned_evenly_and_that_is_said(capsys):
    generator = random.Random(4)
    every = ["".join(generator.choices("ACGT", k=10)) for _ in range(1000)]
    found = pieces(every, max_nucleotides=3000)
    assert found == every[::4]  # 1000 pieces of 11 bytes: one in two is too much, one in four is not
    assert capsys.readouterr().err == "tokenizer: more than 3000 nucleotides; it learns from one piece in 4\n"
    assert pieces(every, max_nucleotides=3000, sample=3) == every[::6]
    assert "one piece in 6" in capsys.readouterr().err
    assert pieces(every, max_nucleotides=12_000) == every
    assert capsys.readouterr().err == ""


def test_memory_does_not_grow_with_the_input():
    chromosome = bytes(np.random.default_rng(1).choice(list(b"ACGT"), 1_000_000).astype(np.uint8))
    peaks = []
    for times in (2, 12):
        tracemalloc.start()
        text = learning_text((chromosome for _ in range(times)), BpeConfig(max_nucleotides=1_000_000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert 400_000 < len(text) <= 1_000_000
    assert peaks[1] < 1.2 * peaks[0]


def test_unknown_letters_are_refused_by_share():
    assert pieces(["ACGT" * 20 + "-"], max_unknown_share=0.02) == ["ACGT" * 20]
    with pytest.raises(InputError, match=r"'-' at position 80 .* 1 of 81 symbols \(1.2%\); at most 1.0% may be"):
        pieces(["ACGT" * 20 + "-"], max_unknown_share=0.01)
