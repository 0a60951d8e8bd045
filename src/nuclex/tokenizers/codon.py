"""One token a codon, read in a stated frame; the 70 tokens are those of HELM (arXiv:2410.12459) in its order."""

from __future__ import annotations

from itertools import product
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA, to_rna
from nuclex.tokenizers.base import TOKENIZERS, FixedConfig, SpecialTokens, Tokenizer
from nuclex.tokenizers.exported import added_token, split_at, tokenizer_json, word_model
from nuclex.tokenizers.nucleotide import SPECIAL
from nuclex.tokenizers.reading import Ids, ascii_bytes, folding
from nuclex.tokenizers.triplets import PLACEHOLDER, Frame, Remainder, Triplets

Compatibility = Literal["none", "helm-released"]
BEFORE_CODONS = ("<cls>", "<pad>", "<eos>", "<unk>")
AFTER_CODONS = ("<mask>", "<distill_token>")
NUCLEOTIDES = "ATCG"  # HELM nests its codons in this order: AAA, AAT, AAC, AAG, ATA, … GGG
IN_A_TREE = ("<cls>", "<distill_token>", "<eos>", "<mask>", "<pad>", "<unk>")  # the leaves of HELM's tree before AAA


@TOKENIZERS.register
class CodonConfig(FixedConfig):
    """One token a codon; every other triplet (one with N, say) is ``<unk>``.

    ``frame``, which has no default, is the number of nucleotides before the first codon; they are passed over.
    ``remainder`` says what becomes of one or two nucleotides behind the last whole codon: "error" refuses the
    sequence, "trim" leaves them out, "unknown" makes them one ``<unk>`` that does not count for ``max_unknown_share``.
    ``compatibility`` = "helm-released" has the same tokens in the order that HELM's code gives them wherever it uses a
    hierarchy: alphabetical, the special ones first. Which id a token has matters to stored weights alone.

    >>> CodonConfig(frame=0).build().encode("AUGAAA", start=False).tolist()
    [11, 4, 2]
    >>> CodonConfig(frame=0, compatibility="helm-released").build().encode("AUGAAA", start=False).tolist()
    [20, 6, 2]
    """

    kind: Literal["codon"] = "codon"
    frame: Frame
    remainder: Remainder = "error"
    compatibility: Compatibility = "none"

    def build(self) -> CodonTokenizer:
        """The tokenizer."""
        return CodonTokenizer(self)


@final
class CodonTokenizer(Tokenizer):
    """Reads codons by look-ups in tables of 256 bytes, one for each place in the codon."""

    def __init__(self, config: CodonConfig) -> None:
        self._config = config
        in_a_tree = config.compatibility == "helm-released"
        before, order, after = (IN_A_TREE, DNA.symbols, ()) if in_a_tree else (BEFORE_CODONS, NUCLEOTIDES, AFTER_CODONS)
        letters = to_rna(order) if config.alphabet == "rna" else order
        self._triplets = Triplets(folding(config.case, config.alphabet), letters, config.frame, config.remainder)
        codons = tuple("".join(three) for three in product(letters, repeat=3))
        self._vocabulary = (*before, *codons, *after)
        self._codon_ids = np.arange(len(before), len(before) + len(codons), dtype=np.int64)
        unknown = self._vocabulary.index(SPECIAL.unk)
        self._ids = np.append(self._codon_ids, unknown)

    @property
    def config(self) -> CodonConfig:
        """The config it was built from."""
        return self._config

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All 70 tokens in HELM's order."""
        return self._vocabulary

    @property
    def special(self) -> SpecialTokens:
        """The names of its special tokens; ``<distill_token>`` is one more, for HELM's sake."""
        return SPECIAL

    @property
    def special_ids(self) -> Ids:
        """Ids 0 to 3, 68 and 69; or 0 to 5."""
        return np.setdiff1d(np.arange(len(self._vocabulary), dtype=np.int64), self._codon_ids)

    @property
    def random_ids(self) -> Ids:
        """Ids of the 64 codons."""
        return self._codon_ids

    def encode(self, sequence: str | bytes, *, start: bool = True, end: bool = True) -> Ids:
        """Turn a sequence into ids: (L,) int64, one for each codon, plus the start and end tokens.

        InputError for a remainder where the config says so, and for too large a share of unknown codons.
        """
        codes_L, one_more = self._triplets.read(ascii_bytes(sequence), self._config.max_unknown_share)
        begin = [self.cls_id] if start else []
        finish = [self.unk_id] * one_more + ([self.eos_id] if end else [])
        return np.concatenate([np.array(begin, dtype=np.int64), self._ids[codes_L], np.array(finish, dtype=np.int64)])

    def spans(self, sequence: str | bytes) -> NDArray[np.int64]:
        """The nucleotides behind each codon: (L, 2) starts and ends, 0-based half-open, from the frame on."""
        return self._triplets.spans(sequence)

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``.

        The rules write a ``?`` for each unknown triplet, counting from the frame; then the codons can be looked for
        in the text itself without leaving the frame. That is also what lets ``RobertaTokenizerFast`` of transformers
        5 find codons: it keeps added tokens but no rules, so it needs upper case, one alphabet, and known codons in
        frame 0. In another frame the looking would start too early, so there the codons are not added.
        """
        special = set(self.special_ids.tolist())
        return tokenizer_json(
            word_model(self.vocabulary, SPECIAL.unk),
            rules=self._triplets.rules(),
            added=[
                added_token(token, index, special=index in special)
                for index, token in enumerate(self.vocabulary)
                if index in special or self._config.frame == 0
            ],
            split=split_at(rf"\{PLACEHOLDER}|{self._triplets.known}"),
            ends=(SPECIAL.cls, SPECIAL.eos),
        )
