"""``config.json``: which network a bundle holds, as ``transformers`` puts it wherever it has that network.

The key ``nuclex`` holds the whole ``BackboneConfig``; the other keys follow from it and from the tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nuclex.bundle.foreign import Format
from nuclex.bundle.formats import FORMATS, format_of, own_class
from nuclex.bundle.weights import skeleton
from nuclex.core.config import first_problem
from nuclex.core.errors import CorruptError, InputError, one_line, shown
from nuclex.core.plain import from_json
from nuclex.models.backbone import BackboneConfig, LanguageModel
from nuclex.tokenizers.base import Tokenizer

CONFIG_FILE = "config.json"
_MOST_TOKENS = 1 << 31
OWN_TYPE, NETWORK_PREFIX = "nuclex", "nuclex."
"""The ``model_type`` where ``transformers`` has no such network, and what is in front of every weight's name then."""


def config_keys(model: LanguageModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of ``config.json`` for this model and tokenizer."""
    return _described(model, tokenizer, format_of(model))


def _described(model: LanguageModel, tokenizer: Tokenizer, form: Format | None) -> dict[str, Any]:
    return {
        **(_own_keys(model) if form is None else foreign_keys(model, form)),
        "bos_token_id": tokenizer.cls_id,
        "eos_token_id": tokenizer.eos_id,
        "dtype": "float32",
        "nuclex": {"mask_token_id": tokenizer.mask_id, "backbone": model.config.to_data()},
    }


def foreign_keys(model: LanguageModel, form: Format) -> dict[str, Any]:
    """What the config of another program must say for this network, which it has."""
    return {
        "architectures": [form.class_of(model.config)],
        "model_type": form.name,
        "vocab_size": model.vocabulary_size,
        **form.keys(model.config, model.pad_id),
        "pad_token_id": model.pad_id,
    }


def stored_format(path: Path, model: LanguageModel) -> Format | None:
    """The format that a ``config.json`` names (None: nuclex's own); CorruptError if ``model`` does not fit it."""
    name = from_json(path.read_bytes()).get("model_type")
    if name == OWN_TYPE:
        return None
    if name not in FORMATS:
        raise CorruptError(f"{path}: model_type: found {shown(name)}; allowed: {', '.join([OWN_TYPE, *FORMATS])}")
    if problem := FORMATS[name].misfit(model.config, model.pad_id):
        raise CorruptError(f"{path}: model_type: found {name!r}, which nuclex.backbone is not: {problem}")
    return FORMATS[name]


def bare_network(path: Path) -> LanguageModel:
    """The network that a ``config.json`` describes, without weights; InputError if nuclex did not write the file."""
    try:
        keys = from_json(path.read_bytes())
    except ValueError:
        raise CorruptError(f"{path}: is not readable JSON") from None
    if not isinstance(keys, dict) or not isinstance(keys.get("nuclex"), dict):
        raise InputError(f"{path}: has no key 'nuclex'; only a bundle that nuclex wrote can be loaded")
    try:
        config = BackboneConfig.from_data(keys["nuclex"]["backbone"])
        sizes = (keys["vocab_size"], keys["pad_token_id"], keys["nuclex"]["mask_token_id"])
        if wrong := [size for size in sizes if type(size) is not int or abs(size) >= _MOST_TOKENS]:
            raise ValueError(f"{shown(wrong[0])} where a token or their number is needed")
    except ValidationError as error:
        raise CorruptError(f"{path}: {first_problem(error, 'nuclex', 'backbone')}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"{path}: lacks a key or holds a wrong one: {one_line(str(error))}") from None
    if not 0 <= sizes[1] < sizes[0]:
        raise CorruptError(f"{path}: pad_token_id: found {sizes[1]}, there are {sizes[0]} tokens (vocab_size)")
    return skeleton(config, vocabulary_size=sizes[0], pad_id=sizes[1], mask_id=sizes[2])


def refuse_contradiction(path: Path, model: LanguageModel, tokenizer: Tokenizer) -> None:
    """CorruptError if a key of ``config.json`` says something else than model and tokenizer do."""
    found = from_json(path.read_bytes())
    wanted = _described(model, tokenizer, stored_format(path, model))
    mask_id = found["nuclex"]["mask_token_id"]
    if mask_id != tokenizer.mask_id:
        raise CorruptError(
            f"{path}: nuclex.mask_token_id: found {shown(mask_id)}, the tokenizer's mask is {tokenizer.mask_id}"
        )
    if model.vocabulary_size != model.config.rows(len(tokenizer)):
        raise CorruptError(
            f"{path}: vocab_size: found {model.vocabulary_size}; the tokenizer beside it has {len(tokenizer)} tokens"
        )
    for key, value in wanted.items():
        if key != "nuclex" and key in found and found[key] != value:
            raise CorruptError(
                f"{path}: {key}: found {shown(found[key])}, the network and the tokenizer beside it say {value!r}"
            )


def _own_keys(model: LanguageModel) -> dict[str, Any]:
    config = model.config
    return {
        "architectures": [own_class(model)],
        "model_type": OWN_TYPE,
        "vocab_size": model.vocabulary_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.inner,
        "tie_word_embeddings": config.tied and model.head is not None,
        "pad_token_id": model.pad_id,
    }
