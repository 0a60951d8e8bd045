"""Sequences to try on the page: a well-known tRNA, families made up by nuclex, and a made-up coding sequence."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from nuclex.bio.genetic_code import GeneticCode
from nuclex.data.simulate import SimulationConfig, simulate
from nuclex.web.messages import EXAMPLE

PEPTIDE = "FVNQHLCGSHLVEALYLVCGERGFFYTPKT"
"""The B chain of human insulin (UniProt P01308, residues 25 to 54)."""


@cache
def examples() -> list[dict[str, Any]]:
    """Each with a title, FASTA, and the questions that it is for."""
    config = SimulationConfig(families=3, members=4, shortest=40, longest=60, outer_stems=1, branching=0.2)
    families = "".join(f">{rna.id} family={rna.family} simulated\n{rna.sequence}\n" for rna in simulate(config))
    return [
        {
            "title": "tRNA-Phe of yeast, 76 nt",
            "fasta": EXAMPLE,
            "for": ["predict", "fold", "mutate", "compare"],
        },
        {
            "title": "Three families of RNAs, simulated",
            "fasta": families,
            "for": ["embed", "predict", "fold", "compare"],
        },
        {
            "title": "A coding sequence: insulin's B chain in codons drawn at random",
            "fasta": f">insulin-B-chain codons drawn at random\n{_coding()}\n",
            "for": ["codons", "predict", "mutate", "compare"],
        },
    ]


def _coding() -> str:
    code, random = GeneticCode.ncbi(1), np.random.default_rng(0)
    return "".join(str(random.choice(code.codons_of(letter))) for letter in f"M{PEPTIDE}*")
