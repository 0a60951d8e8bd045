"""The saved folders, opened by transformers as a user without nuclex opens them."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.tokenizers import (
    AminoAcidConfig,
    BpeConfig,
    CodonConfig,
    KmerConfig,
    NucleotideConfig,
    Tokenizer,
    UnigramConfig,
    WordPieceConfig,
    save_tokenizer,
)

transformers = pytest.importorskip("transformers")

KINDS = [
    "nucleotide", "nucleotide-rna", "codon", "codon-rna", "codon-frame", "bpe", "bpe-rna", "kmer", "kmer-overlapping",
    "kmer-drop-rna", "amino-acid", "amino-acid-helm", "wordpiece", "wordpiece-rna", "unigram", "unigram-rna",
]  # fmt: skip
CLASSES = ["PreTrainedTokenizerFast", "RobertaTokenizerFast", "AutoTokenizer"]
# What RobertaTokenizerFast of transformers 5 can read: it drops the rules for case, T and U, and the frame, and it
# knows no model but merges.
ROBERTA_KINDS = ["nucleotide", "nucleotide-rna", "codon", "codon-rna", "bpe", "bpe-rna"]
PAIRS = [(kind, name) for kind in KINDS for name in CLASSES if name != "RobertaTokenizerFast" or kind in ROBERTA_KINDS]


@cache
def built(kind: str) -> Tokenizer:
    generator = random.Random(5)
    corpus = ["".join(generator.choices("ACGT", k=400)) for _ in range(30)]
    return {
        "nucleotide": NucleotideConfig(max_unknown_share=1.0),
        "nucleotide-rna": NucleotideConfig(alphabet="rna", max_unknown_share=1.0),
        "codon": CodonConfig(frame=0, remainder="unknown", max_unknown_share=1.0),
        "codon-rna": CodonConfig(frame=0, remainder="unknown", alphabet="rna", max_unknown_share=1.0),
        "codon-frame": CodonConfig(frame=2, remainder="trim", max_unknown_share=1.0),
        "amino-acid": AminoAcidConfig(frame=1, remainder="trim", max_unknown_share=1.0),
        "amino-acid-helm": AminoAcidConfig(
            frame=0, remainder="unknown", compatibility="helm-released", max_unknown_share=1.0
        ),
        "bpe": BpeConfig(vocab_size=200, max_unknown_share=1.0),
        "bpe-rna": BpeConfig(vocab_size=200, alphabet="rna", max_unknown_share=1.0),
        "kmer": KmerConfig(k=6, max_unknown_share=1.0),
        "kmer-overlapping": KmerConfig(k=3, stride=1, max_unknown_share=1.0),
        "kmer-drop-rna": KmerConfig(k=4, remainder="drop", alphabet="rna", max_unknown_share=1.0),
        "wordpiece": WordPieceConfig(vocab_size=200, max_unknown_share=1.0),
        "wordpiece-rna": WordPieceConfig(vocab_size=200, alphabet="rna", max_unknown_share=1.0),
        "unigram": UnigramConfig(vocab_size=100, max_unknown_share=1.0),
        "unigram-rna": UnigramConfig(vocab_size=100, alphabet="rna", max_unknown_share=1.0),
    }[kind].train(corpus)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    @cache
    def open_(kind: str, name: str):
        folder = tmp_path_factory.mktemp(kind)
        save_tokenizer(built(kind), folder, max_length=1024)
        return getattr(transformers, name).from_pretrained(folder)

    return open_


def canonical(kind: str, letters: str) -> str:
    """Letters as RobertaTokenizerFast needs them: of the tokenizer's alphabet, whole codons."""
    if kind.startswith("codon"):
        letters = "".join(letter for letter in letters if letter in "ACGT")
        letters = letters[: len(letters) // 3 * 3]
    if kind.startswith("bpe"):
        letters = letters.replace("I", "").replace("-", "")
    return letters.replace("T", "U") if kind.endswith("rna") else letters


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_vocabulary_and_names_are_those_of_nuclex(opened, kind, name):
    tokenizer, reference = built(kind), opened(kind, name)
    assert len(reference) == len(tokenizer)
    assert reference.get_vocab() == {token: index for index, token in enumerate(tokenizer.vocabulary)}
    assert reference.pad_token_id == tokenizer.pad_id
    assert reference.mask_token_id == tokenizer.mask_id
    assert reference.unk_token_id == tokenizer.unk_id
    assert reference.cls_token_id == reference.bos_token_id == tokenizer.cls_id
    assert reference.sep_token_id == reference.eos_token_id == tokenizer.eos_id
    assert sorted(reference.all_special_ids) == tokenizer.special_ids.tolist()
    assert reference.model_max_length == 1024


@pytest.mark.parametrize("kind", KINDS)
@given(letters=st.text("ACGTUacgtuRYKMSWBDHVNIrykmswbdhvni-?xXE* \n", max_size=60))
@settings(max_examples=40, deadline=None)
def test_general_class_gives_the_same_ids_for_anything(opened, kind, letters):
    reference = opened(kind, "PreTrainedTokenizerFast")
    ids = built(kind).encode(letters).tolist()
    assert reference(letters)["input_ids"] == ids
    if kind != "kmer-overlapping" or built(kind).unk_id not in ids:  # it forgets where it left an unknown out
        assert reference.decode(ids, skip_special_tokens=True) == built(kind).decode(ids)


@pytest.mark.parametrize("kind", ROBERTA_KINDS)
@given(letters=st.text("ACGTRYKMSWBDHVNI-", max_size=90))
@settings(max_examples=40, deadline=None)
def test_roberta_class_gives_the_same_ids_for_canonical_sequences(opened, kind, letters):
    reference = opened(kind, "RobertaTokenizerFast")
    letters = canonical(kind, letters)
    ids = built(kind).encode(letters).tolist()
    assert reference(letters)["input_ids"] == ids
    assert reference.decode(ids, skip_special_tokens=True) == built(kind).decode(ids) == letters


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_a_padded_batch_and_a_mask_in_the_text(opened, kind, name):
    tokenizer, reference = built(kind), opened(kind, name)
    before, after = canonical(kind, "ACGTAC"), canonical(kind, "GGATTA")
    batch = reference([before, before + after], padding=True)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["input_ids"][1] == tokenizer.encode(before + after).tolist()
    short = tokenizer.encode(before).tolist()
    assert batch["input_ids"][0] == short + [tokenizer.pad_id] * (len(batch["input_ids"][1]) - len(short))
    if kind != "codon-frame":
        hidden = reference(before + tokenizer.special.mask + after)["input_ids"]
        assert hidden == [
            *tokenizer.encode(before, end=False).tolist(),
            tokenizer.mask_id,
            *tokenizer.encode(after, start=False).tolist(),
        ]


@pytest.mark.parametrize("kind", ROBERTA_KINDS)
def test_beside_a_roberta_model_the_general_class_is_opened(kind, tmp_path):
    tokenizer = built(kind)
    save_tokenizer(tokenizer, tmp_path)
    transformers.RobertaConfig(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(reference) == len(tokenizer)
    assert reference("acgUUn")["input_ids"] == tokenizer.encode("acgUUn").tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_again_by_transformers_it_is_still_ours(opened, kind, tmp_path):
    from nuclex.tokenizers import load_tokenizer

    opened(kind, "PreTrainedTokenizerFast").save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).to_json() == built(kind).to_json()


@pytest.mark.parametrize("config", [BpeConfig, WordPieceConfig, UnigramConfig])
@pytest.mark.parametrize("reads", ["codons", "amino-acids"])
def test_learned_tokens_of_codons_open_from_nucleotides(config, reads, tmp_path):
    letters = "".join(random.Random(7).choices("ACGTacgu", k=900))
    tokenizer = config(vocab_size=100, reads=reads, frame=0, remainder="trim").train([letters])
    save_tokenizer(tokenizer, tmp_path)
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in (letters, letters[:31], "augGCAtaaC"):
        ids = tokenizer.encode(text).tolist()
        assert reference(text)["input_ids"] == ids
        assert reference.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)
