"""What every model config promises: a short name, and the backbone it stands for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, SerializeAsAny

from nuclex.core.config import Config
from nuclex.core.registry import Registry

if TYPE_CHECKING:
    from nuclex.models.backbone import BackboneConfig


class ModelConfig(Config, ABC):
    """A way to ask for a model: ``kind`` names the family, the other keys its sizes."""

    kind: str

    @abstractmethod
    def backbone(self) -> BackboneConfig:
        """The full description of the network; everything but the vocabulary, which comes from the tokenizer."""


MODELS: Registry[ModelConfig] = Registry("models", ModelConfig)  # type: ignore[type-abstract]

AnyModelConfig = Annotated[SerializeAsAny[ModelConfig], BeforeValidator(MODELS.validator())]
"""The type of a config field that takes any registered model."""
