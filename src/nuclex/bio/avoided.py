"""Words that a sequence must not hold: motifs with IUPAC letters, restriction sites, long runs of one letter.

Sites are those of REBASE (doi:10.1093/nar/gku1046), by way of Bio.Restriction; nothing is retyped here. Motifs and
sites are looked for on both strands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import final

from nuclex.bio.alphabet import DNA, DNA_IUPAC, to_dna
from nuclex.core.errors import InputError, meant

State = frozenset[tuple[int, int]]
"""Which words have begun where a sequence ends: the number of the word, and how many of its letters are there."""


@final
class Avoided:
    """Words to avoid, each with the name that a message calls it by.

    A sequence is read letter by letter with ``step``, or searched as a whole with ``found_in``, which shares no code
    with it.

    >>> words = Avoided(motifs=["GGNCC"], enzymes=["EcoRI"], longest_run=4)
    >>> words.found_in("ATGGACCGAATTCAAAAAT")
    [('EcoRI (GAATTC)', 7), ('GGNCC', 2), ('more than 4 A in a row', 13)]
    """

    def __init__(self, motifs: Iterable[str] = (), enzymes: Iterable[str] = (), longest_run: int | None = None) -> None:
        named = {}
        for enzyme in enzymes:
            named.update({site: f"{enzyme} ({site})" for site in both_strands(*restriction_sites(enzyme))})
        for motif in motifs:
            named.update(dict.fromkeys(both_strands(_checked(motif)), motif))
        if longest_run is not None:
            if longest_run < 1:
                raise InputError(f"homopolymer: found {longest_run}; the longest run allowed has at least one letter")
            named.update(
                {letter * (longest_run + 1): f"more than {longest_run} {letter} in a row" for letter in "ACGT"}
            )
        self.words, self.names = tuple(named), tuple(named.values())
        self._letters = [[DNA_IUPAC.expand(symbol) for symbol in word] for word in self.words]
        self._patterns = [_pattern(word) for word in self.words]
        self._next: dict[tuple[State, str], State | int] = {}

    @property
    def longest(self) -> int:
        """Letters of the longest word; 0 where there is none."""
        return max(map(len, self.words), default=0)

    def step(self, state: State, letter: str) -> State | int:
        """The state behind one more letter (A, C, G or T), or the number of the word that it completes."""
        known = self._next.get((state, letter))
        if known is None:
            known = self._next[state, letter] = self._stepped(state, letter)
        return known

    def read(self, state: State, letters: str) -> State | int:
        """The state behind more letters, or the number of the first word that they complete."""
        for letter in letters:
            found = self.step(state, letter)
            if isinstance(found, int):
                return found
            state = found
        return state

    def found_in(self, sequence: str) -> list[tuple[str, int]]:
        """Every place (0-based) where a word begins, with its name; T and U are one, in either case."""
        text = to_dna(sequence).upper()
        found = zip(self.names, self._patterns, strict=True)
        return sorted((name, match.start()) for name, pattern in found for match in pattern.finditer(text))

    def _stepped(self, state: State, letter: str) -> State | int:
        going = set[tuple[int, int]]()
        for word, done in [*sorted(state), *((number, 0) for number in range(len(self.words)))]:
            if letter in self._letters[word][done]:
                if done + 1 == len(self.words[word]):
                    return word
                going.add((word, done + 1))
        return frozenset(going)


def restriction_sites(enzyme: str) -> tuple[str, ...]:
    """The sites (5' to 3', IUPAC letters) that an enzyme of REBASE cuts at; InputError for one that is not known.

    >>> restriction_sites("BsaI")
    ('GGTCTC',)
    """
    from Bio.Restriction.Restriction_Dictionary import rest_dict

    if enzyme not in rest_dict:
        hint = meant(enzyme, rest_dict)
        raise InputError(f"enzymes: {enzyme!r} is not one of the {len(rest_dict)} enzymes of Bio.Restriction{hint}")
    return tuple(str(rest_dict[enzyme]["site"]).split("|"))


def both_strands(*words: str) -> tuple[str, ...]:
    """Words and how they read on the other strand, each once.

    >>> both_strands("GGTCTC", "GAATTC")
    ('GGTCTC', 'GAGACC', 'GAATTC')
    """
    return tuple(dict.fromkeys(strand for word in words for strand in (word, DNA_IUPAC.reverse_complement(word))))


def _checked(motif: str) -> str:
    """A motif in T and upper case; InputError where a letter stands for no base."""
    word = to_dna(motif.upper())
    strange = [letter for letter in word if letter not in DNA_IUPAC.symbols or not DNA_IUPAC.expand(letter)]
    if strange or not word:
        found = f"{strange[0]!r} in {motif!r}" if strange else "an empty one"
        raise InputError(f"avoid: found {found}; a motif is made of A, C, G, T or U and the IUPAC letters")
    return word


def _pattern(word: str) -> re.Pattern[str]:
    """All places of a word, those that overlap too."""
    bases = ["".join(base for base in DNA.symbols if base in DNA_IUPAC.expand(symbol)) for symbol in word]
    return re.compile("(?=" + "".join(f"[{letters}]" for letters in bases) + ")")
