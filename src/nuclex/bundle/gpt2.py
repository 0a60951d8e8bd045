"""GPT-2 as Hugging Face's ``transformers`` writes it: matrices turned, query, key and value in one."""

from __future__ import annotations

from collections.abc import Iterator

from nuclex.bundle.foreign import Format, Keys, Weight, named, refuse_variant, with_biases
from nuclex.models.architecture import BackboneConfig
from nuclex.models.presets import Gpt2Config

TURNED = (
    ("attn.c_attn", "mixer.query_key_value"),
    ("attn.c_proj", "mixer.output"),
    ("mlp.c_fc", "feedforward.into"),
    ("mlp.c_proj", "feedforward.output"),
)
NORMS = with_biases([("ln_1", "mixer_norm"), ("ln_2", "feedforward_norm")])
ALLOWED = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}


def _keys(config: BackboneConfig, pad_id: int) -> Keys:
    return {
        "n_embd": config.width,
        "n_layer": config.depth,
        "n_head": config.heads,
        "n_inner": config.inner,
        "n_positions": config.max_positions,
        "activation_function": "gelu_new",
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.embedding_dropout,
        "attn_pdrop": config.attention_dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "initializer_range": config.initializer_range,
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_word_embeddings": config.tied and config.head != "none",
    }


def _network(keys: Keys) -> BackboneConfig:
    refuse_variant(keys, ALLOWED, "GPT-2")
    preset = Gpt2Config(
        depth=keys["n_layer"],
        width=keys["n_embd"],
        heads=keys["n_head"],
        inner=keys.get("n_inner") or 4 * keys["n_embd"],
        max_positions=keys["n_positions"],
        norm_epsilon=keys["layer_norm_epsilon"],
        dropout=keys["resid_pdrop"],
        attention_dropout=keys["attn_pdrop"],
        tied=bool(keys.get("tie_word_embeddings", True)),
    )
    return preset.backbone().model_copy(update={"embedding_dropout": keys["embd_pdrop"]})


def _body(config: BackboneConfig) -> Iterator[Weight]:
    yield from named([("wte.weight", "embedding.tokens.weight"), ("wpe.weight", "embedding.positions.weight")])
    for layer in range(config.depth):
        theirs, ours = f"h.{layer}.", f"blocks.{layer}."
        yield from named(NORMS, native=ours, foreign=theirs)
        for foreign, native in TURNED:
            yield Weight(f"{ours}{native}.weight", (f"{theirs}{foreign}.weight",), "turned")
            yield Weight(f"{ours}{native}.bias", (f"{theirs}{foreign}.bias",))
    yield from named(with_biases([("ln_f", "norm")]))


def matrix_head(config: BackboneConfig) -> Iterator[Weight]:
    """A head that is one matrix, which is kept only where it is not the embedding's."""
    if not config.tied:
        yield Weight("head.decoder.weight", ("lm_head.weight",))


GPT2 = Format(
    name="gpt2",
    classes=("GPT2LMHeadModel", "GPT2Model"),
    prefix="transformer.",
    keys=_keys,
    network=_network,
    body=_body,
    head=matrix_head,
)
