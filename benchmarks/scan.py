"""State spaces on a CPU: every way of the selective scan, and whole mixers, against transformers' slow path.

    python benchmarks/scan.py [--rounds 5] [--threads 1]

Forward and backward of one sequence, width 256 (512 channels, 16 numbers of memory each). transformers' slow path is
what it takes where mamba-ssm's kernels are not, as on any CPU. Its gradient grows with the square of the length, so
that the longest scan is compared with the chunks in plain torch. Mamba-2's scan is another function of equal size.
Half of the time of nuclex's layers are matrix products, which both sides do alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numba
import torch
import transformers
from side_by_side import Row, interleaved, print_table, rows, save
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.mamba.modeling_mamba import MambaMixer, mamba_selective_scan
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from nuclex.models.blocks import scan
from nuclex.models.blocks.scan import chunked_scan
from nuclex.models.blocks.scan_kernel import compiled_scan
from nuclex.models.blocks.state_space import Mamba, StateSpaceConfig
from nuclex.models.blocks.state_space_dual import Mamba2, dual_scan
from nuclex.models.layout import Layout

WIDTH, CHANNELS, SIZE, HEAD = 256, 512, 16, 64
SLOW, CHUNKS, NUMBA = "transformers' slow path", "nuclex, chunks in plain torch", "nuclex, compiled by numba"
TARGET = 100
Work = Callable[[], object]


def trained(run: Callable[..., Tensor], leaves: list[Tensor]) -> Work:
    """Forward, and the gradients of the sum of squares."""

    def work() -> None:
        for leaf in leaves:
            leaf.grad = None
        run(*leaves).square().sum().backward()

    return work


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def their_scan(inputs: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    channels_first = (part.T[None] for part in (inputs, delta))
    return mamba_selective_scan(*channels_first, A, B.T[None], C.T[None])[0].T


def scans(length: int) -> dict[str, Work]:
    """The scan alone; the ways are checked to agree."""
    layout = Layout.of([length])
    inputs, steps, B, C = drawn((length, CHANNELS), (length, CHANNELS), (length, SIZE), (length, SIZE))
    A = -torch.arange(1.0, SIZE + 1).repeat(CHANNELS, 1)
    parts = [part.requires_grad_() for part in (inputs, F.softplus(steps - 4), A, B, C)]
    ways: dict[str, Callable[..., Tensor]] = {
        SLOW: their_scan,
        CHUNKS: lambda *given: chunked_scan(list(given), layout)[0],
        NUMBA: lambda *given: compiled_scan(list(given), layout)[0],
    }
    wanted = ways[SLOW](*parts)
    assert all(torch.allclose(way(*parts), wanted, atol=1e-4) for way in ways.values())
    heads, tokens = CHANNELS // HEAD, (length, 1, SIZE)
    written, fade, *shared = drawn((length, heads, HEAD), (length, heads), tokens, tokens)
    dual = [part.requires_grad_() for part in (written, -F.softplus(fade), *shared)]
    work = {name: trained(way, parts) for name, way in ways.items()}
    return work | {"nuclex, Mamba-2": trained(lambda *given: dual_scan(*given, layout, 64)[0], dual)}


def mixer(layer: nn.Module, length: int, *, chunks: bool = False) -> Work:
    """A whole layer of nuclex."""
    layout = Layout.of([length])
    leaves = [part.requires_grad_() for part in drawn((length, WIDTH))]
    work = trained(lambda hidden: layer(hidden, layout), leaves)
    if not chunks:
        return work

    def without_numba() -> None:
        chosen, scan._on_cpu = scan._on_cpu, lambda: (chunked_scan, "")  # type: ignore[assignment]
        try:
            work()
        finally:
            scan._on_cpu = chosen

    return without_numba


def mixers(length: int) -> dict[str, dict[str, Work]]:
    """Whole layers: projections, short convolution, scan, gate."""
    sizes = {"hidden_size": WIDTH, "state_size": SIZE}
    first = MambaMixer(transformers.MambaConfig(**sizes), layer_idx=0)
    second_sizes = {"num_heads": CHANNELS // HEAD, "head_dim": HEAD, "n_groups": 1}
    second = Mamba2Mixer(transformers.Mamba2Config(**sizes, **second_sizes), layer_idx=0)
    leaves = [part.requires_grad_() for part in drawn((1, length, WIDTH))]
    config = StateSpaceConfig(state_size=SIZE, head_size=HEAD)
    return {
        "Mamba layer": {
            SLOW: trained(first, leaves),
            CHUNKS: mixer(Mamba(WIDTH, config), length, chunks=True),
            NUMBA: mixer(Mamba(WIDTH, config), length),
        },
        "Mamba-2 layer": {SLOW: trained(second, leaves), "nuclex, plain torch": mixer(Mamba2(WIDTH, config), length)},
    }


def measure(rounds: int) -> list[Row]:
    """Scans and layers of 128 and 512 tokens against transformers', scans of 2 048 against chunks in plain torch."""
    transformers.logging.set_verbosity_error()
    table: list[Row] = []
    for length in (128, 512):
        targets = {NUMBA: TARGET} if length == 512 else None
        table += rows(f"scan of {length} tokens", interleaved(scans(length), rounds), SLOW, targets)
        for name, field in mixers(length).items():
            table += rows(f"{name}, {length} tokens", interleaved(field, rounds), SLOW)
    longest = scans(2048)
    del longest[SLOW]
    return table + rows("scan of 2048 tokens", interleaved(longest, rounds), CHUNKS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scan.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    table = measure(arguments.rounds)
    print_table(table)
    facts = {"threads": arguments.threads, "rounds": arguments.rounds}
    save(table, arguments.out, **facts, numba=numba.__version__, transformers=transformers.__version__)


if __name__ == "__main__":
    main()
