import numpy as np
import pytest

from nuclex.core.errors import InputError
from nuclex.tokenizers.reading import ascii_bytes, folding, look_up_table, refuse_unknown


def test_bytes_are_not_copied():
    letters = b"ACGT" * 10
    assert ascii_bytes(letters) is letters


def test_the_first_letter_that_is_not_ascii_is_named():
    with pytest.raises(InputError, match=r"'µ' at position 2 "):
        ascii_bytes("ACµé")
    with pytest.raises(InputError, match=r"0xc2 at position 2 "):
        ascii_bytes("ACµé".encode())


@pytest.mark.parametrize(
    ("case", "alphabet", "expected"),
    [
        ("upper", "dna", b"ACGTTNX-1"),
        ("upper", "rna", b"ACGUUNX-1"),
        ("keep", "dna", b"AcGtTNx-1"),
        ("keep", "rna", b"AcGtUNx-1"),
    ],
)
def test_folding(case, alphabet, expected):
    fold = folding(case, alphabet)
    assert b"AcGtUNx-1".translate(fold) == expected
    assert len(fold) == 256
    assert fold.translate(fold) == fold


def test_look_up_table_sees_letters_as_folded():
    table = look_up_table({"A": 7, "T": 9}, folding("upper", "dna"), unknown=3)
    assert table.shape == (256,)
    assert {chr(byte): int(table[byte]) for byte in np.flatnonzero(table != 3)} == {
        "A": 7, "a": 7, "T": 9, "t": 9, "U": 9, "u": 9,
    }  # fmt: skip


def test_unknown_symbols_up_to_the_share_are_taken():
    refuse_unknown(5, 100, 0.05, (3, "X"), "ACGT")
    with pytest.raises(InputError) as caught:
        refuse_unknown(6, 100, 0.05, (3, "X"), "ACGT")
    assert str(caught.value) == (
        "sequence: 'X' at position 3 (counted from 0) is unknown, and so are 6 of 100 symbols (6.0%); "
        "at most 5.0% may be; known: ACGT"
    )
