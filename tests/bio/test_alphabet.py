"""Alphabets against Biopython and a letter-by-letter reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from Bio.Data import IUPACData
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio import (
    AMINO_ACIDS,
    AMINO_ACIDS_IUPAC,
    DNA,
    DNA_IUPAC,
    RNA,
    RNA_IUPAC,
    Alphabet,
    to_dna,
    to_rna,
)
from nuclex.core.errors import InputError

ALL = [DNA, RNA, DNA_IUPAC, RNA_IUPAC, AMINO_ACIDS, AMINO_ACIDS_IUPAC]
NUCLEIC = [DNA, RNA, DNA_IUPAC, RNA_IUPAC]


@pytest.mark.parametrize("alphabet", ALL, ids=lambda alphabet: alphabet.name)
@given(data=st.data())
def test_encode_is_the_place_in_the_order_and_decode_undoes_it(alphabet: Alphabet, data: st.DataObject) -> None:
    text = data.draw(st.text(alphabet.symbols, max_size=50))
    codes = alphabet.encode(text)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [alphabet.symbols.index(symbol) for symbol in text]
    assert alphabet.decode(codes) == text.encode()
    assert np.array_equal(alphabet.encode(text.encode()), codes)
    assert np.array_equal(alphabet.encode(np.frombuffer(text.encode(), dtype=np.uint8)), codes)
    assert np.array_equal(alphabet.encode(text.lower(), ignore_case=True), codes)
    assert alphabet.counts(text) == {symbol: text.count(symbol) for symbol in alphabet.symbols}


@given(st.text(st.characters() | st.sampled_from("ACGTacgtN"), max_size=20))
def test_first_invalid_is_the_first_letter_not_in_the_alphabet(text: str) -> None:
    expected = next((position for position, letter in enumerate(text) if letter not in "ACGT"), None)
    assert DNA.first_invalid(text) == expected
    assert DNA.is_valid(text) == (expected is None)
    folded = next((position for position, letter in enumerate(text) if letter not in "ACGTacgt"), None)
    assert DNA.first_invalid(text, ignore_case=True) == folded


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("ACGU", "DNA: letter 'U' at position 3 is not one of ACGT"),
        ("ACéT", "DNA: letter 'é' at position 2 is not one of ACGT"),
        ("A😀", "DNA: letter '😀' at position 1 is not one of ACGT"),
        (b"AC\xff", "DNA: letter 'ÿ' at position 2 is not one of ACGT"),
        ("Aa", r"DNA: letter 'a' at position 1 is not one of ACGT \(lower case is not accepted here\)"),
        (np.frombuffer(b"ANA", dtype=np.uint8), "DNA: letter 'N' at position 1"),
    ],
)
def test_unknown_letter_is_named_with_its_position(sequence: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DNA.encode(sequence)


def test_decode_refuses_codes_that_are_no_letters() -> None:
    with pytest.raises(InputError, match=r"DNA: code 4 at position 1 is not in 0\.\.3"):
        DNA.decode(np.array([0, 4]))
    with pytest.raises(InputError, match="code -1 at position 0"):
        DNA.decode(np.array([-1]))
    with pytest.raises(InputError, match="whole numbers"):
        DNA.decode(np.array([0.0]))


def test_array_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(L,\) uint8"):
        DNA.encode(np.array([65, 67]))  # type: ignore[arg-type]


def test_values_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DNA.symbols = "TGCA"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        DNA._exact_table[65] = 3
    assert Alphabet("DNA", "ACGT", partners="TGCA") == DNA


@pytest.mark.parametrize(
    "arguments",
    [
        ("x", "AA"),
        ("x", ""),
        ("x", "É"),
        ("x", "AC", (("N", "AC"),)),
        ("x", "AN", (("N", "AC"),)),
        ("x", "AC", (), "A"),
    ],
)
def test_inconsistent_alphabets_are_refused(arguments: tuple) -> None:
    with pytest.raises(InputError, match="alphabet 'x'"):
        Alphabet(*arguments)


@pytest.mark.parametrize(
    ("alphabet", "meanings"),
    [
        (DNA_IUPAC, IUPACData.ambiguous_dna_values),
        (RNA_IUPAC, IUPACData.ambiguous_rna_values),
        (AMINO_ACIDS_IUPAC, {symbol: IUPACData.extended_protein_values[symbol] for symbol in "ACDEBZJUO"}),
    ],
)
def test_letters_mean_what_biopython_says(alphabet: Alphabet, meanings: dict[str, str]) -> None:
    for symbol, letters in meanings.items():
        if symbol == "X":  # Biopython's X for nucleotides is no IUPAC letter
            continue
        assert alphabet.expand(symbol) == set(letters), symbol


def test_meaning_of_the_letters_that_are_no_base() -> None:
    assert DNA_IUPAC.expand("-") == frozenset()
    assert DNA_IUPAC.expand("I") == {"G"}
    assert AMINO_ACIDS_IUPAC.expand("X") == set(AMINO_ACIDS.symbols)
    assert AMINO_ACIDS_IUPAC.expand("*") == {"*"}
    assert len(AMINO_ACIDS) == 20
    with pytest.raises(InputError, match="'r' is not one of"):
        DNA_IUPAC.expand("r")


def test_ambiguous_letters() -> None:
    assert sorted(DNA_IUPAC.ambiguous.decode()) == sorted("RYKMSWBDHVN")
    assert DNA.ambiguous == b""
    assert sorted(AMINO_ACIDS_IUPAC.ambiguous.decode()) == sorted("BZJX")
    assert DNA_IUPAC.ambiguous_mask("ANr-I").tolist() == [False, True, True, False, False]


def _any_case(symbols: str) -> st.SearchStrategy[str]:
    return st.text(symbols + symbols.lower(), max_size=60)


@pytest.mark.parametrize("alphabet", NUCLEIC, ids=lambda alphabet: alphabet.name)
@given(data=st.data())
def test_reverse_complement_agrees_with_biopython_and_undoes_itself(alphabet: Alphabet, data: st.DataObject) -> None:
    text = data.draw(_any_case(alphabet.symbols.replace("I", "")))
    biopython = Seq(text).reverse_complement_rna() if "U" in alphabet.symbols else Seq(text).reverse_complement()
    answer = alphabet.reverse_complement(text)
    assert answer == str(biopython)
    assert alphabet.reverse_complement(answer) == text
    assert alphabet.reverse_complement(text.encode()) == answer.encode()
    assert alphabet.complement(text) == answer[::-1]


@pytest.mark.parametrize("alphabet", [DNA_IUPAC, RNA_IUPAC], ids=lambda alphabet: alphabet.name)
def test_complement_of_a_letter_stands_for_the_partners_of_its_bases(alphabet: Alphabet) -> None:
    for symbol in alphabet.symbols:
        partners = {alphabet.complement(base) for base in alphabet.expand(symbol)}
        assert alphabet.expand(alphabet.complement(symbol)) == partners


def test_inosine_pairs_with_c() -> None:
    assert DNA_IUPAC.complement(b"Ii") == b"Cc"
    assert RNA_IUPAC.complement("C") == "G"


def test_complement_refuses_what_has_none() -> None:
    with pytest.raises(InputError, match="do not pair"):
        AMINO_ACIDS.complement("MA")
    with pytest.raises(InputError, match="letter 'U' at position 1"):
        DNA.reverse_complement("AUG")


@given(_any_case("ACGTURYKMSWBDHVN-I"))
def test_u_and_t(text: str) -> None:
    assert to_dna(text) == str(Seq(text).back_transcribe())
    assert to_rna(text) == str(Seq(text).transcribe())
    assert to_dna(text.encode()) == to_dna(text).encode()
    assert to_rna(text.encode()) == to_rna(text).encode()
