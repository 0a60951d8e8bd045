"""RoBERTa as Hugging Face's ``transformers`` writes it: the keys of its config and the names of its weights."""

from __future__ import annotations

from collections.abc import Iterator

from nuclex.bundle.foreign import Format, Keys, Weight, named, refuse_variant, with_biases
from nuclex.core.errors import InputError
from nuclex.models.architecture import BackboneConfig
from nuclex.models.presets import RobertaConfig

LAYER = with_biases(
    [
        ("attention.output.dense", "mixer.output"),
        ("attention.output.LayerNorm", "mixer_norm"),
        ("intermediate.dense", "feedforward.into"),
        ("output.dense", "feedforward.output"),
        ("output.LayerNorm", "feedforward_norm"),
    ]
)
EMBEDDINGS = (
    ("word_embeddings.weight", "tokens.weight"),
    ("position_embeddings.weight", "positions.weight"),
    ("token_type_embeddings.weight", "types.weight"),
    ("LayerNorm.weight", "norm.weight"),
    ("LayerNorm.bias", "norm.bias"),
)
ALLOWED = {
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
}


def encoder_keys(config: BackboneConfig, pad_id: int) -> Keys:
    """The keys that RoBERTa and BERT share."""
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.inner,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.token_types,
        "initializer_range": config.initializer_range,
        "layer_norm_eps": config.norm_epsilon,
        "is_decoder": False,
        "tie_word_embeddings": config.tied and config.head != "none",
    }


def encoder_sizes(keys: Keys, name: str) -> Keys:
    """The preset's fields for those keys; InputError for a variant that nuclex does not compute."""
    refuse_variant(keys, ALLOWED, name)
    return {
        "depth": keys["num_hidden_layers"],
        "width": keys["hidden_size"],
        "heads": keys["num_attention_heads"],
        "inner": keys["intermediate_size"],
        "max_positions": keys["max_position_embeddings"],
        "norm_epsilon": keys["layer_norm_eps"],
        "dropout": keys["hidden_dropout_prob"],
        "attention_dropout": keys["attention_probs_dropout_prob"],
        "token_types": max(keys["type_vocab_size"], 1),
        "tied": bool(keys.get("tie_word_embeddings", True)),
    }


def encoder_body(config: BackboneConfig) -> Iterator[Weight]:
    """The weights that RoBERTa and BERT share."""
    yield from named(EMBEDDINGS, native="embedding.", foreign="embeddings.")
    for layer in range(config.depth):
        theirs, ours = f"encoder.layer.{layer}.", f"blocks.{layer}."
        for kind in ("weight", "bias"):
            parts = tuple(f"{theirs}attention.self.{part}.{kind}" for part in ("query", "key", "value"))
            yield Weight(f"{ours}mixer.query_key_value.{kind}", parts)
        yield from named(LAYER, native=ours, foreign=theirs)


def encoder_head(config: BackboneConfig, transform: str, norm: str, prefix: str) -> Iterator[Weight]:
    """The language head, whose bias is kept twice where its matrix is not the embedding's."""
    names = [*with_biases([(transform, "dense"), (norm, "norm")]), ("bias", "decoder.bias")]
    untied = [] if config.tied else [("decoder.weight", "decoder.weight"), ("decoder.bias", "decoder.bias")]
    yield from named([*names, *untied], native="head.", foreign=prefix)


def _network(keys: Keys) -> BackboneConfig:
    sizes = encoder_sizes(keys, "RoBERTa")
    if keys["pad_token_id"] is None:
        raise InputError("config.json: pad_token_id: found null; RoBERTa's positions begin behind the padding id")
    return RobertaConfig(**sizes, position_offset=keys["pad_token_id"] + 1).backbone()


ROBERTA = Format(
    name="roberta",
    classes=("RobertaForMaskedLM", "RobertaModel"),
    prefix="roberta.",
    keys=encoder_keys,
    network=_network,
    body=encoder_body,
    head=lambda config: encoder_head(config, "dense", "layer_norm", "lm_head."),
    more=("roberta.pooler.", "pooler."),
    headless={"add_pooling_layer": False},
)
"""Its positions begin behind the padding id, which therefore decides, too, whether a network is one."""
