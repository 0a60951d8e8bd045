"""Peak memory and time of ``corpus build`` as the input grows, with counts checked against what was written.

    python benchmarks/corpus_memory.py [--sizes 1000 4000] [--mixes genome reads] [--folder DIR] [--keep]

Synthetic FASTA of the given sizes (in MB) is written in two mixes: ``genome`` (contigs of a few Mb with runs of N, cut
into pieces of 256 to 1024 letters) and ``reads`` (150 letters each, one in five a copy or the reverse complement of an
earlier one). Each corpus is built by a process of its own; its peak memory is the largest resident set of that process
and its children, which mapped files are part of. The share of duplicates is known, and the counts of the manifest
must be what follows from it.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

READ, COPY_EVERY, WINDOW = 150, 5, 50_000
CONTIG, GAP = 4_000_000, 10_000
SETTINGS: dict[str, dict[str, Any]] = {
    "reads": {"filter": {"duplicates": "drop_both_strands"}, "cluster": {"method": "none"}},
    "genome": {
        "segment": {"method": "random"},
        "filter": {"duplicates": "drop"},
        "cluster": {"method": "none"},
        "split": {"by": "contig"},
    },
}
LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
PARTNER = np.zeros(256, dtype=np.uint8)
PARTNER[list(b"ACGT")] = list(b"TGCA")


def random_letters(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return LETTERS[rng.integers(0, 4, shape, dtype=np.uint8)]


def write_reads(path: Path, megabytes: float, rng: np.random.Generator) -> dict[str, int]:
    """Reads of 150 letters; every fifth is a copy of one before it, every tenth on the other strand."""
    count = int(megabytes * 1e6 / (READ + 12))
    with open(path, "wb") as out:
        for first in range(0, count, WINDOW):
            reads = random_letters(rng, (min(WINDOW, count - first), READ))
            for row in range(COPY_EVERY - 1, len(reads), COPY_EVERY):
                copied = reads[row - 1 - int(rng.integers(0, COPY_EVERY - 1))]
                reads[row] = copied if row % 2 else PARTNER[copied[::-1]]
            lines = (b">%09d\n%b\n" % (first + row, read.tobytes()) for row, read in enumerate(reads))
            out.write(b"".join(lines))
    copies = sum(min(WINDOW, count - first) // COPY_EVERY for first in range(0, count, WINDOW))
    return {"sequences_in": count, "sequences_out": count - copies}


def write_genome(path: Path, megabytes: float, rng: np.random.Generator) -> dict[str, int]:
    """Contigs with a run of N in the middle; every fifth is there twice under one name, so that its pieces repeat."""
    count = max(5, int(megabytes * 1e6 / (CONTIG + GAP)))
    unique = count - count // COPY_EVERY
    with open(path, "wb") as out:
        for number in range(unique):
            contig = random_letters(rng, (CONTIG,)).tobytes()
            text = contig[: CONTIG // 2] + b"N" * GAP + contig[CONTIG // 2 :]
            lines = b"\n".join(text[start : start + 80] for start in range(0, len(text), 80))
            out.write(b">contig%d\n%b\n" % (number, lines) * (2 if number < count // COPY_EVERY else 1))
    return {"sequences_in": count, "gap_letters": count * GAP, "unique_letters": unique * CONTIG}


def build(source: Path, out: Path, mix: str) -> dict[str, Any]:
    """Build in a process of its own; the manifest's counts, the time, and the peak of that process's memory."""
    config = json.dumps(SETTINGS[mix])
    code = (
        "import json, resource, sys; from nuclex.data.corpus import CorpusConfig, build_corpus; "
        "made = build_corpus([sys.argv[1]], sys.argv[2], CorpusConfig.from_data(json.loads(sys.argv[3]))); "
        "own = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]; "
        "kept = ('sequences_in', 'sequences_out', 'nucleotides_out', 'filters', 'split', 'fingerprint'); "
        "print(json.dumps({'peak_kb': max(own), **{key: made[key] for key in kept}}))"
    )
    began, busy = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, source, out, config], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result: dict[str, Any] = json.loads(done.stdout)
    result["seconds"] = time.monotonic() - began
    result["cpu_seconds"] = after.ru_utime + after.ru_stime - busy.ru_utime - busy.ru_stime
    return result


def check(mix: str, known: dict[str, int], found: dict[str, Any]) -> None:
    """The counts follow from how the file was made."""
    assert found["sequences_in"] == known["sequences_in"], (known, found["sequences_in"])
    if mix == "reads":
        assert found["sequences_out"] == known["sequences_out"], (known, found["sequences_out"])
        return
    segments, duplicates = found["filters"][0], found["filters"][-1]
    assert segments["gap_letters"] == known["gap_letters"]
    total = segments["nucleotides_out"] + segments["end_letters"] + segments["gap_letters"]
    assert total == segments["nucleotides_in"]
    copied = known["sequences_in"] * CONTIG - known["unique_letters"]
    assert 0.99 * copied < duplicates["nucleotides_in"] - duplicates["nucleotides_out"] <= copied
    assert found["nucleotides_out"] <= known["unique_letters"]


def measure(mix: str, megabytes: float, folder: Path, keep: bool) -> dict[str, Any]:
    source, out = folder / f"{mix}-{megabytes:g}.fa", folder / f"{mix}-{megabytes:g}"
    known = {"reads": write_reads, "genome": write_genome}[mix](source, megabytes, np.random.default_rng(0))
    input_mb = source.stat().st_size / 1e6
    found = build(source, out, mix)
    check(mix, known, found)
    if not keep:
        source.unlink()
        shutil.rmtree(out)
    return {
        "mix": mix,
        "input_mb": round(input_mb),
        "sequences_in": found["filters"][0]["out"],
        "sequences_out": found["sequences_out"],
        "nucleotides_out": found["nucleotides_out"],
        "peak_mb": round(found["peak_kb"] / 1024),
        "seconds": round(found["seconds"], 1),
        "cpu_seconds": round(found["cpu_seconds"], 1),
        "mb_per_cpu_second": round(input_mb / found["cpu_seconds"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1000, 4000], help="sizes of the inputs in MB")
    parser.add_argument("--mixes", nargs="+", choices=sorted(SETTINGS), default=sorted(SETTINGS))
    parser.add_argument("--folder", type=Path, help="where to write (three times the largest size); default: temporary")
    parser.add_argument("--keep", action="store_true", help="leave inputs and corpora in the folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "corpus_memory.json")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = given.folder if given.keep and given.folder else Path(temporary)
        for mix in given.mixes:
            for megabytes in given.sizes:
                rows.append(measure(mix, megabytes, folder, given.keep))
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    for mix in given.mixes:
        first, *_, last = [row for row in rows if row["mix"] == mix] * (1 if len(given.sizes) > 1 else 2)
        growth = f"input × {last['input_mb'] / first['input_mb']:.2f}, peak × {last['peak_mb'] / first['peak_mb']:.2f}"
        more = last["sequences_in"] - first["sequences_in"]
        each = (last["peak_mb"] - first["peak_mb"]) * 2**20 / more if more else 0.0
        print(f"{mix}: {growth}, {each:.1f} bytes for each further sequence")
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
