"""Peak memory of an update as `nuclex plan` has it against what is measured, for every mixer and precision on a CPU.

    python benchmarks/plan_memory.py [--sizes small nano base] [--networks gpt2 mamba] [--precisions fp32 bf16]

The project's own update code makes two updates from random sequences, each case in a process of its own; the second
one counts, when the optimizer remembers. ``torch``: the most bytes in all tensors at a time, memory that several share
once. ``resident`` (not of the smallest size): by how much the process grew, its largest resident set less what was
there after a first small update. ``allocator`` (smallest size only, two more updates): the most bytes that torch's
allocator had given away, as its profiler says; it sees also what an operation takes and gives back inside. No GPU is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ledger import SIZES, networks, peak_of, recipe, updates
from nuclex.core.provenance import package_versions
from nuclex.training.pretrain import PretrainConfig, plan

TOKENS = {"small": (128, 2048, 2048), "nano": (512, 4096, 4096), "base": (256, 1024, 2048)}
"""Of a sequence, a pass and an update."""
PRECISIONS = ("fp32", "bf16", "bf16-weights")


def case(name: str, size: str, precision: str) -> PretrainConfig:
    model, objective = networks(*SIZES[size])[name]
    return recipe(model, objective, TOKENS[size], precision=precision)


def resident_now() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def allocator_peak(config: PretrainConfig) -> int:
    """As torch's allocator reports it, over two updates and what they need."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profiler:
        loop = updates(config)
        loop.update()
        loop.update()
    found, waiting = [], list(profiler.profiler.kineto_results.experimental_event_tree())
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.name == "[memory]":
            found.append((event.start_time_ns, event.extra_fields.alloc_size))
    now = peak = 0
    for _, change in sorted(found, key=lambda pair: pair[0]):
        now += change
        peak = max(peak, now)
    return peak


def measure(name: str, size: str, precision: str) -> dict[str, Any]:
    """One case in this process."""
    config = case(name, size, precision)
    peak_of(case(name, "small", precision))  # what is loaded and compiled at first use
    before, began = resident_now(), time.perf_counter()
    found = {"torch": peak_of(config), "seconds": round(time.perf_counter() - began, 1)}
    if size == "small":  # fits into what the small update before left
        return {**found, "allocator": allocator_peak(config)}
    return {**found, "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before}


def row(name: str, size: str, precision: str) -> dict[str, Any]:
    """The same in a process of its own, beside the plan."""
    call = [sys.executable, __file__, "--one", "--networks", name, "--sizes", size, "--precisions", precision]
    given_back = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # large pieces go back to the system at once
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=given_back)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    planned = plan(case(name, size, precision))
    parts = planned["memory"]["cpu"]
    return {
        "network": name,
        "size": size,
        "precision": precision,
        "parameters": planned["parameters"],
        "planned": parts["peak"],
        **found,
        "planned_to_torch": round(parts["peak"] / found["torch"], 3),
        "parts": parts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=TOKENS, default=list(TOKENS))
    parser.add_argument("--networks", nargs="+", default=list(networks(*SIZES["small"])))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "plan_memory.json")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.networks[0], given.sizes[0], given.precisions[0])))
        return
    facts = {"tokens": {size: TOKENS[size] for size in given.sizes}, "packages": package_versions(), "rows": []}
    for size in given.sizes:
        for name in given.networks:
            for precision in given.precisions:
                facts["rows"].append(row(name, size, precision))
                shown = {key: value for key, value in facts["rows"][-1].items() if key != "parts"}
                print(json.dumps(shown), flush=True)
                given.out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
