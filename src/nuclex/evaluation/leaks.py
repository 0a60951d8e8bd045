"""Was the test seen before? Test sequences that the pre-training corpus or the task's own training split holds.

Letter by letter: equal, the reverse complement of one, holding one, lying in one; of a corpus of pieces also sharing
a stretch with one. With an identity below 1 also what MMseqs2 finds to be that much alike, on either strand. Sequences
of the corpus's test split were never trained on and do not count.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from nuclex.bio.alphabet import to_dna, to_rna
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.core.plain import plain
from nuclex.core.progress import say
from nuclex.data.alignments import alignments, search
from nuclex.data.containment import REASONS as EXACT
from nuclex.data.containment import Containment
from nuclex.data.decontaminate import OVERLAPS, SIMILAR, DecontaminateConfig
from nuclex.data.homology import find_mmseqs
from nuclex.data.store import Corpus, sequences_of
from nuclex.data.stretches import Stretches
from nuclex.metrics.statistics import bootstrap
from nuclex.tasks import SPLITS, Example, Task

REASONS = ("none", *EXACT[1:], OVERLAPS, SIMILAR)
"""Why a test sequence counts as seen; ``contains`` and ``contained`` are said of the test sequence."""
PRETRAINING, TRAINING = "pre-training corpus", "the task's own training"
MEANING = {
    "equal": "the same letters (T is U)",
    "reverse_complement": "the other strand of one",
    "contains": "holds a whole one",
    "contained": "lies whole in one",
    OVERLAPS: "shares a stretch with a piece of a genome",
    SIMILAR: "an alignment as identical as asked for",
}
SUBSETS = ("all", "without_leaks", "leaks_only")
Blocks = Callable[[], Iterator[pa.Array]]


@dataclass(frozen=True, eq=False)
class Found:
    """What one place holds of N test sequences: for each the index into ``REASONS``, the first that holds.

    ``identity_N`` is that of the best alignment (1 where letters are equal, nan where nothing was found);
    ``sequences`` is how many the place holds.
    """

    reasons_N: NDArray[np.int8]
    identity_N: NDArray[np.float64]
    sequences: int

    def counts(self) -> dict[str, int]:
        """How many test sequences were found for each reason; each is counted once."""
        found_R = np.bincount(self.reasons_N, minlength=len(REASONS)).tolist()
        return dict(zip(REASONS[1:], found_R[1:], strict=True))


@dataclass(frozen=True, eq=False)
class Leaks:
    """Which of a task's N test sequences were seen before, where, and why; ``settings`` say how it was looked for."""

    task: str
    test: int
    found: Mapping[str, Found]
    settings: Mapping[str, Any]

    @property
    def leaked_N(self) -> NDArray[np.bool_]:
        """Whether each test sequence was found anywhere."""
        return np.any([np.zeros(self.test, bool), *(place.reasons_N > 0 for place in self.found.values())], axis=0)

    def with_and_without(
        self, scores: Mapping[str, ArrayLike], clusters: ArrayLike | None = None, level: float = 0.95
    ) -> dict[str, Any]:
        """The means of per-sequence ``scores`` over all test sequences, those not seen, and those seen.

        Plain data: subset → ``n`` and metric → interval; a subset without sequences is left out.
        """
        result: dict[str, Any] = {}
        for subset, which_N in self.subsets():
            units_N = None if clusters is None else np.asarray(clusters)[which_N]
            means = {
                name: asdict(bootstrap(np.asarray(values_N)[which_N], clusters=units_N, level=level))
                for name, values_N in scores.items()
            }
            result[subset] = {"n": int(which_N.sum()), **means}
        return plain(result)

    def subsets(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """All test sequences, those not seen, and those seen, each with (N,) bool; none without sequences."""
        leaked_N = self.leaked_N
        for subset, which_N in zip(SUBSETS, (np.ones_like(leaked_N), ~leaked_N, leaked_N), strict=True):
            if which_N.any():
                yield subset, which_N

    def to_data(self) -> dict[str, Any]:
        """Counts by place and reason, as plain data."""
        places = {name: {"sequences": place.sequences, **place.counts()} for name, place in self.found.items()}
        leaked = int(self.leaked_N.sum())
        return {"task": self.task, "test": self.test, "leaked": leaked, **self.settings, "found": places}


def leaks(
    corpus: Corpus | str | Path | None,
    task: Task,
    *,
    identity: float = 1.0,
    coverage: float = 0.8,
    learned: bool = True,
    threads: int = 1,
) -> Leaks:
    """Look for the test sequences of ``task`` in the train and validation splits of a corpus, and in the task's own.

    ``identity`` below 1: relatives count, too, whose alignment has that share of equal letters and covers
    ``coverage`` of either sequence. Short ones without 12 equal letters in a row are missed, and of a genome in pieces
    relatives that lie across a cut. Without ``learned`` the task's own splits are not looked at, as where a model is
    asked without having been trained on them. Of a variant the corpus is asked for the reference, and the task's own
    training for the changed sequence. InputError where MMseqs2 is needed and missing.
    """
    config: DecontaminateConfig = load_config(
        DecontaminateConfig, None, {"min_identity": identity, "coverage": coverage}
    )
    if identity < 1:
        _refuse_without_mmseqs(identity)
    test = task.examples("test")
    found = {}
    if corpus is not None:
        opened = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
        pieces = opened.manifest["config"]["segment"]["method"] != "none"
        say(f"{task.name}: looking for {len(test)} test sequences in {opened.path}")
        asked = [to_dna(example.sequence.upper().encode()) for example in test]
        found[PRETRAINING] = _search(
            asked, lambda: (batch.column("sequence") for batch in opened.batches(*SPLITS[:2])), config, pieces, threads
        )
    if learned:
        asked = [to_dna(_own(example)) for example in test]
        own = [_own(example).decode() for split in SPLITS[:2] for example in task.examples(split)]
        found[TRAINING] = _search(asked, lambda: iter([pa.array(own, pa.large_string())]), config, False, threads)
    return Leaks(task.name, len(test), found, {"identity": identity, "coverage": coverage, "shortest": config.shortest})


def _own(example: Example) -> bytes:
    """The letters that tell an example from the others of its task."""
    return to_rna((example.alternative or example.sequence).upper()).encode()


def _refuse_without_mmseqs(identity: float) -> None:
    try:
        find_mmseqs()
    except InputError:
        raise InputError(
            f"identity: {identity:g} needs MMseqs2 (pip install 'nuclex[cluster]'); "
            "with identity 1 what is equal, contained or of the other strand is found without it"
        ) from None


def _search(test: Sequence[bytes], blocks: Blocks, config: DecontaminateConfig, pieces: bool, threads: int) -> Found:
    """Exact relatives by two passes, so that no more of the place is held in memory than what is related."""
    asked, shortest = pa.array([text.decode() for text in test], pa.large_string()), config.shortest
    given, stretches = Containment(test, shortest), Stretches(test, shortest) if pieces else None
    related: dict[bytes, None] = {}
    sharing: dict[bytes, None] = {}
    sequences = longest = 0
    for column in blocks():
        if not len(column):
            continue
        sequences, longest = sequences + len(column), max(longest, _longest(column))
        reasons_R = given.reasons(column, np.ones(len(column), dtype=bool))
        related |= dict.fromkeys(sequences_of(column.filter(pa.array(reasons_R > 0))))
        if stretches is not None:
            sharing |= dict.fromkeys(sequences_of(column.filter(pa.array(stretches.shared(column)))))
    reasons_N = Containment(list(related), shortest).reasons(asked, np.ones(len(test), dtype=bool))
    identity_N = np.where(reasons_N > 0, 1.0, np.nan)
    if sharing:
        shared_N = Stretches(list(sharing), shortest).shared(asked) & (reasons_N == 0)
        reasons_N[shared_N] = REASONS.index(OVERLAPS)
    if config.min_identity < 1 and sequences and (reasons_N == 0).any():
        _add_similar(reasons_N, identity_N, (test, blocks), config, (longest, threads))
    return Found(reasons_N, identity_N, sequences)


def _longest(column: pa.Array) -> int:
    import pyarrow.compute as pc

    return int(pc.max(pc.binary_length(column)).as_py())


def _add_similar(
    reasons_N: NDArray[np.int8],
    identity_N: NDArray[np.float64],
    sides: tuple[Sequence[bytes], Blocks],
    config: DecontaminateConfig,
    limits: tuple[int, int],
) -> None:
    """Ask MMseqs2 about the test sequences that were not found letter by letter."""
    (test, blocks), (longest, threads) = sides, limits
    open_N = np.flatnonzero(reasons_N == 0)
    with tempfile.TemporaryDirectory(prefix="nuclex-leaks-") as name:
        folder = Path(name)
        with open(folder / "test.fasta", "wb") as out:
            for place in open_N.tolist():
                out.write(b">%d\n%b\n" % (place, test[place]))
        with open(folder / "seen.fasta", "wb") as out:
            texts = (sequence for column in blocks() for sequence in sequences_of(column))
            for number, sequence in enumerate(texts):
                out.write(b">%d\n%b\n" % (number, to_dna(sequence)))
        longest = max(longest, *map(len, test))
        search(folder, "test.fasta", "seen.fasta", identity=config.min_identity, longest=longest, threads=threads)
        for alignment in alignments(folder):
            if alignment.covered >= config.coverage:
                place = int(alignment.query)
                reasons_N[place] = REASONS.index(SIMILAR)
                identity_N[place] = np.fmax(identity_N[place], alignment.identity)
