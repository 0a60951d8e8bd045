"""Are regions of antibodies found, or counted? Fine-tuned models beside what knows no letter, or one motif alone.

    python benchmarks/antibody.py RUN [RUN ...] [--letters read regions]

Each RUN is a folder of `nuclex finetune finetune/antibody-regions`. All are asked about the 1000 gold reads, whole
(``read``) and V(D)J alone (``regions``), by chain, for heavy chains of the family learned from (IGHV1), and for reads
with more than 11 letters before their first region. Beside them the commonest label by position, from the nearer end,
and so many letters from the conserved cysteine: the last TAY TNY TGY (tyrosine, one of F S Y C, cysteine), where
CDR3 begins behind; a read without it is counted from the nearer end. All three are learned from the catalogue's reads
as they were read. Intervals draw whole junctions. Numbers go to results/antibody.json.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bio.regions import spans_of
from nuclex.bundle import load
from nuclex.data.catalog import fetch
from nuclex.metrics.regions import region_report
from nuclex.metrics.statistics import bootstrap, paired_difference
from nuclex.tasks import AntibodyRegionsConfig, Example, Task
from nuclex.tasks.table import Table
from nuclex.training.letters import Letters
from nuclex.training.majority import FROM_NEARER_END, majorities
from nuclex.training.positions import all_positions, called
from nuclex.training.results import units_of
from nuclex.training.supervised import Reading, answering_model

CYSTEINE = re.compile(r"TA[TC]T[ACGT][TC]TG[TC]")
FROM_CYSTEINE = "majority-from-cysteine"
LONG_LEADER, MICRO_TOKENS = 11, 8192
Integers = NDArray[np.int64]
Guesses = Sequence[Sequence[str]]


def numbers(examples: Sequence[Example], classes: Sequence[str]) -> list[Integers]:
    """The labels of each read as numbers of classes (L,)."""
    place = {name: number for number, name in enumerate(classes)}
    return [np.array([place[name] for name in example.track.tolist()]) for example in examples]


def anchor(sequence: str) -> int | None:
    """Where the codon behind the conserved cysteine begins; None where there is no such motif."""
    ends = [found.end() for found in CYSTEINE.finditer(sequence)]
    return ends[-1] if ends else None


def from_cysteine(task: Task, otherwise: Sequence[Integers]) -> list[Integers]:
    """The commonest train label so many letters from the cysteine; the farthest seen answers for what lies beyond."""
    train, test = task.examples("train"), task.examples("test")
    reach = max(len(example.sequence) for example in (*train, *test))
    counts_PC = np.zeros((2 * reach + 1, len(task.classes)), dtype=np.int64)
    for example, label_L in zip(train, numbers(train, task.classes), strict=True):
        if (here := anchor(example.sequence)) is not None:
            counts_PC[np.arange(len(label_L)) - here + reach, label_L] += 1
    seen = np.flatnonzero(counts_PC.any(1))
    commonest_P = counts_PC.argmax(1)
    guesses = []
    for example, fallback_L in zip(test, otherwise, strict=True):
        here = anchor(example.sequence)
        place_L = np.arange(len(example.sequence)) - (here or 0) + reach
        guesses.append(fallback_L if here is None else commonest_P[place_L.clip(seen[0], seen[-1])])
    return guesses


def baselines(task: Task) -> dict[str, Guesses]:
    """What each baseline says of the test reads."""
    lengths = [len(example.sequence) for example in task.examples("test")]
    found = dict(majorities(numbers(task.examples("train"), task.classes), lengths, len(task.classes)))
    found[FROM_CYSTEINE] = from_cysteine(task, found[FROM_NEARER_END])
    names = np.array(task.classes)
    return {name: [names[guess_L].tolist() for guess_L in guesses] for name, guesses in found.items()}


def predicted(run: Path, task: Task) -> Guesses:
    """What a model says of the test reads: as the run kept it, or asked now."""
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    if [row["sequence"] for row in rows] == [example.sequence for example in task.examples("test")]:
        return [row["predicted"] for row in rows]
    bundle = load(run / "bundle")
    assert bundle.task is not None
    classes = bundle.task.config["classes"]
    reading = Reading.of(task.examples("test"), bundle.tokenizer, bundle.model.config.longest)
    letters, found = Letters(reading, "test"), {}
    for index, logits_TC in all_positions(answering_model(bundle), reading, MICRO_TOKENS):
        guess_T = called(logits_TC, classes, task.regions)
        found[index] = [classes[number] for number in guess_T[letters.token[index]].tolist()]
    return [found[index] for index in range(len(found))]


def kinds(task: Task) -> dict[str, NDArray[np.bool_]]:
    """Which of the test reads are of each kind (N,)."""
    (path,) = fetch("antibody-oas-gold")
    table = Table.of(path)
    name, call = table.place("sequence_id", "as in the catalogue"), table.place("v_call", "as there")
    genes = {fields[name]: fields[call] for _, fields in table.rows}
    test = task.examples("test")
    kinds_of: Mapping[str, Callable[[Example], bool]] = {
        "all": lambda example: True,
        "IGH": lambda example: example.stratum == "IGH",
        "IGHV1": lambda example: "IGHV1-" in genes[example.id],
        "IGK": lambda example: example.stratum == "IGK",
        "IGL": lambda example: example.stratum == "IGL",
        "long leader": lambda example: int(np.isin(example.track, task.regions).argmax()) > LONG_LEADER,
        "IGHV1, long leader": lambda example: (
            "IGHV1-" in genes[example.id] and int(np.isin(example.track, task.regions).argmax()) > LONG_LEADER
        ),
    }
    found = {kind: np.array([holds(example) for example in test]) for kind, holds in kinds_of.items()}
    return {kind: which_N for kind, which_N in found.items() if which_N.any()}


def measured(task: Task, guesses: Mapping[str, Guesses]) -> dict[str, Any]:
    """Of each kind of read the numbers of each way, and how much more the models' accuracy is than each baseline's."""
    test = task.examples("test")
    clusters_N, _ = units_of(test)
    truth = [spans_of(example.track.astype(np.str_), task.regions) for example in test]
    right = {
        way: np.array([np.mean(example.track == np.array(guess)) for example, guess in zip(test, said, strict=True)])
        for way, said in guesses.items()
    }
    spans = {way: [spans_of(guess, task.regions) for guess in said] for way, said in guesses.items()}
    told: dict[str, Any] = {}
    for kind, which_N in kinds(task).items():
        rows, units_N = np.flatnonzero(which_N), clusters_N[which_N]
        told[kind] = {"n": len(rows), "junctions": len(np.unique(units_N)), "ways": {}}
        for way, right_N in right.items():
            both = ([truth[row] for row in rows], [spans[way][row] for row in rows])
            report = region_report(*both, task.regions, units_N)
            accuracy = asdict(bootstrap(right_N[rows], clusters=units_N))
            told[kind]["ways"][way] = {"accuracy": accuracy, **report}
            if way.startswith("majority"):
                continue
            for other in (name for name in right if name.startswith("majority")):
                more = paired_difference(right_N[rows], right[other][rows], clusters=units_N)
                told[kind]["ways"][way][f"less_{other}"] = {
                    "difference": asdict(more.difference),
                    "p_value": more.p_value,
                }
    return told


def brief(told: Any) -> Any:
    """The same with each interval as [value, low, high], to four places."""
    if isinstance(told, Mapping):
        if {"value", "low", "high"} <= told.keys():
            return [round(float(told[key]), 4) for key in ("value", "low", "high")]
        return {name: brief(one) for name, one in told.items()}
    return told


def show(letters: str, told: Mapping[str, Any]) -> None:
    """A table a kind of read: accuracy by read with its interval, borders, and each region's letters."""
    for kind, found in told.items():
        print(f"\n{letters}, {kind}: {found['n']} reads, {found['junctions']} junctions")
        for way, one in found["ways"].items():
            accuracy, every = one["accuracy"], one["every_border"]
            parts = [f"{way:26} {accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]"]
            parts += [f"{name} {every[name]['value']:.3f}" for name in ("median", "mean", "exact", "within_3")]
            parts += [f"{name} {region['accuracy']['value']:.2f}" for name, region in one["regions"].items()]
            print("  ".join(parts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--letters", nargs="+", choices=["read", "regions"], default=["read", "regions"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for letters in options.letters:
        task = AntibodyRegionsConfig(letters=letters).read()
        guesses = baselines(task) | {run.name: predicted(run, task) for run in options.runs}
        results[letters] = measured(task, guesses)
        show(letters, results[letters])
    text = json.dumps(brief(results), default=float).replace('}, "', '},\n"')
    (Path(__file__).parent / "results" / "antibody.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
