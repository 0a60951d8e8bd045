import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizers as library
from nuclex.core.errors import CorruptError
from nuclex.tokenizers import BpeConfig, WordPieceConfig
from nuclex.tokenizers.wordpiece import longest_match
from tokenizers import models, trainers


def sequences(count: int = 60, length: int = 300, seed: int = 3) -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices("ACGT", weights=[4, 1, 2, 3], k=length)) for _ in range(count)]


def greedy(text: str, tokens: set[str]) -> list[str]:
    """At each place the longest token that fits."""
    cut, place = [], 0
    while place < len(text):
        length = next(length for length in range(len(text) - place, 0, -1) if text[place : place + length] in tokens)
        cut.append(text[place : place + length])
        place += length
    return cut


TOKENIZER = WordPieceConfig(vocab_size=300).train(sequences())


def test_the_vocabulary_is_that_of_the_librarys_trainer():
    reference = library.Tokenizer(models.WordPiece(unk_token="<unk>"))
    reference.train_from_iterator(
        sequences(),
        trainers.WordPieceTrainer(
            vocab_size=300,
            min_frequency=2,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            initial_alphabet=list("ACGTRYKMSWBDHVN"),
            continuing_subword_prefix="",
            show_progress=False,
        ),
    )
    assert reference.get_vocab() == {token: index for index, token in enumerate(TOKENIZER.vocabulary)}


@given(text=st.text("ACGTNRY", max_size=80))
@settings(max_examples=200, deadline=None)
def test_the_longest_token_that_fits_is_taken(text):
    ids_L = TOKENIZER.encode(text, start=False, end=False)
    assert [TOKENIZER.vocabulary[index] for index in ids_L] == greedy(text, set(TOKENIZER.vocabulary[5:]))


def test_reading_is_not_that_of_bpe_though_the_tokens_are():
    bpe = BpeConfig(vocab_size=300).train(sequences())
    assert bpe.vocabulary == TOKENIZER.vocabulary
    text = sequences(1, 2000, seed=8)[0]
    assert len(TOKENIZER.encode(text)) != len(bpe.encode(text))


def test_without_the_split_the_library_reads_the_same_but_in_quadratic_time():
    text = sequences(1, 90, seed=8)[0]
    alone = library.Tokenizer(
        models.WordPiece(
            {token: index for index, token in enumerate(TOKENIZER.vocabulary)},
            unk_token="<unk>",
            continuing_subword_prefix="",
            max_input_chars_per_word=1000,
        )
    )
    assert alone.encode(text).ids == TOKENIZER.encode(text, start=False, end=False).tolist()


def test_a_long_sequence_takes_no_longer_a_letter_than_a_short_one():
    text = sequences(1, 200_000, seed=8)[0]
    began = time.perf_counter()
    for _ in range(20):
        TOKENIZER.encode(text[:10_000])
    short = time.perf_counter() - began
    began = time.perf_counter()
    TOKENIZER.encode(text)
    assert time.perf_counter() - began < 10 * short, "the time grows with the square of the length"


def test_no_token_is_marked_as_inside_a_word():
    assert not [token for token in TOKENIZER.vocabulary if "#" in token]
    text = sequences(1, 50)[0]
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_very_long_tokens():
    tokens = ["A" * length for length in range(1, 300)] + ["C"]
    exported = library.Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, "C"))
    exported.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(longest_match(tokens)), "isolated")
    assert exported.encode("A" * 700 + "CAA").tokens == ["A" * 299, "A" * 299, "A" * 102, "C", "AA"]


def test_a_stored_model_of_another_kind_is_refused():
    bpe = BpeConfig(vocab_size=30).train(sequences(5))
    with pytest.raises(CorruptError, match="its model is a 'BPE', not a 'WordPiece'"):
        WordPieceConfig(vocab_size=30).restore(bpe.to_json())


@pytest.mark.parametrize("token", ["A(", "", "acg", "[UNK]", "AC GT", "\\p{L}"])
def test_a_token_that_is_no_word_of_letters_is_refused(token):
    stored = json.loads(TOKENIZER.to_json())
    stored["model"]["vocab"][token] = len(stored["model"]["vocab"])
    with pytest.raises(CorruptError, match=r"its token .* is not made of the letters ACGTRYKMSWBDHVN"):
        TOKENIZER.config.restore(json.dumps(stored))
