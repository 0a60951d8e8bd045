"""What every model config promises: a short name, and the backbone it stands for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny

from nuclex.core.config import Config
from nuclex.core.registry import Registry

if TYPE_CHECKING:
    from nuclex.models.backbone import BackboneConfig


Layers = Annotated[int, Field(ge=1, le=1024)]
"""How many blocks lie on each other; a slip of the keyboard must not build a million of them before it is seen."""

Size = Annotated[int, Field(ge=1, le=1 << 20)]
"""A width, a number of heads, rows of a table; within what a machine can hold and count."""


class ModelConfig(Config, ABC):
    """A way to ask for a model: ``kind`` names the family, the other keys its sizes."""

    kind: str

    @abstractmethod
    def backbone(self) -> BackboneConfig:
        """The full description of the network; everything but the vocabulary, which comes from the tokenizer."""


MODELS: Registry[ModelConfig] = Registry("models", ModelConfig)  # type: ignore[type-abstract]

AnyModelConfig = Annotated[SerializeAsAny[ModelConfig], BeforeValidator(MODELS.validator())]
"""The type of a config field that takes any registered model."""
