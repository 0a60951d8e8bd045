"""Labels of letters and of the tokens that hold them, by hand; what position alone says, by counting."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from nuclex.core.errors import InputError
from nuclex.tasks import Example
from nuclex.tokenizers import CodonConfig, KmerConfig, NucleotideConfig, TokenizerConfig
from nuclex.training.letters import Letters, labels_of_tokens, tokens_of_letters
from nuclex.training.majority import majorities
from nuclex.training.supervised import Reading


@pytest.mark.parametrize(
    ("config", "token", "held"),
    [
        (NucleotideConfig(), [0, 1, 2, 3, 4, 5, 6, 7], "11111111"),
        (CodonConfig(frame=0, remainder="trim"), [0, 0, 0, 1, 1, 1, 1, 1], "11111100"),
        (CodonConfig(frame=0, remainder="unknown"), [0, 0, 0, 1, 1, 1, 2, 2], "11111111"),
        (CodonConfig(frame=2), [0, 0, 0, 0, 0, 1, 1, 1], "00111111"),
    ],
)
def test_every_letter_has_a_token_that_answers(config: TokenizerConfig, token: list[int], held: str) -> None:
    token_L, held_L = tokens_of_letters(config.build(), "ACGTACGT", "here")
    assert token_L.tolist() == token
    assert "".join("1" if one else "0" for one in held_L) == held


def test_tokens_that_overlap_have_no_labels() -> None:
    with pytest.raises(InputError, match=r"here: tokens of this tokenizer \(kmer\) have letters in common"):
        tokens_of_letters(KmerConfig(k=3, stride=1).build(), "ACGTACGT", "here")
    with pytest.raises(InputError, match="here: has no token"):
        tokens_of_letters(CodonConfig(frame=0, remainder="trim").build(), "AC", "here")


def labels(text: str, held: str = "") -> list[int]:
    """The labels of codons whose letters are labelled so; ``.`` has none."""
    label_L = np.array([-1 if letter == "." else int(letter) for letter in text])
    held_L = np.array([one == "1" for one in held or "1" * len(text)])
    return labels_of_tokens(label_L, np.arange(len(text)) // 3, held_L, len(text) // 3).tolist()


def test_a_codon_has_the_label_of_most_of_its_letters() -> None:
    assert labels("000001011111") == [0, 0, 1, 1]
    assert labels("210012") == [2, 0]  # of three labels the first
    assert labels("1..0.2..........") == [1, 0, -1, -1, -1]
    assert labels("....01") == [-1, 0]
    assert labels("011100", "011111") == [1, 0]
    assert labels("......") == [-1, -1]


def test_no_labelled_letter_in_a_token_is_refused() -> None:
    reading = Reading.of([Example("ACGTACGT", "", "a")], CodonConfig(frame=0, remainder="trim").build(), None)
    with pytest.raises(InputError, match="here: 'a': none of its tokens holds a letter with a label"):
        Letters(reading, "here").labels([np.array([-1] * 6 + [0, 1])])


def test_what_position_says_is_the_commonest_label() -> None:
    random = np.random.default_rng(0)
    train: list[NDArray[np.int64]] = [random.integers(-1, 3, random.integers(3, 9)) for _ in range(20)]
    found = majorities(train, [4, 12], 3)

    def commonest(place: int, *, back: bool = False) -> int:
        rows = [row[::-1] if back else row for row in train]
        place = min(place, max(map(len, rows)) - 1)
        count = Counter(int(row[place]) for row in rows if len(row) > place and row[place] >= 0)
        return min(count, key=lambda label: (-count[label], label))

    assert [row.tolist() for row in found["majority-by-position"]] == [
        [commonest(place) for place in range(length)] for length in (4, 12)
    ]
    assert [row.tolist() for row in found["majority-from-nearer-end"]] == [
        [
            commonest(place) if place < length / 2 else commonest(length - 1 - place, back=True)
            for place in range(length)
        ]
        for length in (4, 12)
    ]
