"""How fast nuclex is against its peers, in one table with the targets beside the results; `make benchmark` runs it.

    python benchmarks/speed.py [FASTA] [--rounds 3] [--parts small scan training embedding] [--sequences 24]

Contestants do the same work in turn on one thread (``side_by_side``). FASTA are real ncRNAs; without one the
RNAcentral sample of the catalogue is taken, from NUCLEX_MIRROR or the web. Times of one machine mean little, ratios
within a round much more.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import embedding
import numpy as np
import scan
import small_parts
import torch
import training_step
from side_by_side import Row, print_table, save

from nuclex.data.catalog import fetch
from nuclex.data.read import read_sequences

PARTS = ("small", "scan", "training", "embedding")
SAMPLE = "rnacentral-sample"


def real_sequences(path: Path | None) -> list[bytes]:
    """The sequences of a file in a random order; only those that one look-up reads."""
    files = [path] if path is not None else fetch(SAMPLE)
    found = [record.sequence.upper() for record in read_sequences(files[0])]
    plain = [sequence for sequence in found if not sequence.translate(None, b"ACGTUN")]
    return [plain[place] for place in np.random.default_rng(0).permutation(len(plain))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sequences", type=int, default=24, help="sequences in a training batch")
    parser.add_argument("--embedded", type=int, default=64, help="RNAs that are embedded in a round")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began, table, sequences = time.monotonic(), [], real_sequences(given.fasta)
    for part in given.parts:
        found: list[Row] = {
            "small": lambda: small_parts.measure(sequences, given.rounds),
            "scan": lambda: scan.measure(given.rounds),
            "training": lambda: training_step.measure(sequences, given.rounds, given.sequences),
            "embedding": lambda: embedding.measure(sequences, given.rounds, given.embedded),
        }[part]()
        print_table(found)
        table += found
    missed = [row for row in table if row.verdict == "MISSED"]
    print(f"\n{sum(row.verdict == 'reached' for row in table)} targets reached, {len(missed)} missed")
    facts = {"rounds": given.rounds, "sequences": given.sequences, "embedded": given.embedded}
    save(table, given.out, **facts, processor=platform.processor(), minutes=round((time.monotonic() - began) / 60, 1))


if __name__ == "__main__":
    main()
