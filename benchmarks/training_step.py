"""A training step on real ncRNA against ``transformers``: masking, forward, backward, clipping, AdamW.

Every contestant learns from the same sequences in every round, three batches of them, and has the same architecture
and size. ``transformers`` pads: in random order as it comes, or grouped by length, which is its fastest way. It has
its own collator; its half precision is tried both ways that nuclex has (autocast; half-precision weights with float32
masters), and the quicker one is the best-tuned peer. nuclex packs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from side_by_side import Row, interleaved, rows
from torch import nn

from nuclex.data.pack import pack
from nuclex.data.sample import Pieces, windows
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.models import LanguageModel, Layout, RobertaConfig
from nuclex.objectives import MaskedConfig, token_cross_entropy
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.optimizer import OptimizerConfig, build_optimizer
from nuclex.training.precision import Computing, Precision

SIZES = {"TinyDNABERT size (20 M)": (6, 512, 8, 2048), "RiNALMo-nano size (7 M)": (6, 320, 20, 853)}
TARGETS = {
    "TinyDNABERT size (20 M)": {"fp32": 7.0, "bf16": 15.0, "tuned": 1.7},
    "RiNALMo-nano size (7 M)": {"fp32": 18.0, "bf16": 18.5, "tuned": 1.9},
}
AS_IT_COMES = "transformers as it comes: fp32, padded, random order, attention dropout 0.1"
LONGEST, VOCABULARY = 512, 1024


class Peer:
    """transformers' RoBERTa with its collator."""

    def __init__(self, size: tuple[int, ...], precision: Precision, *, tuned: bool) -> None:
        from transformers import RobertaConfig as Theirs
        from transformers import RobertaForMaskedLM

        depth, width, heads, inner = size
        self.model = RobertaForMaskedLM(
            Theirs(
                vocab_size=VOCABULARY,
                hidden_size=width,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                intermediate_size=inner,
                max_position_embeddings=LONGEST + 2,
                attention_probs_dropout_prob=0.0 if tuned else 0.1,
            )
        ).train()
        self.grouped = tuned
        self.update = _updates(self.model, precision)

    def steps(self, examples: list[list[int]], collate: Callable[..., Any], per_batch: int) -> None:
        order = sorted(examples, key=len) if self.grouped else examples
        for first in range(0, len(order), per_batch):
            batch = collate([{"input_ids": ids} for ids in order[first : first + per_batch]])
            self.update(lambda model, batch=batch: model(**batch).loss)


class Ours:
    """nuclex's RoBERTa on packed batches."""

    def __init__(self, size: tuple[int, ...], precision: Precision, attention_dropout: float = 0.0) -> None:
        depth, width, heads, inner = size
        config = RobertaConfig(
            depth=depth, width=width, heads=heads, inner=inner, max_positions=LONGEST + 2,
            attention_dropout=attention_dropout,
        )  # fmt: skip
        self.model = LanguageModel(config.backbone(), vocabulary_size=VOCABULARY, pad_id=1, mask_id=4).train()
        self.update = _updates(self.model, precision)
        self.tokenizer = NucleotideConfig().build()

    def steps(self, table: TokenTable, pieces: Pieces, per_batch: int) -> None:
        for first in range(0, len(pieces), per_batch):
            chosen = np.arange(first, min(first + per_batch, len(pieces)))
            chosen = chosen[np.argsort(pieces.lengths_P[chosen], kind="stable")]
            batch = pack(table, pieces.take(chosen), self.tokenizer)
            question = MaskedConfig().ask(batch, self.tokenizer, 0, first)

            def loss_of(model: nn.Module, batch: Any = batch, question: Any = question) -> torch.Tensor:
                inputs_T, selected_M, targets_M = (
                    torch.from_numpy(part) for part in (question.inputs_T, question.selected_M, question.targets_M)
                )
                logits_MV = model(inputs_T, Layout.of(batch.lengths_N), selected_M)
                return token_cross_entropy(logits_MV, targets_M) / max(len(targets_M), 1)

            self.update(loss_of)


def _updates(model: nn.Module, precision: Precision) -> Callable[[Callable[..., torch.Tensor]], None]:
    optimizer, computing = build_optimizer(model.named_parameters(), OptimizerConfig()), Computing(model, precision)
    for group in optimizer.param_groups:
        group["lr"] = 1e-4

    def update(loss_of: Callable[..., torch.Tensor]) -> None:
        computing.begin()
        computing.gradients(loss_of)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def measure(sequences: list[bytes], rounds: int, per_batch: int) -> list[Row]:
    """The table for both sizes; each round takes its next ``3 * per_batch`` sequences."""
    found = []
    for title, size in SIZES.items():
        times = interleaved(_contestants(size, _supply(sequences, per_batch), per_batch), rounds)
        found += _rows(title, times)
    return found


def _supply(sequences: list[bytes], per_batch: int) -> tuple[TokenTable, list[list[int]]]:
    chosen = [sequence[: LONGEST - 2] for sequence in sequences[: 3 * per_batch]]
    tokenizer = NucleotideConfig().build()
    return tokenize(chosen, tokenizer), [tokenizer.encode(sequence).tolist() for sequence in chosen]


def _contestants(
    size: tuple[int, ...], supply: tuple[TokenTable, list[list[int]]], per_batch: int
) -> dict[str, Callable[[], None]]:
    from transformers import DataCollatorForLanguageModeling

    table, examples = supply
    collate = DataCollatorForLanguageModeling(_opened(), mlm_probability=0.15)
    pieces = windows(table, LONGEST)
    peers = {
        AS_IT_COMES: Peer(size, "fp32", tuned=False),
        "transformers tuned: fp32, grouped by length, no attention dropout": Peer(size, "fp32", tuned=True),
        "transformers tuned: bf16 autocast, grouped, no attention dropout": Peer(size, "bf16", tuned=True),
        "transformers tuned: bf16 weights, grouped, no attention dropout": Peer(size, "bf16-weights", tuned=True),
    }
    ours = {
        "nuclex packed, fp32, attention dropout 0.1": Ours(size, "fp32", 0.1),
        "nuclex packed, fp32": Ours(size, "fp32"),
        "nuclex packed, bf16 autocast": Ours(size, "bf16"),
        "nuclex packed, bf16 weights": Ours(size, "bf16-weights"),
    }
    made: dict[str, Callable[[], None]] = {}
    for name, peer in peers.items():
        made[name] = lambda peer=peer: peer.steps(examples, collate, per_batch)  # type: ignore[misc]
    for name, own in ours.items():
        made[name] = lambda own=own: own.steps(table, pieces, per_batch)  # type: ignore[misc]
    return made


def _opened() -> Any:
    """nuclex's nucleotide tokenizer as ``transformers`` opens it."""
    import tempfile

    from transformers import PreTrainedTokenizerFast

    from nuclex.tokenizers import save_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(NucleotideConfig().build(), folder)
        return PreTrainedTokenizerFast.from_pretrained(folder, trust_remote_code=False)


def _rows(title: str, times: dict[str, list[float]]) -> list[Row]:
    targets = TARGETS[title]
    wanted = {"nuclex packed, fp32": targets["fp32"], "nuclex packed, bf16 weights": targets["bf16"]}
    tuned = [name for name in times if name.startswith("transformers tuned")]
    best = min(tuned, key=lambda name: sum(times[name]))
    against_best = {name: spent for name, spent in times.items() if name == best or name.startswith("nuclex")}
    part = f"training step, {title}"
    return rows(part, times, AS_IT_COMES, wanted) + rows(
        part, against_best, best, {"nuclex packed, bf16 weights": targets["tuned"]}
    )
