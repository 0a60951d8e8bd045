"""Whether sequences are coding sequences, and of what composition: open frame, start, stop, GC, codon adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import GeneticCode
from nuclex.metrics.codon_usage import adaptation_index, codon_counts

CRITERIA = ("whole codons", "start codon first", "stop codon last", "no stop inside", "only A, C, G, T")
"""What all have to hold for a sequence to be a valid coding sequence."""


@dataclass(frozen=True, eq=False)
class CodingQuality:
    """N sequences: which criteria each meets (N, 5), and its codons, share of G and C, GC of third letters, and CAI.

    ``valid_N`` is where all criteria hold. What cannot be said of a sequence is not a number.
    """

    criteria_N5: NDArray[np.bool_]
    codons_N: NDArray[np.int64]
    gc_N: NDArray[np.float64]
    gc3_N: NDArray[np.float64]
    cai_N: NDArray[np.float64]

    @property
    def valid_N(self) -> NDArray[np.bool_]:
        """Which sequences begin, go on and end as a coding sequence."""
        return np.asarray(self.criteria_N5.all(1))


def coding_quality(
    sequences: Sequence[bytes], code: GeneticCode, starts: Sequence[str], weights_64: NDArray[np.float64]
) -> CodingQuality:
    """Look at N sequences, read from their first letter; ``starts`` are the start codons, written with T.

    A codon that is a stop in one place and an amino acid in another (codes 27, 28 and 31) is a stop at the end only.
    """
    texts = [to_dna(sequence).upper().decode("latin-1") for sequence in sequences]
    rows = np.array([_criteria(text, code, starts) for text in texts], dtype=bool).reshape(-1, len(CRITERIA))
    counts_N64 = codon_counts(sequences)
    return CodingQuality(
        criteria_N5=rows,
        codons_N=np.array([len(text) // 3 for text in texts], dtype=np.int64),
        gc_N=np.array([_gc(text) for text in texts]),
        gc3_N=np.array([_gc(text[2::3]) for text in texts]),
        cai_N=adaptation_index(counts_N64, weights_64, code),
    )


def _criteria(text: str, code: GeneticCode, starts: Sequence[str]) -> tuple[bool, ...]:
    codons = [text[start : start + 3] for start in range(0, len(text) - 2, 3)]
    inside = {codon for codon in code.stop_codons if codon not in code.dual_codons}
    return (
        len(text) % 3 == 0 and bool(text),
        bool(codons) and codons[0] in starts,
        bool(codons) and codons[-1] in code.stop_codons,
        not inside.intersection(codons[:-1]),
        set(text) <= set("ACGT"),
    )


def _gc(text: str) -> float:
    known = sum(map(text.count, "ACGT"))
    return (text.count("G") + text.count("C")) / known if known else float("nan")
