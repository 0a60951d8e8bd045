"""Our learning of merges beside that of the library ``tokenizers``, which must agree merge for merge."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.tokenizers.merges import learn_merges
from tokenizers import Tokenizer as Library
from tokenizers import models, trainers

LETTERS = "ACGT"


def ours(pieces: list[str], merges: int, least: int) -> list[list[str]]:
    text = "." + "".join(f"{piece}." for piece in pieces)
    tokens = [".", *LETTERS]
    ids_T = np.array([tokens.index(letter) for letter in text], dtype=np.uint8)
    learned = []
    for left, right in learn_merges(ids_T, len(tokens), merges, least):
        learned.append([tokens[left], tokens[right]])
        tokens.append(tokens[left] + tokens[right])
    return learned


def theirs(pieces: list[str], merges: int, least: int) -> list[list[str]]:
    library = Library(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=1 + len(LETTERS) + merges,
        min_frequency=least,
        special_tokens=["."],
        initial_alphabet=list(LETTERS),
        show_progress=False,
    )
    library.train_from_iterator(pieces, trainer)
    return json.loads(library.to_str())["model"]["merges"]


PIECES = st.lists(st.text(LETTERS, max_size=30), max_size=12)
REPEATS = st.lists(
    st.builds(lambda unit, times: unit * times, st.text("AC", max_size=4), st.integers(0, 12)), max_size=9
)


@given(pieces=st.one_of(PIECES, REPEATS), merges=st.integers(0, 40), least=st.integers(0, 4))
@settings(max_examples=400, deadline=None)
def test_merges_are_those_of_the_library_ties_included(pieces, merges, least):
    assert ours(pieces, merges, least) == theirs(pieces, merges, least)


@pytest.mark.parametrize("letters", ["AC", "ACGT"])
def test_merges_of_a_longer_text_are_those_of_the_library(letters):
    generator = random.Random(7)
    text = "".join(generator.choices(letters, weights=[5, 1, 2, 3][: len(letters)], k=40_000))
    pieces = [text[place : place + 97] for place in range(0, len(text), 97)]
    pieces += pieces[:50]  # a piece that stands twice counts twice
    found = ours(pieces, 700, 2)
    assert len(found) == 700
    assert found == theirs(pieces, 700, 2)


def test_a_run_is_paired_from_its_left_end():
    # AAAAA holds AA four times with overlaps; merged it is AA AA A, in which (AA, AA) and (AA, A) stand once each, and
    # (AA, A) has the lower ids
    assert ours(["AAAAA", "AAAAA"], 3, 2) == [["A", "A"], ["AA", "A"], ["AA", "AAA"]]


def test_nothing_to_merge():
    assert ours([], 5, 1) == ours([""], 5, 1) == ours(["A", "C"], 5, 1) == []
    assert ours(["ACAC"], 0, 1) == []


def test_more_tokens_than_sixteen_bits_hold():
    pieces = ["ACGTTGCA" * 4] * 3
    assert ours(pieces, 1 << 17, 2) == ours(pieces, 100, 2) == theirs(pieces, 100, 2)
