"""Generated coding sequences against real ones: valid or not, of which codons, how diverse, how near, how new.

The real sequences are divided at random into two halves. One is what everything is compared with; the other stands
beside the generated ones and is measured in the same way, which says how good real sequences look by each number. For
vectors there are two more: those held-out sequences with their codons in random order (start and stop in place), and
random numbers of the mean and the spread of the real vectors. All sets of vectors are of one size, as the Fréchet
distance grows when there are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nuclex.bio.alphabet import to_dna
from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_folder, write_json
from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError
from nuclex.core.plain import plain
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.core.randomness import key, permutation
from nuclex.data.read import read_sequences
from nuclex.evaluation.clouds import FEWEST, CloudConfig, Clouds, compare_clouds, shuffled
from nuclex.evaluation.coding_quality import CodingQuality, coding_quality
from nuclex.evaluation.judge_report import judge_report
from nuclex.evaluation.nearest import Nearest, nearest
from nuclex.evaluation.report import write_report
from nuclex.evaluation.synonymous import Synonymous, SynonymousConfig, synonymous_clusters
from nuclex.inference.adaptation import codon_weights
from nuclex.inference.tables import write_rows
from nuclex.metrics.codon_usage import adaptiveness, codon_counts, usage_divergence
from nuclex.metrics.edit_distance import diversity
from nuclex.metrics.statistics import Interval, bootstrap
from nuclex.training.device import within_memory

GENERATED, REAL, SHUFFLED = "generated", "real, held out", "the same, codons shuffled"
COLUMNS: dict[str, type] = {
    "id": str, "set": str, "codons": int, "valid": int, "gc": float, "gc3": float, "cai": float, "nearest": str,
    "identity": float,
}  # fmt: skip
Named = list[tuple[str, bytes]]


class JudgeConfig(Config):
    """What generated sequences are compared with, and how."""

    genetic_code: int = Field(default=1, description="the NCBI's number")
    start_codons: tuple[str, ...] = Field(default=("ATG",), description="what a coding sequence may begin with")
    training: Path | None = Field(default=None, description="the model's training sequences, to look for copies among")
    usage: Path | None = Field(
        default=None, description="genes, or a table of codons, by which the CAI is counted; None = the real sequences"
    )
    clouds: CloudConfig = CloudConfig()
    synonymous: SynonymousConfig = SynonymousConfig()
    most: int = Field(default=1000, ge=4, description="generated sequences, and twice as many real ones")
    pairs: int = Field(default=1000, ge=1, description="pairs of sequences whose edit distance makes the diversity")
    seed: int = 0

    @field_validator("start_codons", mode="before")
    @classmethod
    def _at_commas(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @field_validator("start_codons")
    @classmethod
    def _are_codons(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(to_dna(codon.upper()) for codon in starts)
        if strange := [codon for codon in found if codon not in CODONS]:
            raise ValueError(f"start_codons: {strange[0]!r} is no codon")
        return found


@dataclass(frozen=True, eq=False)
class Looked:
    """One set of sequences by itself: its quality, codon counts (64,), edit distances of pairs, nearest training ones.

    ``divergence`` is that of its codon usage from the other real half's, in bits.
    """

    named: Named
    quality: CodingQuality
    counts_64: NDArray[np.int64]
    difference_P: NDArray[np.float64]
    near: Nearest | None
    near_ids: list[str]
    divergence: float

    def numbers(self) -> dict[str, Interval | float]:
        """What a set is like, most with an interval; not a number where it does not apply."""
        quality = self.quality
        means = {"valid": quality.valid_N, "codons": quality.codons_N, "gc": quality.gc_N, "gc3": quality.gc3_N}
        found: dict[str, Interval | float] = {}
        for name, values in (means | {"cai": quality.cai_N}).items():
            known = np.asarray(values, dtype=np.float64)
            known = known[np.isfinite(known)]
            found[name] = bootstrap(known) if len(known) else float("nan")
        found["diversity"] = float(self.difference_P.mean())
        found["divergence"] = self.divergence
        if self.near is not None:
            known = self.near.identity_N[np.isfinite(self.near.identity_N)]
            found["identity"] = bootstrap(known) if len(known) else float("nan")
            found["copies"] = self.near.share_above(1.0)
        return found


@dataclass(frozen=True, eq=False)
class Judgement:
    """All that was found; ``sets`` are the generated and the held-out real sequences."""

    sets: Mapping[str, Looked]
    clouds: Clouds
    synonymous: Synonymous | None
    config: JudgeConfig
    sizes: Mapping[str, int]

    def to_data(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "sizes": dict(self.sizes),
            "sets": {
                name: {key: asdict(v) if isinstance(v, Interval) else v for key, v in one.numbers().items()}
                | {"criteria": one.quality.criteria_N5.mean(0).tolist()}
                for name, one in self.sets.items()
            },
            "vectors": asdict(self.clouds),
            "synonymous": None if self.synonymous is None else asdict(self.synonymous),
            "config": self.config.to_data(),
        }


def judge(
    bundle: Bundle | str | Path,
    generated: str | Path,
    reference: str | Path,
    out: str | Path,
    config: JudgeConfig | Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
) -> dict[str, Any]:
    """Compare a file of generated coding sequences with one of real ones, in the vectors of any bundle.

    ``out`` is a new folder: ``judgement.json``, ``sequences.csv`` (a row a sequence), ``codons.csv`` (counts and RSCU),
    ``codon-rose.svg`` and ``report.html``. InputError where fewer than four sequences of a kind can be read.
    """
    asked = config if isinstance(config, JudgeConfig) else load_config(JudgeConfig, None, config)
    opened = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    with within_memory(), atomic_folder(out) as folder:
        sets = (_some(generated, asked.most, asked), _some(reference, 2 * asked.most, asked))
        for path, few, least in zip((generated, reference), sets, (FEWEST, 2 * FEWEST), strict=True):
            if len(few) < least:
                raise InputError(f"{path}: has {len(few)} sequences; {least} or more are needed")
        found = judged(opened, *sets, asked)
        facts = provenance(bundle=opened.source or str(opened.path), generated=str(generated), reference=str(reference))
        report, rose = judge_report(found, facts)
        write_json(folder / "judgement.json", plain({**found.to_data(), "provenance": facts}))
        write_rows(folder / "sequences.csv", COLUMNS, _rows(found))
        (folder / "codons.csv").write_text(rose.data.csv(), encoding="utf-8", newline="")
        (folder / "codon-rose.svg").write_text(rose.svg, encoding="utf-8")
        write_report(report, folder / "report.html")
    say(f"{out}: report.html")
    return {"out": str(out), **{name: part for name, part in found.to_data().items() if name != "config"}}


def judged(bundle: Bundle, generated: Named, reference: Named, config: JudgeConfig) -> Judgement:
    """The same for sequences (id, letters) in memory."""
    code = GeneticCode.ncbi(config.genetic_code)
    order = permutation(key(config.seed, "halves"), len(reference)).tolist()
    halves = [[reference[place] for place in sorted(order[side::2])] for side in (0, 1)]
    if min(len(generated), len(halves[0]), len(halves[1])) < FEWEST:
        raise InputError(f"found {len(generated)} generated and {len(reference)} real sequences; 4 and 8 are needed")
    compared, held_out = halves
    training = None if config.training is None else [(one.id, one.sequence) for one in read_sequences(config.training)]
    counts_64 = codon_counts(letters for _, letters in compared).sum(0)
    weights_64 = adaptiveness(counts_64, code) if config.usage is None else codon_weights(config.usage, code)

    def looked(named: Named) -> Looked:
        texts = [to_dna(letters).upper() for _, letters in named]
        own_64 = codon_counts(texts).sum(0)
        near = None if training is None else nearest(texts, [letters for _, letters in training])
        places = [] if near is None else near.index_N.tolist()
        return Looked(
            named=named,
            quality=coding_quality(texts, code, config.start_codons, weights_64),
            counts_64=own_64,
            difference_P=diversity(texts, config.pairs, config.seed),
            near=near,
            near_ids=["" if place < 0 or training is None else training[place][0] for place in places],
            divergence=usage_divergence(own_64, counts_64),
        )

    sets = {GENERATED: looked(generated), REAL: looked(held_out)}
    no_order = [(name, shuffled(text, key(config.seed, name))) for name, text in held_out]
    asked_for = {GENERATED: generated, REAL: held_out, SHUFFLED: no_order}
    clouds = compare_clouds(bundle, asked_for, compared, (config.clouds, config.seed))
    asked = config.synonymous
    variants = synonymous_clusters(bundle, reference, asked, code, config.seed) if asked.proteins else None
    sizes = {GENERATED: len(generated), REAL: len(held_out), "real, compared with": len(compared)}
    return Judgement(sets, clouds, variants, config, sizes)


def _some(path: str | Path, most: int, config: JudgeConfig) -> Named:
    """The sequences of a file; where there are more than ``most``, so many drawn."""
    found = [(record.id, record.sequence) for record in read_sequences(path)]
    kept = permutation(key(config.seed, "some"), len(found))[:most]
    return [found[place] for place in np.sort(kept).tolist()]


def _rows(found: Judgement) -> Sequence[Sequence[Any]]:
    rows: list[tuple[Any, ...]] = []
    for kind, one in found.sets.items():
        quality, near = one.quality, one.near
        for row, (name, _) in enumerate(one.named):
            numbers = (float(part[row]) for part in (quality.gc_N, quality.gc3_N, quality.cai_N))
            whose, identity = ("", float("nan")) if near is None else (one.near_ids[row], float(near.identity_N[row]))
            codons, valid = int(quality.codons_N[row]), int(quality.valid_N[row])
            rows.append((name, kind, codons, valid, *numbers, whose, identity))
    return rows
