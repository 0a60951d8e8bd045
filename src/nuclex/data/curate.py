"""What a corpus keeps and what it leaves out: one way of writing, and filters that count what they take.

Every function here is pure; ``Curator`` adds the counts. Duplicates are found later, for all files together
(``nuclex.data.duplicates``). Short sequences are looked at many together, which gives the same in a fraction of the
time; what holds anything that a file may be refused for is looked at one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nuclex.bio.alphabet import DNA_IUPAC, to_dna, to_rna
from nuclex.core.config import Config
from nuclex.core.errors import InputError, at
from nuclex.data.coding import CodingReader
from nuclex.data.record import Batch, Record, batch_of, cut
from nuclex.data.tally import Tally

AlphabetName = Literal["dna", "rna"]

GAPS = b"-.~"
# the letters of nucleotides (with U and inosine) are those that the alphabet floor knows
NUCLEOTIDES = (DNA_IUPAC.symbols.replace("-", "") + "U").encode("ascii")
_PLAIN = b"ACGTU"
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_PARTNERS = bytes.maketrans(DNA_IUPAC.symbols.encode(), DNA_IUPAC.complement(DNA_IUPAC.symbols.encode()))
_MASK = bytes(ord("N") if byte in _LOWER else byte for byte in range(256))
_UPPER = bytes(range(256)).upper()
_NORMAL = {"dna": to_dna(_UPPER), "rna": to_rna(_UPPER)}
_DIGEST_BYTES = 16
_MANY, _SHORT = 8, 1000


def _table(symbols: bytes) -> NDArray[np.bool_]:
    return np.isin(np.arange(256), list(symbols))


_IS_LOWER, _IS_GAP, _IS_AMBIGUOUS = _table(_LOWER), _table(GAPS), ~_table(_PLAIN)


class FilterConfig(Config):
    """Which sequences a corpus keeps. The lengths are those of RiNALMo (16 to 8192 nucleotides)."""

    min_length: int = Field(default=16, ge=1, description="shortest sequence that is kept, in nucleotides")
    max_length: int = Field(default=8192, ge=1, description="longest sequence that is kept, in nucleotides")
    max_ambiguous: float = Field(
        default=0.1, ge=0, le=1, description="largest share of letters other than A, C, G, T/U (N, R, Y, I, …)"
    )
    foreign: Literal["refuse", "drop"] = Field(
        default="refuse", description="a letter that is no nucleotide code: refuse the file, or drop the sequence"
    )
    max_foreign: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="with foreign = drop: a file with a larger share of such sequences is refused",
    )
    soft_mask: Literal["upper", "n", "drop"] = Field(
        default="upper",
        description="lower-case letters (repeats, in genomes): write them in upper case; write N for them; or write "
        "them in upper case but drop sequences (or pieces) that have too many of them",
    )
    max_lower: float = Field(
        default=0.5, ge=0, le=1, description="with soft_mask = drop: largest share of lower-case letters"
    )
    duplicates: Literal["keep", "drop", "drop_both_strands"] = Field(
        default="drop", description="exact duplicates: the first one stays; or its reverse complement counts too"
    )

    @model_validator(mode="after")
    def _ordered(self) -> FilterConfig:
        if self.max_length < self.min_length:
            raise ValueError(f"max_length {self.max_length} is below min_length {self.min_length}")
        return self


class Kept(NamedTuple):
    """A record that passed every filter; ``key`` is the digest (16 bytes) of its sequence written in DNA letters."""

    record: Record
    sequence: bytes
    key: bytes


def normalise(sequence: bytes, alphabet: AlphabetName = "dna") -> bytes:
    """Write a sequence in upper case with T (``dna``) or U (``rna``); all other symbols stay.

    >>> normalise(b"gaUTaca"), normalise(b"gaUTaca", "rna")
    (b'GATTACA', b'GAUUACA')
    """
    return sequence.translate(_NORMAL[alphabet])


def remove_gaps(sequence: bytes) -> bytes:
    """Take out the gap symbols - . ~ of an alignment, so that the sequence itself is left."""
    return sequence.translate(None, GAPS)


def count_lower(sequence: bytes) -> int:
    """How many letters are written in lower case.

    >>> count_lower(b"ACgtN"), count_lower(b"ACGT")
    (2, 0)
    """
    if len(sequence) > _SHORT and np.frombuffer(sequence, dtype=np.uint8).max() < ord("a"):
        return 0  # quicker, once there is enough to look at
    return 0 if sequence.isupper() else len(sequence) - len(sequence.translate(None, _LOWER))


def mask_lower(sequence: bytes) -> bytes:
    """Write N for every lower-case letter, as for repeats that a genome marks so.

    >>> mask_lower(b"ACgtA")
    b'ACNNA'
    """
    return sequence.translate(_MASK)


def foreign_symbol(sequence: bytes) -> int | None:
    """Position (0-based) of the first symbol that is no nucleotide code (upper case, gaps removed), or None.

    The codes are A C G T U, the IUPAC letters for several bases, and I (inosine).

    >>> foreign_symbol(b"ACGUNRYI"), foreign_symbol(b"MKVL")
    (None, 3)
    """
    left = sequence.translate(None, NUCLEOTIDES)
    return sequence.index(left[:1]) if left else None


def ambiguous_share(sequence: bytes) -> float:
    """The share of letters that are not exactly one of A, C, G and T or U.

    >>> ambiguous_share(b"ACGTNNAA")
    0.25
    """
    return len(sequence.translate(None, _PLAIN)) / len(sequence) if sequence else 0.0


def sequence_key(sequence: bytes, *, both_strands: bool = False) -> bytes:
    """A digest of 16 bytes that equal sequences (T and U taken as one, or also either strand) share."""
    return sequence_keys(sequence, [len(sequence)], both_strands=both_strands)[0]


def sequence_keys(letters: bytes, lengths: list[int], *, both_strands: bool = False) -> list[bytes]:
    """The ``sequence_key`` of each of many sequences, which lie end to end and have these lengths."""
    if b"U" in letters or b"u" in letters:
        letters = to_dna(letters)
    sequences = cut(letters, lengths)
    if both_strands:
        other = cut(letters.translate(_PARTNERS)[::-1], lengths[::-1])  # from the last to the first
        sequences = list(map(min, sequences, reversed(other)))
    return [hashlib.blake2b(sequence, digest_size=_DIGEST_BYTES).digest() for sequence in sequences]


class Curator:
    """Passes records through all filters in turn and counts them.

    The order is: share of lower case (where asked for), gaps out, letters checked, coding sequences into frame (where
    ``coding`` is given), length, ambiguity. ``path`` is only for messages.
    """

    def __init__(
        self, config: FilterConfig, alphabet: AlphabetName = "dna", coding: CodingReader | None = None
    ) -> None:
        self.config, self.alphabet, self._coding = config, alphabet, coding
        self._soft_mask = Tally("soft_mask", max_lower=config.max_lower)
        self._gaps = Tally("gaps", symbols=GAPS.decode())
        self._letters = Tally("letters", foreign=config.foreign)
        self._length = Tally("length", min_length=config.min_length, max_length=config.max_length)
        self._ambiguity = Tally("ambiguity", max_ambiguous=config.max_ambiguous)

    def curate(self, records: Iterable[Record], path: str) -> Iterator[Kept]:
        """The records of one file that are kept, normalised. InputError with file and line for a protein file."""
        before, errors = self._letters_so_far(), list[InputError]()
        for record in records:
            kept = self._one(record, path, errors)
            if kept is not None:
                yield kept
        self._refuse_too_many(errors, before)

    def curate_batches(self, batches: Iterable[Batch], path: str) -> Iterator[tuple[Batch, list[bytes]]]:
        """The same for batches; each comes with the keys of its sequences."""
        before, errors = self._letters_so_far(), list[InputError]()
        for batch in batches:
            many = len(batch.lengths) >= _MANY and self._coding is None
            together = self._together(batch) if many else None
            if together is not None:
                yield together
                continue
            for header, record in zip(batch.headers, batch.records(""), strict=True):
                kept = self._one(record, path, errors)
                if kept is not None:
                    yield batch_of([(header, kept.sequence, record.line)]), [kept.key]
        self._refuse_too_many(errors, before)

    def filters(self) -> list[dict[str, Any]]:
        """What each filter took, in the order in which they were applied."""
        first = [self._soft_mask] if self.config.soft_mask == "drop" else []
        before, after = [*first, self._gaps, self._letters], [self._length, self._ambiguity]
        coding = self._coding.filters() if self._coding is not None else []
        return [*(tally.record() for tally in before), *coding, *(tally.record() for tally in after)]

    def _letters_so_far(self) -> tuple[int, int]:
        return self._letters.sequences_in, self._letters.sequences_out

    def _refuse_too_many(self, errors: list[InputError], before: tuple[int, int]) -> None:
        """Refuse a file with too many foreign sequences, the first of which is the error."""
        total, good = (now - then for now, then in zip(self._letters_so_far(), before, strict=True))
        if errors and total - good > self.config.max_foreign * total:
            raise InputError(
                f"{errors[0]}; {total - good} of {total} sequences of the file are so, allowed is a share of "
                f"{self.config.max_foreign:g} (filter.max_foreign)"
            )

    def _one(self, record: Record, path: str, errors: list[InputError]) -> Kept | None:
        """A record that is kept; the first that holds a foreign letter goes into ``errors``, or is raised."""
        if self.config.soft_mask == "drop" and not self._mostly_upper(record.sequence):
            return None
        sequence = self._lettered(record)
        position = foreign_symbol(sequence)
        self._letters.count(len(sequence), len(sequence) if position is None else None)
        if position is not None:
            if not errors:
                errors.append(_foreign_error(record, sequence, position, path))
            if self.config.foreign == "refuse":
                raise errors[0]
            return None
        framed = sequence if self._coding is None else self._coding.read(sequence, record, path)
        if framed is None or not self._passes(framed):
            return None
        return Kept(record, framed, self._key(framed))

    def _mostly_upper(self, sequence: bytes) -> bool:
        good = count_lower(sequence) <= self.config.max_lower * len(sequence)
        self._soft_mask.count(len(sequence), len(sequence) if good else None)
        return good

    def _lettered(self, record: Record) -> bytes:
        sequence = record.sequence.translate(_NORMAL[self.alphabet], GAPS)
        self._gaps.count(len(record.sequence), len(sequence))
        return sequence

    def _passes(self, sequence: bytes) -> bool:
        """Whether a sequence passes length and ambiguity."""
        length, config = len(sequence), self.config
        good = config.min_length <= length <= config.max_length
        self._length.count(length, length if good else None)
        if not good:
            return False
        good = ambiguous_share(sequence) <= config.max_ambiguous
        self._ambiguity.count(length, length if good else None)
        return good

    def _key(self, sequence: bytes) -> bytes:
        return sequence_key(sequence, both_strands=self.config.duplicates == "drop_both_strands")

    def _together(self, batch: Batch) -> tuple[Batch, list[bytes]] | None:
        """What ``_one`` keeps of many; None, and nothing is counted, where one holds a foreign letter."""
        config, given_N = self.config, np.array(batch.lengths)
        if config.soft_mask == "drop":
            lower_N = _counts(batch.letters, given_N, _IS_LOWER)
            batch = batch.only((lower_N <= config.max_lower * given_N).tolist())
        upper_N = np.array(batch.lengths, dtype=np.int64)
        letters = batch.letters.translate(_NORMAL[self.alphabet], GAPS)
        ambiguous = letters.translate(None, _PLAIN)
        if ambiguous.translate(None, NUCLEOTIDES):
            return None
        lengths_N = upper_N
        if len(letters) < len(batch.letters):
            lengths_N = upper_N - _counts(batch.letters, upper_N, _IS_GAP)
        fits_N = (lengths_N >= config.min_length) & (lengths_N <= config.max_length)
        good_N = fits_N
        if ambiguous:
            shares_N = _counts(letters, lengths_N, _IS_AMBIGUOUS) / np.maximum(lengths_N, 1)
            good_N = fits_N & (shares_N <= config.max_ambiguous)
        self._soft_mask.add(given_N, upper_N)
        self._gaps.add(upper_N, lengths_N)
        self._letters.add(lengths_N, lengths_N)
        self._length.add(lengths_N, lengths_N[fits_N])
        self._ambiguity.add(lengths_N[fits_N], lengths_N[good_N])
        clean = Batch(batch.headers, letters, lengths_N.tolist(), batch.lines).only(good_N.tolist())
        both_strands = config.duplicates == "drop_both_strands"
        return clean, sequence_keys(clean.letters, clean.lengths, both_strands=both_strands)


def _counts(text: bytes, lengths_N: NDArray[np.int64], table_256: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many symbols that a table names each of N sequences holds, which lie end to end in a text."""
    sums = np.append(0, np.cumsum(table_256[np.frombuffer(text, dtype=np.uint8)]))
    return np.diff(sums[np.append(0, np.cumsum(lengths_N))])


def _foreign_error(record: Record, sequence: bytes, position: int, path: str) -> InputError:
    symbol = chr(sequence[position])
    protein = sum(letter in b"EFLPQ" for letter in sequence) > 0.02 * len(sequence)
    guess = "looks like a protein, and " if protein else ""
    return InputError(
        f"{at(path, record.line)}: {record.id!r} {guess}holds {symbol!r} at position {position} of its sequence; "
        f"DNA or RNA is needed, letters {NUCLEOTIDES.decode()}"
    )
