"""One token for the amino acid that a codon means, under any genetic code of the NCBI, read in a stated frame."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from nuclex.bio.alphabet import DNA, to_rna
from nuclex.bio.genetic_code import GeneticCode
from nuclex.tokenizers.base import TOKENIZERS, FixedConfig, SpecialTokens, Tokenizer
from nuclex.tokenizers.codon import BEFORE_CODONS, Compatibility
from nuclex.tokenizers.exported import added_token, merging_model, tokenizer_json
from nuclex.tokenizers.nucleotide import SPECIAL, SPECIAL_ORDER
from nuclex.tokenizers.reading import Ids, folding
from nuclex.tokenizers.script import RESIDUES, CodonScript
from nuclex.tokenizers.triplets import Frame, Remainder, Triplets, known_code

# HELM's order; the two behind the gap are for its losses on amino acids, and no sequence is read as them.
HELM_RESIDUES = "LAGVSERTIDPKQNFYMHWC"
HELM_AFTER = (*"XBUZO.-", "start_codon", "end_codon", "<mask>", "<distill_token>")


@TOKENIZERS.register
class AminoAcidConfig(FixedConfig):
    """One token for the amino acid of each codon: 20, ``*`` for stop, and five special ones.

    A sequence of nucleotides is read in the ``frame`` that must be stated and translated by the NCBI's
    ``genetic_code``; a codon with any other letter than A, C, G and T or U is ``<unk>``. ``remainder`` is as for one
    token a codon. What is decoded is amino acids: which codon was read cannot be told. ``compatibility`` =
    "helm-released" has HELM's 35 tokens in its order; there is none for stop among them, so that a stop codon is
    ``<unk>``, as ``*`` is in HELM's code, and does not count for ``max_unknown_share``.

    >>> tokenizer = AminoAcidConfig(frame=0).build()
    >>> tokenizer.decode(tokenizer.encode("AUGGCAUAA"))
    'MA*'
    """

    kind: Literal["amino-acid"] = "amino-acid"
    frame: Frame
    remainder: Remainder = "error"
    genetic_code: int = 1
    compatibility: Compatibility = "none"

    @field_validator("genetic_code")
    @classmethod
    def _is_known(cls, table: int) -> int:
        return known_code(table)

    def build(self) -> AminoAcidTokenizer:
        """The tokenizer."""
        return AminoAcidTokenizer(self)


@final
class AminoAcidTokenizer(Tokenizer):
    """Writes codons as amino acids, and looks each up."""

    def __init__(self, config: AminoAcidConfig) -> None:
        self._config = config
        letters = to_rna(DNA.symbols) if config.alphabet == "rna" else DNA.symbols
        self._triplets = Triplets(folding(config.case, config.alphabet), letters, config.frame, config.remainder)
        self._script = CodonScript(self._triplets, GeneticCode.ncbi(config.genetic_code), config.max_unknown_share)
        helms = config.compatibility == "helm-released"
        self._vocabulary = (*BEFORE_CODONS, *HELM_RESIDUES, *HELM_AFTER) if helms else (*SPECIAL_ORDER, *RESIDUES)
        self._special = BEFORE_CODONS + HELM_AFTER[-4:] if helms else SPECIAL_ORDER
        places = {token: index for index, token in enumerate(self._vocabulary)}
        self._ids = np.array([places.get(letter, self.unk_id) for letter in map(chr, range(128))], dtype=np.int64)

    @property
    def config(self) -> AminoAcidConfig:
        """The config it was built from."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The special tokens, stop and the 20 amino acids in alphabetical order; or HELM's 35."""
        return self._vocabulary

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 4; of HELM's tokens 0 to 3 and 31 to 34."""
        return np.array([self._vocabulary.index(token) for token in self._special], dtype=np.int64)

    @property
    def random_ids(self) -> Ids:
        """Ids of the amino acids, and of stop where it is a token."""
        known = [index for index, token in enumerate(self._vocabulary) if token in RESIDUES]
        return np.array(known, dtype=np.int64)

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence of nucleotides into ids: (L,) int64, one for each codon, plus the start and end tokens.

        InputError for a remainder where the config says so, and for too large a share of unknown codons.
        """
        written = np.frombuffer(self._script.write(sequence).encode("ascii"), dtype=np.uint8)
        begin = [self.cls_id] if start else []
        finish = [self.eos_id] if end else []
        return np.concatenate([np.array(begin, dtype=np.int64), self._ids[written], np.array(finish, dtype=np.int64)])

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each amino acid: (L, 2) starts and ends, 0-based half-open, from the frame on."""
        return self._triplets.spans(sequence)

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``: rules that translate, then every letter is a token."""
        special = set(self._special)
        return tokenizer_json(
            merging_model(self._vocabulary, (), SPECIAL.unk),
            rules=self._script.rules(),
            added=[
                added_token(token, index, special=True)
                for index, token in enumerate(self._vocabulary)
                if token in special
            ],
            split=None,
            ends=(SPECIAL.cls, SPECIAL.eos),
        )
