"""Learning-rate sweeps at several widths, with and without μP, on real ncRNA: where is the best rate of each width?

    nuclex corpus build DATA/ncrna_pretrain/{GtRNAdb,RF00001,RF00005,rfam-5.8s-id98}.fa.gz --out ncrna \\
        --cluster.method none
    python benchmarks/mup_sweep.py ncrna [--widths 64 128 256 512] [--rates ...] [--seeds 3] [--steps 500]
                                         [--kinds standard mup] [--folder DIR] [--results FILE] [--picture FILE.svg]
                                         [--draw]

A GPT-2 of depth 2 learns tRNA, 5S and 5.8S rRNA for 500 updates of 1 024 nucleotides at each rate and seed; judged by
its loss on 192 sequences drawn from the same families (what is asked is how fast it learns, not what it knows of RNA:
masked models, and families held out, stay at the loss of the composition for so few updates, whatever the rate). At the
base width of 64 both parametrisations are one, and its runs count for both. Every run that is done is written to the
results at once and not done again; a run whose loss is no number is written as null. At the end the best rate of each
width and a picture: loss against rate, a line for each width.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import torch

from nuclex.core.config import load_config
from nuclex.core.errors import NonFiniteError
from nuclex.training.pretrain import PretrainConfig, pretrain

HERE = Path(__file__).parent
BASE, HEADS = 64, 4
FIRST = BASE**-0.5
"""The first weights' standard deviation: the usual 0.02 is that of a network 2 500 wide, and too small at 64."""
RATES = [2.0**power * 1e-3 for power in range(-1, 5)]
COLOURS = ("#56b4e9", "#0072b2", "#cc79a7", "#d55e00", "#009e73")


def recipe(corpus: Path, width: int, kind: str, rate: float, seed: int, steps: int) -> dict[str, Any]:
    """One run, as the tables of a recipe."""
    model = {"kind": "gpt2", "depth": 2, "width": width, "heads": HEADS, "inner": 4 * width, "max_positions": 160}
    base = {"base_width": BASE} if kind == "mup" else {}
    return {
        "corpus": str(corpus),
        "seed": seed,
        "tokenizer": {"kind": "nucleotide"},
        "model": {**model, **base, "initializer_range": FIRST, "dropout": 0.0, "attention_dropout": 0.0},
        "objective": {"kind": "causal"},
        "validation_sequences": 192,
        "sampling": {"members": "all", "max_tokens": 128, "batch_tokens": 1024, "micro_tokens": 1024},
        "training": {
            "steps": steps,
            "evaluate_every": steps,
            "checkpoint_every": steps,
            "optimizer": {"weight_decay": 0.0},
            "schedule": {"kind": "cosine", "rate": rate, "warmup": max(steps // 10, 1)},
        },
    }


def one(asked: argparse.Namespace, width: int, kind: str, rate: float, seed: int) -> dict[str, Any]:
    """The loss on validation, and what it cost."""
    folder, start = Path(tempfile.mkdtemp(dir=asked.folder)), time.process_time()
    config = load_config(PretrainConfig, None, recipe(asked.corpus, width, kind, rate, seed, asked.steps))
    try:
        loss = pretrain(config, folder / "run")["metrics"]["validation_loss"]
    except NonFiniteError:
        loss = None
    finally:
        shutil.rmtree(folder)
    return {"loss": loss, "cpu_seconds": round(time.process_time() - start, 1)}


def means(runs: dict[str, Any], kind: str, width: int, rates: list[float], seeds: Iterable[int]) -> list[float | None]:
    """The mean loss over seeds at each rate; None where a seed is missing or has none."""
    found = []
    for rate in rates:
        losses = [
            runs.get(name(kind if width != BASE else "standard", width, rate, seed), {}).get("loss") for seed in seeds
        ]
        found.append(None if None in losses else statistics.fmean(losses))
    return found


def name(kind: str, width: int, rate: float, seed: int) -> str:
    """What a run is called in the results."""
    return f"{kind} {width} {rate:g} {seed}"


def best_rates(runs: dict[str, Any], asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The rate of the least mean loss, by parametrisation and width, where all rates are done or have no loss."""
    found: dict[str, dict[str, float]] = {}
    for kind in asked.kinds:
        for width in asked.widths:
            at = means(runs, kind, width, asked.rates, range(asked.seeds))
            pairs = [(loss, rate) for loss, rate in zip(at, asked.rates, strict=True) if loss is not None]
            if pairs:
                found.setdefault(kind, {})[str(width)] = min(pairs)[1]
    return found


def draw(runs: dict[str, Any], asked: argparse.Namespace) -> None:
    """Loss against rate, a line for each width; the least is marked."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "mup", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(asked.kinds), figsize=(3.6 * len(asked.kinds), 3), sharey=True, squeeze=False)
    for axis, kind in zip(axes[0], asked.kinds, strict=True):
        for width, colour in zip(asked.widths, COLOURS, strict=False):
            at = means(runs, kind, width, asked.rates, range(asked.seeds))
            points = [(rate, loss) for rate, loss in zip(asked.rates, at, strict=True) if loss is not None]
            if not points:
                continue
            axis.plot(*zip(*points, strict=True), color=colour, marker=".", linewidth=1.2, label=str(width))
            for seed in range(asked.seeds):  # a dash for each seed
                alone = means(runs, kind, width, asked.rates, [seed])
                axis.plot(asked.rates, [value or float("nan") for value in alone], "_", color=colour, markersize=4)
            best = min(points, key=lambda point: point[1])
            axis.plot(*best, color=colour, marker="o", markersize=8, fillstyle="none")
        axis.set_xscale("log", base=2)
        axis.set_xticks(asked.rates, [f"{rate:g}" for rate in asked.rates], rotation=45)
        axis.set_title({"mup": "μP, base width 64"}.get(kind, kind))
        axis.set_xlabel("learning rate")
    axes[0][0].set_ylabel("loss on validation")
    axes[0][-1].legend(title="width", frameon=False, loc="upper center")
    figure.tight_layout(pad=0.4)
    asked.picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(asked.picture, metadata={"Date": None})


def main() -> None:
    """Do what is not done yet, then say the best rates and draw."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("corpus", type=Path)
    reader.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512])
    reader.add_argument("--rates", type=float, nargs="+", default=RATES)
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--steps", type=int, default=500)
    reader.add_argument("--kinds", nargs="+", choices=("standard", "mup"), default=["standard", "mup"])
    reader.add_argument("--folder", type=Path, default=None, help="where runs lie while they last")
    reader.add_argument("--results", type=Path, default=HERE / "results" / "mup_sweep.json")
    reader.add_argument("--picture", type=Path, default=HERE.parent / "docs" / "pictures" / "mup_sweep.svg")
    reader.add_argument("--draw", action="store_true", help="train nothing more: say and draw what is done")
    asked = reader.parse_args()
    torch.set_num_threads(1)
    told = json.loads(asked.results.read_text()) if asked.results.is_file() else {"steps": asked.steps, "runs": {}}
    if told["steps"] != asked.steps:
        raise SystemExit(f"{asked.results}: holds runs of {told['steps']} steps; give another file with --results")
    runs = told["runs"]
    kinds = {width: asked.kinds if width != BASE else ["standard"] for width in asked.widths}
    wanted = [(width, kind) for width in asked.widths for kind in kinds[width]]
    for seed, (width, kind), rate in product(range(0 if asked.draw else asked.seeds), wanted, asked.rates):
        if (key := name(kind, width, rate, seed)) not in runs:
            runs[key] = one(asked, width, kind, rate, seed)
            print(key, runs[key], flush=True)
            told |= {"machine": platform.machine(), "torch": torch.__version__}
            asked.results.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    told["best_rates"] = best_rates(runs, asked)
    asked.results.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told["best_rates"], indent=1))
    draw(runs, asked)


if __name__ == "__main__":
    main()
