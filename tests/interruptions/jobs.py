"""Small commands of every kind that can be interrupted, and what must be equal, bit for bit, when they are done."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from watched import LEARNING

TIMES = {"seconds", "tokens_per_s", "created", "command", "spent"}
"""Keys that say when and how fast, not what."""
MODEL = {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2, "dropout": 0.1, "attention_dropout": 0.1}
PRETRAIN: dict[str, Any] = {
    "seed": 7,
    "tokenizer": {"kind": "nucleotide"},
    "model": MODEL,
    "sampling": {"members": "all", "max_tokens": 40, "batch_tokens": 300, "micro_tokens": 100},
    "training": {
        "steps": 30,
        "evaluate_every": 4,
        "checkpoint_every": 5,
        "log_every": 1,
        "schedule": {"kind": "constant", "rate": 0.1, "warmup": 3},  # so high that the last is not the best
        "anomaly": {"policy": "skip", "deviations": 2.5, "window": 12},
    },
    "validation_sequences": 12,
}
TUNING = {"steps": 9, "evaluate_every": 3, "checkpoint_every": 4, "log_every": 1, "schedule": {"rate": 3e-3}}
STRUCTURE: dict[str, Any] = {
    "seed": 5,
    "task": {"kind": "simulated-structure", "simulation": {"families": 4, "members": 5}, "max_length": 110},
    "head": {"kind": "pair", "channels": 4, "blocks": 1},
    "batching": {"examples": 2},
    "training": TUNING,
    "thaw": [{"step": 0, "blocks": 0}, {"step": 3, "blocks": "all"}],
    "controls": ["scratch"],
}
CLASS: dict[str, Any] = {
    "seed": 6,
    "head": {"kind": "class", "pooling": "mean", "hidden": 8},
    "batching": {"examples": 8, "micro_tokens": 120},
    "training": TUNING,
    "controls": ["scratch"],
}
CLUSTERS: dict[str, Any] = {
    "seed": 4,
    "shuffle": True,
    "filter": {"duplicates": "drop_both_strands"},
    "segment": {"method": "random", "shortest": 40, "longest": 120},
    "decontaminate": {"min_identity": 0.9},
}


@dataclass
class Job:
    """One command: its words, where its result goes, and whether it is resumed or repeated."""

    name: str
    words: list[str]
    out: Path
    resumed: bool
    phases: tuple[str, ...]
    arms: tuple[str, ...] = field(default=())
    quiet: bool = True

    def arguments(self) -> list[str]:
        begun = self.unfinished.is_dir() or (self.resumed and (self.out / "config.json").is_file())
        return [*self.words, "--out", str(self.out), *["--resume"][:begun], *["--quiet"][: self.quiet]]

    @property
    def unfinished(self) -> Path:
        """Where `embed` keeps its finished parts until its file is whole."""
        return self.out.with_name(f"{self.out.name}.parts")

    def facts(self) -> dict[str, Any]:
        """What must not depend on interruptions: every file by its sha256, and JSON without its times."""
        if self.out.is_file():
            return {self.out.name: digest(self.out)}
        last = {arm: self.last_checkpoint(arm).name for arm in self.arms}
        found = {}
        for path in sorted(self.out.rglob("*")):
            name = path.relative_to(self.out).as_posix()
            earlier = path.parent.name.startswith("step-") and path.parent.name not in last.values()
            if path.is_file() and not earlier:  # a signal leaves another last but one checkpoint
                found[name] = _content(path)
        return found | {"next batch": self.next_batch()}

    def is_built(self) -> bool:
        """Whether the corpus is there: then it is whole, and nothing is left to repeat."""
        return not self.resumed and self.out.is_dir()

    def last_checkpoint(self, arm: str = ".") -> Path:
        return max((self.out / arm / "checkpoints").glob("step-*"))

    def next_batch(self) -> dict[str, str]:
        """The ids of the batch that would come next in each arm, from what the last checkpoint says."""
        batches = {}
        for arm in self.arms:
            place = json.loads((self.last_checkpoint(arm) / "checkpoint.json").read_text())["place"]
            batches[arm] = _ids(self, place["epoch"], place["batch"])
        return batches

    def fresh(self, folder: Path) -> Job:
        """The same command with its result elsewhere."""
        return Job(self.name, self.words, folder / self.out.name, self.resumed, self.phases, self.arms)

    def leftovers(self) -> list[str]:
        """What no finished command may leave: temporaries and locks, beside its result and in it."""
        hidden = [path for path in self.out.parent.rglob(".*") if path.name.startswith((".tmp-", ".lock"))]
        parts = [self.unfinished] if self.out.exists() and self.unfinished.exists() else []
        return sorted(str(path.relative_to(self.out.parent)) for path in hidden + parts)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _content(path: Path) -> Any:
    """A file as something to compare: manifests hold sums of files with times in them, so they are left out."""
    if path.name == "manifest.json":
        return None
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    return None if path.name == "README.md" else digest(path)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(inner) for name, inner in value.items() if name not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def _ids(job: Job, epoch: int, batch: int) -> str:
    """sha256 over the tokens or examples of one batch, as the run's own config makes it."""
    work = _work((job.out / "config.json").read_text(), job.out / "tokenizer")
    while batch >= work.batches(epoch):
        epoch, batch = epoch + 1, 0
    summed = hashlib.sha256()
    for micro in work.micro_batches(epoch, batch, 0, 1):
        parts = [micro] if isinstance(micro, np.ndarray) else [micro.question.inputs_T, micro.question.targets_M]
        for part in parts:
            summed.update(np.ascontiguousarray(part).tobytes() + b"|")
    return summed.hexdigest()


@lru_cache(maxsize=8)
def _work(text: str, tokenizer: Path) -> Any:
    from nuclex.data.store import Corpus
    from nuclex.tokenizers import load_tokenizer
    from nuclex.training import finetune, pretrain
    from nuclex.training.supervised import SupervisedWork

    if "task" in json.loads(text):
        config = finetune.FinetuneConfig.from_data(json.loads(text))
        start = finetune._start(config)
        answers, readings = finetune._answers(config, config.task.read(), start.tokenizer, start.network.longest)
        return SupervisedWork(answers, readings["train"].tokens_N, config.batching, (), config.seed)
    given = pretrain.PretrainConfig.from_data(json.loads(text))
    assert given.corpus is not None
    return pretrain.build_work(given, Corpus.open(given.corpus), load_tokenizer(tokenizer))


def make_jobs(folder: Path) -> dict[str, Job]:
    """Write sequences, a corpus, a bundle and recipes into ``folder``; the jobs that use them."""
    from nuclex.core.progress import quiet
    from nuclex.data.corpus import CorpusConfig, build_corpus
    from nuclex.data.simulate import SimulationConfig, simulate, write_fasta

    families = SimulationConfig(families=3, members=20, shortest=30, longest=50, outer_stems=1, branching=0.2)
    write_fasta(list(simulate(families)), folder / "families.fa")
    many = SimulationConfig(families=20, members=60, shortest=30, longest=60, outer_stems=1, branching=0.2)
    write_fasta(list(simulate(many)), folder / "many.fa")
    lines = (folder / "families.fa").read_text().splitlines()
    for number in range(0, len(lines), 2):
        lines[number] = f"{lines[number].split()[0]} {'ab'[number // 2 % 2]}"
    (folder / "classes.fa").write_text("\n".join(lines) + "\n")
    settings = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.2, "test": 0.1}}
    with quiet():
        build_corpus([folder / "families.fa"], folder / "corpus", CorpusConfig.from_data(settings))
    make_bundle(folder / "bundle", 0)
    task = {"kind": "fasta-class", "train": str(folder / "classes.fa")}
    recipes = {
        "pretrain": {**PRETRAIN, "corpus": str(folder / "corpus")},
        "structure": {**STRUCTURE, "bundle": str(folder / "bundle")},
        "class": {**CLASS, "bundle": str(folder / "bundle"), "task": task},
    }
    for name, recipe in recipes.items():
        (folder / f"{name}.yaml").write_text(json.dumps(recipe))
    (folder / "clusters.yaml").write_text(json.dumps(CLUSTERS))
    _write_genome(folder)
    return _jobs(folder)


def _write_genome(folder: Path) -> None:
    """Two chromosomes, RNAs near enough to cluster, and a test set that is like a part of either, but not equal."""
    from nuclex.data.simulate import SimulationConfig, simulate

    chance = random.Random(0)
    near = SimulationConfig(families=12, members=20, shortest=60, longest=100, pair_rate=0.1, loop_rate=0.1)
    rnas = [rna.sequence.replace("U", "T") for rna in simulate(near)]
    chromosomes = ["".join(chance.choices("ACGT", k=9000)) for _ in range(2)]
    stretches = [whole[start : start + 150] for whole in chromosomes for start in range(500, 9000, 2000)]
    changed = ["".join("A" if chance.random() < 0.06 else letter for letter in one) for one in stretches + rnas[::40]]

    def write(name: str, sequences: Iterable[str]) -> None:
        lines = (f">{name}{number}\n{sequence}\n" for number, sequence in enumerate(sequences))
        (folder / f"{name}.fa").write_text("".join(lines))

    write("chromosome", chromosomes)
    write("near", rnas)
    write("excluded", changed)


def _jobs(folder: Path) -> dict[str, Job]:
    out = folder / "results"
    out.mkdir(exist_ok=True)
    tune = {name: ["finetune", str(folder / f"{name}.yaml"), "--device", "cpu"] for name in ("structure", "class")}
    building = ["corpus", "build", str(folder / "many.fa"), "--cluster.method", "none", "--split.by", "random"]
    clustering = ["corpus", "build", *(str(folder / name) for name in ("chromosome.fa", "near.fa"))]
    clustering += ["--exclude", str(folder / "excluded.fa"), "--config", str(folder / "clusters.yaml")]
    embedding = ["embed", str(folder / "bundle"), str(folder / "many.fa"), "--device", "cpu"]
    pretraining = ["pretrain", str(folder / "pretrain.yaml"), "--device", "cpu"]
    both, under_mmseqs = (".", "scratch"), ("building", "excluding", "clustering", "saving")
    return {
        "pretrain": Job("pretrain", pretraining, out / "run", True, LEARNING, (".",)),
        "structure": Job("structure", tune["structure"], out / "structure", True, LEARNING, both),
        "class": Job("class", tune["class"], out / "class", True, LEARNING, both),
        "build": Job("corpus build", building, out / "corpus", False, ("building", "saving")),
        "clusters": Job("clusters", clustering, out / "clusters", False, under_mmseqs),
        "embed": Job("embed", embedding, out / "vectors.parquet", False, ("embedding", "saving", "joining")),
    }


def make_bundle(path: Path, seed: int) -> None:
    """A tiny model with random weights, as pre-training would leave it."""
    import torch

    from nuclex.bundle import Record, write_bundle
    from nuclex.models import LanguageModel, RinalmoConfig
    from nuclex.tokenizers import NucleotideConfig

    tokenizer = NucleotideConfig().build()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ids = {"vocabulary_size": len(tokenizer), "pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
        model = LanguageModel(RinalmoConfig(depth=2, width=16, heads=2).backbone(), **ids)
    record = Record({"sampling": {"max_tokens": 64}, "seed": seed}, {}, {}, {"name": "corpus"}, "tiny")
    write_bundle(path, model, tokenizer, record)


def wiped(job: Job) -> None:
    """Take a job's result away, and what there is of it so far."""
    shutil.rmtree(job.unfinished, ignore_errors=True)
    if job.out.is_dir():
        shutil.rmtree(job.out)
    else:
        job.out.unlink(missing_ok=True)
