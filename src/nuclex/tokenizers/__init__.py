"""From letters to numbers: nucleotides, codons, amino acids, k-mers, learned tokens, each with its stored rules.

A new kind is one file and one import line here.
"""

from nuclex.tokenizers.amino_acid import AminoAcidConfig, AminoAcidTokenizer
from nuclex.tokenizers.base import (
    TOKENIZERS,
    FixedConfig,
    SpecialTokens,
    Tokenizer,
    TokenizerConfig,
    load_tokenizer,
    save_tokenizer,
    tokenizer_hash,
)
from nuclex.tokenizers.bpe import BpeConfig
from nuclex.tokenizers.census import Census, census
from nuclex.tokenizers.codon import CodonConfig, CodonTokenizer
from nuclex.tokenizers.kmer import KmerConfig, KmerTokenizer
from nuclex.tokenizers.learned import LearnedConfig, LearnedTokenizer
from nuclex.tokenizers.nucleotide import NucleotideConfig, NucleotideTokenizer
from nuclex.tokenizers.unigram import UnigramConfig
from nuclex.tokenizers.wordpiece import WordPieceConfig

__all__ = [
    "TOKENIZERS",
    "AminoAcidConfig",
    "AminoAcidTokenizer",
    "BpeConfig",
    "Census",
    "CodonConfig",
    "CodonTokenizer",
    "FixedConfig",
    "KmerConfig",
    "KmerTokenizer",
    "LearnedConfig",
    "LearnedTokenizer",
    "NucleotideConfig",
    "NucleotideTokenizer",
    "SpecialTokens",
    "Tokenizer",
    "TokenizerConfig",
    "UnigramConfig",
    "WordPieceConfig",
    "census",
    "load_tokenizer",
    "save_tokenizer",
    "tokenizer_hash",
]
