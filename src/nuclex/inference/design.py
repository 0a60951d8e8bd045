"""Coding sequences for proteins: synonymous codons chosen under a model, within rules, beside the natural sequence.

How codons are chosen: ``inference.design_search``; what can be asked of GC and of words: ``inference.lattice``. Every
sequence is translated back and searched as a whole for what it was to avoid before it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nuclex.bio.alphabet import to_rna
from nuclex.bio.avoided import Avoided
from nuclex.bio.genetic_code import GeneticCode
from nuclex.bundle import Bundle
from nuclex.core.artifact import atomic_file
from nuclex.core.config import Config
from nuclex.core.errors import InputError, at
from nuclex.core.progress import counted, say
from nuclex.core.randomness import key
from nuclex.data.read import read_sequences
from nuclex.inference.adaptation import codon_weights
from nuclex.inference.codon_reader import as_codons, codon_ids
from nuclex.inference.design_search import Draws, best_paths, climbed, drawn_from_all, resampled, sample
from nuclex.inference.design_search import Path as CodonPath
from nuclex.inference.lattice import GcRange, Lattice, Rules, gc_of
from nuclex.inference.reading import label_of
from nuclex.inference.score import score_sequences
from nuclex.inference.tables import check_table, write_rows
from nuclex.metrics.codon_usage import adaptation_index, codon_counts

NATURAL = "natural"
NUCLEOTIDES = set("ACGTUN")
LONG = 20
COLUMNS: dict[str, type] = {
    "protein": str, "id": str, "log_likelihood": float, "log_weight": float, "proven": str, "gc": float, "cai": float,
    "same_codons": float, "same_letters": float,
}  # fmt: skip


class DesignConfig(Config):
    """How many sequences for each protein, how their codons are chosen, and what they have to keep."""

    count: int = Field(default=1, ge=1, description="sequences for each protein")
    method: Literal["sample", "exact", "best"] = "sample"
    """``sample`` draws codon by codon, ``exact`` from all sequences of a short protein at once, ``best`` looks for the
    likeliest; see ``inference.design_search``."""
    temperature: float = Field(default=1.0, ge=0, description="of a draw: below 1 the likely becomes likelier")
    pool: int = Field(
        default=1, ge=1, description="of sample, for a model that reads from left to right: drawn for each, one is kept"
    )
    beam: int = Field(default=32, ge=1, description="of best, for a model that reads from left to right: paths kept")
    sweeps: int = Field(
        default=5, ge=1, description="for a model that sees both sides: how often each codon is drawn anew"
    )
    genetic_code: int = Field(default=1, description="the NCBI's number")
    stop: bool = Field(default=True, description="a stop codon behind proteins that are written without *")
    avoid: tuple[str, ...] = Field(default=(), description="motifs (IUPAC) that stand on neither strand")
    enzymes: tuple[str, ...] = Field(default=(), description="restriction enzymes that are not to cut")
    homopolymer: int | None = Field(default=None, ge=1, description="the longest run of one letter")
    gc_window: int | None = Field(default=None, ge=3, description="letters in a row whose GC is held; None = all")
    gc_min: float | None = Field(default=None, ge=0, le=1, description="the least share of G and C in each window")
    gc_max: float | None = Field(default=None, ge=0, le=1, description="the largest share of G and C in each window")
    natural: Path | None = Field(default=None, description="the coding sequences of the same proteins, by their ids")
    usage: Path | None = Field(default=None, description="genes, or a table of codons, by which the CAI is counted")
    table: Path | None = Field(default=None, description="a .csv, .tsv or .parquet file for the numbers")
    batch: int = Field(default=64, ge=1, description="sequences drawn together")
    seed: int = 0

    @field_validator("avoid", "enzymes", mode="before")
    @classmethod
    def _at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(","))
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.gc_window is not None and self.gc_min is None and self.gc_max is None:
            raise ValueError("gc_window: give gc_min, gc_max or both with it")
        if self.gc_min is not None and self.gc_max is not None and self.gc_min > self.gc_max:
            raise ValueError(f"gc_min: found {self.gc_min}, which is more than gc_max, {self.gc_max}")
        return self

    def rules(self) -> Rules:
        """What every sequence has to keep."""
        gc = None
        if self.gc_min is not None or self.gc_max is not None:
            highest = 1.0 if self.gc_max is None else self.gc_max
            gc = GcRange(self.gc_window or 1 << 30, self.gc_min or 0.0, highest)
        return Rules(Avoided(self.avoid, self.enzymes, self.homopolymer), gc)


@dataclass(frozen=True)
class Design:
    """One coding sequence for a protein, or the natural one, and its numbers; not a number where one does not apply.

    ``log_likelihood`` is the sum of ln p over its tokens (for a model that sees both sides, each hidden alone), in
    nats, without the end. ``log_weight``: see ``inference.design_search``. ``proven``: by method ``best`` under a model
    that reads from left to right, and by ``exact`` at temperature 0, ``yes`` where no other sequence that keeps the
    rules can be likelier (than the nth for the nth), ``no`` where a wider beam might find one; else empty. ``cai`` is
    the codon adaptation index, ``same_codons`` and ``same_letters`` are shares of what equals the natural sequence,
    stop codon included where both have one.
    """

    protein: str
    id: str
    sequence: str
    log_likelihood: float
    log_weight: float
    proven: str
    gc: float
    cai: float
    same_codons: float
    same_letters: float


def design(bundle: Bundle, out: Path, config: DesignConfig, proteins: str | Path) -> dict[str, Any]:
    """Write ``config.count`` coding sequences for each protein of a file into the FASTA file ``out``.

    Headers and ``config.table`` hold the fields of ``Design``. InputError, and no file, for what is no protein, what
    the model cannot read, and where no sequence keeps the rules.
    """
    if config.table is not None:
        check_table(config.table)
    found, rows = 0, list[Design]()
    with atomic_file(out) as temporary, temporary.open("w", encoding="utf-8") as handle:
        designs = design_sequences(bundle, config, _proteins(proteins, config.genetic_code))
        for protein in counted("designing for proteins", designs):
            for made in protein:
                rows.append(made)
                if made.id == NATURAL:
                    continue
                handle.write(f">{made.id} {_facts(made)}\n{made.sequence}\n")
                found += 1
        if config.table is not None:
            with atomic_file(config.table) as table:
                write_rows(table, COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows))
    say(f"{out}: {found} sequences, each translated back and searched for what it was to avoid")
    return {"out": str(out), "sequences": found, **summary(rows)}


def design_sequences(
    bundle: Bundle, config: DesignConfig, proteins: Iterable[tuple[str, str]]
) -> Iterator[list[Design]]:
    """For each (id, protein) its designs, named with ``_1``, ``_2``, …, behind the natural sequence if one is given."""
    codon_ids(bundle.tokenizer)
    _refuse_unused(config, causal=bundle.model.config.causal)
    code, rules, first = GeneticCode.ncbi(config.genetic_code), config.rules(), 0
    weights_64 = None if config.usage is None else codon_weights(config.usage, code)
    natural = {} if config.natural is None else _natural(config.natural)
    for name, protein in proteins:
        whole = protein + "*" * (config.stop and not protein.endswith("*"))
        lattice = Lattice(f"protein {name!r}", whole, code, rules)
        _refuse_longer(bundle, lattice)
        paths = _chosen(bundle, lattice, config, first)
        first += config.count
        for path in paths:
            _prove(lattice, whole, path.sequence)
        known = _own(natural, name, protein, code) if config.natural is not None else None
        yield _designs(bundle, name, (paths, known), weights_64, code)


def summary(rows: list[Design]) -> dict[str, Any]:
    """Means over designs and over natural sequences, of the numbers that there are."""
    told: dict[str, Any] = {"proteins": len({row.protein for row in rows})}
    for kind in ("designs", NATURAL):
        own = [row for row in rows if (row.id == NATURAL) == (kind == NATURAL)]
        names = ("log_likelihood", "gc", "cai", *(("same_codons", "same_letters") if kind == "designs" else ()))
        values = {name: np.array([getattr(row, name) for row in own]) for name in names}
        if own:
            told[kind] = {n: float(v[~np.isnan(v)].mean()) for n, v in values.items() if not np.isnan(v).all()}
    if searched := [row.proven for row in rows if row.proven]:
        told["designs"]["proven"] = sum(word == "yes" for word in searched)
    return told


def _chosen(bundle: Bundle, lattice: Lattice, config: DesignConfig, first: int) -> list[CodonPath]:
    if bundle.model.config.causal and config.method == "best":
        if config.count > config.beam:
            raise InputError(f"count: found {config.count}; a beam of {config.beam} paths gives no more than these")
        return best_paths(bundle, lattice, config.count, config.beam)
    stream, found = key(config.seed, "design"), list[CodonPath]()
    if config.method == "exact":
        every_N = np.arange(first, first + config.count)
        return drawn_from_all(bundle, lattice, Draws(stream, every_N, config.temperature))
    together = max(config.batch // config.pool, 1)
    for start in range(0, config.count, together):
        numbers_N = first + np.arange(start, min(start + together, config.count))
        draws = Draws(stream, numbers_N, config.temperature)
        if bundle.model.config.causal:
            found += sample(bundle, lattice, draws, config.pool)
            continue
        drawn = resampled(bundle, lattice, draws, config.sweeps)
        found += climbed(bundle, lattice, drawn) if config.method == "best" else drawn
    return found


def _designs(
    bundle: Bundle,
    name: str,
    made: tuple[list[CodonPath], str | None],
    weights_64: NDArray[np.float64] | None,
    code: GeneticCode,
) -> list[Design]:
    paths, natural = made
    texts = [*([natural] if natural else []), *(path.sequence for path in paths)]
    log_p = [one.log_likelihood for one in score_sequences(bundle, ((name, text.encode()) for text in texts))]
    counts_N64 = codon_counts(text.encode() for text in texts)
    cai = np.full(len(texts), np.nan) if weights_64 is None else adaptation_index(counts_N64, weights_64, code)
    before = [CodonPath(())] if natural else []
    ids = [*([NATURAL] if natural else []), *(f"{name}_{turn}" for turn in range(1, len(paths) + 1))]
    as_rna = bundle.tokenizer.config.alphabet == "rna"
    return [
        Design(
            protein=name,
            id=ids[row],
            sequence=to_rna(text) if as_rna else text,
            log_likelihood=log_p[row],
            log_weight=path.log_weight,
            proven={True: "yes", False: "no", None: ""}[path.proven],
            gc=float(gc_of(text).mean()),
            cai=float(cai[row]),
            same_codons=_shared(as_codons(text), as_codons(natural)) if natural else float("nan"),
            same_letters=_shared(text, natural) if natural else float("nan"),
        )
        for row, (text, path) in enumerate(zip(texts, [*before, *paths], strict=True))
    ]


def _shared(first: Iterable[str], second: Iterable[str]) -> float:
    return float(np.mean([one == other for one, other in zip(first, second, strict=False)]))


def _facts(made: Design) -> str:
    facts = [(name, getattr(made, name)) for name in list(COLUMNS)[2:]]
    numbers = {name: f"{value:.4f}" for name, value in facts if isinstance(value, float) and not np.isnan(value)}
    words = {name: value for name, value in facts if isinstance(value, str) and value}
    return " ".join(f"{name}={value}" for name, value in (numbers | words).items())


def _proteins(path: str | Path, genetic_code: int) -> Iterator[tuple[str, str]]:
    """Ids and proteins of a file; InputError with its line for what reads as nucleotides, and letters without codon."""
    known = {*GeneticCode.ncbi(genetic_code).amino_acids, "*"}
    for record in read_sequences(path):
        letters = record.sequence.decode("ascii").upper()
        if len(letters) >= LONG and set(letters) <= NUCLEOTIDES:
            raise InputError(f"{at(label_of(path), record.line)}: {record.id!r} reads as nucleotides; give a protein")
        strange = next((place for place, letter in enumerate(letters) if letter not in known), None)
        if strange is not None:
            raise InputError(
                f"{at(label_of(path), record.line)}: protein {record.id!r}: at {strange}: {letters[strange]!r} has no "
                f"codon in genetic code {genetic_code}; those of {''.join(sorted(known))} are known"
            )
        if "*" in letters[:-1]:
            where = f"{at(label_of(path), record.line)}: protein {record.id!r}"
            raise InputError(f"{where}: has a stop (*) at {letters.index('*')}, before its end")
        yield record.id, letters


def _natural(path: Path) -> dict[str, tuple[str, str]]:
    """Where each sequence of a file stands, and the sequence."""
    found = ((record, at(label_of(path), record.line)) for record in read_sequences(path))
    return {record.id: (place, record.sequence.decode("ascii").upper()) for record, place in found}


def _own(natural: dict[str, tuple[str, str]], name: str, protein: str, code: GeneticCode) -> str:
    """The natural sequence of a protein, with T; InputError where there is none, or it is of another protein."""
    if name not in natural:
        raise InputError(f"natural: no sequence is called {name!r}; ids are those of the proteins")
    place, sequence = natural[name]
    codons = as_codons(sequence)
    letters = [*protein.removesuffix("*")]
    meant = [code.amino_acid(codon) for codon in codons[: len(letters)]]
    if codons[:1] and codons[0] in code.start_codons and letters[:1] == ["M"]:
        meant[0] = "M"
    if len(sequence) % 3 or meant != letters or not _is_end(codons[len(letters) :], code):
        raise InputError(f"{place}: {name!r} does not translate into the protein (genetic code {code.table})")
    return "".join(codons)


def _is_end(codons: tuple[str, ...], code: GeneticCode) -> bool:
    return not codons or (len(codons) == 1 and codons[0] in code.stop_codons)


def _refuse_unused(config: DesignConfig, *, causal: bool) -> None:
    """InputError for a number that another way of choosing codons would read."""
    if config.method == "exact" and not causal:
        raise InputError("method: exact needs a model that reads from left to right; one that sees both sides has no p")
    how, read = {
        (True, "sample"): ("draws from left to right", ("temperature", "pool")),
        (True, "exact"): ("draws from all sequences of a short protein", ("temperature",)),
        (True, "best"): ("a beam from left to right", ("beam",)),
        (False, "sample"): ("draws of a model that sees both sides", ("temperature", "sweeps")),
        (False, "best"): ("climbs of a model that sees both sides", ("temperature", "sweeps")),
    }[causal, config.method]
    for name in ("temperature", "pool", "beam", "sweeps"):
        value = getattr(config, name)
        if name not in read and name in config.model_fields_set:
            raise InputError(f"{name}: found {value}, which is not for {how}; those read {' and '.join(read)}")


def _refuse_longer(bundle: Bundle, lattice: Lattice) -> None:
    room = bundle.model.config.longest
    needed = len(lattice.options) * len(codon_ids(bundle.tokenizer)["ATG"]) + 2
    if room is not None and needed > room:
        raise InputError(f"{lattice.name}: needs {needed} tokens with <cls> and <eos>; this model has {room} positions")


def _prove(lattice: Lattice, protein: str, sequence: str) -> None:
    """The sequence as a whole: what it translates into, and all it was to avoid, by other code than that which chose.

    A ValueError here is a bug in nuclex.
    """
    body, last = (sequence[:-3], sequence[-3:]) if protein.endswith("*") else (sequence, "")
    translated = lattice.code.translate(body) + "*" * (last in lattice.code.stop_codons)
    broken = lattice.rules.broken_in(sequence)
    if translated != protein or broken:
        raise ValueError(f"{lattice.name}: a design translates into {translated!r} or holds {broken!r}")
