"""Learning BPE from a genome, nuclex against plain use of the library ``tokenizers``: time and memory, same text.

    python benchmarks/bpe_training.py [--megabytes 20] [--fasta FILE…] [--vocabulary 1024] [--rounds 1] [--limit 120]

Contestants, each in a process of its own:
  nuclex                     pieces of at most 512 nucleotides, our own learning of merges
  tokenizers, pieces         the library's trainer on the same pieces: the merges must be equal
  tokenizers, lines          TinyDNABERT's way: CharBPETokenizer, one word a line of 256 to 1023 nucleotides, at random
  tokenizers, chromosomes    the first thing one tries: one unbroken word a contig
Time is that of learning with reading (wall and CPU seconds), memory the peak beyond that of a process that has only
imported the library. Without --fasta the genome is made up: words of a vocabulary of repeats among random nucleotides.
A contestant that takes longer than --limit seconds is stopped; its ratio is then a lower bound. A chromosome's time
grows with the square of its length, so it is also measured on --small megabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

MIN_FREQUENCY, PIECE = 2, 512
OURS, PIECES, LINES, CHROMOSOMES = "nuclex", "tokenizers, pieces", "tokenizers, lines", "tokenizers, chromosomes"
CONTESTANTS = (OURS, PIECES, LINES, CHROMOSOMES)


def contigs(path: Path) -> Iterator[str]:
    """One contig a line, as ``prepare`` wrote them."""
    with path.open() as lines:
        for line in lines:
            yield line.rstrip("\n")


def cut(sequences: Iterable[str], lengths: Iterator[int]) -> Iterator[str]:
    """Runs of A, C, G and T, cut to the next of some lengths."""
    import re

    for sequence in sequences:
        for run in re.finditer("[ACGT]+", sequence):
            place, end = run.span()
            while place < end:
                length = min(next(lengths), end - place)
                if length > 1:
                    yield sequence[place : place + length]
                place += length


def always(length: int) -> Iterator[int]:
    while True:
        yield length


def drawn(seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.integers(256, 1024, 4096).tolist()


def by_library(words: Iterable[str], vocabulary: int) -> list[list[str]]:
    from tokenizers import Tokenizer, models, trainers

    library = Tokenizer(models.BPE(unk_token="<unk>"))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=MIN_FREQUENCY,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=list("ACGTRYKMSWBDHVN"),
        show_progress=False,
    )
    library.train_from_iterator(words, trainer)
    merges: list[list[str]] = json.loads(library.to_str())["model"]["merges"]
    return merges


def by_char_bpe(words: Iterable[str], vocabulary: int) -> list[list[str]]:
    from tokenizers import CharBPETokenizer

    tokenizer = CharBPETokenizer()
    special = ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
    tokenizer.train_from_iterator(
        words, vocab_size=vocabulary, min_frequency=MIN_FREQUENCY, special_tokens=special, show_progress=False
    )
    merges: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return merges


def by_nuclex(sequences: Iterable[str], vocabulary: int) -> list[list[str]]:
    from nuclex.tokenizers import BpeConfig

    config = BpeConfig(vocab_size=vocabulary, min_frequency=MIN_FREQUENCY, piece_length=PIECE, max_unknown_share=1.0)
    merges: list[list[str]] = json.loads(config.train(sequences).to_json())["model"]["merges"]
    return merges


def peak() -> int:
    """Most memory this process has held, in KiB; the system's ru_maxrss would begin with that of the process before."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def contest(name: str, path: Path, vocabulary: int) -> dict[str, Any]:
    """Run one contestant in this process."""
    import tokenizers  # noqa: F401

    if name == OURS:
        import nuclex.tokenizers  # noqa: F401
    before = peak()
    began, cpu = time.perf_counter(), time.process_time()
    if name == OURS:
        merges = by_nuclex(contigs(path), vocabulary)
    elif name == PIECES:
        merges = by_library(cut(contigs(path), always(PIECE)), vocabulary)
    elif name == LINES:
        merges = by_char_bpe(cut(contigs(path), drawn(1)), vocabulary)
    else:
        merges = by_library(contigs(path), vocabulary)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "megabytes": (peak() - before) / 1024,
        "merges": merges,
    }


def run(name: str, path: Path, vocabulary: int, limit: float) -> dict[str, Any]:
    """Run one contestant in a process of its own; after ``limit`` seconds it is stopped."""
    command = [sys.executable, __file__, "--contest", name, "--input", str(path), "--vocabulary", str(vocabulary)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return {"seconds": limit, "stopped": True}
    return dict(json.loads(done.stdout))


def made_up(nucleotides: int) -> Iterator[str]:
    """Contigs of at most 5 million nucleotides: repeats of several lengths among random ones."""
    rng = np.random.default_rng(0)
    letters = np.array(list("ACGT"))
    repeats = ["".join(rng.choice(letters, length, p=[0.32, 0.18, 0.18, 0.32])) for length in rng.integers(4, 400, 300)]
    while nucleotides > 0:
        parts, left = [], min(5_000_000, nucleotides)
        nucleotides -= left
        while left > 0:
            filler = "".join(rng.choice(letters, int(rng.integers(10, 2000)), p=[0.32, 0.18, 0.18, 0.32]))
            parts.append((filler + repeats[int(rng.integers(0, 300))])[:left])
            left -= len(parts[-1])
        yield "".join(parts)


def prepare(sources: list[Path], nucleotides: int, path: Path) -> int:
    """Write contigs, upper case, one a line, until there are enough nucleotides; returns how many."""
    from nuclex.data.read import read_sequences

    found = (
        (record.sequence.decode().upper() for source in sources for record in read_sequences(source))
        if sources
        else made_up(nucleotides)
    )
    written = 0
    with path.open("w") as lines:
        for contig in found:
            part = contig[: nucleotides - written]
            written += len(part)
            lines.write(f"{part}\n")
            if written >= nucleotides:
                break
    return written


def table(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Medians over the rounds, and ratios to nuclex."""
    ours = {key: statistics.median(one[key] for one in found[OURS]) for key in ("seconds", "cpu_seconds", "megabytes")}
    rows = {}
    for name, rounds in found.items():
        stopped = any(one.get("stopped") for one in rounds)
        row: dict[str, Any] = {"stopped": stopped, "seconds": statistics.median(one["seconds"] for one in rounds)}
        row["time_ratio"] = row["seconds"] / ours["seconds"]
        if not stopped:
            for key in ("cpu_seconds", "megabytes"):
                row[key] = statistics.median(one[key] for one in rounds)
            row["memory_ratio"] = row["megabytes"] / max(ours["megabytes"], 1.0)
            row["same_merges"] = all(one["merges"] == found[OURS][0]["merges"] for one in rounds)
        rows[name] = row
        more = "> " if stopped else ""
        memory = "stopped" if stopped else f"{row['megabytes']:>7.0f} MB {row['memory_ratio']:>6.1f}x"
        print(f"  {name:<26}{more:>3}{row['seconds']:>8.1f} s {more:>3}{row['time_ratio']:>6.1f}x  {memory}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--small", type=float, default=0.2)
    parser.add_argument("--fasta", type=Path, nargs="*", default=[])
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/bpe_training.json"))
    parser.add_argument("--contest", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contest:
        print(json.dumps(contest(arguments.contest, arguments.input, arguments.vocabulary)))
        return
    from nuclex.core.provenance import package_versions

    result: dict[str, Any] = {
        "vocabulary": arguments.vocabulary,
        "rounds": arguments.rounds,
        "cores": os.cpu_count(),
        "limit_s": arguments.limit,
        "source": [path.name for path in arguments.fasta] or "made up",
        "packages": package_versions(),
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in dict.fromkeys((arguments.small, arguments.megabytes)):
            path = Path(folder) / "contigs.txt"
            nucleotides = prepare(arguments.fasta, int(megabytes * 1e6), path)
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
            for _ in range(arguments.rounds):
                for name in CONTESTANTS:
                    found[name].append(run(name, path, arguments.vocabulary, arguments.limit))
            print(
                f"\n{nucleotides / 1e6:g} million nucleotides, {arguments.vocabulary} tokens: seconds, memory, ratios"
            )
            result["sizes"][f"{nucleotides}"] = table(found)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
