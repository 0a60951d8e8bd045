"""What ``corpus build`` takes for millions of short RNAs, and what that comes to for a hundred million.

    python benchmarks/corpus_scale.py [--counts 1000000 5000000] [--target 100000000] [--folder DIR]

Simulated sequences, seeded: lengths are log-normal (median 100, 24 to 4000 letters), one in five is an exact copy of
one that came anywhere before, one in a hundred is too short and one in a hundred has too many N. So what the filters
must take is known beforehand, and the manifest is held against it. Each corpus is built, without clusters, by one
process of its own with one thread; peak memory is the largest resident set of that process (VmHWM of Linux), and disk
is watched while it runs. From the smallest and the largest count a straight line leads to ``--target``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BLOCK, COPIED = 50_000, 0.2
MEDIAN, SPREAD, SHORTEST, LONGEST = 100, 0.8, 24, 4000
GOOD, SHORT, UNKNOWN = 0, 1, 2
LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
SETTINGS = {"cluster": {"method": "none"}, "filter": {"duplicates": "drop"}}
BUILD = r"""
import json, re, sys, time
from nuclex.data import corpus
reading, gather = [], corpus.gather
def timed(*given):
    start = time.process_time()
    found = gather(*given)
    reading.append(time.process_time() - start)
    return found
corpus.gather = timed
began = time.process_time()
made = corpus.build_corpus([sys.argv[1]], sys.argv[2], corpus.CorpusConfig.from_data(json.loads(sys.argv[3])))
peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
found = {key: made[key] for key in ("sequences_in", "sequences_out", "nucleotides_out", "filters", "fingerprint")}
cpu = {"cpu_seconds": time.process_time() - began, "reading_cpu_seconds": reading[0]}
print(json.dumps({"peak_kb": peak, **cpu, **found}))
"""


def new_sequences(seed: int, block: int, count: int) -> tuple[list[bytes], np.ndarray]:
    """The new sequences of a block, and the kind of each: GOOD, SHORT or UNKNOWN (too many N)."""
    rng = np.random.default_rng([seed, block])
    lengths = np.clip(rng.lognormal(np.log(MEDIAN), SPREAD, count), SHORTEST, LONGEST).astype(np.int64)
    kinds = np.zeros(count, dtype=np.int8)
    kinds[rng.random(count) < 0.01] = SHORT
    kinds[rng.random(count) < 0.01] = UNKNOWN
    lengths[kinds == SHORT] = rng.integers(1, 16, int((kinds == SHORT).sum()))
    ends = np.cumsum(lengths)
    text = LETTERS[rng.integers(0, 4, int(ends[-1]), dtype=np.uint8)].tobytes()
    sequences = [text[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]
    for row in np.flatnonzero(kinds == UNKNOWN).tolist():
        unknown = len(sequences[row]) // 5 + 1
        sequences[row] = b"N" * unknown + sequences[row][unknown:]
    return sequences, kinds


def write(path: Path, count: int, seed: int) -> dict[str, int]:
    """Write the FASTA file, and return what a build of it has to find."""
    choose = np.random.default_rng([seed, 1 << 40])
    taken = {GOOD: 0, SHORT: 0, UNKNOWN: 0}
    copies = 0
    with open(path, "wb") as out:
        for block, first in enumerate(range(0, count, BLOCK)):
            size = min(BLOCK, count - first)
            repeated = round(size * COPIED) if block else 0
            sequences, kinds = new_sequences(seed, block, size - repeated)
            for kind in taken:
                taken[kind] += int((kinds == kind).sum())
            if repeated:
                chosen = int(choose.integers(0, block))
                earlier, old = new_sequences(seed, chosen, BLOCK - (round(BLOCK * COPIED) if chosen else 0))
                rows = choose.choice(len(earlier), min(repeated, len(earlier)), replace=False)
                sequences += [earlier[row] for row in rows.tolist()]
                copies += int((old[rows] == GOOD).sum())
                for kind in (SHORT, UNKNOWN):
                    taken[kind] += int((old[rows] == kind).sum())
            order = choose.permutation(len(sequences)).tolist()
            out.write(b"".join(b">s%d\n%b\n" % (first + n, sequences[row]) for n, row in enumerate(order)))
    return {
        "sequences_in": count,
        "length": taken[SHORT],
        "ambiguity": taken[UNKNOWN],
        "duplicates": copies,
        "sequences_out": taken[GOOD],
    }


def folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # it went away meanwhile
            continue
    return total


def measure(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Write, build in a process of its own while the disk is watched, check, and take away."""
    source, out = folder / f"{count}.fa", folder / "built" / f"{count}"
    out.parent.mkdir(exist_ok=True)
    known = write(source, count, seed)
    began, highest = time.monotonic(), 0
    command = [sys.executable, "-c", BUILD, source, out, json.dumps(SETTINGS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while process.poll() is None:
            highest = max(highest, folder_bytes(out.parent))
            time.sleep(0.5)
        printed = process.stdout.read() if process.stdout else ""
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"the build of {count} sequences ended with code {process.returncode}")
    found = json.loads(printed)
    removed = {entry["name"]: entry["removed"] for entry in found["filters"]}
    got = {name: found.get(name, removed.get(name)) for name in known}
    if got != known:
        raise SystemExit(f"the build of {count} sequences found {got}, which should be {known}")
    row = {
        **known,
        "nucleotides_out": found["nucleotides_out"],
        "fingerprint": found["fingerprint"],
        "input_bytes": source.stat().st_size,
        "corpus_bytes": folder_bytes(out),
        "peak_disk_bytes": highest,
        "peak_memory_bytes": found["peak_kb"] * 1024,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(found["cpu_seconds"], 1),
        "reading_cpu_seconds": round(found["reading_cpu_seconds"], 1),
    }
    source.unlink()
    shutil.rmtree(out.parent)
    return row


def extrapolated(rows: list[dict[str, Any]], target: int) -> dict[str, float]:
    """Each measure at ``target`` sequences, on the straight line through the first and the last row."""
    first, last = rows[0], rows[-1]
    more = last["sequences_in"] - first["sequences_in"]
    names = [name for name in last if name.endswith(("_bytes", "seconds"))]
    slopes = {name: (last[name] - first[name]) / more for name in names}
    ahead = {name: round(last[name] + slopes[name] * (target - last["sequences_in"])) for name in names}
    return {"sequences_in": target, **ahead, "memory_bytes_a_sequence": round(slopes["peak_memory_bytes"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--target", type=int, default=100_000_000, help="the count to extrapolate to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "corpus_scale.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        rows = []
        for count in sorted(given.counts):
            rows.append(measure(count, given.seed, Path(temporary)))
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    result: dict[str, Any] = {"seed": given.seed, "settings": SETTINGS, "rows": rows}
    if len(rows) > 1:
        result["extrapolated"] = extrapolated(rows, given.target)
        print("extrapolated:", "  ".join(f"{key} {value}" for key, value in result["extrapolated"].items()))
    given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
