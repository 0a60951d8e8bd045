"""The plainest ways to ask a model how likely tokens are, one pass after the other, for tests of faster ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nuclex.bundle import Bundle
from nuclex.models import BackboneConfig, LanguageModel, Layout

SMALL = BackboneConfig(depth=2, width=16, heads=2, inner=24)


def network_in(bundle: Bundle, config: BackboneConfig, seed: int = 0) -> Bundle:
    """The bundle with another network, every weight of which matters."""
    torch.manual_seed(seed)
    sizes = {"vocabulary_size": len(bundle.tokenizer), "pad_id": bundle.tokenizer.pad_id}
    model = LanguageModel(config, **sizes, mask_id=bundle.tokenizer.mask_id).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
    return replace(bundle, model=model)


def chances(bundle: Bundle, ids: list[int]) -> np.ndarray:
    """p of every token of the vocabulary at every place, from softmax written out: (L, V)."""
    with torch.no_grad():
        logits = bundle.model(torch.tensor(ids), Layout.of([len(ids)])).double().numpy()
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def exact(bundle: Bundle, text: bytes) -> float:
    ids, found = bundle.tokenizer.encode(text).tolist(), 0.0
    for place in range(1, len(ids) - 1):
        hidden = [*ids[:place], bundle.tokenizer.mask_id, *ids[place + 1 :]]
        found += np.log(chances(bundle, hidden)[place, ids[place]])
    return found


def one_pass(bundle: Bundle, text: bytes) -> float:
    ids = bundle.tokenizer.encode(text).tolist()
    table = chances(bundle, ids)
    return sum(np.log(table[place, ids[place]]) for place in range(1, len(ids) - 1))


def causal(bundle: Bundle, text: bytes) -> float:
    """Each token from a pass over nothing but what stands before it, <cls> included."""
    ids = bundle.tokenizer.encode(text).tolist()
    return sum(np.log(chances(bundle, ids[:place])[-1, ids[place]]) for place in range(1, len(ids) - 1))
