"""Peak memory and time of folding a molecule, and of learning from one, as it gets longer.

    python benchmarks/structure_memory.py [--lengths 250 500 1000 2000 3000] [--work fold learn peer] [--limit 20000]

A network of ``rinalmo-nano``'s size under RiNALMo's structure head (64 channels), with random weights, reads a random
molecule in a process of its own: ``fold`` computes the scores of all pairs and decodes greedily, ``learn`` goes one
step forward and back (without dropout of attention, which keeps maps of its own), ``peer`` computes the same scores
from the L × L × 2D map of concatenated vectors, as RiNALMo's code does. Peak memory is the largest resident set,
imports included (about 300 MiB). What would need more than ``--limit`` MiB is stopped and written down as such.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nuclex.bio.folding import greedy_pairs
from nuclex.core.provenance import package_versions
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import PairHead, PairHeadConfig, build_head
from nuclex.models.layout import Layout

WIDTH, WORK = 320, ("fold", "learn", "peer")


def structure_model() -> AnsweringModel:
    torch.manual_seed(0)
    network = RinalmoConfig(depth=6, width=WIDTH, heads=20, attention_dropout=0.0).backbone()
    model = LanguageModel(network, vocabulary_size=12, pad_id=0, mask_id=1)
    return AnsweringModel(model, build_head(PairHeadConfig(), WIDTH, 1, 0)).eval()


def concatenated(head: PairHead, hidden_LD: torch.Tensor) -> torch.Tensor:
    """The head's scores by way of every two vectors laid side by side."""
    length = len(hidden_LD)
    left_LLD, right_LLD = (hidden_LD.unsqueeze(axis).expand(length, length, -1) for axis in (1, 0))
    map_1CLL = head.projection(torch.cat([left_LLD, right_LLD], dim=-1)).permute(2, 0, 1)[None]
    for block in head.blocks:
        map_1CLL = block(map_1CLL)
    upper_LL = head.decoder(map_1CLL)[0, 0].triu(1)
    return upper_LL + upper_LL.T


def work(kind: str, length: int) -> dict[str, float]:
    """One molecule in this process: peak memory in MiB and processor seconds."""
    model = structure_model()
    letters = np.random.default_rng(0).choice(list("ACGU"), length)
    tokens_T = torch.tensor([5, *("ACGU".index(letter) + 6 for letter in letters), 10])
    began = time.process_time()
    if kind == "learn":
        model.train().pair_logits(tokens_T).square().mean().backward()
    else:
        with torch.inference_mode():
            if kind == "peer":
                hidden_LD = model.model.encode(tokens_T, Layout.of([len(tokens_T)]))[1:-1]
                concatenated(model.head, hidden_LD)
            else:
                probability_LL = model.pair_logits(tokens_T).double().sigmoid().numpy()
                greedy_pairs(probability_LL, "".join(letters), threshold=0.5)
    seconds = time.process_time() - began
    return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "cpu_seconds": seconds}


def measured(kind: str, length: int, limit: int) -> dict[str, Any]:
    """The same in a process of its own, or that it did not fit."""
    call = [sys.executable, __file__, "--one", kind, "--lengths", str(length)]
    done = subprocess.run(
        call,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit << 20,) * 2),
    )
    if done.returncode:
        if "alloc" not in done.stderr and "MemoryError" not in done.stderr:
            raise SystemExit(done.stderr)
        return {"work": kind, "length": length, "stopped_at_mib": limit}
    return {"work": kind, "length": length, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[250, 500, 1000, 2000, 3000])
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--limit", type=int, default=20_000, help="MiB of memory that a process may ask for")
    parser.add_argument("--one", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "structure_memory.json")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(work(given.one, given.lengths[0])))
        return
    table = []
    for kind in given.work:
        for length in given.lengths:
            table.append(measured(kind, length, given.limit))
            print(json.dumps(table[-1]), flush=True)
    facts = {"width": WIDTH, "channels": PairHeadConfig().channels, "threads": torch.get_num_threads()}
    given.out.write_text(json.dumps({**facts, "packages": package_versions(), "rows": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
