"""Long convolutions by Fourier transform against direct ones, and packed batches against padded ones.

    python benchmarks/long_convolution.py SEQUENCES [--rounds 5] [--sequences 32] [--threads 1]

First: one causal convolution with a filter as long as the sequence, forward and backward, 2 048 tokens of 64 channels,
by nuclex (transform), by ``conv1d`` with one group a channel, and by a Toeplitz matrix a channel (up to 512 tokens:
beyond, its memory is what ends it). Second: a Hyena layer on batches of real lengths (any FASTA; cut at 1 024),
forward and backward, packed and padded to the longest of the batch, in random order and grouped by length.

All contestants of a comparison take turns in every round. Times are processor time; reported are ratios, median
[min, max] over the rounds. Rates of a shared machine mean little.
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
from torch import Tensor
from torch.nn import functional as F

from nuclex.core.provenance import package_versions
from nuclex.data.read import read_sequences
from nuclex.models.blocks.hyena import Hyena, HyenaConfig
from nuclex.models.blocks.long_convolution import lags_needed, long_convolution
from nuclex.models.layout import Layout

TOKENS, CHANNELS = 2048, 64
LENGTHS, TOEPLITZ_UP_TO = (32, 128, 512, 2048), 512
LONGEST, BATCHES = 1024, 3
Convolution = Callable[[Tensor, Tensor, int], Tensor]
Rows = dict[str, list[float]]


def by_transform(values_TD: Tensor, filters_LD: Tensor, length: int) -> Tensor:
    return long_convolution(values_TD, filters_LD, Layout.of([length] * (len(values_TD) // length)))


def by_conv1d(values_TD: Tensor, filters_LD: Tensor, length: int) -> Tensor:
    padded_NDL = F.pad(values_TD.unflatten(0, (-1, length)).transpose(1, 2), (length - 1, 0))
    mixed_NDL = F.conv1d(padded_NDL, filters_LD.T.flip(1)[:, None], groups=values_TD.shape[1])
    return mixed_NDL.transpose(1, 2).flatten(0, 1)


def by_toeplitz(values_TD: Tensor, filters_LD: Tensor, length: int) -> Tensor:
    lag_LL = torch.arange(length)[:, None] - torch.arange(length)
    matrix_DLL = torch.where(lag_LL >= 0, filters_LD.T[:, lag_LL.clamp(min=0)], 0)
    mixed_DLN = matrix_DLL @ values_TD.unflatten(0, (-1, length)).permute(2, 1, 0)
    return mixed_DLN.permute(2, 1, 0).flatten(0, 1)


CONVOLUTIONS: dict[str, Convolution] = {
    "conv1d, a group a channel": by_conv1d,
    "Toeplitz matrix": by_toeplitz,
    "transform (nuclex)": by_transform,
}


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def convolutions(length: int, rounds: int) -> Rows:
    """Processor seconds of a forward and backward pass of each contestant, a round an entry."""
    generator = torch.Generator().manual_seed(length)
    values_TD = torch.randn(TOKENS, CHANNELS, generator=generator, requires_grad=True)
    filters_LD = torch.randn(length, CHANNELS, generator=generator, requires_grad=True)
    upstream_TD = torch.randn(TOKENS, CHANNELS, generator=generator)
    field = {
        name: convolve
        for name, convolve in CONVOLUTIONS.items()
        if convolve is not by_toeplitz or length <= TOEPLITZ_UP_TO
    }
    wanted = by_transform(values_TD, filters_LD, length)
    rows: Rows = {}
    for name, convolve in field.items():
        assert torch.allclose(convolve(values_TD, filters_LD, length), wanted, atol=1e-3), name
        rows[name] = []
    for number in range(rounds + 1):  # the first round warms up
        for name, convolve in field.items():
            spent = seconds(lambda run=convolve: run(values_TD, filters_LD, length).backward(upstream_TD))  # type: ignore[misc]
            if number:
                rows[name].append(spent)
    return rows


def batches_of(lengths: np.ndarray, per_batch: int, grouped: bool, rng: np.random.Generator) -> list[np.ndarray]:
    order = np.argsort(lengths, kind="stable") if grouped else rng.permutation(len(lengths))
    cuts = [lengths[order[first : first + per_batch]] for first in range(0, len(order) - per_batch + 1, per_batch)]
    return [np.sort(cuts[place]) for place in rng.permutation(len(cuts))[:BATCHES]]


def layers(lengths: np.ndarray, width: int, rounds: int, per_batch: int) -> Rows:
    """Real tokens a processor second of a forward and backward pass of a Hyena layer, a round an entry."""
    torch.manual_seed(0)
    layer = Hyena(width, HyenaConfig())
    field = {
        f"{way}, {order}": (way == "padded", order == "grouped by length")
        for order in ("random order", "grouped by length")
        for way in ("padded", "packed")
    }
    rows: Rows = {name: [] for name in field}
    for number in range(rounds + 1):  # the first round warms up
        for name, (padded, grouped) in field.items():
            batches = batches_of(lengths, per_batch, grouped, np.random.default_rng(number))
            layouts = [Layout.of([batch.max()] * len(batch) if padded else batch) for batch in batches]

            def run(layouts: list[Layout] = layouts) -> None:
                for layout in layouts:
                    layer(torch.ones(layout.tokens, width, requires_grad=True), layout).sum().backward()

            rate = float(sum(batch.sum() for batch in batches)) / seconds(run)
            if number:
                rows[name].append(rate)
    return rows


def ratios(rows: Rows, invert: bool = False) -> dict[str, dict[str, float]]:
    """Every contestant against the first, round by round; ``invert`` for times, of which less is better."""
    base = next(iter(rows.values()))
    table = {}
    for name, values in rows.items():
        each = [peer / value if invert else value / peer for value, peer in zip(values, base, strict=True)]
        table[name] = {"median": statistics.median(values), "ratio": statistics.median(each)}
        table[name] |= {"ratio_low": min(each), "ratio_high": max(each)}
    return {name: {key: float(f"{value:.4g}") for key, value in row.items()} for name, row in table.items()}


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}")
    for name, row in table.items():
        print(f"  {name:<32}{row['ratio']:>9.3g}  [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences_file", metavar="SEQUENCES", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sequences", type=int, default=32, help="sequences in a batch")
    parser.add_argument("--width", type=int, default=256, help="of the Hyena layer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/long_convolution.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict[str, object] = {
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "packages": package_versions(),
    }
    for length in LENGTHS:
        assert lags_needed(Layout.of([length])) == length  # powers of two: no padding but the one a transform needs
        table = ratios(convolutions(length, arguments.rounds), invert=True)
        show(f"sequences of {length}: how many times as fast as conv1d", table)
        result[f"convolution of {length}, {TOKENS} tokens, {CHANNELS} channels, seconds"] = table
    lengths = np.array([len(record.sequence) for record in read_sequences(arguments.sequences_file)])
    lengths = np.minimum(lengths, LONGEST)
    facts = {"mean": float(lengths.mean()), "sd": float(lengths.std()), "n": len(lengths)}
    result["lengths"] = {"file": arguments.sequences_file.name, **facts}
    table = ratios(layers(lengths, arguments.width, arguments.rounds, arguments.sequences))
    show(f"Hyena layer, width {arguments.width}, {arguments.sequences} sequences: real tokens a second", table)
    result[f"layer of width {arguments.width}, {arguments.sequences} sequences, real tokens a second"] = table
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
