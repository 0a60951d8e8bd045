"""What a bundle says about its model besides the weights: how it was made, what it was measured to do, whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from nuclex.data.vectors import Vectors


@dataclass(frozen=True)
class Record:
    """Where a model came from, as plain data (what JSON can hold; a tuple inside comes back as a list).

    ``recipe`` is the run's config, ``provenance`` what ``core.provenance`` gives, ``metrics`` numbers by name,
    ``corpus`` the manifest of the corpus (None: not known), ``licence`` an SPDX name such as "apache-2.0" (None: not
    stated), ``notes`` sentences for the model card. ``finetuned`` says of a fine-tuned model what it was asked and
    learned from (``task``, ``shape``, ``counts``, ``sources``, ``base``), and, when all is measured, ``unit``
    and ``test``.
    """

    recipe: dict[str, Any]
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    corpus: dict[str, Any] | None
    name: str
    licence: str | None = None
    notes: tuple[str, ...] = ()
    finetuned: dict[str, Any] | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data that ``from_data`` turns back into an equal value."""
        return {
            "name": self.name,
            "licence": self.licence,
            "notes": list(self.notes),
            "recipe": self.recipe,
            "provenance": self.provenance,
            "metrics": self.metrics,
            "corpus": self.corpus,
            **({} if self.finetuned is None else {"finetuned": self.finetuned}),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Record:
        """The record that ``to_data`` wrote; KeyError or TypeError if it is not one."""
        return cls(
            recipe=dict(data["recipe"]),
            provenance=dict(data["provenance"]),
            metrics=dict(data["metrics"]),
            corpus=None if data["corpus"] is None else dict(data["corpus"]),
            name=str(data["name"]),
            licence=data["licence"],
            notes=tuple(data["notes"]),
            finetuned=None if data.get("finetuned") is None else dict(data["finetuned"]),
        )


@dataclass(frozen=True, eq=False)
class TaskPart:
    """What fine-tuning added to a language model: a head, and the question it answers.

    ``config`` is plain data (head, task, labels, decision threshold), ``weights`` the head's tensors by name,
    ``partners`` the vectors of what sequences were asked about together with, where it is such a question.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor] = field(default_factory=dict)
    partners: Vectors | None = None
