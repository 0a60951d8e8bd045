"""Coordinate checks of μP: how large what leaves each part is, against the width, for every mixer, with and without it.

    python benchmarks/mup_coordinates.py [--widths 64 128 256 512] [--updates 4] [--rate 3e-3] [--seeds 3]
                                         [--networks roberta gpt2 ...] [--picture FILE.svg]

Networks of depth 2 learn the same random tokens for a few updates of AdamW (``nuclex.training.coordinates``). Written
are benchmarks/results/mup_coordinates.json and the picture of docs/mup.md: a column for each network, standard above
and μP below, a line for each part, its numbers after the last update as a share of those at the first width.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch

from nuclex.models import (
    Gpt2Config,
    HyenaModelConfig,
    MambaConfig,
    ModelConfig,
    RinalmoConfig,
    RobertaConfig,
)
from nuclex.training.coordinates import coordinate_check, slopes

HERE = Path(__file__).parent
BASE = 64
QUIET = {"dropout": 0.0, "attention_dropout": 0.0}
NETWORKS: dict[str, ModelConfig] = {
    "roberta": RobertaConfig(depth=2, width=BASE, heads=4, inner=256, max_positions=64, **QUIET),
    "rinalmo": RinalmoConfig(depth=2, width=BASE, heads=4, token_dropout=0.0, **QUIET),
    "gpt2": Gpt2Config(depth=2, width=BASE, heads=4, inner=256),
    "mamba": MambaConfig(depth=2, width=BASE),
    "mamba2": MambaConfig(version=2, depth=2, width=BASE),
    "bimamba": MambaConfig(depth=2, width=BASE, causal=False, inner=128, embedding_gate=True),
    "hyena": HyenaModelConfig(depth=2, width=BASE, inner=256),
    "hybrid": MambaConfig(depth=2, width=BASE, attention_every=2, heads=4),
}
KINDS = {"standard": 0, "mup": BASE}
COLOURS = {"mixer": "#0072b2", "feedforward": "#e69f00", "logits": "#d55e00", "embedding": "#999999", "": "#009e73"}
LEGEND = {"mixer": "mixers", "feedforward": "feed-forward", "": "stream", "logits": "logits", "embedding": "embedding"}


def measured(names: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    """Of each network and parametrisation the sizes by width, update and part, and the exponents after the last."""
    found: dict[str, Any] = {}
    for name in names:
        for kind, base in KINDS.items():
            config = NETWORKS[name].model_copy(update={"base_width": base})
            sizes = coordinate_check(
                config, asked.widths, updates=asked.updates, rate=asked.rate, seeds=range(asked.seeds)
            )
            found.setdefault(name, {})[kind] = {"sizes": sizes, "exponents": slopes(sizes)}
            worst = max(slopes(sizes).items(), key=lambda item: abs(item[1]))
            print(f"{name:8} {kind:8} largest exponent {worst[1]:+.2f} ({worst[0]})", flush=True)
    return found


def draw(found: dict[str, Any], widths: list[int], path: Path) -> None:
    """The picture, as SVG without a date."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "mup", "svg.fonttype": "none", "font.size": 8})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(found), figsize=(1.45 * len(found) + 0.9, 3.7), sharex=True, sharey=True)
    for column, (name, kinds) in enumerate(found.items()):
        for row, kind in enumerate(KINDS):
            axis, last = axes[row][column], [kinds[kind]["sizes"][width][-1] for width in widths]
            for part in last[0]:
                use = part.split(".")[-1]
                label = use if use in COLOURS else ""
                heights = [one[part] / last[0][part] for one in last]
                axis.plot(widths, heights, color=COLOURS[label], linewidth=1, marker=".", markersize=3)
            axis.set_xscale("log", base=2)
            axis.set_yscale("log", base=2)
            axis.axhline(1, color="#cccccc", linewidth=0.6, zorder=0)
            axis.set_xticks(widths, [str(width) for width in widths])
            axis.tick_params(length=2)
            if row == 0:
                axis.set_title(name, fontsize=9)
    for row, title in enumerate(("standard", "μP")):
        axes[row][0].set_ylabel(f"{title}: times as large\nas at width {widths[0]}")
    axes[1][len(found) // 2].set_xlabel("width")
    handles = [plt.Line2D([], [], color=COLOURS[use], label=label) for use, label in LEGEND.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1), pad=0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, write, draw."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512])
    reader.add_argument("--updates", type=int, default=4)
    reader.add_argument("--rate", type=float, default=3e-3)
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    reader.add_argument("--picture", type=Path, default=HERE.parent / "docs" / "pictures" / "mup_coordinates.svg")
    reader.add_argument("--results", type=Path, default=HERE / "results" / "mup_coordinates.json")
    asked = reader.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    found = measured(asked.networks, asked)
    facts = {
        "widths": asked.widths, "base_width": BASE, "updates": asked.updates, "rate": asked.rate, "seeds": asked.seeds,
        "torch": torch.__version__, "machine": platform.machine(), "cpu_seconds": round(time.process_time() - start),
    }  # fmt: skip
    exponents = {name: {kind: one["exponents"] for kind, one in kinds.items()} for name, kinds in found.items()}
    asked.results.write_text(json.dumps({**facts, "exponents": exponents}, indent=1) + "\n", encoding="utf-8")
    draw(found, asked.widths, asked.picture)


if __name__ == "__main__":
    main()
