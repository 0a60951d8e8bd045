"""Keep evaluation and fine-tuning sequences out of a corpus, so that a model is not tested on what it has seen.

What equals a given sequence or its reverse complement, holds one, or lies inside one is found letter by letter. What
is only similar is found by MMseqs2's nucleotide search on both strands (``data/alignments.py``), which sees pairs that
share 12 letters in a row; an alignment counts if it covers enough of either sequence, so that a gene inside a longer
stretch of genome counts too. Short relatives without 12 equal letters
in a row are missed: at 60 letters and 90 % identity 2 of 96 were.

Where a genome was cut into pieces, an excluded sequence may lie across a cut, whole in no piece. So then a piece goes
that shares any stretch of ``shortest`` letters with one ("overlaps"); and MMseqs2 is also given each two neighbours
as one sequence, and an alignment that runs up to an end of what was searched counts as if it went on beyond it. The
search gives one alignment a pair, so of two copies in the same two neighbours it can judge only the better.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bio.alphabet import to_dna
from nuclex.core.artifact import sha256_file
from nuclex.core.config import Config
from nuclex.core.progress import say
from nuclex.data.alignments import alignments, search
from nuclex.data.containment import REASONS, SHORTEST, Containment
from nuclex.data.curate import Curator, FilterConfig
from nuclex.data.gather import name_inputs, regular_file
from nuclex.data.read import ReadConfig, read_sequences
from nuclex.data.segment import contig_of, interval_of
from nuclex.data.stage import Stage, kept_batches
from nuclex.data.store import sequences_of
from nuclex.data.stretches import Stretches
from nuclex.data.structures import holds_structures, read_structure_sequences

OVERLAPS, SIMILAR = "overlaps", "similar"
_ANY = FilterConfig(min_length=1, max_length=1 << 62, max_ambiguous=1)


class DecontaminateConfig(Config):
    """How like a sequence of the files to be excluded a sequence may be, and stay."""

    min_identity: float = Field(
        default=1.0, ge=0.5, le=1, description="least share of equal letters that is too much; below 1 needs MMseqs2"
    )
    coverage: float = Field(
        default=0.8, gt=0, le=1, description="below identity 1: least share of either sequence that is aligned"
    )
    shortest: int = Field(
        default=32,
        ge=SHORTEST,
        description="shortest sequence that counts as contained in another; shorter ones only count where equal; "
        "of pieces of a genome, the shortest shared stretch that is too much",
    )
    read: ReadConfig = ReadConfig()


@dataclass
class Excluded:
    """The sequences that a corpus must not hold, and how many of it were found by which reason."""

    config: DecontaminateConfig
    work: Path
    files: list[dict[str, Any]] = field(default_factory=list)
    sequences: list[bytes] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*REASONS[1:], OVERLAPS, SIMILAR), 0))
    search: dict[str, Any] = field(default_factory=dict)
    pieces: bool = False
    """Whether the corpus is made of pieces, so that what is excluded may lie across their borders."""

    def counts(self) -> dict[str, Any]:
        """For the filter's entry: how many sequences went for which reason; the first that holds is counted."""
        return {"reasons": dict(self.found)}

    def record(self) -> dict[str, Any]:
        """For the manifest: the files, their sums, the settings and what was found."""
        return {
            "files": self.files,
            "sequences": len(self.sequences),
            **self.config.to_data(),
            **self.counts(),
            **self.search,
        }

    def drop_exact(self, stage: Stage, keep_M: NDArray[np.bool_]) -> None:
        """Take what equals, holds or lies in an excluded sequence, on either strand, out of ``keep_M``.

        Of pieces those go too that share a stretch with one.
        """
        say(f"excluding what {len(self.sequences)} sequences hold or are held by")
        given = Containment(self.sequences, self.config.shortest)
        stretches = Stretches(self.sequences, self.config.shortest) if self.pieces else None
        for batch, _, places_N in kept_batches(stage, keep_M):
            reasons_N = given.reasons(batch.column("sequence"), np.ones(len(places_N), dtype=bool))
            keep_M[places_N[reasons_N > 0]] = False
            for code, count in enumerate(np.bincount(reasons_N, minlength=len(REASONS)).tolist()[1:], start=1):
                self.found[REASONS[code]] += count
            if stretches is not None:
                shared_N = stretches.shared(batch.column("sequence")) & (reasons_N == 0)
                keep_M[places_N[shared_N]] = False
                self.found[OVERLAPS] += int(shared_N.sum())


def read_excluded(paths: Sequence[str | Path], config: DecontaminateConfig, work: Path) -> Excluded:
    """Read the files of sequences to be excluded, in any format that is read; they are held in memory.

    Files of secondary structures (.ct, .bpseq, .st, .dbn) are read too.

    Raises InputError where a file holds no nucleotides.
    """
    excluded, known = Excluded(config, work), dict[bytes, None]()
    for path, name in name_inputs(paths):
        with regular_file(path, work) as readable:
            curator, count = Curator(_ANY), 0
            if config.read.format is None and holds_structures(path):
                records = read_structure_sequences(readable, name, path)
            else:
                records = read_sequences(readable, source=name, label=path, config=config.read)
            for kept in curator.curate(records, path):
                known[kept.sequence] = None
                count += 1
            entry = {"path": path, "sha256": sha256_file(readable), "bytes": readable.stat().st_size}
            excluded.files.append({"name": name, **entry, "sequences": count})
    excluded.sequences = list(known)
    return excluded


def exclude_similar(excluded: Excluded, stage: Stage, keep_M: NDArray[np.bool_], threads: int) -> None:
    """Take what MMseqs2 finds to be alike an excluded sequence out of ``keep_M``.

    Raises InputError where MMseqs2 is missing, OutsideError where it fails.
    """
    folder = excluded.work / "exclude"
    folder.mkdir()
    say(f"searching for what is like {len(excluded.sequences)} sequences (MMseqs2)")
    longest, identity = _write_both(excluded, stage, keep_M, folder), excluded.config.min_identity
    excluded.search = search(
        folder, "corpus.fasta", "excluded.fasta", identity=identity, longest=longest, threads=threads
    )
    alike_M = np.zeros(len(keep_M), dtype=bool)
    alike_M[_alike(folder, excluded)] = True
    excluded.found[SIMILAR] += int((alike_M & keep_M).sum())
    keep_M &= ~alike_M
    shutil.rmtree(folder)


def _write_both(excluded: Excluded, stage: Stage, keep_M: NDArray[np.bool_], folder: Path) -> int:
    """Write the corpus (named by place in the stage) and the excluded sequences; returns the longest length."""
    longest = max(map(len, excluded.sequences))
    with open(folder / "excluded.fasta", "wb") as out:
        for number, sequence in enumerate(excluded.sequences):
            out.write(b">%d\n%b\n" % (number, sequence))
    with open(folder / "corpus.fasta", "wb") as out:
        for batch, numbers, places_N in kept_batches(stage, keep_M):
            longest = max(longest, int(numbers["length"].max()))
            for place, sequence in zip(places_N.tolist(), sequences_of(batch.column("sequence")), strict=True):
                out.write(b">%d\n%b\n" % (place, to_dna(sequence)))
        if excluded.pieces:
            longest = max(longest, _write_neighbours(out, stage, keep_M, excluded.config.shortest))
    return longest


class _Piece(NamedTuple):
    """A staged piece: where it was cut, and its letters."""

    source: int
    contig: str
    start: int
    end: int
    sequence: bytes


def _write_neighbours(out: BinaryIO, stage: Stage, keep_M: NDArray[np.bool_], most: int) -> int:
    """Write each two neighbouring pieces as one sequence, one of them kept at least; returns the longest length.

    Up to ``most`` unknown letters between them are N. The name is the place of the second, where the first ends and
    where the second starts, as in ``_alike``. What was removed before is still text beside what was not.
    """
    longest, before = 0, _Piece(-1, "", 0, 0, b"")
    place = 0
    for batch, numbers in stage.batches():
        columns = batch.column("id").to_pylist(), sequences_of(batch.column("sequence")), numbers["source"].tolist()
        for name, sequence, source in zip(*columns, strict=True):
            piece = _Piece(source, contig_of(name), *interval_of(name), to_dna(sequence))
            near = piece[:2] == before[:2] and 0 <= piece.start - before.end <= most
            if near and keep_M[place - 1 : place + 1].any():
                left = before.sequence + b"N" * (piece.start - before.end)
                out.write(b">%d_%d_%d\n%b%b\n" % (place, len(before.sequence), len(left), left, piece.sequence))
                longest = max(longest, len(left) + len(piece.sequence))
            before, place = piece, place + 1
    return longest


def _alike(folder: Path, excluded: Excluded) -> NDArray[np.int64]:
    """The places of those sequences that have an alignment which covers enough of either sequence.

    Of pieces an alignment also counts that has ``shortest`` letters and comes as near as that to an end of what was
    searched; of two neighbours searched as one those go which have as many letters of it.
    """
    places: set[int] = set()
    config = excluded.config
    for found in alignments(folder):
        first, last = found.first, found.last
        at_end = min(first, found.query_length - last) < config.shortest <= last - first
        if not (found.covered >= config.coverage or (excluded.pieces and at_end)):
            continue
        place, *borders = map(int, found.query.split(b"_"))
        if not borders:
            places.add(place)
            continue
        if min(last, borders[0]) - first >= config.shortest:
            places.add(place - 1)
        if last - max(first, borders[1]) >= config.shortest:
            places.add(place)
    return np.array(sorted(places), dtype=np.int64)
