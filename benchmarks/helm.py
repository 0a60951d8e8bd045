"""HELM's question at the size of a laptop: does a loss that knows codons make better models of coding sequences?

    python benchmarks/helm.py CORPUS OUT [--models gpt2 mamba hyena] [--losses xe hxe soft] [--seeds 0] [--steps 500]

Pre-trains each model with each loss on the same batches (recipes/pretrain/helm-*-laptop), in turn, and asks for every
codon of the test split: codon and amino-acid accuracy, the share of errors that are synonymous, with intervals over
homology clusters, and what each loss changes against cross entropy, paired by sequence. Then a probe on the frozen
model for each property (recipes/finetune/helm-probe-small). What is there is taken up. Numbers go to
results/helm.json; ``--only pretrain`` leaves the probes out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import nuclex
from nuclex.core.config import load_config
from nuclex.evaluation.evaluate import Evaluation
from nuclex.metrics.statistics import Ratio, bootstrap, paired_difference
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import PretrainConfig

LOSSES: dict[str, dict[str, Any]] = {
    "xe": {},
    "hxe": {"objective.criterion.kind": "hierarchical", "objective.criterion.alpha": 0.2},
    "soft": {"objective.criterion.kind": "soft-labels"},
}
TASKS = ("mrfp-expression", "ecoli-protein", "ecoli-transcript", "yeast-half-life", "vaccine-degradation")
Run = tuple[str, str, int]


def name(run: Run) -> str:
    return "-".join(map(str, run))


def trained(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """The bundle of one run, made now or before."""
    model, loss, seed = run
    settings = {"corpus": str(options.corpus), "seed": seed, "training.steps": options.steps, **LOSSES[loss]}
    settings |= {"training.evaluate_every": options.steps // 4, "training.checkpoint_every": options.steps}
    config = load_config(PretrainConfig, f"pretrain/helm-{model}-laptop", settings)
    out = options.out / name(run)
    began = time.perf_counter()
    nuclex.pretrain(config, out, resume=out.exists())
    told = out / "wall.json"
    if not told.exists():
        told.write_text(json.dumps({"seconds": time.perf_counter() - began}))
    return {"bundle": out / "bundle", **json.loads(told.read_text())}


def asked(found: Evaluation) -> dict[str, Any]:
    """Numbers with intervals over clusters, and the baselines' on the same codons."""
    scores, data = found.model, found.to_data()
    assert scores.kin_N is not None
    wrong_N = scores.tokens_N - scores.hits_N
    parts = {
        "codon_accuracy": Ratio(scores.hits_N, scores.tokens_N),
        "amino_acid_accuracy": Ratio(scores.kin_N, scores.tokens_N),
        "synonymous_error_share": Ratio(scores.kin_N - scores.hits_N, wrong_N),
        "loss": Ratio(scores.nll_N, scores.tokens_N),
    }
    numbers: dict[str, Any] = {}
    for key, ratio in parts.items():
        interval = bootstrap(ratio, clusters=found.clusters_N)
        numbers[key] = [interval.value, interval.low, interval.high]
    return {**numbers, "sequences": len(found.rows_N), "markov": data["markov"], "unigram": data["unigram"]}


def changes(plain: Evaluation, other: Evaluation) -> dict[str, Any]:
    """What another loss changes against cross entropy, paired by sequence, over clusters."""
    told = {}
    for key in ("hits_N", "kin_N"):
        pair = (Ratio(getattr(one.model, key), one.model.tokens_N) for one in (other, plain))
        found = paired_difference(*pair, clusters=plain.clusters_N)
        told[key] = [found.difference.value, found.difference.low, found.difference.high, found.p_value]
    return {"codon_accuracy": told["hits_N"], "amino_acid_accuracy": told["kin_N"]}


def probed(run: Run, bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Spearman of each property with its interval, from a probe on the frozen model."""
    told = {}
    for task in TASKS:
        settings = {"bundle": str(bundle), "seed": run[2], "task.name": task}
        config = load_config(FinetuneConfig, "finetune/helm-probe-small", settings)
        out = options.out / f"{name(run)}-{task}"
        if not (out / "results.json").exists():
            nuclex.finetune(config, out, resume=out.exists())
        told[task] = json.loads((out / "results.json").read_text())
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["gpt2", "mamba", "hyena"])
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--only", choices=["pretrain"])
    options = parser.parse_args()
    results: dict[str, Any] = {"steps": options.steps, "runs": {}, "changes": {}, "probes": {}}
    found: dict[Run, Evaluation] = {}
    for seed in options.seeds:
        for model in options.models:
            for loss in options.losses:
                run = (model, loss, seed)
                made = trained(run, options)
                found[run] = nuclex.evaluate(made["bundle"], options.corpus, split="test")
                results["runs"][name(run)] = {**asked(found[run]), "seconds": made["seconds"]}
                if loss != "xe" and (model, "xe", seed) in found:
                    results["changes"][name(run)] = changes(found[model, "xe", seed], found[run])
                print(name(run), json.dumps(results["runs"][name(run)]), flush=True)
    for run in found if options.only is None else ():
        results["probes"][name(run)] = probed(run, options.out / name(run) / "bundle", options)
    text = json.dumps(results, indent=1, default=float)
    (Path(__file__).parent / "results" / "helm.json").write_text(text + "\n", encoding="utf-8")
    for key, numbers in results["runs"].items():
        print(
            key,
            *(f"{name} {np.round(numbers[name], 4).tolist()}" for name in ("codon_accuracy", "amino_acid_accuracy")),
        )


if __name__ == "__main__":
    main()
