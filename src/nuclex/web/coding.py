"""A coding sequence codon by codon: what the model expects at each, and how it divides an amino acid's codons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError, shown
from nuclex.inference.codon_reader import CausalReader, Floats, MaskedReader, as_codons
from nuclex.inference.reading import tokens_of
from nuclex.web.jobs import Answer, Job
from nuclex.web.pasted import Pasted, place
from nuclex.web.served import Served
from nuclex.web.tables import csv_file, rounded


@dataclass(frozen=True)
class Cds:
    """One coding sequence in its spelling, its codons written with T, and what they mean."""

    pasted: Pasted
    codons: tuple[str, ...]
    protein: str
    code: GeneticCode


def read_cds(pasted: Pasted, code: GeneticCode) -> Cds:
    """One pasted sequence as a coding sequence; InputError with the place where it is none.

    It is whole codons of the four letters, with a stop codon at its end or none.
    """
    name, letters = pasted.names[0], pasted.letters[0]
    where = place(1, name)
    if len(letters) % 3:
        left = len(letters) % 3
        raise InputError(
            f"{where}, letter {len(letters) - left + 1}: {left} of {len(letters)} letters are left behind the last "
            "whole codon; a coding sequence in frame is needed"
        )
    codons = as_codons(letters)
    for number, codon in enumerate(codons):
        if set(codon) - set("ACGT"):
            raise InputError(f"{where}, letter {3 * number + 1}: found the codon {shown(codon)}; A C G T U are allowed")
    protein = code.translate(letters)
    stop = protein.find("*")
    if 0 <= stop < len(protein) - 1:
        raise InputError(
            f"{where}, letter {3 * stop + 1}: found the stop codon {codons[stop]} (genetic code {code.table}) before "
            "the end; a coding sequence has none inside"
        )
    return Cds(pasted, codons, protein, code)


def codons(served: Served, cds: Cds, job: Job) -> Answer:
    """For each codon its probability among all 64, its share among its synonyms, and those synonyms.

    ``probability`` and ``share`` are the model's (the codon's letters hidden together, or foretold from the left, as
    `nuclex generate --protein` asks); ``usage`` is the share among synonyms in this sequence. ``gc3``: share of G and
    C at the third places. ``log_likelihood`` is the sum of ln probability, in nats.
    """
    job.expect(len(cds.codons))
    counts, known = Counter(cds.codons), {codon: index for index, codon in enumerate(CODONS)}
    rows, lines, total = [], list[list[object]](), 0.0
    for number, (codon, log_K) in enumerate(zip(cds.codons, _log_p(served, cds, job), strict=True)):
        total += float(log_K[known[codon]])
        synonyms = cds.code.synonymous(codon)
        log_S = log_K[[known[synonym] for synonym in synonyms]]
        share_S = np.exp(log_S - log_S.max())
        share_S /= share_S.sum()
        shares = dict(zip(map(cds.pasted.spelled, synonyms), rounded(share_S), strict=True))
        own = cds.pasted.spelled(codon)
        ordered = sorted((item for item in shares.items() if item[0] != own), key=lambda item: -item[1])
        row = {
            "start": 3 * number,
            "codon": own,
            "amino_acid": cds.protein[number],
            "probability": float(rounded(np.exp(log_K[known[codon]]))),
            "share": shares[own],
            "usage": counts[codon] / sum(counts[synonym] for synonym in synonyms),
        }
        rows.append({**row, "alternatives": [{"codon": other, "share": share} for other, share in ordered]})
        lines.append([*row.values(), " ".join(f"{other}:{share}" for other, share in ordered)])
    columns = ("start", "codon", "amino_acid", "probability", "share", "usage", "alternatives")
    letters = "".join(cds.codons)
    facts = {"name": cds.pasted.names[0], "codons": rows, "protein": cds.protein, "code": cds.code.table}
    measures = {"gc": _gc(letters), "gc3": _gc(letters[2::3]), "log_likelihood": total, "way": served.way}
    return Answer({**facts, **measures}, {"codons.csv": csv_file("one codon a row", columns, lines)})


def _log_p(served: Served, cds: Cds, job: Job) -> Iterator[Floats]:
    """ln p of all 64 codons at each place: (64,)."""
    if served.bundle.model.config.causal:
        reader = CausalReader(served.bundle, 1)
        for codon in cds.codons:
            yield reader.log_p(CODONS)[0]
            reader.go_on([0], [codon])
            job.step()
    else:
        masked = MaskedReader(served.bundle)
        for number in range(len(cds.codons)):
            yield masked.log_p([cds.codons], number, CODONS)[0]
            job.step()


def check(served: Served, cds: Cds) -> None:
    """InputError for a coding sequence that the model does not read at once."""
    table = tokens_of(cds.pasted.named(), served.bundle.tokenizer)
    longest = served.bundle.model.config.longest
    if longest is not None and len(table.ids) + 2 > longest:
        raise InputError(f"codons: the sequence has {len(table.ids)} tokens; this model reads {longest - 2} at once")


def _gc(letters: str) -> float:
    return sum(letter in "GC" for letter in letters) / len(letters)
