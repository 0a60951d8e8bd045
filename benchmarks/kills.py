"""Kill, stop and starve runs at random moments, and count how many go on and end bit for bit as if nothing had been.

    python benchmarks/kills.py [--kills 250] [--stops 80] [--races 50] [--points 20] [--seed 0]

Every kill is a SIGKILL into a phase that the process itself shows on a page of shared memory: training with
accumulation, evaluating, saving, writing the bundle, in pre-training and in fine-tuning (structure and class, with the
control), in `corpus build` (alone and with MMseqs2: a genome in pieces, clustered, with near duplicates of a test set
excluded) and in `embed`. After it the run is resumed (corpora are repeated). Compared are, by sha256 and
by value: weights, optimizer state, best weights, bundles, metrics.jsonl without its times, test predictions, corpora,
and the ids of the batch that would come next. CPU, fp32, dropout on, one thread, tiny models. A kill does not end
MMseqs2: half of the time what it left is held until a later build has ended and is compared, and then goes on.

Then: SIGTERM and Ctrl-C at random moments (exit code 143 or 130, no finished step lost, of a build nothing left, not
even a process of MMseqs2), races of eight processes for one new run folder, some with a stale lock in it, and runs on a
tmpfs with less and less room (``--points`` amounts each of pre-training, fine-tuning, `corpus build` and `embed`; exit
code 5, the last good checkpoint stands).
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
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interruptions"))

from jobs import Job, make_jobs  # noqa: E402
from killing import Chain, Kill, Measured, Runner, differences, measure, start_server, table  # noqa: E402
from signalling import STALE, Stop, race, stop_often  # noqa: E402
from starving import on_small_disk  # noqa: E402

SHARES = {"pretrain": 0.3, "structure": 0.15, "class": 0.15, "build": 0.08, "clusters": 0.24, "embed": 0.08}
STOPPED = ("pretrain", "structure", "class", "clusters")
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
        chain = Chain(runner, jobs[name], whole[name], moments)
        phases = rounds(jobs[name].phases, moments)
        while len(chain.kills) < wanted * share:
            for phase in next(phases):
                chain.kill(phase)
            chain.end()
        kills, runs = kills + chain.kills, runs + chain.runs
        wrong.update(f"{name}: {what}" for what in chain.differing)
    rows = table(kills)
    total = ("all", len(kills), sum(k.resumed for k in kills), sum(k.identical for k in kills))
    print(f"\nSIGKILL, {runs} runs\n{'':44}kills  resumed  identical")
    for row in [*rows, total]:
        print(f"{row[0]:<44}{row[1]:>5}{row[2]:>9}{row[3]:>11}")
    for what, count in wrong.items():
        print(f"  differed: {what} ({count})")
    orphaned, outlived = sum(bool(kill.orphans) for kill in kills), sum(kill.outlived for kill in kills)
    print(
        f"MMseqs2 was left running by {orphaned} kills; after {outlived} it was there when a later build was compared"
    )
    found = {"orphaned": orphaned, "outlived": outlived, "differed": dict(wrong), "trouble": runner.trouble}
    return {"runs": runs, "rows": [*rows, total], **found}


def stop_all(
    runner: Runner, jobs: dict[str, Job], whole: dict[str, Measured], wanted: int, seed: int
) -> dict[str, Any]:
    stops: list[Stop] = []
    wrong: Counter[str] = Counter()
    for name in STOPPED:
        moments, mine = random.Random(f"{seed} {name}"), 0
        for phases in rounds(jobs[name].phases, moments):
            if mine >= wanted / len(STOPPED):
                break
            found, differing = stop_often(runner, jobs[name], whole[name], phases, moments)
            stops, mine = stops + found, mine + len(found)
            wrong.update(f"{name}: {what}" for what in differing)
    print(f"\nSIGTERM and Ctrl-C\n{'':44}stops  right code  no step lost  slowest (s)")
    rows = []
    for kind in [*sorted({f"{stop.job}: {stop.phase}" for stop in stops}), "all"]:
        these = [stop for stop in stops if kind in ("all", f"{stop.job}: {stop.phase}")]
        counts = sum(stop.right for stop in these), sum(stop.lost == 0 for stop in these)
        rows.append((kind, len(these), *counts, round(max((stop.seconds for stop in these), default=0), 2)))
        print(f"{kind:<44}{rows[-1][1]:>5}{rows[-1][2]:>12}{rows[-1][3]:>14}{rows[-1][4]:>13}")
    under_mmseqs = sum(stop.tools > 0 for stop in stops)
    print(f"while MMseqs2 ran: {under_mmseqs}; ended bit for bit the same: {'all' if not wrong else dict(wrong)}")
    found = {"under MMseqs2": under_mmseqs, "differed": dict(wrong)}
    return {"rows": rows, **found, "wrong": [asdict(stop) for stop in stops if not stop.right]}


def race_all(runner: Runner, job: Job, whole: Measured, wanted: int) -> dict[str, Any]:
    codes = [race(runner, job, STALE[number % len(STALE)]) for number in range(wanted)]
    one_owner = sum(code[0] == 1 and code.keys() <= {0, 2, 3} for code in codes)
    refused, late = sum(code[3] for code in codes), sum(code[2] for code in codes)
    same = differences(whole.facts, job.facts()) == [] if wanted else True
    print(f"\nraces of 8 processes: {wanted}, with exactly one owner: {one_owner}; refused as in use: {refused}, "
          f"came when the run was over: {late}; the last run is the same as alone: {same}")  # fmt: skip
    return {"races": wanted, "one owner": one_owner, "refused": refused, "late": late, "same": same}


def starve_all(folder: Path, points: int) -> dict[str, Any] | None:
    folder.mkdir()
    found = on_small_disk(folder, points) if points else None
    if found is None:
        print("\nfull disk: not tried (no points, or `unshare -Urm mount -t tmpfs` does not work here)")
        return None
    print(f"\nfull disk (tmpfs)\n{'':44}trials  exit 5  checkpoint stood  identical in the end")
    rows = []
    for job in [*dict.fromkeys(trial["job"] for trial in found), "all"]:
        these = [trial for trial in found if job in ("all", trial["job"])]
        full = sum(trial["code"] == 5 for trial in these)
        rows.append((job, len(these), full, *(sum(t[key] for t in these) for key in ("survived", "identical"))))
        print(f"{job:<44}{rows[-1][1]:>6}{rows[-1][2]:>8}{rows[-1][3]:>18}{rows[-1][4]:>23}")
    return {"rows": rows, "wrong": [trial for trial in found if not trial["right"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=250)
    parser.add_argument("--stops", type=int, default=80)
    parser.add_argument("--races", type=int, default=50)
    parser.add_argument(
        "--points", type=int, default=20, help="amounts of room on the small disk, for each of four jobs"
    )
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
        result["stops"] = stop_all(runner, jobs, whole, arguments.stops, arguments.seed)
        result["races"] = race_all(runner, jobs["pretrain"], whole["pretrain"], arguments.races)
        result["full disk"] = starve_all(Path(folder) / "small", arguments.points)
    for line in runner.trouble:
        print(f"  {line}")
    result["minutes"] = round((time.monotonic() - began) / 60, 1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
