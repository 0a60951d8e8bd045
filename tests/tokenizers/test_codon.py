import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import tokenizers as library
from nuclex.bio.genetic_code import CODONS
from nuclex.core.errors import InputError
from nuclex.tokenizers import CodonConfig


def codons(**values):
    return CodonConfig(**{"frame": 0, **values}).build()


def test_vocabulary_is_helms():
    vocabulary = codons().vocabulary
    assert len(vocabulary) == 70
    assert vocabulary[:4] == ("<cls>", "<pad>", "<eos>", "<unk>")
    assert vocabulary[4:9] == ("AAA", "AAT", "AAC", "AAG", "ATA")
    assert vocabulary[67:] == ("GGG", "<mask>", "<distill_token>")
    assert set(vocabulary[4:68]) == {"".join(letters) for letters in product("ACGT", repeat=3)}


def test_roles_of_the_ids():
    tokenizer = codons()
    assert (tokenizer.cls_id, tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id, tokenizer.mask_id) == (
        0, 1, 2, 3, 68,
    )  # fmt: skip
    assert tokenizer.special_ids.tolist() == [0, 1, 2, 3, 68, 69]
    assert tokenizer.random_ids.tolist() == list(range(4, 68))


def test_the_order_of_helms_tree_is_had_by_its_name():
    tokenizer = codons(compatibility="helm-released")
    first = ("<cls>", "<distill_token>", "<eos>", "<mask>", "<pad>", "<unk>")
    assert tokenizer.vocabulary == tuple(sorted(codons().vocabulary)) == (*first, *CODONS)
    ids = (tokenizer.cls_id, tokenizer.eos_id, tokenizer.mask_id, tokenizer.pad_id, tokenizer.unk_id)
    assert ids == (0, 2, 3, 4, 5)
    assert tokenizer.special_ids.tolist() == list(range(6))
    assert tokenizer.random_ids.tolist() == list(range(6, 70))
    assert tokenizer.encode("AAAGTTTTT").tolist() == [0, 6, 6 + CODONS.index("GTT"), 69, 2]
    assert tokenizer.decode(tokenizer.encode("ATGAAATAA")) == "ATGAAATAA"
    file = library.Tokenizer.from_str(tokenizer.to_json())
    assert file.encode("augaaataa").ids == tokenizer.encode("augaaataa").tolist()


def test_frame_must_be_stated():
    with pytest.raises(ValidationError, match="frame"):
        CodonConfig()


@given(letters=st.text("ACGTacgtuUNRX-", max_size=40), frame=st.sampled_from([0, 1, 2]))
def test_ids_equal_a_walk_through_the_sequence(letters, frame):
    tokenizer = codons(frame=frame, remainder="unknown", max_unknown_share=1.0)
    read = letters.upper().replace("U", "T")[frame:]
    triplets = [read[place : place + 3] for place in range(0, len(read), 3)]
    known = {token: index for index, token in enumerate(tokenizer.vocabulary) if re.fullmatch("[ACGT]{3}", token)}
    assert tokenizer.encode(letters, start=False, end=False).tolist() == [known.get(each, 3) for each in triplets]


def test_the_last_codon_survives():
    assert codons().decode(codons().encode("ATGAAATAA")) == "ATGAAATAA"


@pytest.mark.parametrize("left", ["G", "GC"])
def test_remainder(left):
    coding = "ATGAAATAA"
    with pytest.raises(InputError, match=rf"{9 + len(left)} nucleotides leave {len(left)} .* of frame 0"):
        codons().encode(coding + left)
    assert codons(remainder="trim").encode(coding + left).tolist() == codons().encode(coding).tolist()
    assert codons(remainder="trim").spans(coding + left).tolist() == [[0, 3], [3, 6], [6, 9]]
    unknown = codons(remainder="unknown")
    assert unknown.encode(coding + left).tolist() == [*codons().encode(coding, end=False).tolist(), 3, 2]
    assert unknown.spans(coding + left).tolist()[-1] == [9, 9 + len(left)]


@pytest.mark.parametrize("frame", [1, 2])
def test_nucleotides_before_the_frame_are_passed_over(frame):
    tokenizer = codons(frame=frame)
    text = "CC"[:frame] + "ATGAAA"
    assert tokenizer.decode(tokenizer.encode(text)) == "ATGAAA"
    assert tokenizer.spans(text).tolist() == [[frame, frame + 3], [frame + 3, frame + 6]]
    assert tokenizer.encode("C" * frame, start=False, end=False).tolist() == []


def test_unknown_share_is_counted_in_codons():
    coding = "ATG" * 19
    assert codons().encode(coding + "ANG", start=False, end=False).tolist() == [*[11] * 19, 3]
    with pytest.raises(InputError, match=r"'ANG' at position 3 .* 1 of 19 symbols \(5.3%\)"):
        codons().encode("ATGANG" + "ATG" * 17)
    with pytest.raises(InputError, match=r"'NNN' at position 4 "):
        codons(frame=1).encode("CATGNNN")


def test_rna_alphabet():
    tokenizer = codons(alphabet="rna")
    assert tokenizer.vocabulary == tuple(
        token if token.startswith("<") else token.replace("T", "U") for token in codons().vocabulary
    )
    assert tokenizer.decode(tokenizer.encode("ATGUAA")) == "AUGUAA"
