"""Genetic codes against Biopython's own translation, for every table."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings

import pytest
from Bio import BiopythonWarning
from Bio.Data import CodonTable
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bio import CODONS, DNA_IUPAC, GeneticCode, ncbi_tables
from nuclex.core.errors import InputError

TABLES = sorted(CodonTable.unambiguous_dna_by_id)
DUAL = {27: ("TGA",), 28: ("TAA", "TAG", "TGA"), 31: ("TAA", "TAG")}


def biopython(cds: str, table: int, to_stop: bool = False) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiopythonWarning)  # it says that 27, 28 and 31 have codons of two meanings
        return str(Seq(cds).translate(table=table, to_stop=to_stop))


def test_all_tables_are_there() -> None:
    assert list(ncbi_tables()) == TABLES
    assert len(TABLES) >= 27


@pytest.mark.parametrize("table", TABLES)
def test_every_codon_of_every_table(table: int) -> None:
    code = GeneticCode.ncbi(table)
    source = CodonTable.unambiguous_dna_by_id[table]
    assert code.table == table
    assert code.amino_acids == biopython("".join(CODONS), table)
    assert [code.amino_acid(codon) for codon in code.codons] == [biopython(codon, table) for codon in CODONS]
    assert set(code.start_codons) == set(source.start_codons)
    assert set(code.stop_codons) == set(source.stop_codons)
    assert code.dual_codons == DUAL.get(table, ())
    assert code.name in source.names


@pytest.mark.parametrize("table", TABLES)
@given(codons=st.lists(st.sampled_from(CODONS), max_size=60), rna=st.booleans(), lower=st.booleans())
def test_translation_agrees_with_biopython(table: int, codons: list[str], rna: bool, lower: bool) -> None:
    cds = "".join(codons)
    cds = cds.replace("T", "U") if rna else cds
    cds = cds.lower() if lower else cds
    code = GeneticCode.ncbi(table)
    assert code.translate(cds) == biopython(cds, table)
    assert code.translate(cds.encode()) == biopython(cds, table)
    if table in DUAL:
        with pytest.raises(InputError, match=f"genetic code {table}: to_stop is not possible, as T"):
            code.translate(cds, to_stop=True)
    else:
        assert code.translate(cds, to_stop=True) == biopython(cds, table, to_stop=True)


def test_codons_are_in_alphabetical_order() -> None:
    assert list(CODONS) == sorted(CODONS)
    assert len(set(CODONS)) == 64


@pytest.mark.parametrize("table", [1, 2, 27])
def test_ambiguous_codons_are_x_unless_all_they_can_stand_for_agree(table: int) -> None:
    code = GeneticCode.ncbi(table)
    letters = "ACGTRYKMSWBDHVN"
    for codon in map("".join, itertools.product(letters, repeat=3)):
        possible = {
            biopython_one[first + second + third]
            for biopython_one in [dict(zip(CODONS, code.amino_acids, strict=True))]
            for first in DNA_IUPAC.expand(codon[0])
            for second in DNA_IUPAC.expand(codon[1])
            for third in DNA_IUPAC.expand(codon[2])
        }
        assert code.amino_acid(codon) == (possible.pop() if len(possible) == 1 else "X"), codon


def test_hand_checked_ambiguous_codons() -> None:
    code = GeneticCode.ncbi(1)
    assert code.translate("GCNTARTRAYTANNNRAY") == "A**LXX"
    assert code.translate("CTNTARCTN", to_stop=True) == "L"


def test_facts_that_a_biologist_knows() -> None:
    standard, mitochondrial = GeneticCode.ncbi(1), GeneticCode.ncbi(2)
    assert standard.stop_codons == ("TAA", "TAG", "TGA")
    assert standard.start_codons == ("ATG", "CTG", "TTG")
    assert standard.codons_of("M") == ("ATG",)
    assert standard.synonymous("cug") == ("CTA", "CTC", "CTG", "CTT", "TTA", "TTG")
    assert standard.synonymous("TGA") == standard.codons_of("*") == standard.stop_codons
    assert mitochondrial.amino_acid("TGA") == "W"
    assert mitochondrial.amino_acid("AGA") == "*"
    assert GeneticCode.ncbi(28).codons_of("*") == ()


@pytest.mark.parametrize("table", TABLES)
def test_synonyms_are_one_partition_of_the_64_codons(table: int) -> None:
    code = GeneticCode.ncbi(table)
    assert all(codon in code.synonymous(codon) for codon in CODONS)
    assert sorted(codon for letter in set(code.amino_acids) for codon in code.codons_of(letter)) == list(CODONS)


@pytest.mark.parametrize(
    ("cds", "message"),
    [
        ("ATGC", "length 4 is not a multiple of 3"),
        ("ATGC-A", "letter '-' at position 4"),
        ("AUI", "letter 'I' at position 2"),
        ("MKL", "letter 'L' at position 2"),
        (b"AT\xe9", "letter 'é' at position 2"),
    ],
)
def test_what_is_no_coding_sequence_is_refused(cds: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GeneticCode.ncbi(1).translate(cds)


def test_other_refusals_are_one_sentence() -> None:
    code = GeneticCode.ncbi(1)
    with pytest.raises(InputError, match=r"genetic code 7 is not known; the NCBI's are 1, 2, 3, .*, 33"):
        GeneticCode.ncbi(7)
    with pytest.raises(InputError, match="'AT' has 2 letters"):
        code.amino_acid("AT")
    with pytest.raises(InputError, match="'NNN' stands for more than one"):
        code.synonymous("NNN")
    with pytest.raises(InputError, match="'B' has no codon"):
        code.codons_of("B")


def test_empty_sequence_is_an_empty_protein() -> None:
    assert GeneticCode.ncbi(1).translate("") == ""


def test_codes_are_values() -> None:
    assert GeneticCode.ncbi(1) == GeneticCode.ncbi(1)
    assert GeneticCode.ncbi(1) != GeneticCode.ncbi(11)
    assert len({GeneticCode.ncbi(table) for table in TABLES}) == len(TABLES)


def test_importing_bio_does_not_import_biopython_or_torch() -> None:
    program = "import sys, nuclex.bio; print([name for name in ('Bio', 'torch', 'scipy') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
