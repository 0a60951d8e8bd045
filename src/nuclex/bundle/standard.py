"""A network of the maximal update parametrisation as an ordinary one: its multipliers folded into its weights.

Other programs divide attention's scores by the root of the head size and multiply nothing before the last layer. That
a network was trained otherwise can be said by its weights, exactly up to rounding (``models/scaling`` has the rules).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from nuclex.bundle.weights import filled, skeleton, unshared
from nuclex.models.backbone import LanguageModel
from nuclex.models.blocks.attention import Attention


def standard(model: LanguageModel) -> LanguageModel:
    """The same function of the same vocabulary in standard parametrisation, in evaluation mode, with its own weights.

    1/d goes into the rows of the queries. What multiplies the input of the last layer goes into the norm before it,
    where the head has one; else into the last matrix, which is untied for that, so that hidden vectors stay what they
    are. ``model`` itself comes back where it is standard already.
    """
    config = model.config
    usual = {"base_width": 0, "base_inner": 0, "attention_scale": "1/sqrt(d)", "attention_multiplier": 1.0}
    plain = config.model_copy(update=usual)
    if plain == config:
        return model
    tensors = {name: value.clone() for name, value in unshared(model).items()}
    _fold_attention(model, tensors)
    share = 1.0 if model.head is None else model.head.share
    if share != 1 and config.head == "dense":
        for name in ("head.norm.weight", "head.norm.bias"):
            if name in tensors:
                tensors[name] *= share
    elif share != 1:
        plain = plain.model_copy(update={"tied": False})
        last = tensors["embedding.tokens.weight" if config.tied else "head.decoder.weight"]
        tensors["head.decoder.weight"] = last * share
    sizes = {"vocabulary_size": model.vocabulary_size, "pad_id": model.pad_id, "mask_id": model.mask_id}
    return filled(skeleton(plain, **sizes), tensors, Path("model"))


def _fold_attention(model: LanguageModel, tensors: dict[str, Tensor]) -> None:
    """The scores of 1/d from 1/√d: by the queries, and what is added to them for distances."""
    if not model.config.attends:
        return
    size = model.config.width // model.config.heads
    factor = model.config.attention.factor(size) * math.sqrt(size)
    if math.isclose(factor, 1):  # the root of d over d: no weight changes by its last bit
        return
    with torch.no_grad():
        for name, part in model.named_modules():
            if isinstance(part, Attention):
                for kind in ("weight", "bias"):
                    if (key := f"{name}.query_key_value.{kind}") in tensors:
                        tensors[key][: model.config.width] *= factor
                for key in (f"{name}.relative.content_HK", f"{name}.relative.position_HK"):
                    if key in tensors:
                        tensors[key] *= factor
