"""Pasted text: what people paste is read, what is no sequence is refused with its record and letter."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking import client_of
from nuclex.bundle import load
from nuclex.core.errors import InputError
from nuclex.web.pasted import LETTERS, Pasted, read_pasted
from nuclex.web.settings import ServeConfig

LIMITS = ServeConfig(sequences=3, letters=20, letters_together=30, body_bytes=4096)


def read(text: str) -> Pasted:
    return read_pasted(text, LIMITS, dna=True)


@pytest.mark.parametrize(
    "text",
    [
        ">a first\nACGT\nACG\n>b\nTTT",
        ">a first\r\nACGT\r\nACG\r\n>b\r\nTTT\r\n",
        "\n\n>a first\n  acgt  \n\nAC\tG \n>b\n ttt\n\n",
    ],
)
def test_windows_lines_blanks_and_small_letters_are_read(text: str) -> None:
    assert (read(text).names, read(text).letters) == (("a", "b"), ("ACGTACG", "TTT"))
    assert read(text).descriptions[0] == "a first"


def test_all_are_written_with_u_where_one_is() -> None:
    """A U anywhere makes the answer RNA, so that a page never shows T and U beside each other."""
    mixed = read(">a\nACGT\n>b\nACGU\n")
    assert (mixed.letters, mixed.rna, mixed.spelled("T")) == (("ACGU", "ACGU"), True, "U")
    assert (read("ACGT").rna, read("ACG").rna, read_pasted("ACG", LIMITS, dna=False).rna) == (False, False, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (">a\nACGT\n>b\nAC1T", r"record 2 \('b'\), letter 3: found '1'"),
        (">a\nACGT\n>b\nACGT\nACE", r"record 2 \('b'\), letter 7: found 'E'"),
        ("MKLV", r"record 1 \('pasted'\), letter 3: found 'L'"),  # M and K are nucleotide codes
        ("A*C", r"letter 2: found '\*'"),
        (">a\n>b\nA", r"record 1 \('a'\): has no sequence"),
        (">a\nA\n>\nA", "record 2: has no name"),
        ("".join(f">s{n}\nA\n" for n in range(4)), "more than 3 were given"),
        (">a\n" + "A" * 21, r"record 1 \('a'\): has 21 letters; at most 20"),
        (">a\n" + "A" * 16 + "\n>b\n" + "C" * 16, "have 32 letters together; at most 30"),
        (f">{'n' * 300}\nA", "header has 300 letters; at most 200"),
        (">a\x1b[31m\nA", "record 1: the header holds the control character"),
        ("", "holds no sequence"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(text)


@given(st.text(st.sampled_from(">\n\r\t ACGTUNnacgu1*é\x00-"), max_size=80))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    found, error = _tried(text)
    if found is None:
        assert error
        assert "\n" not in error
        return
    assert all(set(letters) <= set(LETTERS) and letters for letters in found.letters)
    assert not (any("U" in letters for letters in found.letters) and any("T" in letters for letters in found.letters))


def _tried(text: str) -> tuple[Pasted | None, str]:
    try:
        return read(text), ""
    except InputError as error:
        return None, str(error)


def test_a_paste_that_is_huge_is_refused_and_the_server_goes_on(tiny_bundle: Path) -> None:
    pytest.importorskip("fastapi")
    with client_of(load(tiny_bundle)) as client:
        for letters, status in ((3_000_000, 413), (900_000, 400)):
            response = client.post("/api/v1/predict", json={"fasta": f">genome\n{'ACGT' * (letters // 4)}\n"})
            assert (response.status_code, response.json().keys()) == (status, {"error"})
        assert "record 1 ('genome'): has 900000 letters; at most 2000" in response.json()["error"]
        many = "".join(f">s{n}\nACGT\n" for n in range(201))
        response = client.post("/api/v1/predict", json={"fasta": many})
        assert (response.status_code, "more than 200 were given" in response.text) == (400, True)
        assert client.get("/api/v1/about").status_code == 200
