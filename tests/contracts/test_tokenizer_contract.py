"""What every registered tokenizer must do, whatever its tokens are; EXAMPLES has kinds with keys that must be given.

A kind of an installed package from outside is asked the same, as its config is by default.
"""

import pickle
import random
from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizers as library
from nuclex.bio import GeneticCode
from nuclex.core.errors import InputError
from nuclex.tokenizers import TOKENIZERS, Tokenizer, load_tokenizer, save_tokenizer, tokenizer_hash

# Beside the kind itself: what a config of it needs, and the frame in which it starts to read.
EXAMPLES = {
    "nucleotide": [{}],
    "codon": [{"frame": 0, "remainder": "unknown"}, {"frame": 0, "remainder": "trim"}, {"frame": 2}],
    "amino-acid": [{"frame": 0, "remainder": "unknown"}, {"frame": 1, "remainder": "trim", "genetic_code": 2}],
    "kmer": [
        {"k": 6},
        {"k": 3, "remainder": "drop"},
        {"k": 4, "stride": 1},
        {"k": 3, "stride": 1, "remainder": "drop"},
    ],
    "bpe": [{"vocab_size": 90}],
    "wordpiece": [{"vocab_size": 90}],
    "unigram": [{"vocab_size": 90, "max_token_length": 6}],
}
READINGS = [{}, {"alphabet": "rna"}, {"case": "keep"}]
CASES = [
    pytest.param((kind, tuple({**example, **reading}.items())), id=f"{kind}-{number}-{'-'.join(reading.values())}")
    for kind in TOKENIZERS.names()
    for number, example in enumerate(EXAMPLES.get(kind, [{}]))
    for reading in READINGS
]
WHOLE = st.lists(st.sampled_from(["A", "C", "G", "T"]), max_size=40).map(lambda letters: "".join(letters) * 3)
# The special tokens begin with "<", which Hugging Face libraries look for in the text and nuclex does not.
ANYTHING = st.text(st.characters(max_codepoint=127, exclude_characters="<"), max_size=60)
IUPAC_SOUP = st.text("ACGTUacgtuRYKMSWBDHVNIrykmswbdhvni-?xXE* \n", max_size=60)


@cache
def built(case: tuple[str, tuple[tuple[str, object], ...]], share: float = 0.05) -> Tokenizer:
    kind, values = case
    config = TOKENIZERS.parse({"kind": kind, "max_unknown_share": share, **dict(values)})
    if share != 0.05:
        return config.restore(built(case).to_json())
    generator = random.Random(1)
    return config.train(["".join(generator.choices("ACGT", k=300)) for _ in range(20)])


def readable(tokenizer: Tokenizer, sequence: str) -> str:
    """The sequence in the tokenizer's own letters."""
    return sequence.replace("T", "U") if tokenizer.config.alphabet == "rna" else sequence


def frame(tokenizer: Tokenizer) -> int:
    return int(tokenizer.config.to_data().get("frame") or 0)


def told(tokenizer: Tokenizer, sequence: str) -> str:
    """What a tokenizer gives back of a sequence in its own letters: itself, or amino acids."""
    table = tokenizer.config.to_data().get("genetic_code")
    return GeneticCode.ncbi(table).translate(sequence) if tokenizer.config.kind == "amino-acid" else sequence


def overlapping(tokenizer: Tokenizer) -> bool:
    return tokenizer.config.to_data().get("stride") == 1


@pytest.mark.parametrize("case", CASES)
@given(sequence=WHOLE)
@settings(max_examples=25, deadline=None)
def test_what_was_encoded_is_decoded(case, sequence):
    tokenizer = built(case)
    sequence = readable(tokenizer, sequence)
    text = "A" * frame(tokenizer) + sequence
    ids_L = tokenizer.encode(text)
    assert ids_L.dtype == np.int64
    known = told(tokenizer, sequence)
    assert tokenizer.decode(ids_L) == known
    assert tokenizer.decode(ids_L, skip_special=False) == tokenizer.special.cls + known + tokenizer.special.eos
    assert np.array_equal(tokenizer.encode(text.encode()), ids_L)
    assert np.array_equal(tokenizer.encode(text, start=False, end=False), ids_L[1:-1])
    assert np.array_equal(tokenizer.encode(text, end=False), ids_L[:-1])
    assert np.array_equal(tokenizer.encode(text, start=False), ids_L[1:])


@pytest.mark.parametrize("case", CASES)
@given(sequence=WHOLE)
@settings(max_examples=25, deadline=None)
def test_spans_tile_the_sequence_and_hold_their_tokens(case, sequence):
    tokenizer = built(case)
    text = "A" * frame(tokenizer) + readable(tokenizer, sequence)
    spans_L2 = tokenizer.spans(text)
    assert spans_L2.dtype == np.int64
    edges = [frame(tokenizer), *spans_L2[:, 1].tolist()]
    if overlapping(tokenizer):
        assert spans_L2[:, 0].tolist() == list(range(len(spans_L2)))
    else:
        assert spans_L2[:, 0].tolist() == edges[:-1]
    assert edges[-1] == len(text)
    tokens = [tokenizer.vocabulary[index] for index in tokenizer.encode(text, start=False, end=False)]
    assert [told(tokenizer, text[begin:finish]) for begin, finish in spans_L2] == tokens


@pytest.mark.parametrize("case", CASES)
@given(sequence=st.one_of(ANYTHING, IUPAC_SOUP))
@settings(max_examples=60, deadline=None)
def test_ids_equal_those_of_the_exported_file(case, sequence):
    tokenizer = built(case, share=1.0)
    if tokenizer.config.to_data().get("remainder") == "error":  # the file cannot refuse anything
        sequence = sequence[: len(sequence) - max(0, len(sequence) - frame(tokenizer)) % 3]
    ids_L = tokenizer.encode(sequence)
    reference = exported(case).encode(sequence)
    assert ids_L.tolist() == reference.ids
    assert len(tokenizer.spans(sequence)) == len(ids_L) - 2
    assert ids_L.min() >= 0
    assert ids_L.max() < len(tokenizer)
    if not (overlapping(tokenizer) and tokenizer.unk_id in ids_L):  # the file forgets where it left an unknown out
        assert tokenizer.decode(ids_L) == exported(case).decode(reference.ids)


@cache
def exported(case: tuple[str, tuple[tuple[str, object], ...]]) -> library.Tokenizer:
    return library.Tokenizer.from_str(built(case, share=1.0).to_json())


@pytest.mark.parametrize("case", CASES)
def test_vocabulary_is_that_of_the_exported_file(case):
    tokenizer = built(case, share=1.0)
    assert exported(case).get_vocab() == {token: index for index, token in enumerate(tokenizer.vocabulary)}
    assert exported(case).get_vocab_size() == len(tokenizer) == len(set(tokenizer.vocabulary))
    special = tokenizer.special
    ids = (tokenizer.cls_id, tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id, tokenizer.mask_id)
    assert tuple(tokenizer.vocabulary[index] for index in ids) == (
        special.cls, special.pad, special.eos, special.unk, special.mask,
    )  # fmt: skip
    assert set(ids) <= set(tokenizer.special_ids.tolist())
    assert not set(tokenizer.random_ids.tolist()) & set(tokenizer.special_ids.tolist())
    assert len(tokenizer.random_ids) >= 4
    assert tokenizer.random_ids.dtype == tokenizer.special_ids.dtype == np.int64


@pytest.mark.parametrize("case", CASES)
def test_a_saved_tokenizer_comes_back_the_same(case, tmp_path):
    tokenizer = built(case)
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is type(tokenizer)
    assert loaded.config == tokenizer.config
    assert loaded.vocabulary == tokenizer.vocabulary
    assert (tmp_path / "tokenizer.json").read_text() == loaded.to_json() == tokenizer.to_json()
    assert tokenizer_hash(loaded) == tokenizer_hash(tokenizer)
    worker = pickle.loads(pickle.dumps(tokenizer))  # as a worker process gets it
    assert worker.to_json() == tokenizer.to_json()
    assert np.array_equal(worker.encode("AAACCCAA"), tokenizer.encode("AAACCCAA"))


def outcome(tokenizer: Tokenizer, sequence: str) -> list[int] | str:
    """The ids, or the sentence of the refusal."""
    try:
        return tokenizer.encode(sequence).tolist()
    except InputError as error:
        return str(error)


@cache
def reloaded(case: tuple[str, tuple[tuple[str, object], ...]], share: float) -> Tokenizer:
    with TemporaryDirectory() as folder:
        save_tokenizer(built(case, share), folder)
        return load_tokenizer(folder)


@pytest.mark.parametrize("case", CASES)
@given(sequence=IUPAC_SOUP, share=st.sampled_from([0.0, 0.1, 0.3]))
@settings(max_examples=40, deadline=None)
def test_no_more_is_unknown_than_the_config_allows_and_a_reloaded_one_does_the_same(case, sequence, share):
    tokenizer, lenient = built(case, share), built(case, 1.0)
    found = outcome(tokenizer, sequence)
    assert outcome(reloaded(case, share), sequence) == found
    ids = outcome(lenient, sequence)
    if isinstance(ids, str):  # a remainder that the config refuses
        assert found == ids
        return
    unknown = sum(index == tokenizer.unk_id for index in ids)
    total = len(ids) - 2
    if tokenizer.config.kind in {"codon", "amino-acid"} and tokenizer.config.to_data()["remainder"] == "unknown":
        incomplete = (len(sequence) - frame(tokenizer)) % 3 != 0 and len(sequence) > frame(tokenizer)
        unknown, total = unknown - incomplete, total - incomplete  # what is left behind the last codon does not count
    elif tokenizer.config.kind in {"bpe", "wordpiece", "unigram"}:
        total = len(sequence)  # tokens are of many lengths, so letters are counted
    if unknown <= share * total:
        assert found == ids
    else:
        assert f"so are {unknown} of {total} symbols ({unknown / total:.1%}); at most {share:.1%} may be" in found


@pytest.mark.parametrize("case", CASES)
def test_an_empty_sequence_is_only_its_ends(case):
    tokenizer = built(case)
    for empty in ("", b""):
        assert tokenizer.encode(empty).tolist() == [tokenizer.cls_id, tokenizer.eos_id]
        assert tokenizer.encode(empty, start=False, end=False).tolist() == []
        assert tokenizer.spans(empty).shape == (0, 2)
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("case", CASES)
def test_a_single_symbol_is_a_token_unless_codons_are_wanted_or_remainders_dropped(case):
    tokenizer = built(case)
    if tokenizer.config.to_data().get("remainder") == "drop":
        assert tokenizer.encode("G", start=False, end=False).tolist() == tokenizer.spans("G").tolist() == []
    elif tokenizer.config.kind not in {"codon", "amino-acid"}:
        ids_L = tokenizer.encode("G", start=False, end=False)
        assert [tokenizer.vocabulary[index] for index in ids_L] == ["G"]
        assert tokenizer.spans("G").tolist() == [[0, 1]]
    else:
        remainder = tokenizer.config.to_data()["remainder"]
        one_more = "A" * frame(tokenizer) + "G"
        if remainder == "error":
            with pytest.raises(InputError, match="leave 1 behind the last whole codon"):
                tokenizer.encode(one_more)
        else:
            expected = [tokenizer.unk_id] if remainder == "unknown" else []
            assert tokenizer.encode(one_more, start=False, end=False).tolist() == expected


@pytest.mark.parametrize("case", CASES)
def test_letters_that_are_not_ascii_are_refused(case):
    tokenizer = built(case, share=1.0)
    for sequence in ("ACGé", "ACGé".encode("latin-1"), "ACG\ud800"):
        with pytest.raises(InputError, match=r"at position 3 .* is not ASCII"):
            tokenizer.encode(sequence)
        with pytest.raises(InputError, match=r"at position 3 .* is not ASCII"):
            tokenizer.spans(sequence)


@pytest.mark.parametrize("case", CASES)
def test_a_protein_is_refused_with_symbol_place_and_share(case):
    tokenizer = built(case)
    protein = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLV"
    protein = protein[: len(protein) // 3 * 3] + "KK"[: frame(tokenizer)]
    with pytest.raises(InputError, match=r"at position \d+ .* is unknown, .* at most 5.0% may be; known: "):
        tokenizer.encode(protein)


@pytest.mark.parametrize("case", CASES)
def test_an_id_outside_the_vocabulary_is_refused(case):
    tokenizer = built(case)
    for wrong in (-1, len(tokenizer)):
        with pytest.raises(InputError, match=f"id {wrong}: not a token"):
            tokenizer.decode([0, wrong])


@pytest.mark.parametrize("case", CASES)
def test_u_and_t_and_lower_case_are_read_by_policy(case):
    tokenizer = built(case)
    prefix = "A" * frame(tokenizer)
    ids_L = tokenizer.encode(prefix + "TTTACG")
    assert np.array_equal(tokenizer.encode(prefix + "UUUACG"), ids_L)
    if tokenizer.config.case == "upper":
        assert np.array_equal(tokenizer.encode(prefix + "uTtacg"), ids_L)
    else:
        with pytest.raises(InputError, match="is unknown"):
            tokenizer.encode(prefix + "uTtacg")
