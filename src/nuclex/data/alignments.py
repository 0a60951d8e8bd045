"""Which sequences of one file are alike those of another: MMseqs2's nucleotide search, on both strands.

Steinegger and Söding 2017, doi:10.1038/nbt.3988. It sees pairs that share 12 letters in a row, and gives one alignment
a pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nuclex.data.homology import find_mmseqs, run_mmseqs

_WORD = 12  # MMseqs2's own choice, 15, takes 8 GB for its table of words; 12 takes 0.1 GB and finds some more
_COLUMNS = "query,target,fident,qstart,qend,qlen,tstart,tend,tlen"
_FOUND, _WORK = "found.tsv", "work"
_MMSEQS_LONGEST = 65535


class Alignment(NamedTuple):
    """A stretch of a query that is alike a stretch of a target, on whichever strand.

    ``identity`` is the share of equal letters in it; ``first`` and ``last`` are where it lies in the query (0-based,
    half-open), ``covered`` is the larger of the shares of query and target that it covers.
    """

    query: bytes
    target: bytes
    identity: float
    first: int
    last: int
    query_length: int
    covered: float


def search(folder: Path, queries: str, targets: str, *, identity: float, longest: int, threads: int) -> dict[str, Any]:
    """Search a FASTA file of ``folder`` in another one there; :func:`alignments` reads what was found.

    ``longest`` is the length of the longest sequence; 0 ``threads`` are all cores. Returns what was run. Raises
    InputError where MMseqs2 is missing, OutsideError where it fails.
    """
    binary, origin = find_mmseqs()
    arguments = [
        "easy-search", queries, targets, _FOUND, _WORK, "--search-type", "3",
        "-k", str(_WORD), "--strand", "2", "--min-seq-id", f"{identity:g}", "--mask", "0",
        "-e", "1000000", "--max-seqs", "1000", "--max-seq-len", str(max(_MMSEQS_LONGEST, longest + 1)),
        "--format-output", _COLUMNS, "--threads", str(threads or (os.cpu_count() or 1)), "-v", "2",
    ]  # fmt: skip
    version = run_mmseqs(binary, ["version"], folder).strip()
    run_mmseqs(binary, arguments, folder)
    return {"tool": "MMseqs2", "from": origin, "version": version, "arguments": arguments}


def alignments(folder: Path) -> Iterator[Alignment]:
    """What the last search in ``folder`` found."""
    with open(folder / _FOUND, "rb") as lines:
        for line in lines:
            query, target, identity, *ends = line.split()
            qstart, qend, qlen, tstart, tend, tlen = map(int, ends)
            first, last = min(qstart, qend) - 1, max(qstart, qend)
            covered = max((last - first) / qlen, (abs(tend - tstart) + 1) / tlen)
            yield Alignment(query, target, float(identity), first, last, qlen, covered)
