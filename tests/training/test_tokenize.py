from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from nuclex.core.artifact import verify_folder
from nuclex.core.errors import InputError
from nuclex.data.store import Corpus
from nuclex.tokenizers import BpeConfig, NucleotideConfig, load_tokenizer, tokenizer_hash
from nuclex.training.tokenize import read_tokenizer, tokenizer_train


def test_a_vocabulary_is_learned_from_the_train_split_alone(tiny_corpus: Path, tmp_path: Path) -> None:
    config = BpeConfig(vocab_size=60)
    done = tokenizer_train(tiny_corpus, tmp_path / "bpe", config)
    corpus = Corpus.open(tiny_corpus)
    expected = config.train(corpus.sequence(int(row)) for row in corpus.indices("train"))
    everything = config.train(corpus.sequence(row) for row in range(len(corpus)))
    measured = done.pop("measured")
    assert done == {
        "out": str(tmp_path / "bpe"),
        "kind": "bpe",
        "vocabulary": len(expected),
        "sha256": tokenizer_hash(expected),
    }
    assert done["sha256"] != tokenizer_hash(everything), "else this test shows nothing"
    train = [corpus.sequence(int(row)) for row in corpus.indices("train")]
    tokens = sum(len(expected.encode(sequence, start=False, end=False)) for sequence in train)
    assert measured == {
        "sequences": len(train),
        "refused": 0,
        "nucleotides_per_token": pytest.approx(sum(map(len, train)) / tokens, abs=1e-4),
        "unknown_share": 0.0,
        "left_out_share": 0.0,
    }
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
        (
            {"kind": "bep"},
            r"tokenizers: unknown kind 'bep' \(did you mean 'bpe'\?\); "
            "known: amino-acid, bpe, codon, kmer, nucleotide, unigram, wordpiece",
        ),
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


def test_recipes_are_read_by_name_and_settings_lie_over_them(tiny_corpus: Path, tmp_path: Path) -> None:
    tiny = read_tokenizer("tokenizer/tinydnabert", {"sample": 1, "vocab_size": 40})
    assert isinstance(tiny, BpeConfig)
    assert (tiny.vocab_size, tiny.min_frequency, tiny.sample) == (40, 4, 1)
    done = tokenizer_train(tiny_corpus, tmp_path / "bpe", tiny)
    assert load_tokenizer(tmp_path / "bpe").config == tiny
    assert done["vocabulary"] == 40
    assert read_tokenizer("tokenizer/rnaberta", {"kind": "wordpiece"}).kind == "wordpiece"
    with pytest.raises(InputError, match=r"tinydnabert.toml:\d+: vocab_size: unknown key"):
        read_tokenizer("tokenizer/tinydnabert", {"kind": "nucleotide"})
    with pytest.raises(InputError, match=r"no such recipe file; .* tokenizer/rnaberta, tokenizer/tinydnabert"):
        read_tokenizer("tinydnabert", {})
    (tmp_path / "empty.toml").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"empty.toml: kind: found None; allowed: amino-acid, bpe, codon, "):
        read_tokenizer(tmp_path / "empty.toml", {})


def test_what_is_left_out_and_refused_is_counted_and_said(
    tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = tokenizer_train(tiny_corpus, tmp_path / "drop", {"kind": "kmer", "k": 6, "remainder": "drop"})
    corpus = Corpus.open(tiny_corpus)
    lengths = corpus.lengths[corpus.indices("train")]
    assert done["measured"]["left_out_share"] == pytest.approx((lengths % 6).sum() / lengths.sum())
    assert done["measured"]["nucleotides_per_token"] == 6
    assert f"leaves out {(lengths % 6).sum()} of {lengths.sum()} nucleotides" in capsys.readouterr().err
    done = tokenizer_train(tiny_corpus, tmp_path / "codons", {"kind": "codon", "frame": 0})
    refused = int(np.count_nonzero(lengths % 3))
    assert done["measured"]["refused"] == refused > 0
    assert f"refuses {refused} of {len(lengths)} sequences; the first: sequence: " in capsys.readouterr().err


def test_a_sequence_that_cannot_be_learned_from_is_named(tiny_corpus: Path, tmp_path: Path) -> None:
    config = BpeConfig(vocab_size=40, alphabet="dna", case="keep", max_unknown_share=0.0)
    corpus = Corpus.open(tiny_corpus)
    first = int(corpus.indices("train")[0])
    corpus.sequence = lambda row: b"ACGTacgt"  # type: ignore[method-assign]
    sentence = rf"sequence '{re.escape(corpus.ids(first))}': 'a' at position 4 .* 4 of 8 symbols .* at most 0.0%"
    with pytest.raises(InputError, match=sentence):
        tokenizer_train(corpus, tmp_path / "out", config)
    assert not list(tmp_path.iterdir())


def test_no_corpus_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a corpus"):
        tokenizer_train(tmp_path, tmp_path / "out", NucleotideConfig())
