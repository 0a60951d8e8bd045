"""Do synonymous sequences of one protein lie together in a model's space, apart from those of other proteins?

Of each protein, synonymous sequences are drawn: the same amino acids in the same order, each codon any of its synonyms.
k-means with as many clusters as there are proteins divides their vectors without knowing the proteins; then it is
compared with them (adjusted Rand index, normalised mutual information), and both divisions are measured by themselves
(silhouette, Davies-Bouldin, Calinski-Harabasz). The same for vectors without a model, the shares of words of three
letters: what is not above those is no merit of the model.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bio.genetic_code import GeneticCode
from nuclex.bundle import Bundle
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.randomness import integers, key
from nuclex.evaluation.neighbours import composition
from nuclex.inference.codon_reader import as_codons
from nuclex.inference.embed import embed_sequences


class SynonymousConfig(Config):
    """How many proteins are looked at, and how many synonymous sequences of each; 0 proteins: not looked at."""

    proteins: int = Field(default=0, ge=0, description="proteins whose synonymous sequences are divided; 0 = none")
    variants: int = Field(default=20, ge=2, description="synonymous sequences of each protein")
    layer: int | None = Field(default=None, description="the block after which vectors are read; None = the last")


@dataclass(frozen=True)
class Division:
    """How N vectors of P proteins fall into P clusters of k-means, and how far that is what the proteins say.

    ``rand`` (0 by chance) and ``information`` (0 to 1) compare the clusters with the proteins; the three others
    measure how compact and apart groups are: of the clusters, and ``proteins_silhouette`` of the proteins themselves.
    """

    rand: float
    information: float
    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    proteins_silhouette: float


@dataclass(frozen=True)
class Synonymous:
    """What was divided, by the model's vectors and by the composition in words of three letters."""

    proteins: int
    sequences: int
    model: Division
    composition: Division


def synonymous_clusters(
    bundle: Bundle, sequences: Sequence[tuple[str, bytes]], config: SynonymousConfig, code: GeneticCode, seed: int = 0
) -> Synonymous:
    """Divide synonymous sequences of the first ``config.proteins`` coding sequences (id, letters) that are different
    proteins and have synonyms enough.

    InputError where fewer than two are, and for what the model cannot read.
    """
    chosen: dict[str, list[bytes]] = {}
    for _, letters in sequences:
        codons = as_codons(letters.decode("ascii"))
        protein = code.translate("".join(codons))
        if len(chosen) < config.proteins and protein not in chosen and "X" not in protein:
            found = synonymous_variants(codons, config.variants, code, key(seed, "synonymous", protein))
            if len(found) == config.variants:
                chosen[protein] = found
    if len(chosen) < 2:
        raise InputError(f"synonymous: found {len(chosen)} proteins with {config.variants} variants; two are needed")
    texts = [text for own in chosen.values() for text in own]
    labels_N = np.repeat(np.arange(len(chosen)), config.variants)
    named = ((str(row), text) for row, text in enumerate(texts))
    vectors_ND = np.stack([one.vectors for one in embed_sequences(bundle, named, layer=config.layer)])
    return Synonymous(
        len(chosen), len(texts), divide(vectors_ND, labels_N, seed), divide(composition(texts), labels_N, seed)
    )


def synonymous_variants(codons: Sequence[str], count: int, code: GeneticCode, stream: int) -> list[bytes]:
    """Up to ``count`` different sequences for the same protein, every codon any of its synonyms with equal chance.

    Fewer where there are not so many. The last codon stays as it is where it is stop.
    """
    options = [code.synonymous(codon) if code.amino_acid(codon) != "*" else (codon,) for codon in codons]
    sizes_L, found = np.array([len(one) for one in options]), dict[bytes, None]()
    for number in range(20 * count):
        drawn_L = integers(stream, sizes_L, number, np.arange(len(options)))
        text = "".join(one[place] for one, place in zip(options, drawn_L.tolist(), strict=True))
        found[text.encode()] = None
        if len(found) == count:
            break
    return list(found)


def divide(vectors_ND: NDArray[np.floating], labels_N: NDArray[np.integer], seed: int = 0) -> Division:
    """Divide N vectors by k-means into as many clusters as there are labels, and compare with the labels."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import (
        adjusted_rand_score,
        calinski_harabasz_score,
        davies_bouldin_score,
        normalized_mutual_info_score,
        silhouette_score,
    )

    vectors_ND = np.asarray(vectors_ND, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters: it is measured
        found_N = KMeans(len(np.unique(labels_N)), n_init=10, random_state=seed).fit_predict(vectors_ND)
    several = 1 < len(np.unique(found_N)) < len(found_N)
    apart = (silhouette_score, davies_bouldin_score, calinski_harabasz_score)
    measured = [float(score(vectors_ND, found_N)) if several else float("nan") for score in apart]
    return Division(
        rand=float(adjusted_rand_score(labels_N, found_N)),
        information=float(normalized_mutual_info_score(labels_N, found_N)),
        silhouette=measured[0],
        davies_bouldin=measured[1],
        calinski_harabasz=measured[2],
        proteins_silhouette=float(silhouette_score(vectors_ND, labels_N)),
    )
