import re
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import tokenizers as library
from nuclex.core.errors import InputError
from nuclex.tokenizers import CodonConfig, KmerConfig

ANY = [(k, stride) for k in range(1, 9) for stride in sorted({1, k})]
SOUP = st.text("ACGTacgtuUNRYKMSWBDHVX-? ", max_size=40)


@cache
def kmers(**values):
    return KmerConfig(**{"k": 3, **values}).build()


def test_vocabulary_is_specials_words_in_alphabetical_order_and_single_letters():
    tokenizer = kmers()
    assert tokenizer.vocabulary[:5] == ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>")
    assert tokenizer.vocabulary[5:69] == tuple("".join(letters) for letters in product("ACGT", repeat=3))
    assert tokenizer.vocabulary[69:] == ("A", "C", "G", "T")
    assert tokenizer.random_ids.tolist() == list(range(5, 69))
    assert kmers(remainder="drop").vocabulary == kmers(remainder="error").vocabulary == tokenizer.vocabulary[:69]
    assert kmers(alphabet="rna").vocabulary[68:] == ("UUU", "A", "C", "G", "U")
    assert [len(KmerConfig(k=k).build()) for k in (1, 3, 6, 8)] == [5 + 4, 5 + 64 + 4, 5 + 4096 + 4, 5 + 65536 + 4]


def helms(k, **values):
    return kmers(k=k, compatibility="helm-released", remainder="drop", **values)


def test_helms_vocabularies_are_had_by_their_name():
    six = helms(6)
    places = {token: index for index, token in enumerate(six.vocabulary)}
    # lines of the list in HELM's kmer_vocab.py, counted from 0
    listed = {"<mask>": 4, "AAAAAA": 5, "AAAAAT": 6, "AAAATA": 9, "TAAAAA": 1029, "CAGCTC": 2283, "GGGGGG": 4100}
    assert (len(six), {token: places[token] for token in listed}) == (4101, listed)
    assert six.random_ids.tolist() == list(range(5, 4101))
    assert helms(3).vocabulary == CodonConfig(frame=0).build().vocabulary
    assert helms(3, stride=1).special_ids.tolist() == [0, 1, 2, 3, 68, 69]
    assert helms(1).vocabulary == ("<cls>", "<pad>", "<eos>", "<unk>", "A", "T", "C", "G", "<mask>")
    assert helms(6, alphabet="rna").vocabulary[6] == "AAAAAU"
    for tokenizer in (six, helms(3), helms(1)):
        assert [tokenizer.cls_id, tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id] == [0, 1, 2, 3]
        assert tokenizer.vocabulary[tokenizer.mask_id] == "<mask>"


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 2), (3, 3), (6, 6), (6, 4)])
@given(letters=SOUP)
@settings(max_examples=20, deadline=None)
def test_helms_ids_equal_a_walk_through_the_sequence(k, stride, letters):
    tokenizer = helms(k, stride=stride, max_unknown_share=1.0)
    read = letters.upper().replace("U", "T")
    ids = {"".join(word): place for place, word in enumerate(product("ATCG", repeat=k), 5 if k == 6 else 4)}
    expected = [0, *(ids.get(read[i : i + k], 3) for i in range(0, len(read) - k + 1, stride)), 2]
    assert tokenizer.encode(letters).tolist() == expected
    file = library.Tokenizer.from_str(tokenizer.to_json())
    assert file.encode(letters).ids == expected
    assert tokenizer.decode([*expected, tokenizer.mask_id]) == tokenizer.decode(expected)


def test_what_helm_has_not_is_refused():
    with pytest.raises(ValidationError, match="compatibility: HELM has words of 1, 3 and 6 letters; found k = 4"):
        KmerConfig(k=4, compatibility="helm-released", remainder="drop")
    with pytest.raises(ValidationError, match="HELM has no single letters beside its words; say remainder = 'drop'"):
        KmerConfig(k=6, compatibility="helm-released")


def test_stride_is_k_unless_words_shall_overlap():
    assert KmerConfig(k=5).stride == 5
    assert KmerConfig.from_data({"k": 5, "stride": 1}).stride == 1
    for wrong in (6, 0):
        with pytest.raises(
            ValidationError, match=rf"stride: found {wrong}; allowed: 1 \(words .*\) to 5 \(side by side"
        ):
            KmerConfig(k=5, stride=wrong)
    with pytest.raises(
        ValidationError, match="remainder: 'keep' needs a stride of 1 or 5; with 2 say 'drop' or 'error'"
    ):
        KmerConfig(k=5, stride=2)
    for k in (0, 11):
        with pytest.raises(ValidationError, match="k\n"):
            KmerConfig(k=k)


@pytest.mark.parametrize(("k", "stride"), ANY)
@given(letters=SOUP)
@settings(max_examples=30, deadline=None)
def test_ids_and_spans_equal_a_walk_through_the_sequence(k, stride, letters):
    tokenizer = kmers(k=k, stride=stride, max_unknown_share=1.0)
    read = letters.upper().replace("U", "T")
    spans = [[place, place + k] for place in range(0, len(read) - k + 1, stride)]
    behind = spans[-1][1] if spans else 0
    spans += [[place, place + 1] for place in range(behind, len(read))]
    ids = {token: index for index, token in enumerate(tokenizer.vocabulary) if re.fullmatch("[ACGT]+", token)}
    assert tokenizer.spans(letters).tolist() == spans
    expected = [ids.get(read[begin:end], tokenizer.unk_id) for begin, end in spans]
    assert tokenizer.encode(letters, start=False, end=False).tolist() == expected


@pytest.mark.parametrize(("k", "stride"), ANY)
@given(letters=st.text("ACGT", max_size=40))
@settings(max_examples=30, deadline=None)
def test_nothing_is_lost_by_default(k, stride, letters):
    tokenizer = kmers(k=k, stride=stride)
    assert tokenizer.decode(tokenizer.encode(letters)) == letters
    spelled = tokenizer.decode(tokenizer.encode(letters), skip_special=False)
    assert spelled == f"<cls>{letters}<eos>"


@pytest.mark.parametrize(("k", "stride"), ANY)
@pytest.mark.parametrize("remainder", ["keep", "drop"])
def test_the_exported_file_gives_the_same_ids_for_long_text(k, stride, remainder):
    tokenizer = KmerConfig(k=k, stride=stride, remainder=remainder, max_unknown_share=1.0).build()
    exported = library.Tokenizer.from_str(tokenizer.to_json())
    letters = np.random.default_rng(k).choice(list("ACGTacgtuN"), 500, p=[0.12] * 8 + [0.03, 0.01])
    for length in (500, 499, k, k - 1, 0):
        sequence = "".join(letters[:length])
        assert exported.encode(sequence).ids == tokenizer.encode(sequence).tolist()
        known = sequence.replace("N", "")
        assert exported.decode(exported.encode(known).ids) == tokenizer.decode(tokenizer.encode(known))


@pytest.mark.parametrize(("k", "stride"), [(k, stride) for k in range(3, 9) for stride in range(2, k)])
@given(letters=SOUP)
@settings(max_examples=15, deadline=None)
def test_words_may_overlap_by_any_number_of_letters(k, stride, letters):
    tokenizer = kmers(k=k, stride=stride, remainder="drop", max_unknown_share=1.0)
    read = letters.upper().replace("U", "T")
    words = [read[place : place + k] for place in range(0, len(read) - k + 1, stride)]  # as HELM walks, k - overlap on
    ids = {token: index for index, token in enumerate(tokenizer.vocabulary)}
    ids_L = tokenizer.encode(letters, start=False, end=False)
    assert ids_L.tolist() == [ids.get(word, tokenizer.unk_id) for word in words]
    assert tokenizer.spans(letters).tolist() == [[n * stride, n * stride + k] for n in range(len(words))]
    file = exported(k, stride)
    assert file.encode(letters).ids[1:-1] == ids_L.tolist()
    if tokenizer.unk_id not in ids_L:
        covered = read[: (len(words) - 1) * stride + k] if words else ""
        assert tokenizer.decode(ids_L) == file.decode(ids_L.tolist()) == covered
    if len(words) and covers_all(len(read), k, stride):
        kmers(k=k, stride=stride, remainder="error", max_unknown_share=1.0).encode(letters)
    elif read:
        with pytest.raises(InputError, match=r"nucleotides leave \d in no whole word"):
            kmers(k=k, stride=stride, remainder="error", max_unknown_share=1.0).encode(letters)


def covers_all(length, k, stride):
    return length >= k and (length - k) % stride == 0


@cache
def exported(k, stride):
    return library.Tokenizer.from_str(kmers(k=k, stride=stride, remainder="drop", max_unknown_share=1.0).to_json())


def test_overlapping_words_are_decoded_around_what_is_hidden():
    tokenizer = kmers(stride=1, max_unknown_share=1.0)
    ids_L = tokenizer.encode("ACGTAC")
    ids_L[2] = tokenizer.mask_id  # its letters stand in the words around it
    assert tokenizer.decode(ids_L) == "ACGTAC"
    assert tokenizer.decode(ids_L, skip_special=False) == "<cls>ACG<mask>TAC<eos>"
    ids_L[1:4] = tokenizer.mask_id  # the first two letters are in no other word
    assert tokenizer.decode(ids_L) == "TAC"
    # the three words with the N are unknown; AAA before and AAA behind it share no letter
    assert tokenizer.decode(tokenizer.encode("AAANAAA")) == "AAAAAA"
    assert tokenizer.decode([*tokenizer.encode("ACG"), *tokenizer.encode("ACG")]) == "ACGACG"


def test_a_remainder_can_be_refused_and_dropped():
    with pytest.raises(InputError, match=r"8 nucleotides leave 2 in no whole word of 3; .* 'keep' or 'drop'"):
        kmers(remainder="error").encode("ACGTACGT")
    assert kmers(remainder="error").decode(kmers(remainder="error").encode("ACGTAC")) == "ACGTAC"
    assert kmers(remainder="drop").decode(kmers(remainder="drop").encode("ACGTACGT")) == "ACGTAC"
    with pytest.raises(InputError, match="2 nucleotides leave 2"):
        kmers(remainder="error", stride=1).encode("AC")
    assert kmers(remainder="error", stride=1).encode("ACGT", start=False, end=False).tolist() == [5 + 6, 5 + 27]


def test_words_with_other_letters_count_as_unknown():
    letters = "ACG" * 19 + "ANG"
    assert kmers(max_unknown_share=0.05).encode(letters, end=False)[-1] == 3
    with pytest.raises(InputError) as caught:
        kmers(max_unknown_share=0.049).encode(letters)
    assert str(caught.value) == (
        "sequence: 'ANG' at position 57 (counted from 0) is unknown, and so are 1 of 20 symbols (5.0%); "
        "at most 4.9% may be; known: words of 3 letters of ACGT"
    )
    with pytest.raises(InputError, match=r"'GAN' at position 56 .* 3 of 59 symbols"):
        kmers(max_unknown_share=0.05, stride=1).encode(letters + "A")
    with pytest.raises(InputError, match=r"'N' at position 3 .* 1 of 2 symbols"):  # a single letter that is kept
        kmers().encode("ACGN")
