from __future__ import annotations

from pathlib import Path

import pytest

from nuclex.core.artifact import verify_folder
from nuclex.core.errors import InputError
from nuclex.data.store import Corpus
from nuclex.tokenizers import BpeConfig, NucleotideConfig, load_tokenizer, tokenizer_hash
from nuclex.training.tokenize import tokenizer_train


def test_a_vocabulary_is_learned_from_the_train_split_alone(tiny_corpus: Path, tmp_path: Path) -> None:
    config = BpeConfig(vocab_size=60)
    done = tokenizer_train(tiny_corpus, tmp_path / "bpe", config)
    corpus = Corpus.open(tiny_corpus)
    expected = config.train(corpus.sequence(int(row)) for row in corpus.indices("train"))
    everything = config.train(corpus.sequence(row) for row in range(len(corpus)))
    assert done == {
        "out": str(tmp_path / "bpe"),
        "kind": "bpe",
        "vocabulary": len(expected),
        "sha256": tokenizer_hash(expected),
    }
    assert done["sha256"] != tokenizer_hash(everything), "else this test shows nothing"
    assert tokenizer_hash(load_tokenizer(tmp_path / "bpe")) == done["sha256"]
    verify_folder(tmp_path / "bpe")


def test_a_folder_that_exists_is_refused_before_any_work(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bpe").mkdir()
    monkeypatch.delattr(BpeConfig, "train")
    with pytest.raises(InputError, match="bpe: exists already"):
        tokenizer_train(tiny_corpus, tmp_path / "bpe", BpeConfig(vocab_size=60))


def test_a_table_of_settings_is_read_as_a_config(tiny_corpus: Path, tmp_path: Path) -> None:
    done = tokenizer_train(tiny_corpus, tmp_path / "nucleotide", {"kind": "nucleotide", "alphabet": "rna"})
    assert done["sha256"] == tokenizer_hash(NucleotideConfig(alphabet="rna").build())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "bep"}, r"tokenizers: unknown kind 'bep'; known: bpe, codon, nucleotide"),
        (
            {"kind": "bpe", "vocab_sise": 9},
            r"^vocab_sise: unknown key \(did you mean 'vocab_size'\?\); allowed: alphabet, ",
        ),
        ({"kind": "bpe", "vocab_size": "many"}, r"^vocab_size: Input should be a valid integer, found 'many'$"),
        ({"kind": "codon"}, r"^frame: missing, and it has no default$"),
    ],
)
def test_wrong_settings_get_a_sentence_and_leave_nothing(
    settings: dict[str, object], sentence: str, tiny_corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        tokenizer_train(tiny_corpus, tmp_path / "out", settings)
    assert not list(tmp_path.iterdir())


def test_no_corpus_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a corpus"):
        tokenizer_train(tmp_path, tmp_path / "out", NucleotideConfig())
