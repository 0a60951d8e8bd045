"""Tiny models for tests of design: random weights that all matter, tokens of one and of three letters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nuclex.bundle import Bundle, Record
from nuclex.models import MODELS, LanguageModel, Layout
from nuclex.tokenizers import CodonConfig, KmerConfig, NucleotideConfig

TOKENIZERS = {
    "codon": CodonConfig(frame=0).build(),
    "nucleotide": NucleotideConfig(alphabet="rna").build(),
    "triplet": KmerConfig(k=3).build(),
}
KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {"kind": "gpt2", "heads": 2, "inner": 32, "max_positions": 80},
    "mamba": {"kind": "mamba"},
    "hyena": {"kind": "hyena", "inner": 32},
    "roberta": {"kind": "roberta", "heads": 2, "max_positions": 80},
}


def bundle_of(kind: str, tokens: str = "codon", seed: int = 1) -> Bundle:
    """A bundle in memory."""
    tokenizer = TOKENIZERS[tokens]
    config = MODELS.parse({"depth": 2, "width": 16, **KINDS[kind]}).backbone()
    torch.manual_seed(seed)
    ids = {"pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    model = LanguageModel(config, vocabulary_size=len(tokenizer), **ids).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.3 * torch.randn_like(value))
    record = Record({"sampling": {"max_tokens": 80}}, {}, {}, None, "tiny")
    return Bundle(model, tokenizer, record, None, Path("tiny"))


def plain_log_p(bundle: Bundle, before: Sequence[str], codon: str) -> float:
    """ln p of a codon behind others, by one pass over all of them."""
    ids = torch.from_numpy(bundle.tokenizer.encode("".join([*before, codon]), end=False))
    own = len(bundle.tokenizer.encode(codon, start=False, end=False))
    with torch.no_grad():
        log = bundle.model(ids[:-1], Layout.of([len(ids) - 1])).double().log_softmax(-1)
    return float(log[-own:].gather(1, ids[-own:, None]).sum())
