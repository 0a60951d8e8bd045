"""Reading FASTA and FASTQ to clean ids: nuclex beside Biopython and needletail, same files, one interleaved run.

    python benchmarks/readers.py [--megabytes 20] [--rounds 5] [--folder DIR]

The script makes its own files: FASTA wrapped at 60, one line a sequence, and as one long chromosome; FASTQ of 150 nt;
and gzip of two of them. To "clean ids" means: every sequence is read, checked to hold nucleotide codes alone, read as
upper case with U as T, and turned into the ids of the nucleotide tokenizer. All contestants use the same look-up (one
``bytes.translate`` with the tokenizer's table, which also finds unknown letters); Biopython's letters are made upper
case first, as its users do. ``nuclex, records`` makes a Record of each sequence, ``nuclex, batches`` takes the letters
of many at a look. Reported is processor time: megabases a second, and the ratio to Bio.SeqIO; rates of a shared machine
mean little.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nuclex.core.provenance import package_versions
from nuclex.data.compression import opened
from nuclex.data.fasta import read_fasta
from nuclex.data.fastq import read_fastq
from nuclex.data.read import read_batches, read_sequences
from nuclex.tokenizers import NucleotideConfig

UNKNOWN = 3
Counter = Callable[[Path], int]


def look_up_table() -> bytes:
    """The id of each byte, as the nucleotide tokenizer has it: 256 bytes."""
    tokenizer = NucleotideConfig(max_unknown_share=1).build()
    ids = [tokenizer.encode(bytes([byte]), start=False, end=False)[0] for byte in range(128)]
    return bytes(int(number) for number in ids) + bytes([UNKNOWN]) * 128


TABLE = look_up_table()


def ids_of(letters: bytes) -> int:
    """The look-up: how many ids a text gives; an unknown letter is an error."""
    found = letters.translate(TABLE)
    if UNKNOWN in found:
        raise ValueError(f"unknown letter at {found.index(UNKNOWN)}")
    return len(np.frombuffer(found, dtype=np.uint8))


def biopython(path: Path) -> int:
    from Bio import SeqIO

    kind = "fastq" if ".fq" in path.suffixes else "fasta"
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as handle:
        return sum(ids_of(str(record.seq).upper().encode()) for record in SeqIO.parse(handle, kind))


def biopython_simple(path: Path) -> int:
    from Bio.SeqIO.FastaIO import SimpleFastaParser
    from Bio.SeqIO.QualityIO import FastqGeneralIterator

    parser = FastqGeneralIterator if ".fq" in path.suffixes else SimpleFastaParser
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as handle:
        return sum(ids_of(found[1].upper().encode()) for found in parser(handle))


def needletail(path: Path) -> int:
    from needletail import parse_fastx_file

    return sum(ids_of(record.seq.encode()) for record in parse_fastx_file(str(path)))


def nuclex_strict(path: Path) -> int:
    reader = read_fastq if ".fq" in path.suffixes else read_fasta
    with opened(path, str(path)) as text:
        found = (record for batch in reader(text, fast=False) for record in batch.records("x"))
        return sum(ids_of(record.sequence) for record in found)


def nuclex_records(path: Path) -> int:
    return sum(ids_of(record.sequence) for record in read_sequences(path))


def nuclex_batches(path: Path) -> int:
    return sum(ids_of(batch.letters) for batch in read_batches(path))


CONTESTANTS: dict[str, Counter] = {
    "Bio.SeqIO": biopython,
    "Bio simple parsers": biopython_simple,
    "needletail": needletail,
    "nuclex, strict parser": nuclex_strict,
    "nuclex, records": nuclex_records,
    "nuclex, batches": nuclex_batches,
}


def make_files(folder: Path, megabases: int) -> dict[str, Path]:
    """The files, of so many million letters each."""
    rng = np.random.default_rng(0)
    paths = {name: folder / name for name in ("wrapped.fa", "one-line.fa", "chromosome.fa", "reads.fq")}
    for name, path in paths.items():
        longest = {"chromosome.fa": 5_000_000, "reads.fq": 150}.get(name, 1_000)
        shortest = 100 if longest == 1_000 else longest
        with path.open("wb") as handle:
            for header, letters in sequences(rng, megabases * 1_000_000, (shortest, longest)):
                handle.write(entry(header, letters, name))
    for name in ("wrapped.fa", "reads.fq"):
        packed = folder / f"{name}.gz"
        packed.write_bytes(gzip.compress(paths[name].read_bytes(), 6, mtime=0))
        paths[packed.name] = packed
    return paths


def sequences(rng: np.random.Generator, total: int, lengths: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    number = 0
    while total > 0:
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        letters = np.frombuffer(b"ACGT" * 16, dtype=np.uint8)[rng.integers(0, 64, length)].tobytes()
        yield b"s%d family=f%d Homo sapiens" % (number, number % 7), letters
        number, total = number + 1, total - length


def entry(header: bytes, letters: bytes, name: str) -> bytes:
    if name.endswith(".fq"):
        return b"@%s\n%s\n+\n%s\n" % (header, letters, b"I" * len(letters))
    width = len(letters) if name == "one-line.fa" else 60
    lines = [letters[start : start + width] for start in range(0, len(letters), width)]
    return b">%s\n%s\n" % (header, b"\n".join(lines))


def measure(path: Path, rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each contestant in each round; all must find the same number of letters."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    letters: set[int] = set()
    for number in range(rounds + 1):  # the first round warms up
        for name, count in CONTESTANTS.items():
            began = time.process_time()
            letters.add(count(path))
            if number:
                seconds[name].append(time.process_time() - began)
    assert len(letters) == 1, f"{path}: the contestants disagree: {letters}"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=20, help="letters of each file, in millions")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made; a temporary folder by default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/readers.json"))
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    result: dict[str, object] = {"megabases": arguments.megabytes, "rounds": arguments.rounds}
    result["packages"] = {**package_versions(), **peers()}
    files: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name, path in make_files(Path(folder), arguments.megabytes).items():
            seconds = measure(path, arguments.rounds)
            base = seconds["Bio.SeqIO"]
            files[name] = {}
            print(f"\n{name}")
            for contestant, spent in seconds.items():
                ratios = [theirs / ours for theirs, ours in zip(base, spent, strict=True)]
                rate = arguments.megabytes / statistics.median(spent)
                ratio = statistics.median(ratios)
                files[name][contestant] = {
                    "megabases_per_second": round(rate, 1),
                    "ratio": round(ratio, 2),
                    "ratio_low": round(min(ratios), 2),
                    "ratio_high": round(max(ratios), 2),
                }
                print(f"  {contestant:24s} {rate:8.0f} Mb/s  {ratio:6.2f} x  ({min(ratios):.2f} to {max(ratios):.2f})")
    result["files"] = files
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def peers() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("biopython", "needletail")}


if __name__ == "__main__":
    main()
