"""The report on generated sequences: numbers to read first, the rose of codons, tables, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nuclex.bio.genetic_code import GeneticCode
from nuclex.evaluation.coding_quality import CRITERIA
from nuclex.evaluation.report import Cell, Figure, Headline, Report, Section, Table, Verdict, cell_text
from nuclex.evaluation.rose import codon_rose
from nuclex.metrics.statistics import Interval, bootstrap

if TYPE_CHECKING:
    from nuclex.evaluation.judge import Judgement

WORDS = {
    "valid": "valid coding sequences", "codons": "codons", "gc": "GC", "gc3": "GC of third letters",
    "cai": "codon adaptation index", "diversity": "diversity", "divergence": "codon usage, divergence (bits)",
    "identity": "identity to nearest training sequence", "copies": "copies of training sequences",
}  # fmt: skip
HOW = """Diversity is the mean edit distance of two different sequences over the longer length: 0 is all equal, and a
sequence is not compared with itself. The divergence of codon usage is Jensen and Shannon's, 0 (equal) to 1 bit. The
codon adaptation index is that of Sharp and Li (doi:10.1093/nar/15.3.1281)."""
VECTORS = """The Fréchet distance is that between the normal distributions with the means and covariances of the two
clouds of vectors, squared; lower is nearer. Precision is the share of a set that lies where real sequences do, recall
the share of the real ones that lies where the set does (arXiv:1904.06991). The row of held-out real sequences is as
good as any set of this size can look; that of shuffled codons has their composition and lengths and no order."""


def judge_report(found: Judgement, facts: Mapping[str, Any]) -> tuple[Report, Figure]:
    """The page, and the rose by itself."""
    code = GeneticCode.ncbi(found.config.genetic_code)
    sets = list(found.sets)
    made, real = found.sets.values()
    rose = codon_rose(made.counts_64, real.counts_64, code, sets)
    sections = [
        Section("Sequences", HOW, tables=(_numbers(found), _criteria(found))),
        Section("Codons", figures=(rose,)),
        Section("In the model's space", VECTORS, tables=(_clouds(found),), verdicts=_warned(found)),
    ]
    if found.synonymous is not None:
        sections.append(Section("Synonymous sequences", _about_synonyms(found), tables=(_synonyms(found),)))
    report = Report(
        title="Generated coding sequences",
        subtitle=f"{found.sizes[sets[0]]:,} generated sequences beside {found.sizes[sets[1]]:,} real ones",
        summary=_headlines(found),
        sections=tuple(sections),
        provenance=facts,
    )
    return report, rose


def _headlines(found: Judgement) -> tuple[Headline, ...]:
    made, real = (one.numbers() for one in found.sets.values())
    clouds = list(found.clouds.sets.values())
    shown = [
        Headline("valid coding sequences", _share(made["valid"]), f"of real ones {_share(real['valid'])}"),
        Headline("Fréchet distance", f"{clouds[0].frechet:.3g}", f"of real ones {clouds[1].frechet:.3g}"),
        Headline("diversity", cell_text(made["diversity"], ".3f"), f"of real ones {real['diversity']:.3f}"),
    ]
    if "copies" in made:
        shown.append(Headline("copies of training", _share(made["copies"]), f"of real ones {_share(real['copies'])}"))
    return tuple(shown)


def _share(value: Interval | float) -> str:
    return f"{100 * (value.value if isinstance(value, Interval) else value):.1f} %"


def _numbers(found: Judgement) -> Table:
    numbers = [one.numbers() for one in found.sets.values()]
    rows: list[tuple[Cell, ...]]
    rows = [(WORDS[name], *[part.get(name) for part in numbers]) for name in numbers[0]]
    n = ", ".join(f"{size:,} {name}" for name, size in found.sizes.items())
    caption = f"Means with 95 % bootstrap intervals ({n})."
    formats = dict.fromkeys(found.sets, ".3g")
    return Table(("measure", *found.sets), tuple(rows), caption=caption, name="numbers", formats=formats)


def _criteria(found: Judgement) -> Table:
    columns = [one.quality.criteria_N5.astype(float) for one in found.sets.values()]
    rows: list[tuple[Cell, ...]]
    rows = [(name, *[bootstrap(part[:, place]) for part in columns]) for place, name in enumerate(CRITERIA)]
    starts = ", ".join(found.config.start_codons)
    caption = f"Shares that meet each criterion of a coding sequence (start codons: {starts})."
    return Table(("criterion", *found.sets), tuple(rows), caption=caption, name="validity")


def _clouds(found: Judgement) -> Table:
    rows = tuple((name, one.frechet, one.precision, one.recall, one.f1) for name, one in found.clouds.sets.items())
    size, width = found.clouds.size, found.clouds.width
    caption = (
        f"Each set against real sequences: {size:,} vectors of each, {width:,} numbers a vector, mean over tokens."
    )
    left_out = [f"{count:,} of {name}" for name, count in found.clouds.left_out.items() if count]
    notes = (f"Left out, as the model does not read them: {', '.join(left_out)}.",) if left_out else ()
    columns, formats = ("set", "Fréchet distance", "precision", "recall", "F1"), {"Fréchet distance": ".3g"}
    return Table(columns, rows, caption=caption, notes=notes, name="vectors", highlight=(0,), formats=formats)


def _warned(found: Judgement) -> tuple[Verdict, ...]:
    if found.clouds.enough:
        return ()
    size, width = found.clouds.size, found.clouds.width
    sentence = (
        f"{size:,} vectors of {width:,} numbers are few: all distances are too large; compare them with each other"
    )
    return (Verdict(False, f"{sentence}, or keep a few directions (clouds.components)."),)


def _about_synonyms(found: Judgement) -> str:
    assert found.synonymous is not None
    return (
        f"{found.synonymous.sequences:,} synonymous sequences of {found.synonymous.proteins:,} proteins, every codon "
        "any of its synonyms, amino acids in their order, in as many clusters of k-means as proteins. What is not "
        "above the composition in words of three letters needs no model."
    )


def _synonyms(found: Judgement) -> Table:
    assert found.synonymous is not None
    columns = ("vectors", "Rand index", "mutual information", "silhouette", "Davies-Bouldin", "Calinski-Harabasz")
    rows = []
    for name, one in (("model", found.synonymous.model), ("composition", found.synonymous.composition)):
        measured = (one.silhouette, one.davies_bouldin, one.calinski_harabasz, one.proteins_silhouette)
        rows.append((name, one.rand, one.information, *(None if np.isnan(value) else value for value in measured)))
    caption = "Clusters against proteins (adjusted Rand index, normalised mutual information), clusters by themselves, "
    caption += "and the silhouette of the proteins."
    return Table((*columns, "silhouette of proteins"), tuple(rows), caption=caption, name="synonymous")
