import numpy as np
import pyarrow as pa
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from nuclex.data import containment, store
from nuclex.data.containment import REASONS, SHORTEST, Containment


def _reason(sequence, given_texts, shortest):
    """The rule letter by letter."""
    sequence, texts = sequence.replace("U", "T"), [text.replace("U", "T") for text in given_texts]
    mirrored = [str(Seq(text).reverse_complement()) for text in texts]
    if sequence in texts:
        return "equal"
    if sequence in mirrored:
        return "reverse_complement"
    both = [text for text in texts + mirrored if len(text) >= shortest]
    if any(text in sequence for text in both):
        return "contains"
    return "contained" if len(sequence) >= shortest and any(sequence in text for text in both) else "kept"


def _found(sequences, given_texts, shortest):
    column = pa.array(sequences, pa.large_string())
    tested = Containment([text.encode() for text in given_texts], shortest)
    return [REASONS[code] for code in tested.reasons(column, np.ones(len(sequences), dtype=bool))]


@st.composite
def relatives(draw):
    """Given texts, and sequences made of parts, extensions and other strands of them; few letters, so words repeat."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    letters = draw(st.sampled_from(["ACGT", "AC", "AAAAAAAAAAAC", "ACGTN"]))
    word = lambda most: "".join(random.choice(list(letters), random.integers(1, most)))  # noqa: E731
    given_texts = [word(120) for _ in range(random.integers(1, 6))]
    sequences = []
    for _ in range(random.integers(1, 20)):
        text = given_texts[random.integers(len(given_texts))]
        if random.random() < 0.5:
            text = str(Seq(text).reverse_complement())
        start = random.integers(0, len(text))
        kind = random.integers(4)
        text = [text, text[start:], word(60) + text + word(60), text[: start + 1]][kind]
        if random.random() < 0.2:
            text = text[:-1] + "A"
        sequences.append(text.replace("T", "U") if random.random() < 0.3 else text)
    return given_texts, sequences


@given(relatives(), st.integers(SHORTEST, 60), st.integers(1, 400), st.sampled_from([0, 4, 64]))
def test_the_same_as_looking_for_every_text_in_every_other(data, shortest, at_once, many):
    given_texts, sequences = data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "LETTERS_AT_ONCE", at_once)
        patch.setattr(containment, "_PAIRS_AT_ONCE", at_once)
        patch.setattr(containment, "_MANY", many)
        found = _found(sequences, given_texts, shortest)
    assert found == [_reason(sequence, given_texts, shortest) for sequence in sequences]


def test_every_place_of_a_text_in_a_sequence_and_the_other_way():
    random = np.random.default_rng(0)
    text = "".join(random.choice(list("ACGT"), 200))
    for length in (SHORTEST, SHORTEST + 1, 40, 63):
        parts = [text[start : start + length] for start in range(200 - length + 1)]
        assert set(_found(parts, [text], SHORTEST)) == {"contained"}
        for part in parts[::3]:
            assert _found([text, str(Seq(text).reverse_complement())], [part], SHORTEST) == ["contains"] * 2


def test_what_is_not_wanted_is_not_looked_at():
    column = pa.array(["ACGT" * 10] * 2, pa.large_string())
    codes = Containment([b"ACGT" * 10], 32).reasons(column, np.array([False, True]))
    assert codes.tolist() == [0, 1]


@pytest.mark.parametrize("letter", ["A", "N", "T"])
def test_low_complexity_that_all_share_is_not_compared_pair_by_pair(monkeypatch, letter):
    pairs, find = [], containment._Words.find

    def counted(self, words):
        for asked, known in find(self, words):
            pairs.append(len(asked))
            yield asked, known

    monkeypatch.setattr(containment._Words, "find", counted)
    random = np.random.default_rng(1)
    word = lambda length: "".join(random.choice(list("ACGT"), length))  # noqa: E731
    asked = [letter * 60 + word(200) for _ in range(100)] + [letter * 40]
    rows = [word(200) + letter * 150 + word(200) for _ in range(50)] + [letter * 100 + word(40) for _ in range(50)]
    rows += [word(90) + asked[7] + word(9), asked[9][20:], asked[11][:-5], letter * 60 + asked[13][60:100]]
    expected = ["contains"] * 100 + ["contains"] * 2 + ["contains", "contains"]
    assert _found(rows, asked, 32) == expected  # those without another contain the last, nothing but the letter
    assert sum(pairs) < 100_000  # pair by pair: 100 · 104 · 100 and more
    pairs.clear()
    assert _found(rows, asked[:-1], 32) == ["kept"] * 100 + ["contains"] + ["contained"] * 3
    assert sum(pairs) < 10_000
