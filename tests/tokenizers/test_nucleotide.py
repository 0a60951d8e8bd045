import pytest

from nuclex.core.errors import InputError
from nuclex.tokenizers import NucleotideConfig

# The order of RiNALMo's embedding rows, written out by hand (facts about the released model).
RINALMO = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *"ACGTIRYKMSWBDHVN-"]


def test_vocabulary_is_rinalmos():
    tokenizer = NucleotideConfig().build()
    assert list(tokenizer.vocabulary) == RINALMO
    assert len(tokenizer) == 22
    assert (tokenizer.pad_id, tokenizer.mask_id) == (1, 4)
    assert [tokenizer.vocabulary[index] for index in tokenizer.random_ids] == list("ACGTN")
    assert tokenizer.special_ids.tolist() == [0, 1, 2, 3, 4]


def test_every_symbol_has_its_own_id():
    ids_L = NucleotideConfig().build().encode("ACGTIRYKMSWBDHVN-")
    assert ids_L.tolist() == [0, *range(5, 22), 2]


def test_rna_alphabet_writes_u_where_dna_writes_t():
    dna, rna = NucleotideConfig().build(), NucleotideConfig(alphabet="rna").build()
    assert rna.vocabulary == tuple(token.replace("T", "U") for token in dna.vocabulary)
    assert rna.encode("ACGTu").tolist() == dna.encode("ACGTu").tolist()
    assert rna.decode(rna.encode("GATTACA")) == "GAUUACA"
    assert [rna.vocabulary[index] for index in rna.random_ids] == list("ACGUN")


def test_unknown_share_is_counted_exactly():
    tokenizer = NucleotideConfig().build()
    ids_L = tokenizer.encode("A" * 19 + "X", start=False, end=False)
    assert ids_L.tolist() == [5] * 19 + [3]
    with pytest.raises(InputError, match=r"'x' at position 18 .* 1 of 19 symbols \(5.3%\)"):
        tokenizer.encode("A" * 18 + "x")
    strict = NucleotideConfig(max_unknown_share=0.0).build()
    with pytest.raises(InputError, match=r"at most 0\.0%"):
        strict.encode("A" * 1000 + "X")


def test_names_of_special_tokens_are_only_letters():
    tokenizer = NucleotideConfig(max_unknown_share=1.0).build()
    assert tokenizer.encode("<mask>", start=False, end=False).tolist() == [3, 13, 5, 14, 12, 3]  # < M A S K >


def test_arrays_given_out_can_be_changed_without_harm():
    tokenizer = NucleotideConfig().build()
    tokenizer.random_ids[:] = 0
    tokenizer.special_ids[:] = 0
    tokenizer.encode("ACGT")[:] = 0
    assert tokenizer.random_ids.tolist() == [5, 6, 7, 8, 20]
    assert tokenizer.encode("ACGT").tolist() == [0, 5, 6, 7, 8, 2]
