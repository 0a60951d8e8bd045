"""Language models for DNA, RNA and mRNA: from a FASTA file to a published model.

Every verb of the command line is a function here, loaded when it is first used: ``nuclex.embed(...)`` is
``nuclex embed ...``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

VERBS: dict[str, str] = {
    "quickstart": "nuclex.workflows.quickstart",
    "data_list": "nuclex.data.catalog",
    "data_fetch": "nuclex.data.catalog",
    "corpus_build": "nuclex.data.corpus",
    "corpus_info": "nuclex.data.corpus",
    "tokenizer_train": "nuclex.training.tokenize",
    "plan": "nuclex.training.pretrain",
    "pretrain": "nuclex.training.pretrain",
    "evaluate": "nuclex.evaluation.evaluate",
    "finetune": "nuclex.training.finetune",
    "predict": "nuclex.inference.predict",
    "embed": "nuclex.inference.embed",
}
"""Verb of the command line (a space becomes ``_``) and the module that does it."""

__all__ = ["VERBS", "__version__", "load", *VERBS]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("nuclex.bundle").load
    if name in VERBS:
        return getattr(import_module(VERBS[name]), name)
    raise AttributeError(f"module 'nuclex' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
