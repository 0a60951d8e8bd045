import json
import random

import pytest

import tokenizers as library
from nuclex.core.errors import CorruptError, InputError
from nuclex.tokenizers import BpeConfig
from nuclex.tokenizers.learned import LETTERS


def sequences(count: int = 100, length: int = 300, seed: int = 3) -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices("ACGT", weights=[4, 1, 2, 3], k=length)) for _ in range(count)]


def test_the_most_frequent_pair_is_merged_first():
    tokenizer = BpeConfig(vocab_size=22).train(["GATTACA", "GATTTGA"])
    # pairs in the two words: GA 3 times, AT 2, TT 3; ties go to the pair whose first token has the lower id, G
    assert tokenizer.vocabulary[20:] == ("GA", "TT")
    assert tokenizer.decode(tokenizer.encode("GATTGA")) == "GATTGA"
    assert [tokenizer.vocabulary[index] for index in tokenizer.encode("GATTGAN", start=False, end=False)] == [
        "GA", "TT", "GA", "N",
    ]  # fmt: skip


def test_special_tokens_are_in_robertas_order_and_all_letters_are_there():
    tokenizer = BpeConfig(vocab_size=60).train(sequences())
    assert tokenizer.vocabulary[:5] == ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    assert set(tokenizer.vocabulary[5:20]) == set("ACGTRYKMSWBDHVN")
    assert len(tokenizer) == 60
    assert tokenizer.pad_id == 1
    assert tokenizer.random_ids.tolist() == list(range(5, 60))


def test_no_token_is_dead():
    tokenizer = BpeConfig(vocab_size=300).train(sequences())
    for index in tokenizer.random_ids:
        token = tokenizer.vocabulary[index]
        assert tokenizer.encode(token, start=False, end=False).tolist() == [index]
        assert set(token) <= set(LETTERS)


def test_training_is_reproducible_and_sees_case_and_u_as_reading_does():
    upper = BpeConfig(vocab_size=200).train(sequences())
    assert BpeConfig(vocab_size=200).train(iter(sequences())).to_json() == upper.to_json()
    written = [each.lower().replace("t", "u").encode() for each in sequences()]
    assert BpeConfig(vocab_size=200).train(written).to_json() == upper.to_json()
    rna = BpeConfig(vocab_size=200, alphabet="rna").train(sequences())
    assert all("T" not in token for token in rna.vocabulary[5:])


def test_tokens_are_no_longer_than_a_piece_and_hold_no_gap():
    text = ["A" * 200 + "N" * 8 + "C" * 200] * 3
    tokenizer = BpeConfig(vocab_size=40, piece_length=16).train(text)
    assert max(len(token) for token in tokenizer.vocabulary[5:]) == 16
    assert not [token for token in tokenizer.vocabulary[5:] if len(token) > 1 and set(token) not in ({"A"}, {"C"})]


def test_training_needs_nucleotides():
    for nothing in ([], [""], ["A", "N" * 50], ["ANCNGNT"]):
        with pytest.raises(InputError, match="no nucleotides to learn from"):
            BpeConfig().train(nothing)


def test_training_refuses_protein():
    with pytest.raises(InputError, match=r"'E' at position 4 .* is unknown"):
        BpeConfig().train(["ACGT" * 20, "MSKGEELFTGVVPILVELDGDV"])


def test_errors_of_the_source_of_sequences_arrive_unchanged():
    def broken():
        yield "ACGTACGT"
        raise OSError("the tape is torn")

    with pytest.raises(OSError, match="the tape is torn"):
        BpeConfig().train(broken())


def test_untrained_is_refused():
    with pytest.raises(InputError, match="learned from sequences"):
        BpeConfig().build()


def test_the_inner_library_and_the_exported_file_agree_on_long_text():
    tokenizer = BpeConfig(vocab_size=500).train(sequences())
    text = "".join(sequences(20, 1000, seed=9))
    assert library.Tokenizer.from_str(tokenizer.to_json()).encode(text).ids == tokenizer.encode(text).tolist()


def test_names_of_special_tokens_are_only_letters():
    tokenizer = BpeConfig(vocab_size=30, max_unknown_share=1.0).train(["ACGTACGT"])
    assert tokenizer.encode("<s>", start=False, end=False).tolist() == [3, tokenizer.vocabulary.index("S"), 3]


def test_the_sequence_is_refused_with_symbol_and_place():
    tokenizer = BpeConfig(vocab_size=30).train(["ACGTACGT"])
    with pytest.raises(InputError, match=r"'-' at position 2 .* 1 of 7 symbols"):
        tokenizer.encode("AC-GTAC")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model["vocab"].pop("A"), "ids are not 0, 1, 2"),
        (lambda model: model["vocab"].update({"<s>": 2, "</s>": 0}), "first tokens are"),
        (lambda model: model["vocab"].update({"E": model["vocab"].pop("N")}), "letter 'N' is missing"),
        (lambda model: model["merges"].append(["AC", "E"]), "merges do not belong"),
        (lambda model: model["merges"].append("ACG"), "merges do not belong"),
        (lambda model: model.pop("merges"), "merges do not belong"),
    ],
)
def test_a_stored_model_that_cannot_be_is_refused(change, message):
    tokenizer = BpeConfig(vocab_size=30).train(sequences(5))
    stored = json.loads(tokenizer.to_json())
    change(stored["model"])
    with pytest.raises(CorruptError, match=message):
        tokenizer.config.restore(json.dumps(stored))
