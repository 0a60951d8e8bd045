"""Embedding real RNAs of 30 to 1 000 nucleotides with a model of RiNALMo-micro's size (33 M) against multimolecule.

Both have random weights. multimolecule (AGPL, only measured here) reads padded batches of 32 in the order of the file,
once with its default attention and once with PyTorch's fused one; its mean over tokens is left out, tokenizing too.
nuclex does all that `nuclex embed` does, from letters to mean vectors, in float32 and in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from side_by_side import Row, interleaved, rows

from nuclex.bundle import Bundle, Record
from nuclex.inference.embed import embed_sequences
from nuclex.models import LanguageModel, rinalmo
from nuclex.tokenizers import NucleotideConfig

SHORTEST, LONGEST, PER_BATCH = 30, 1000, 32
AS_IT_COMES = "multimolecule as it comes (eager attention, padded, in order)"
FUSED = "multimolecule with SDPA, padded, in order"


def measure(sequences: list[bytes], rounds: int, count: int) -> list[Row]:
    """One table; every contestant embeds the first ``count`` of the RNAs that are of these lengths, in every round."""
    fitting = [sequence.replace(b"T", b"U") for sequence in sequences if SHORTEST <= len(sequence) <= LONGEST]
    chosen = [sequence for sequence in fitting if not sequence.translate(None, b"ACGU")][:count]
    times = interleaved(_contestants(chosen), rounds)
    targets = {"nuclex packed, fp32": 10.0, "nuclex packed, bf16": 25.0}
    own = {name: spent for name, spent in times.items() if name == FUSED or name.startswith("nuclex")}
    part = f"embedding {len(chosen)} real RNAs of {SHORTEST} to {LONGEST} nt, 33 M"
    return rows(part, times, AS_IT_COMES, targets) + rows(part, own, FUSED, {"nuclex packed, fp32": 3.0})


def _contestants(sequences: list[bytes]) -> dict[str, Callable[[], Any]]:
    tokenizer, config = NucleotideConfig().build(), rinalmo("micro").backbone()
    model = LanguageModel(
        config, vocabulary_size=len(tokenizer), pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id
    ).eval()
    named = [(str(number), sequence) for number, sequence in enumerate(sequences)]

    bundle = Bundle(model, tokenizer, Record({}, {}, {}, None, "random"), None, Path())

    def embedded(precision: Any) -> None:
        for _ in embed_sequences(bundle, named, precision=precision):
            pass

    return {
        **_multimolecule(sequences),
        "nuclex packed, fp32": lambda: embedded("fp32"),
        "nuclex packed, bf16": lambda: embedded("bf16"),
    }


def _multimolecule(sequences: list[bytes]) -> dict[str, Callable[[], Any]]:
    from multimolecule import RiNALMoConfig, RiNALMoModel

    ids = {letter: 6 + place for place, letter in enumerate(b"ACGU")}
    tokens = [[1, *(ids[letter] for letter in sequence), 2] for sequence in sequences]
    models = {}
    for name, attention in ((AS_IT_COMES, "eager"), (FUSED, "sdpa")):
        config = RiNALMoConfig(
            hidden_size=480, num_hidden_layers=12, num_attention_heads=20, intermediate_size=1920,
            attn_implementation=attention,
        )  # fmt: skip
        models[name] = RiNALMoModel(config).eval()

    def embedded(model: torch.nn.Module) -> None:
        with torch.no_grad():
            for batch in _batches(tokens):
                longest = max(map(len, batch))
                padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in batch])
                model(input_ids=padded, attention_mask=(padded != 0).long())

    return {name: lambda model=model: embedded(model) for name, model in models.items()}  # type: ignore[misc]


def _batches(tokens: list[list[int]]) -> list[list[list[int]]]:
    return [tokens[first : first + PER_BATCH] for first in range(0, len(tokens), PER_BATCH)]
