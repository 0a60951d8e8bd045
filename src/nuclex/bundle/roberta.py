"""RoBERTa as Hugging Face's ``transformers`` writes it: the keys of its ``config.json`` and the names of its weights.

Only names and plain data are here; the library itself is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nuclex.core.errors import CorruptError, InputError
from nuclex.models.backbone import BackboneConfig, LanguageModel
from nuclex.models.presets import RobertaConfig

LAYER = (
    ("attention.output.dense", "mixer.output"),
    ("attention.output.LayerNorm", "mixer_norm"),
    ("intermediate.dense", "feedforward.into"),
    ("output.dense", "feedforward.output"),
    ("output.LayerNorm", "feedforward_norm"),
)
EMBEDDINGS = (
    ("word_embeddings.weight", "tokens.weight"),
    ("position_embeddings.weight", "positions.weight"),
    ("token_type_embeddings.weight", "types.weight"),
    ("LayerNorm.weight", "norm.weight"),
    ("LayerNorm.bias", "norm.bias"),
)
HEAD = (
    ("dense.weight", "dense.weight"),
    ("dense.bias", "dense.bias"),
    ("layer_norm.weight", "norm.weight"),
    ("layer_norm.bias", "norm.bias"),
    ("bias", "decoder.bias"),
)
UNTIED_HEAD = (("decoder.weight", "decoder.weight"), ("decoder.bias", "decoder.bias"))


def is_roberta(config: BackboneConfig, pad_id: int) -> bool:
    """Whether the network computes exactly what ``RobertaForMaskedLM`` computes, in training as well.

    Its position table begins behind the padding id, which therefore decides too.
    """
    same = RobertaConfig(
        depth=config.depth,
        width=config.width,
        heads=config.heads,
        inner=config.inner,
        max_positions=max(config.max_positions, 3),
        norm_epsilon=config.norm_epsilon,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        token_types=max(config.token_types, 1),
        position_offset=pad_id + 1,
    ).backbone()
    return config == same.model_copy(update={"tied": config.tied, "initialisation": config.initialisation})


def roberta_keys(model: LanguageModel) -> dict[str, Any]:
    """What ``transformers.RobertaConfig`` must say for this model."""
    config = model.config
    return {
        "architectures": ["RobertaForMaskedLM"],
        "model_type": "roberta",
        "vocab_size": model.vocabulary_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.inner,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.token_types,
        "initializer_range": 0.02,
        "layer_norm_eps": config.norm_epsilon,
        "is_decoder": False,
        "tie_word_embeddings": config.tied,
        "pad_token_id": model.pad_id,
    }


def backbone_of(keys: Mapping[str, Any]) -> BackboneConfig:
    """The network that a RoBERTa ``config.json`` describes; InputError for a variant that nuclex does not compute."""
    allowed = {
        "model_type": "roberta",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
    }
    for key, value in allowed.items():
        if keys.get(key, value) != value:
            raise InputError(f"config.json: {key}: found {keys[key]!r}; only {value!r} can be read as RoBERTa")
    if keys["pad_token_id"] is None:
        raise InputError("config.json: pad_token_id: found null; RoBERTa's positions begin behind the padding id")
    preset = RobertaConfig(
        depth=keys["num_hidden_layers"],
        width=keys["hidden_size"],
        heads=keys["num_attention_heads"],
        inner=keys["intermediate_size"],
        max_positions=keys["max_position_embeddings"],
        norm_epsilon=keys["layer_norm_eps"],
        dropout=keys["hidden_dropout_prob"],
        attention_dropout=keys["attention_probs_dropout_prob"],
        token_types=keys["type_vocab_size"],
        position_offset=keys["pad_token_id"] + 1,
    )
    return preset.backbone().model_copy(update={"tied": bool(keys.get("tie_word_embeddings", True))})


def to_roberta(tensors: Mapping[str, Tensor], config: BackboneConfig) -> dict[str, Tensor]:
    """Rename a model's tensors (``unshared``) the Hugging Face way; query, key and value become three."""
    renamed = {foreign: tensors[native].detach().clone() for foreign, native in _pairs(config)}
    for layer in range(config.depth):
        for kind in ("weight", "bias"):
            fused = tensors[f"blocks.{layer}.mixer.query_key_value.{kind}"].detach()
            for name, part in zip(_attention(layer, kind), fused.chunk(3), strict=True):
                renamed[name] = part.clone()
    return renamed


def from_roberta(tensors: Mapping[str, Tensor], config: BackboneConfig, origin: Path) -> dict[str, Tensor]:
    """The reverse of ``to_roberta``; CorruptError where a tensor is missing, left over or contradicts its twin."""
    left = dict(tensors)
    native: dict[str, Tensor] = {}
    for foreign, name in _pairs(config):
        value = _take(left, foreign, origin)
        if name in native and not torch.equal(native[name], value):
            raise CorruptError(f"{origin}: the weight {foreign!r} differs from the other copy of {name!r}")
        native[name] = value
    for layer in range(config.depth):
        for kind in ("weight", "bias"):
            parts = [_take(left, name, origin) for name in _attention(layer, kind)]
            if len({part.shape for part in parts}) > 1:
                raise CorruptError(f"{origin}: query, key and value of layer {layer} differ in shape ({kind})")
            native[f"blocks.{layer}.mixer.query_key_value.{kind}"] = torch.cat(parts)
    if left:
        raise CorruptError(f"{origin}: holds the weight {min(left)!r}, which this architecture does not have")
    return native


def _take(left: dict[str, Tensor], name: str, origin: Path) -> Tensor:
    if name not in left:
        raise CorruptError(f"{origin}: lacks the weight {name!r}")
    return left.pop(name)


def _attention(layer: int, kind: str) -> list[str]:
    """The names of query, key and value, in the order in which nuclex stacks them."""
    return [f"roberta.encoder.layer.{layer}.attention.self.{part}.{kind}" for part in ("query", "key", "value")]


def _pairs(config: BackboneConfig) -> Iterator[tuple[str, str]]:
    """(Hugging Face's name, nuclex's name) of all weights but those of query, key and value."""
    for foreign, native in EMBEDDINGS:
        yield f"roberta.embeddings.{foreign}", f"embedding.{native}"
    for layer in range(config.depth):
        for foreign, native in LAYER:
            for kind in ("weight", "bias"):
                yield f"roberta.encoder.layer.{layer}.{foreign}.{kind}", f"blocks.{layer}.{native}.{kind}"
    for foreign, native in HEAD if config.tied else HEAD + UNTIED_HEAD:
        yield f"lm_head.{foreign}", f"head.{native}"
