"""Where a model looks: the attention weights of every layer and head, spelled out for a few sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.data.tokens import tokenize
from nuclex.models import Layout


def attention_maps(bundle: Bundle, sequences: Iterable[str | bytes]) -> Iterator[NDArray[np.float32]]:
    """The weights of each sequence, one sequence at a time: (layers, heads, L, L), float32; rows sum to 1.

    ``weights[layer, head, i, j]`` is how much token i takes from token j; L counts ``<cls>`` in front and ``<eos>``
    behind. In a hybrid only the layers of attention count. The weights are those that the model computes with, made
    by a slow way that holds all of them in memory. InputError for a model without attention, for a sequence that the
    tokenizer refuses, and for one of more tokens than the model reads at once: windows would see different things.
    """
    model, tokenizer = bundle.model, bundle.tokenizer
    if not model.config.attends:
        raise InputError(f"this model has no attention, its layers are {model.config.mixer!r}")
    device, longest = next(model.parameters()).device, model.config.longest
    for number, sequence in enumerate(sequences):
        inner = tokenize([sequence], tokenizer, name_of=[f"sequence {number}"].__getitem__).ids
        ids = np.concatenate([[tokenizer.cls_id], inner, [tokenizer.eos_id]]).astype(np.int64)
        if longest is not None and len(ids) > longest:
            raise InputError(
                f"sequence {number}: has {len(inner)} tokens; this model reads at most {longest - 2} at once"
            )
        with torch.no_grad():
            layers = model.attention_maps(torch.from_numpy(ids).to(device), Layout.of([len(ids)], device))
        yield np.stack([maps[0].float().cpu().numpy() for maps in layers])
