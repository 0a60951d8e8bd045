"""Learned tokens over codons and amino acids: against the library's own learning, Biopython and the exported file."""

import random
from functools import cache

import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import tokenizers as library
from nuclex.bio.genetic_code import CODONS
from nuclex.core.errors import InputError
from nuclex.tokenizers import TOKENIZERS, Tokenizer, load_tokenizer, save_tokenizer
from nuclex.tokenizers.script import CODON_SIGNS, RESIDUES

KINDS = ["bpe", "wordpiece", "unigram"]
SOUP = st.text("ACGTUacgtuRYNI|?*", max_size=60)
CODING = st.lists(st.sampled_from(CODONS), max_size=30).map("".join)


def coding(count=40, seed=4):
    generator = random.Random(seed)
    weights = [1 + (number * 7) % 11 for number in range(64)]
    return ["".join(generator.choices(CODONS, weights, k=100)) for _ in range(count)]


@cache
def built(kind: str, reads: str, frame: int = 0, remainder: str = "error", **settings: object) -> Tokenizer:
    values = {"kind": kind, "vocab_size": 110, "reads": reads, "frame": frame, "remainder": remainder, **settings}
    return TOKENIZERS.parse(values).train(["A" * frame + sequence for sequence in coding()])


@pytest.mark.parametrize("kind", KINDS)
@given(sequence=CODING, frame=st.sampled_from([0, 1, 2]), rna=st.booleans())
@settings(max_examples=25, deadline=None)
def test_codons_are_read_back(kind, sequence, frame, rna):
    tokenizer = built(kind, "codons", frame, alphabet="rna" if rna else "dna")
    own = sequence.replace("T", "U") if rna else sequence
    ids_L, spans_L2 = tokenizer.encode("G" * frame + sequence), tokenizer.spans("G" * frame + sequence)
    assert tokenizer.decode(ids_L) == own
    assert tokenizer.decode(ids_L, skip_special=False) == f"<s>{own}</s>"
    tokens = [tokenizer.vocabulary[index] for index in ids_L[1:-1]]
    assert all(len(token) % 3 == 0 for token in tokens)
    assert [own[begin - frame : end - frame] for begin, end in spans_L2.tolist()] == tokens
    assert tokenizer.decode(ids_L).endswith(own[-3:])  # the last codon survives


@pytest.mark.parametrize("kind", KINDS)
@given(sequence=CODING, table=st.sampled_from([1, 2, 11]))
@settings(max_examples=25, deadline=None)
def test_amino_acids_are_those_of_biopython(kind, sequence, table):
    tokenizer = built(kind, "amino-acids", 1, genetic_code=table)
    ids_L = tokenizer.encode("G" + sequence)
    assert tokenizer.decode(ids_L) == str(Seq(sequence).translate(table=table))
    lengths = [len(tokenizer.vocabulary[index]) for index in ids_L[1:-1]]
    assert [(end - begin) // 3 for begin, end in tokenizer.spans("G" + sequence).tolist()] == lengths


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads", ["codons", "amino-acids"])
@pytest.mark.parametrize(("frame", "remainder"), [(0, "unknown"), (1, "trim"), (2, "unknown")])
@given(sequence=st.one_of(SOUP, CODING))
@settings(max_examples=40, deadline=None)
def test_the_exported_file_reads_nucleotides_alike(kind, reads, frame, remainder, sequence):
    tokenizer = built(kind, reads, frame, remainder, max_unknown_share=1.0)
    reference = exported(kind, reads, frame, remainder)
    ids_L = tokenizer.encode(sequence)
    assert reference.encode(sequence).ids == ids_L.tolist()
    assert reference.decode(ids_L.tolist()) == tokenizer.decode(ids_L)
    assert reference.decode(ids_L.tolist(), skip_special_tokens=False) == tokenizer.decode(ids_L, skip_special=False)
    assert len(tokenizer.spans(sequence)) == len(ids_L) - 2


@cache
def exported(*case):
    return library.Tokenizer.from_str(built(*case, max_unknown_share=1.0).to_json())


def test_merges_are_those_that_the_library_learns_of_one_sign_a_codon():
    signs = dict(zip(CODONS, CODON_SIGNS, strict=True))
    texts = ["".join(signs[s[place : place + 3]] for place in range(0, 300, 3)) for s in coding()]
    reference = library.Tokenizer(library.models.BPE())
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = library.trainers.BpeTrainer(
        vocab_size=110,
        min_frequency=2,
        special_tokens=specials,
        initial_alphabet=list(CODON_SIGNS),
        show_progress=False,
    )
    reference.train_from_iterator(texts, trainer)
    codons = dict(zip(CODON_SIGNS, CODONS, strict=True))
    learned = sorted(reference.get_vocab(), key=reference.get_vocab().__getitem__)
    spelled = [token if token in specials else "".join(codons[sign] for sign in token) for token in learned]
    assert list(built("bpe", "codons").vocabulary) == spelled
    assert spelled[5:69] == list(CODONS)


def test_single_letters_are_codons_or_amino_acids_and_words_hold_more():
    for kind in KINDS:
        assert built(kind, "codons").vocabulary[5:69] == CODONS
        assert built(kind, "amino-acids").vocabulary[5:26] == tuple(RESIDUES) == tuple("*ACDEFGHIKLMNPQRSTVWY")
        for reads in ("codons", "amino-acids"):
            assert len(built(kind, reads)) == 110
            for index in built(kind, reads).random_ids[64:]:
                token = built(kind, reads).vocabulary[index]
                assert len(token) >= (6 if reads == "codons" else 2)


def test_remainders_and_unknown_codons_are_dealt_with_as_said():
    tokenizer = built("bpe", "codons")
    with pytest.raises(InputError, match=r"7 nucleotides leave 1 behind the last whole codon of frame 0"):
        tokenizer.encode("ATGGCAT")
    with pytest.raises(InputError, match=r"'GNA' at position 3 .* 1 of 2 symbols \(50.0%\); .* known: codons of ACGT"):
        tokenizer.encode("ATGGNA")
    with pytest.raises(InputError, match=r"is unknown, and so are"):
        tokenizer.encode("MSKGEELFTGVVPILVEL")
    with pytest.raises(InputError, match=r"at position 3 .* is not ASCII"):
        tokenizer.encode("ATGé")
    assert built("bpe", "codons", remainder="trim").decode(built("bpe", "codons").encode("ATGGCA")) == "ATGGCA"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads", ["codons", "amino-acids"])
def test_a_saved_one_comes_back(kind, reads, tmp_path):
    tokenizer = built(kind, reads, 1)
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.config == tokenizer.config
    assert loaded.vocabulary == tokenizer.vocabulary
    assert loaded.to_json() == tokenizer.to_json()


def test_a_frame_is_needed_for_codons_and_only_for_them():
    for values, sentence in [
        ({"reads": "codons"}, r"frame: found None with reads = 'codons'; codons need one, 0, 1 or 2"),
        ({"frame": 0}, r"frame: found 0 with reads = 'nucleotides'; nucleotides have none"),
        ({"reads": "codons", "frame": 0, "vocab_size": 68}, r"vocab_size: found 68; with reads = 'codons' it is 69 at"),
        ({"reads": "amino-acids", "frame": 0, "genetic_code": 7}, r"genetic code 7 is not known"),
    ]:
        with pytest.raises(ValidationError, match=sentence):
            TOKENIZERS["bpe"](**values)
