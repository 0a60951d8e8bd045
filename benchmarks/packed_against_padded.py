"""Training throughput of packed batches against padded ones, same sequences, same size, one interleaved run.

    python benchmarks/packed_against_padded.py CORPUS [--rounds 5] [--sequences 64] [--threads 2]

Peers: ``transformers`` RobertaForMaskedLM on padded batches, in random order and grouped by length. nuclex: the same
RoBERTa on packed batches. Attention dropout is 0 everywhere, so that transformers takes its fused path too. Reported
are real (unpadded) tokens per second and their ratios to the first row; absolute rates of a shared machine mean little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nuclex.core.provenance import package_versions
from nuclex.data.store import Corpus
from nuclex.models import LanguageModel, Layout, roberta
from nuclex.objectives import token_cross_entropy

SIZES = {"TinyDNABERT 20 M": (6, 512, 8, 2048), "nano-like 7 M": (6, 320, 20, 853)}
VOCABULARY, MASKED = 1024, 0.15


def batches_of(lengths: np.ndarray, per_batch: int, grouped: bool, rng: np.random.Generator) -> list[np.ndarray]:
    order = np.argsort(lengths, kind="stable") if grouped else rng.permutation(len(lengths))
    batches = [lengths[order[first : first + per_batch]] for first in range(0, len(order), per_batch)]
    return [batches[place] for place in rng.permutation(len(batches))]


def padded_step(model: torch.nn.Module, lengths: np.ndarray, rng: np.random.Generator) -> None:
    ids = torch.from_numpy(rng.integers(5, VOCABULARY, (len(lengths), lengths.max())))
    attended = torch.arange(int(lengths.max()))[None, :] < torch.from_numpy(lengths)[:, None]
    ids[~attended] = 1
    chosen = torch.from_numpy(rng.random(ids.shape) < MASKED) & attended
    labels = torch.where(chosen, ids, -100)
    model(input_ids=ids.masked_fill(chosen, 4), attention_mask=attended.long(), labels=labels).loss.backward()


def packed_step(model: torch.nn.Module, lengths: np.ndarray, rng: np.random.Generator) -> None:
    lengths = np.sort(lengths)
    ids_T = torch.from_numpy(rng.integers(5, VOCABULARY, lengths.sum()))
    selected_M = torch.from_numpy(np.flatnonzero(rng.random(len(ids_T)) < MASKED))
    targets_M = ids_T[selected_M]
    ids_T = ids_T.index_fill(0, selected_M, 4)
    loss = token_cross_entropy(model(ids_T, Layout.of(lengths), selected_M), targets_M) / max(len(targets_M), 1)
    loss.backward()


def contestants(size: tuple[int, int, int, int]) -> dict[str, tuple[torch.nn.Module, Callable[..., None], bool]]:
    from transformers import RobertaConfig, RobertaForMaskedLM

    depth, width, heads, inner = size
    config = RobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=514,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.1,
    )
    peer = RobertaForMaskedLM(config).train()
    ours_config = roberta(depth, width, heads, inner).model_copy(update={"attention_dropout": 0.0})
    ours = LanguageModel(ours_config.backbone(), vocabulary_size=VOCABULARY, pad_id=1, mask_id=4).train()
    return {
        "transformers, padded, random order": (peer, padded_step, False),
        "transformers, padded, grouped by length": (peer, padded_step, True),
        "nuclex, packed, random order": (ours, packed_step, False),
        "nuclex, packed, grouped by length": (ours, packed_step, True),
    }


def measure(
    lengths: np.ndarray, size: tuple[int, int, int, int], rounds: int, per_batch: int
) -> dict[str, list[float]]:
    field, rates = contestants(size), {}
    for name in field:
        rates[name] = []
    for number in range(rounds + 1):  # the first round warms up
        for name, (model, step, grouped) in field.items():
            rng = np.random.default_rng(number)
            chosen = batches_of(lengths, per_batch, grouped, rng)[:3]
            began = time.perf_counter()
            for batch in chosen:
                step(model, batch, rng)
                model.zero_grad(set_to_none=True)
            if number:
                rates[name].append(float(sum(batch.sum() for batch in chosen)) / (time.perf_counter() - began))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sequences", type=int, default=64, help="sequences in a batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/packed_against_padded.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    corpus = Corpus.open(arguments.corpus)
    lengths = np.minimum(np.asarray(corpus.lengths), 510) + 2
    lengths = np.random.default_rng(0).permutation(lengths)[:4096].astype(np.int64)
    result: dict[str, object] = {
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "packages": package_versions(),
    }
    result["lengths"] = {"mean": float(lengths.mean()), "sd": float(lengths.std()), "n": len(lengths)}
    for title, size in SIZES.items():
        rates = measure(lengths, size, arguments.rounds, arguments.sequences)
        base = rates["transformers, padded, random order"]
        print(f"\n{title}: real tokens per second, ratio to the first row: median [min, max]")
        rows = {}
        for name, values in rates.items():
            ratios = [value / peer for value, peer in zip(values, base, strict=True)]
            rows[name] = {"tokens_per_s": statistics.median(values), "ratio": statistics.median(ratios)}
            print(
                f"  {name:<42}{statistics.median(values):>9.0f}  {statistics.median(ratios):.2f} "
                f"[{min(ratios):.2f}, {max(ratios):.2f}]"
            )
        result[title] = rows
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
