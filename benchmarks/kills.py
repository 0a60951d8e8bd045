"""Kill, stop and starve runs at random moments, and count how many go on and end bit for bit as if nothing had been.

    python benchmarks/kills.py [--kills 200] [--stops 60] [--races 50] [--full 60] [--seed 0]

Every kill is a SIGKILL into a phase that the process itself shows on a page of shared memory: training with
accumulation, evaluating, saving, writing the bundle, in pre-training and in fine-tuning (structure and class, with the
control), in `corpus build` and in `embed`. After it the run is resumed (the last two are repeated). Compared are, by
sha256 and by value: weights, optimizer state, best weights, bundles, metrics.jsonl without its times, test predictions,
and the ids of the batch that would come next. CPU, fp32, dropout on, one thread, tiny models.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interruptions"))

from jobs import Job, make_jobs  # noqa: E402
from killing import Kill, Measured, Runner, chain, measure, start_server, table  # noqa: E402

SHARES = {"pretrain": 0.4, "structure": 0.2, "class": 0.2, "build": 0.1, "embed": 0.1}
PER_RUN = 4


def rounds(phases: tuple[str, ...], moments: random.Random) -> Iterator[list[str]]:
    """Phases to kill one run in, all equally often in the long run."""
    waiting: list[str] = []
    while True:
        while len(waiting) < PER_RUN:
            waiting += moments.sample(phases, len(phases))
        yield waiting[:PER_RUN]
        waiting = waiting[PER_RUN:]


def kill_all(
    runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], wanted: int, seed: int
) -> dict[str, Any]:
    kills: list[Kill] = []
    wrong: Counter[str] = Counter()
    runs = 0
    for name, share in SHARES.items():
        moments = random.Random(f"{seed} {name}")
        mine: list[Kill] = []
        for phases in rounds(jobs[name].phases, moments):
            if len(mine) >= wanted * share:
                break
            found, differing = chain(runner, jobs[name], whole[name], phases, moments)
            mine += found
            wrong.update(f"{name}: {what}" for what in differing)
            runs += 1
        kills += mine
    rows = table(kills)
    total = ("all", len(kills), sum(k.resumed for k in kills), sum(k.identical for k in kills))
    print(f"\nSIGKILL, {runs} runs\n{'':44}kills  resumed  identical")
    for row in [*rows, total]:
        print(f"{row[0]:<44}{row[1]:>5}{row[2]:>9}{row[3]:>11}")
    for what, count in wrong.items():
        print(f"  differed: {what} ({count})")
    return {"runs": runs, "rows": [*rows, total], "differed": dict(wrong), "trouble": runner.trouble}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=None, help="where to work; a temporary folder by default")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills.json")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        runner = Runner(start_server(), Path(folder))
        jobs = make_jobs(Path(folder))
        whole = {name: measure(runner, job) for name, job in jobs.items()}
        result: dict[str, Any] = {"kills": kill_all(runner, jobs, whole, arguments.kills, arguments.seed)}
    for line in runner.trouble:
        print(f"  {line}")
    result["minutes"] = round((time.monotonic() - began) / 60, 1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
