"""Which codon means which amino acid: the genetic codes of the NCBI, as Biopython carries them.

Source: NCBI, "The Genetic Codes" (A. Elzanowski, J. Ostell), by way of Bio.Data.CodonTable; nothing is retyped here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA, DNA_IUPAC, Alphabet, to_dna
from nuclex.core.errors import InputError

CODONS = tuple("".join(bases) for bases in product(DNA.symbols, repeat=3))
"""All 64 codons in alphabetical order (AAA, AAC, …, TTT), written with T."""

# The letters a coding sequence may hold: IUPAC without the gap and inosine, which are no letters of an mRNA.
_BASES = Alphabet(
    "coding sequence",
    DNA_IUPAC.plain + DNA_IUPAC.ambiguous.decode("ascii"),
    tuple((symbol, bases) for symbol, bases in DNA_IUPAC.meanings if len(bases) > 1),
)


@dataclass(frozen=True)
class GeneticCode:
    """A genetic code: the amino acid of each of the 64 codons, and where translation starts and stops.

    ``table`` is the NCBI's number, ``amino_acids`` one letter for each codon of ``codons``, ``*`` for stop. Codons
    are taken with T or U in either case and given back with T in upper case.

    In the codes 27, 28 and 31 every stop codon is also the codon of an amino acid; which of the two is meant is
    decided by the mRNA around it. Such codons are listed in ``dual_codons``. They are stop codons, and they are
    translated as the amino acid everywhere, the end of the sequence included, as Biopython does.

    >>> code = GeneticCode.ncbi(1)
    >>> code.translate("AUGGCCUAA")
    'MA*'
    >>> code.synonymous("TGC")
    ('TGC', 'TGT')
    """

    table: int
    name: str
    amino_acids: str
    start_codons: tuple[str, ...]
    stop_codons: tuple[str, ...]

    @classmethod
    def ncbi(cls, table: int) -> GeneticCode:
        """The genetic code with this NCBI number; 1 is the standard code."""
        return _read_ncbi(table)

    @property
    def codons(self) -> tuple[str, ...]:
        """The 64 codons in alphabetical order: codon number 16a + 4b + c for bases a, b, c (A 0, C 1, G 2, T 3)."""
        return CODONS

    @property
    def dual_codons(self) -> tuple[str, ...]:
        """Codons that are a stop in one place and an amino acid in another."""
        return tuple(codon for codon in self.stop_codons if self.amino_acid(codon) != "*")

    def amino_acid(self, codon: str) -> str:
        """The amino acid of a codon as one letter: ``*`` for stop, ``X`` where an IUPAC letter leaves it open."""
        if len(codon) != 3:
            raise InputError(f"codon {codon!r} has {len(codon)} letters; a codon has 3")
        return self.translate(codon)

    def codons_of(self, amino_acid: str) -> tuple[str, ...]:
        """The codons of an amino acid (one letter; ``*`` for stop), in alphabetical order.

        ``*`` gives the codons that are stop and nothing else: none in the codes 27, 28 and 31.
        """
        answer = tuple(codon for codon, letter in zip(CODONS, self.amino_acids, strict=True) if letter == amino_acid)
        if not answer and amino_acid != "*":
            known = "".join(sorted(set(self.amino_acids)))
            raise InputError(f"genetic code {self.table}: {amino_acid!r} has no codon; those of {known} are known")
        return answer

    def synonymous(self, codon: str) -> tuple[str, ...]:
        """All codons that mean the same as this one, itself included, in alphabetical order."""
        amino_acid = self.amino_acid(codon)
        if amino_acid == "X":
            raise InputError(f"codon {codon!r} stands for more than one amino acid, so it has no synonyms")
        return self.codons_of(amino_acid)

    def translate(self, cds: str | bytes, *, to_stop: bool = False) -> str:
        """The protein of a coding sequence, one letter a codon, read from its first letter.

        The first codon is translated like any other, so an alternative start codon does not become M. A codon with
        IUPAC letters becomes ``X`` unless all it can stand for agree. Stop is ``*``; with ``to_stop`` the protein ends
        before the first one. A length that is no multiple of 3 and a letter that is no base (the gap and I included)
        are InputErrors, and so is ``to_stop`` in the codes 27, 28 and 31, where the codon alone does not tell.
        """
        letters = cds if isinstance(cds, str) else cds.decode("latin-1")
        codes_L = _BASES.encode(to_dna(letters), ignore_case=True)
        if len(codes_L) % 3:
            raise InputError(f"coding sequence: its length {len(codes_L)} is not a multiple of 3")
        if to_stop and self.dual_codons:
            dual = ", ".join(self.dual_codons)
            raise InputError(f"genetic code {self.table}: to_stop is not possible, as {dual} can be stop or amino acid")
        first, second, third = codes_L.reshape(-1, 3).T
        protein = self._letters[first, second, third].tobytes().decode("ascii")
        return protein.partition("*")[0] if to_stop else protein

    @cached_property
    def _letters(self) -> NDArray[np.uint8]:
        """The amino acid's letter for each three of the 15 letters of a coding sequence: (15, 15, 15) uint8."""
        stands_for = np.array([[base in _BASES.expand(symbol) for base in DNA.symbols] for symbol in _BASES.symbols])
        stands_for = stands_for.astype(np.int64)
        size = stands_for.sum(axis=1)
        possible = size[:, None, None] * size[None, :, None] * size[None, None, :]
        amino_acids = np.frombuffer(self.amino_acids.encode("ascii"), dtype=np.uint8).reshape(4, 4, 4)
        letters = np.full(possible.shape, ord("X"), dtype=np.uint8)
        for letter in np.unique(amino_acids):
            is_letter = (amino_acids == letter).astype(np.int64)
            agreeing = np.einsum("ia,jb,kc,abc->ijk", stands_for, stands_for, stands_for, is_letter)
            letters[agreeing == possible] = letter
        return letters


def ncbi_tables() -> tuple[int, ...]:
    """The numbers of all genetic codes that ``GeneticCode.ncbi`` knows."""
    from Bio.Data import CodonTable

    return tuple(sorted(CodonTable.unambiguous_dna_by_id))


@cache
def _read_ncbi(table: int) -> GeneticCode:
    from Bio.Data import CodonTable

    known = CodonTable.unambiguous_dna_by_id
    if table not in known:
        numbers = ", ".join(str(number) for number in ncbi_tables())
        raise InputError(f"genetic code {table!r} is not known; the NCBI's are {numbers}")
    entry = known[table]
    # A codon in both tables (27, 28, 31) keeps its amino acid here and is listed among the stops as well.
    letters = "".join(entry.forward_table.get(codon, "*") for codon in CODONS)
    silent = [codon for codon, letter in zip(CODONS, letters, strict=True) if letter == "*"]
    if not set(silent) <= set(entry.stop_codons):
        raise InputError(f"genetic code {table}: Biopython's table gives no meaning to {silent}")
    return GeneticCode(
        table=int(table),
        name=entry.names[0],
        amino_acids=letters,
        start_codons=tuple(sorted(entry.start_codons)),
        stop_codons=tuple(sorted(entry.stop_codons)),
    )
