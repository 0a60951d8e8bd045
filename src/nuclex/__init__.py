"""Language models for DNA, RNA and mRNA: from a FASTA file to a published model.

Every verb of the command line is a function here, loaded when it is first used: ``nuclex.embed(...)`` is
``nuclex embed ...``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

VERBS: dict[str, str] = {
    "quickstart": "nuclex.workflows.quickstart:quickstart",
    "doctor": "nuclex.workflows.doctor:doctor",
    "data_list": "nuclex.data.catalog:list_datasets",
    "data_fetch": "nuclex.data.catalog:fetch",
    "corpus_build": "nuclex.data.corpus:build_corpus",
    "corpus_info": "nuclex.data.corpus:corpus_info",
    "tokenizer_train": "nuclex.training.tokenize:tokenizer_train",
    "plan": "nuclex.training.pretrain:plan",
    "pretrain": "nuclex.training.pretrain:pretrain",
    "evaluate": "nuclex.evaluation.evaluate:evaluate",
    "finetune": "nuclex.training.finetune:finetune",
    "search": "nuclex.tuning.search:search",
    "benchmark": "nuclex.workflows.benchmark:benchmark",
    "predict": "nuclex.inference.predict:predict",
    "fold": "nuclex.workflows.fold:fold",
    "embed": "nuclex.inference.embed:embed",
    "score": "nuclex.inference.score:score",
    "generate": "nuclex.inference.generate:generate",
    "judge": "nuclex.evaluation.judge:judge",
    "export": "nuclex.bundle.export:export",
    "convert": "nuclex.hub.bundles:import_bundle",
    "serve": "nuclex.web.serve:serve",
    "publish": "nuclex.hub.publish:publish",
}
"""Verb of the command line (a space becomes ``_``), and the function that does it."""

FLOORS = (
    "core", "bio", "tokenizers", "data", "metrics", "models", "objectives", "tasks", "bundle", "training", "inference",
    "evaluation", "hub", "tuning", "workflows", "web", "cli",
)  # fmt: skip
"""The parts of the package, from the ground up; ``nuclex.bio`` is imported when it is first used."""

__all__ = ["VERBS", "__version__", "load", *VERBS]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("nuclex.bundle").load
    if name in VERBS:
        module, function = VERBS[name].split(":")
        return getattr(import_module(module), function)
    if name in FLOORS:
        return import_module(f"nuclex.{name}")
    raise AttributeError(f"module 'nuclex' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
