"""Which of the codons for the same amino acid a sequence prefers: counts, RSCU and the codon adaptation index.

RSCU is how often a codon is used over the mean of its synonyms; the index (CAI) is the geometric mean, over a
sequence's codons, of their count in a reference set over that of the most frequent synonym. Both: Sharp and Li 1987,
doi:10.1093/nar/15.3.1281, where a codon that the reference never has counts as 0.5. Stop codons, and codons without a
synonym, are not part of the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError

Floats = NDArray[np.float64]
NEVER_SEEN = 0.5
_NUMBER = {codon: place for place, codon in enumerate(CODONS)}


def codon_counts(sequences: Iterable[bytes]) -> NDArray[np.int64]:
    """How often each of the 64 codons (in alphabetical order) stands in each of N sequences, read from their first
    letter: (N, 64). What holds other letters than A, C, G and T or U, and what is behind the last whole codon, is not
    counted.

    >>> counts = codon_counts([b"ATGGCUGCTNNNTA"])
    >>> counts.sum(), counts[0, CODONS.index("GCT")]
    (np.int64(3), np.int64(2))
    """
    rows = []
    for sequence in sequences:
        letters = to_dna(sequence).upper().decode("latin-1")
        places = [_NUMBER.get(letters[start : start + 3], -1) for start in range(0, len(letters) - 2, 3)]
        rows.append(np.bincount([place for place in places if place >= 0], minlength=len(CODONS)))
    return np.array(rows, dtype=np.int64).reshape(-1, len(CODONS))


def rscu(counts_64: NDArray[np.number], code: GeneticCode) -> Floats:
    """Relative synonymous codon usage (64,): 1 is no preference; stop codons are each other's synonyms.

    Not a number for the codons of an amino acid that is not there.
    """
    counts_64, family_64 = np.asarray(counts_64, dtype=np.float64), _families(code)
    totals_F, sizes_F = np.bincount(family_64, counts_64), np.bincount(family_64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts_64 * sizes_F[family_64] / totals_F[family_64], dtype=np.float64)


def adaptiveness(counts_64: NDArray[np.number], code: GeneticCode) -> Floats:
    """How well adapted each codon is (64,): its count in a reference set over that of its most frequent synonym."""
    counts_64, family_64 = np.asarray(counts_64, dtype=np.float64), _families(code)
    if not counts_64.sum():
        raise InputError("codon usage: the reference sequences hold no codon of A, C, G and T")
    counted_64 = np.where(counts_64 == 0, NEVER_SEEN, counts_64)
    most_F = np.zeros(family_64.max() + 1)
    np.maximum.at(most_F, family_64, counted_64)
    return np.asarray(counted_64 / most_F[family_64], dtype=np.float64)


def adaptation_index(counts_N64: NDArray[np.number], adaptiveness_64: Floats, code: GeneticCode) -> Floats:
    """The codon adaptation index (N,) of sequences by their codon counts (N, 64): above 0, at most 1.

    Not a number for a sequence without a codon that has a synonym. InputError for an adaptiveness of 0 or less.
    """
    used_64 = _has_synonym(code)
    if not (adaptiveness_64[used_64] > 0).all():
        codon = CODONS[int(np.flatnonzero(used_64 & ~(adaptiveness_64 > 0))[0])]
        raise InputError(f"codon usage: the weight of {codon} is {adaptiveness_64[_NUMBER[codon]]}; above 0 is needed")
    counts_N64 = np.where(used_64, np.asarray(counts_N64, dtype=np.float64), 0)
    logs_64 = np.log(np.where(used_64, adaptiveness_64, 1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.exp(counts_N64 @ logs_64 / counts_N64.sum(1)), dtype=np.float64)


def weights_of(table: Mapping[str, float], code: GeneticCode) -> Floats:
    """Counts, frequencies or weights of codons as adaptiveness (64,): over the largest of each one's synonyms.

    InputError for a word that is no codon, a codon (with a synonym) that is missing, and a number that is not above 0.
    """
    named = {to_dna(str(codon).upper()): float(value) for codon, value in table.items()}
    if strange := sorted(named.keys() - _NUMBER.keys()):
        raise InputError(f"codon usage: {strange[0]!r} is no codon; three of A, C, G and T or U are needed")
    used_64 = _has_synonym(code)
    if missing := [codon for codon in CODONS if used_64[_NUMBER[codon]] and codon not in named]:
        raise InputError(f"codon usage: {missing[0]} has no number; every codon that has a synonym needs one")
    values_64 = np.array([named.get(codon, 1.0) for codon in CODONS])
    if wrong := [codon for codon in CODONS if used_64[_NUMBER[codon]] and not named[codon] > 0]:
        raise InputError(f"codon usage: the number of {wrong[0]} is {named[wrong[0]]}; above 0 is needed")
    most_F = np.zeros(65)
    np.maximum.at(most_F, _families(code), values_64)
    return np.asarray(values_64 / np.where(most_F > 0, most_F, 1)[_families(code)], dtype=np.float64)


def usage_divergence(first_64: NDArray[np.number], second_64: NDArray[np.number]) -> float:
    """How different two codon usages are: the Jensen-Shannon divergence of their shares in bits, 0 to 1."""
    shares_264 = np.array([np.asarray(part, dtype=np.float64) / max(np.sum(part), 1) for part in (first_64, second_64)])
    mean_64 = shares_264.mean(0)
    ratios_264 = np.divide(shares_264, mean_64, out=np.ones_like(shares_264), where=shares_264 > 0)
    return float((shares_264 * np.log2(ratios_264)).sum() / 2)


def _families(code: GeneticCode) -> NDArray[np.int64]:
    """The number of each codon's amino acid, or of stop: (64,)."""
    return np.unique(list(code.amino_acids), return_inverse=True)[1].astype(np.int64)


def _has_synonym(code: GeneticCode) -> NDArray[np.bool_]:
    """Which codons have a synonym and are not stop: (64,)."""
    family_64 = _families(code)
    several_64 = np.bincount(family_64)[family_64] > 1
    return np.asarray(several_64 & (np.array(list(code.amino_acids)) != "*"))
