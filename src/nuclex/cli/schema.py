"""The shape of what each verb prints with `--json`, as JSON Schema (draft 2020-12), and the check that it holds.

Nothing here is loaded when a verb runs: the documentation is made from it, and the tests hold every answer to it.
"""

from __future__ import annotations

import operator
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_HERE = "nuclex.cli.results"
RESULTS: dict[str, tuple[str, ...]] = {
    "quickstart": (f"{_HERE}.models:Quickstart",),
    "doctor": (f"{_HERE}.machine:Doctor",),
    "data_list": (f"{_HERE}.data:DataList",),
    "data_fetch": (f"{_HERE}.data:DataFetch",),
    "corpus_build": (f"{_HERE}.data:Corpus",),
    "corpus_info": (f"{_HERE}.data:Corpus",),
    "tokenizer_train": (f"{_HERE}.data:TokenizerTrain",),
    "plan": ("nuclex.training.plan:Plan",),
    "pretrain": (f"{_HERE}.models:Pretrain", "nuclex.training.plan:Plan"),
    "evaluate": (f"{_HERE}.measures:Evaluate",),
    "finetune": (f"{_HERE}.models:Finetune", f"{_HERE}.models:FinetuneConfig"),
    "search": (f"{_HERE}.models:Search",),
    "benchmark": (f"{_HERE}.measures:Benchmark",),
    "predict": (f"{_HERE}.uses:Predict",),
    "fold": (f"{_HERE}.uses:Fold",),
    "embed": (f"{_HERE}.uses:Embed",),
    "score": (f"{_HERE}.uses:Score", f"{_HERE}.uses:ScoreVariants"),
    "generate": (f"{_HERE}.uses:Generate", f"{_HERE}.uses:Design"),
    "judge": (f"{_HERE}.measures:Judge",),
    "export": (f"{_HERE}.uses:Export",),
    "convert": (f"{_HERE}.uses:Convert",),
    "serve": (f"{_HERE}.uses:Serve",),
    "publish": (f"{_HERE}.uses:Publish",),
}
"""A verb, and the kinds of its answers: one, or a second one for another question (`--dry-run`, `--variants`, …)."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def kinds(verb: str) -> list[type]:
    """The classes that describe what a verb prints."""
    places = (place.split(":") for place in RESULTS[verb])
    return [getattr(import_module(module), name) for module, name in places]


def schema(verb: str) -> dict[str, Any]:
    """The JSON Schema of what a verb prints.

    >>> schema("embed")["properties"]["width"]
    {'description': 'Numbers in a vector.', 'title': 'Width', 'type': 'integer'}
    """
    words = verb.replace("_", " ")
    found = _adapter(verb).json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, "$id": f"{verb.replace('_', '-')}.json", **found, "title": f"nuclex {words} --json"}


def checked(verb: str, text: str) -> dict[str, Any]:
    """What a verb printed, as Python has it; ValueError that names every key that is not as the schema says."""
    from nuclex.core.plain import from_json

    _adapter(verb).validate_json(text, strict=True)
    return dict(from_json(text))


def _adapter(verb: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(reduce(operator.or_, kinds(verb)))
