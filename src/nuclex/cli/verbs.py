"""Which verb hangs where on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from cyclopts import App, Group

from nuclex.cli import comparing, giving, making, serving, using

ORDER = {
    "Begin": ("quickstart", "doctor"),
    "Make data": ("data", "corpus", "tokenizer"),
    "Train": ("plan", "pretrain", "finetune", "search"),
    "Use": ("predict", "embed", "fold", "score", "generate", "serve"),
    "Measure": ("evaluate", "benchmark", "judge"),
    "Share": ("export", "convert", "publish"),
}
"""Verbs by what they are for, in the order in which data flows: that in which help tells them."""
_GROUPS = {title: Group(title, sort_key=place) for place, title in enumerate(ORDER)}
_PLACES: dict[str, dict[str, Any]] = {
    verb: {"group": _GROUPS[title], "sort_key": number}
    for title, verbs in ORDER.items()
    for number, verb in enumerate(verbs)
}

FIRST = """\
nuclex: language models for DNA, RNA and mRNA, from FASTA to a measured model.

  To see all of it at work on this machine, in minutes:
    nuclex quickstart

  You have sequences and want a model of them:
    nuclex corpus build my.fa --out corpus
    nuclex pretrain pretrain/rinalmo-nano --corpus corpus --out run

  You have a model (a bundle) and want answers:
    nuclex embed run/bundle/best my.fa --out vectors.parquet

All verbs:                 nuclex --help
A verb, with an example:   nuclex embed --help
What this machine can do:  nuclex doctor
"""
"""What is said when no verb is given."""


def register(app: App) -> None:
    """Hang every verb on the application."""
    data = App(name="data", help="The catalogue of public data sets.", **_PLACES["data"])
    corpus = App(name="corpus", help="Build and describe corpora.", **_PLACES["corpus"])
    tokenizer = App(name="tokenizer", help="Train tokenizers.", **_PLACES["tokenizer"])
    for part in (data, corpus, tokenizer):
        app.command(part)
    for parent, name, verb in (
        (app, "quickstart", making.quickstart),
        (app, "doctor", making.doctor),
        (data, "list", making.data_list),
        (data, "fetch", making.data_fetch),
        (corpus, "build", making.corpus_build),
        (corpus, "info", making.corpus_info),
        (tokenizer, "train", making.tokenizer_train),
        (app, "plan", making.plan),
        (app, "pretrain", making.pretrain),
        (app, "evaluate", using.evaluate),
        (app, "finetune", making.finetune),
        (app, "search", comparing.search),
        (app, "benchmark", comparing.benchmark),
        (app, "predict", using.predict),
        (app, "fold", using.fold),
        (app, "embed", using.embed),
        (app, "score", using.score),
        (app, "generate", using.generate),
        (app, "judge", comparing.judge),
        (app, "export", using.export),
        (app, "convert", using.convert),
        (app, "serve", serving.serve),
        (app, "publish", giving.publish),
    ):
        parent.command(verb, name=name, help=prose(verb), **(_PLACES[name] if parent is app else {}))


def prose(verb: Callable[..., Any]) -> str:
    """The docstring up to the parameters, each paragraph on one line, so that a terminal breaks it where it must."""
    text = (inspect.getdoc(verb) or "").split("\nParameters\n")[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n")).strip()
