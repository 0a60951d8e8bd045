"""Whom to cite for a model, as BibTeX: nuclex, the papers of its architecture and loss, the data it learned from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import nuclex
from nuclex.bundle.formats import format_of
from nuclex.bundle.record import Record
from nuclex.bundle.rights import all_sources
from nuclex.models.backbone import LanguageModel


class _Paper(NamedTuple):
    key: str
    author: str
    title: str
    year: int
    arxiv: str | None = None
    doi: str | None = None


PAPERS = {
    paper.key: paper
    for paper in (
        _Paper(
            "rinalmo",
            "Penić, Rafael Josip and Vlašić, Tin and Huber, Roland G. and Wan, Yue and Šikić, Mile",
            "RiNALMo: General-Purpose RNA Language Models Can Generalize Well on Structure Prediction Tasks",
            2025,
            "2403.00043",
            "10.1038/s41467-025-60872-5",
        ),
        _Paper("roberta", "Liu, Yinhan and others", "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019,
               "1907.11692"),
        _Paper("bert", "Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina",
               "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2018, "1810.04805"),
        _Paper("gpt2", "Radford, Alec and others", "Language Models are Unsupervised Multitask Learners", 2019),
        _Paper("mamba", "Gu, Albert and Dao, Tri",
               "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, "2312.00752"),
        _Paper("mamba2", "Dao, Tri and Gu, Albert", "Transformers are SSMs: Generalized Models and Efficient "
               "Algorithms Through Structured State Space Duality", 2024, "2405.21060"),
        _Paper("hyena", "Poli, Michael and others",
               "Hyena Hierarchy: Towards Larger Convolutional Language Models", 2023, "2302.10866"),
        _Paper("helm", "Yazdani-Jahromi, Mehdi and others",
               "HELM: Hierarchical Encoding for mRNA Language Modeling", 2024, "2410.12459"),
    )
}  # fmt: skip
"""By key; of long lists of authors the first is named, the identifier has the others."""
TITLE, AUTHOR = "nuclex: language models for DNA, RNA and mRNA", "The nuclex authors"
URL, LICENCE = "https://github.com/nuclex/nuclex", "Apache-2.0"
"""The facts of CITATION.cff, which is not installed with the package."""


def bibtex(model: LanguageModel, record: Record) -> str:
    """The entries for a bundle, one after the other."""
    version = str(record.provenance.get("packages", {}).get("nuclex", nuclex.__version__))
    entries = [_software(version), *(_paper(PAPERS[key]) for key in papers_of(model, record)), *_data(record)]
    return "\n\n".join(entries)


def papers_of(model: LanguageModel, record: Record) -> list[str]:
    """Keys of the papers that a model's network, and the loss it learned by, are from."""
    config, form = model.config, format_of(model)
    mixers: list[str] = [name for name in dict.fromkeys(config.mixers) if name != "attention"]
    if config.norm == "rinalmo":
        mixers.append("rinalmo")
    elif "attention" in config.mixers:
        named = form.name if form is not None and form.name in PAPERS else "gpt2" if config.causal else "bert"
        mixers.append(named)
    both_ways = not config.causal and {"mamba", "mamba2"} & set(config.mixers)
    criterion = record.recipe.get("objective", {})
    criterion = criterion.get("criterion", {}) if isinstance(criterion, Mapping) else {}
    hierarchical = isinstance(criterion, Mapping) and criterion.get("kind") == "hierarchical"
    return [*mixers, *(["helm"] if both_ways or hierarchical else [])]


def _software(version: str) -> str:
    return _entry("software", "nuclex", {"title": f"{{{TITLE}}}", "author": f"{{{AUTHOR}}}", "version": version,
                                         "url": URL, "license": LICENCE})  # fmt: skip


def _paper(paper: _Paper) -> str:
    fields = {"title": f"{{{paper.title}}}", "author": paper.author, "year": str(paper.year)}
    fields |= {"doi": paper.doi} if paper.doi else {}
    fields |= {"eprint": paper.arxiv, "archivePrefix": "arXiv"} if paper.arxiv else {}
    return _entry("article" if paper.doi else "misc", paper.key, fields)


def _data(record: Record) -> Iterator[str]:
    """An entry for each data set of the catalogue; the names of authors are as the catalogue has them."""
    told: set[str] = set()
    for source in all_sources(record):
        name, citation = str(source.get("dataset") or ""), str(source.get("citation") or "")
        if not name or not citation or name in told:
            continue
        told.add(name)
        found = re.search(r"doi:\s*(10\.\S+?)[,;.]?(?=\s|$)", citation)
        note = re.sub(r",?\s*doi:\s*10\.\S+", "", citation)
        fields = {"title": f"{{Data set {name}}}", "note": note}
        yield _entry("misc", f"data-{name}", {**fields, **({"doi": found[1]} if found else {})})


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{_safe(value)}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{re.sub(r'[^A-Za-z0-9_-]', '-', key)},", *lines, "}"])


def _safe(text: str) -> str:
    """One line without what would end a block of code, or an entry; names may come from anybody."""
    text = " ".join(text.split()).replace("`", "'")
    return text if text.count("{") == text.count("}") else text.replace("{", "(").replace("}", ")")
