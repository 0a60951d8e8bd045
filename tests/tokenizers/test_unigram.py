import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from nuclex.core.errors import CorruptError, InputError
from nuclex.tokenizers import UnigramConfig
from nuclex.tokenizers.segmentation import Lattice, Trie
from tokenizers import Tokenizer as Library
from tokenizers import models, trainers

WORDS = ["GATTACA", "CCGGAATT", "TATAAA", "GGCCAATCT"]


def sequences(count: int = 60, seed: int = 3) -> list[str]:
    """Sequences with words in them that a learner ought to find."""
    generator = random.Random(seed)
    return [
        "".join(generator.choice([generator.choice(WORDS), generator.choice("ACGT")]) for _ in range(60))
        for _ in range(count)
    ]


def bits(scored: list[tuple[str, float]], text: list[str]) -> float:
    """Bits a nucleotide that tokens and their probabilities need for a text, all ways to cut it counted."""
    codes = bytes.maketrans(b"ACGT", b"\1\2\3\4")
    used = [(token, score) for token, score in scored if set(token) <= set("ACGT")]
    scores_V = np.array([score for _, score in used])
    scores_V -= np.log(np.exp(scores_V).sum())
    trie = Trie([token.encode().translate(codes) for token, _ in used])
    logarithm = 0.0
    for sequence in text:
        row = np.frombuffer(sequence.encode().translate(codes), dtype=np.uint8).reshape(1, -1)
        logarithm += Lattice(row, trie).forward(scores_V)[-1].sum()
    return -logarithm / np.log(2) / sum(map(len, text))


def scored(tokenizer) -> list[tuple[str, float]]:
    return [tuple(entry) for entry in json.loads(tokenizer.to_json())["model"]["vocab"]]


def test_words_that_were_put_in_are_found():
    tokenizer = UnigramConfig(vocab_size=40).train(sequences())
    assert set(WORDS) <= set(tokenizer.vocabulary)
    tokens = [tokenizer.vocabulary[index] for index in tokenizer.encode("GATTACATATAAA", start=False, end=False)]
    assert tokens == ["GATTACA", "TATAAA"]


def test_vocabulary_is_specials_letters_and_words_by_probability():
    tokenizer = UnigramConfig(vocab_size=40).train(sequences())
    assert tokenizer.vocabulary[:5] == ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    assert tokenizer.vocabulary[5:20] == tuple("ABCDGHKMNRSTVWY")
    scores = [score for _, score in scored(tokenizer)][20:]
    assert scores == sorted(scores, reverse=True)
    assert len(tokenizer) == 40


def test_the_text_needs_no_more_bits_than_with_the_librarys_own_training():
    text = sequences()
    library = Library(models.Unigram())
    library.train_from_iterator(
        text,
        trainers.UnigramTrainer(
            vocab_size=64, special_tokens=["<unk>"], unk_token="<unk>", initial_alphabet=[*"ACGT"], show_progress=False
        ),
    )
    reference = [tuple(entry) for entry in json.loads(library.to_str())["model"]["vocab"]]
    ours = scored(UnigramConfig(vocab_size=len(reference) + 15).train(text))
    assert sum(set(token) <= set("ACGT") for token, _ in ours) == sum(
        set(token) <= set("ACGT") for token, _ in reference
    )
    assert bits(ours, text) < 1.01 * bits(reference, text)
    assert bits(ours, text) < 0.8 * 2, "else nothing was learned"


def test_more_rounds_do_not_fit_worse():
    text = sequences(10)
    found = [bits(scored(UnigramConfig(vocab_size=60, rounds=rounds).train(text)), text) for rounds in (1, 5)]
    assert found[1] <= found[0] + 1e-6


SCRIPT = """
import sys, random
from nuclex.tokenizers import UnigramConfig
generator = random.Random(1)
text = ["".join(generator.choices("ACGT", weights=[3, 1, 2, 3], k=500)) for _ in range(40)]
sys.stdout.write(UnigramConfig(vocab_size=300).train(text).to_json())
"""


@pytest.mark.slow
def test_training_gives_the_same_bytes_in_every_process_and_with_any_number_of_threads():
    outputs = set()
    for threads, seed in (("1", "0"), ("2", "1")):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(json.loads(outputs.pop())["model"]["vocab"]) == 300


def test_nothing_longer_than_asked_for_and_short_text_gives_fewer_tokens():
    tokenizer = UnigramConfig(vocab_size=400, max_token_length=5).train(sequences())
    assert max(len(token) for token in tokenizer.vocabulary[5:]) == 5
    few = UnigramConfig(vocab_size=400).train(["ACACAC"])
    assert set(few.vocabulary[20:]) <= {"AC", "CA", "ACA", "CAC", "ACAC"}
    assert UnigramConfig(vocab_size=20).train(["ACACAC"]).vocabulary == few.vocabulary[:20]
    with pytest.raises(InputError, match="no nucleotides to learn from"):
        UnigramConfig().train(["NNNN"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model["vocab"].append(["ACG"]), "is not a readable tokenizer"),
        (lambda model: model["vocab"].append(["ACG", "high"]), "have no scores"),
        (lambda model: model["vocab"].append(["N", -2.0]), "not all different"),
        (lambda model: model.update(type="BPE"), "its model is a 'BPE', not a 'Unigram'"),
        (lambda model: model["vocab"].reverse(), "its first tokens are"),
        (lambda model: model["vocab"].pop(8), "letter 'D' is missing"),
    ],
)
def test_a_stored_model_that_cannot_be_is_refused(change, message):
    tokenizer = UnigramConfig(vocab_size=30).train(sequences(5))
    stored = json.loads(tokenizer.to_json())
    change(stored["model"])
    with pytest.raises(CorruptError, match=message):
        tokenizer.config.restore(json.dumps(stored))
