"""HELM's question at the size of a laptop: does a loss that knows codons make better models of coding sequences?

    python benchmarks/helm.py CORPUS OUT [--models gpt2 mamba hyena] [--losses xe hxe soft] [--seeds 0] [--steps 500]

Pre-trains each model with each loss on the same batches (recipes/pretrain/helm-*-laptop), in turn, and for one step
alone as a control, and asks for every codon of the test split: codon and amino-acid accuracy, the share of errors that
are synonymous, with intervals over homology clusters, and what each loss changes against cross entropy, paired by
sequence. Then a probe on the frozen model for each property of genes of up to 254 codons (finetune/helm-probe-small,
one setting for all instead of its grid), with what one-hot codons and k-mers know. What is there is taken up. Numbers
go to results/helm.json; ``--only pretrain`` leaves the probes out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

import nuclex
from nuclex.core.config import load_config
from nuclex.evaluation.evaluate import Evaluation
from nuclex.metrics.regression import spearman
from nuclex.metrics.statistics import Ratio, bootstrap, paired_difference, paired_statistic
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import PretrainConfig

LOSSES: dict[str, dict[str, Any]] = {
    "xe": {},
    "hxe": {"objective.criterion.kind": "hierarchical", "objective.criterion.alpha": 0.2},
    "soft": {"objective.criterion.kind": "soft-labels"},
    "untrained": {"training.steps": 1},
}
TASKS = {"mrfp-expression": 8, "riboswitch": 40, "vaccine-degradation": 12, "yeast-half-life": 8}
"""Properties, and epochs of a probe at most, so that each is at most a few minutes."""
LONGEST = 3 * 254
"""Letters: what the models read at most, a start and an end beside."""
RATE = 1e-3
KEYS = ("value", "low", "high")
Run = tuple[str, str, int]
Numbers = NDArray[np.float64]


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


def probe(run: Run, task: str, options: argparse.Namespace) -> Path:
    """The folder of a run's probe of one property, asked now or before; GPT-2's first brings what knows no model."""
    controls = ["one-hot", "k-mers"] if run == ("gpt2", "xe", options.seeds[0]) else []
    settings = {"bundle": str(options.out / name(run) / "bundle"), "seed": run[2], "controls": controls, "grid": {}}
    settings |= {"task.name": task, "task.max_length": LONGEST, "control_rates": {"network": RATE, "head": RATE}}
    settings |= {"training.epochs": TASKS[task], "training.stop_after": 4}
    settings |= {"training.schedule.rate": RATE, "training.schedule.patience": 2}
    out = options.out / f"{name(run)}-{task}"
    if not (out / "results.json").exists():
        nuclex.finetune(load_config(FinetuneConfig, "finetune/helm-probe-small", settings), out, resume=out.exists())
    return out


def answered(out: Path) -> Numbers:
    """Truth and prediction of every test sequence: (2, N)."""
    rows = [json.loads(line) for line in (out / "test.jsonl").read_text().splitlines()]
    return np.array([[row["truth"], row["predicted"]] for row in rows]).T


def probed(runs: Sequence[Run], options: argparse.Namespace) -> dict[str, Any]:
    """Spearman of each property with its interval by run, and less that of cross entropy, paired by sequence."""
    told: dict[str, Any] = {}
    for task in options.tasks:
        for run in runs:
            out = probe(run, task, options)
            found = json.loads((out / "results.json").read_text())["test"]["all"]
            arms = {"pretrained": name(run), "one-hot": "one-hot", "k-mers": "k-mers"}
            told.setdefault(task, {"n": found["n"]}).update(
                {label: [found[arm]["spearman"][key] for key in KEYS] for arm, label in arms.items() if arm in found}
            )
            if run[1] != "xe" and (plain := (run[0], "xe", run[2])) in runs:
                truth_N, own_N = answered(out)
                columns = (truth_N, rankdata(own_N), rankdata(answered(probe(plain, task, options))[1]))
                less = paired_statistic(spearman, columns)
                told[task][f"{name(run)} less xe"] = [*(getattr(less.difference, key) for key in KEYS), less.p_value]
            print(task, name(run), told[task][name(run)], flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["gpt2", "mamba", "hyena"])
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
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
    if options.only is None:
        results["probes"] = probed(list(found), options)
    text = json.dumps(results, indent=1, default=float)
    (Path(__file__).parent / "results" / "helm.json").write_text(text + "\n", encoding="utf-8")
    for key, numbers in results["runs"].items():
        print(
            key,
            *(f"{name} {np.round(numbers[name], 4).tolist()}" for name in ("codon_accuracy", "amino_acid_accuracy")),
        )


if __name__ == "__main__":
    main()
