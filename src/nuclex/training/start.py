"""What fine-tuning begins from: a pre-trained bundle, or the description of a network and a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch

from nuclex.bundle import Bundle, load
from nuclex.core.progress import say
from nuclex.core.randomness import key
from nuclex.models import BackboneConfig, LanguageModel, ModelConfig
from nuclex.models.answering import KeptVectors
from nuclex.models.one_hot import OneHot
from nuclex.tokenizers import Tokenizer, TokenizerConfig
from nuclex.training.controls import Arm


@dataclass(frozen=True, eq=False)
class Start:
    """What a run begins from: the network and tokenizer, and the bundle they come from, if any.

    ``kept`` are vectors of the bundle's model, for runs in which its weights never change.
    """

    network: BackboneConfig
    tokenizer: Tokenizer
    bundle: Bundle | None
    kept: KeptVectors = field(default_factory=KeptVectors)

    @classmethod
    def of(cls, path: Path | None, model: ModelConfig | None, tokenizer: TokenizerConfig | None) -> Self:
        """The bundle at ``path``, or the other two; CorruptError or InputError where the bundle is none."""
        if path is not None:
            bundle = load(path)
            if bundle.task is not None:
                say(f"{path}: its head for {bundle.task.config.get('name')} is left out; a new one is trained")
            return cls(bundle.model.config, bundle.tokenizer, bundle)
        assert model is not None
        assert tokenizer is not None
        return cls(model.backbone(), tokenizer.build(), None)

    def model(self, arm: Arm, seed: int) -> LanguageModel | OneHot:
        """The pre-trained model itself, a new one with the random weights of ``seed``, or no model at all."""
        if arm == "one-hot":
            return OneHot.of_tokens(len(self.tokenizer))
        if arm != "scratch":
            assert self.bundle is not None
            return self.bundle.model.requires_grad_(True)  # the frozen control left it as it learned
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "initialisation"))
            return LanguageModel(
                self.network,
                vocabulary_size=len(self.tokenizer),
                pad_id=self.tokenizer.pad_id,
                mask_id=self.tokenizer.mask_id,
            )
