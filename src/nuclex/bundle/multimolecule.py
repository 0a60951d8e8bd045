"""RiNALMo as the library multimolecule keeps it: its names of weights, and 28 tokens where RiNALMo has 22.

Their RNA alphabet has U where RiNALMo has T; it is the same row. Six of their tokens are none of RiNALMo's:
``<null>``, X and the marks ``| . * ?``. Reading leaves them out. Writing gives X the mean vector of A, C, G and U and
the others that of ``<unk>``, and to all six a score so low that no probability of another token changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from nuclex.bundle.foreign import Format, Keys, Weight, named, refuse_variant, with_biases
from nuclex.bundle.rinalmo import rinalmo_network
from nuclex.core.errors import InputError
from nuclex.models.architecture import BackboneConfig
from nuclex.models.heads import PairHeadConfig
from nuclex.tokenizers.nucleotide import SPECIAL_ORDER, SYMBOLS

SPECIAL = ("<pad>", "<cls>", "<eos>", "<unk>", "<mask>", "<null>")
VOCABULARY = (*SPECIAL, *"ACGUNRYSWKMBDHVIX|.*-?")
OURS = (*SPECIAL_ORDER, *SYMBOLS.replace("T", "U"))
DROPPED = tuple(token for token in VOCABULARY if token not in OURS)
MEAN_OF = {"X": "ACGU"}
NO_SCORE = -100.0
"""The score of a token that nuclex does not have; in float32 its probability is 0 beside any other."""
USUAL_PAIR_HEAD = PairHeadConfig()
PAIR_HEAD = "ss_head."
ALLOWED: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("rotary",),
    "learnable_beta": (True,),
    "token_dropout": (True,),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (False,),
    "vocab_size": (len(VOCABULARY),),
    "layer_norm_eps": (1e-5,),
}
BIAS, BIAS_COPY = "bias", "decoder.bias"
"""One tensor in memory there, under two names; their own files hold it once or twice."""
LAYER = (
    *with_biases([("attention.layer_norm", "mixer_norm"), ("layer_norm", "feedforward_norm")]),
    ("attention.output.dense.weight", "mixer.output.weight"),
    ("intermediate.bias", "feedforward.beta"),
    *with_biases(
        [
            ("intermediate.linear", "feedforward.into"),
            ("intermediate.linear_gate", "feedforward.gate"),
            ("output.dense", "feedforward.output"),
        ]
    ),
)
HEAD = (
    *with_biases([("transform.dense", "dense"), ("transform.layer_norm", "norm")]),
    ("decoder.weight", "decoder.weight"),
    (BIAS, "decoder.bias"),
    (BIAS_COPY, "decoder.bias"),
)


def _keys(config: BackboneConfig, pad_id: int) -> Keys:
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": _intermediate(config),
        "hidden_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "max_position_embeddings": 1024,
        "hidden_act": "gelu",
        "head": None,
        **{key: values[0] for key, values in ALLOWED.items()},
    }


def _intermediate(config: BackboneConfig) -> int:
    """Their ``intermediate_size``, of which the feed-forward is int(2/3 · size) wide; 4 · width where that fits."""
    sizes = (4 * config.width, *range(config.inner * 3 // 2 - 2, config.inner * 3 // 2 + 4))
    found = next((size for size in sizes if int(2 / 3 * size) == config.inner), None)
    if found is None:
        raise InputError(f"inner is {config.inner}, which is no two thirds of a whole number")
    return found


def _network(keys: Keys) -> BackboneConfig:
    refuse_variant(keys, ALLOWED, "RiNALMo")
    return rinalmo_network(
        {
            "depth": keys["num_hidden_layers"],
            "width": keys["hidden_size"],
            "heads": keys["num_attention_heads"],
            "inner": int(2 / 3 * keys["intermediate_size"]),
            "dropout": keys["hidden_dropout"],
            "attention_dropout": keys["attention_dropout"],
        }
    )


def _body(config: BackboneConfig) -> Iterator[Weight]:
    yield Weight("embedding.tokens.weight", ("embeddings.word_embeddings.weight",))
    for layer in range(config.depth):
        theirs, ours = f"encoder.layer.{layer}.", f"blocks.{layer}."
        parts = tuple(f"{theirs}attention.self.{part}.weight" for part in ("query", "key", "value"))
        yield Weight(f"{ours}mixer.query_key_value.weight", parts)
        yield from named(LAYER, native=ours, foreign=theirs)
    yield from named(with_biases([("layer_norm", "norm")]), foreign="encoder.")


MULTIMOLECULE = Format(
    name="rinalmo",
    classes=("RiNALMoForMaskedLM", "RiNALMoModel"),
    prefix="model.",
    keys=_keys,
    network=_network,
    body=_body,
    head=lambda config: named(HEAD, native="head.", foreign="lm_head."),
    more=("model.pooler.", "pooler."),
)


def pair_head_weights(blocks: int) -> list[Weight]:
    """The names of the weights of their head for secondary structure."""
    pairs = with_biases([("projection", "projection"), ("prediction", "decoder")])
    for block in range(blocks):
        for place in range(3):
            name = f"convnet.layers.{block}.conv{place + 1}.weight"
            pairs.append((name, f"blocks.{block}.convolutions.{place}.weight"))
    return list(named(pairs, foreign=PAIR_HEAD))


def with_both_biases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors with the bias of the language head under both of its names."""
    names = {f"lm_head.{BIAS}", f"lm_head.{BIAS_COPY}"}
    kept = [tensors[name] for name in sorted(names & tensors.keys())]
    return {**dict.fromkeys(names, kept[0]), **tensors} if kept else dict(tensors)


def own_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors with RiNALMo's 22 rows instead of the 28."""
    places = torch.tensor([VOCABULARY.index(token) for token in OURS])
    return {name: value[places] if _has_rows(name) else value for name, value in tensors.items()}


def their_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of ``own_rows``; the six tokens that nuclex does not have are made as the module says."""
    found = dict(tensors)
    for name in filter(_has_rows, tensors):
        own, made = tensors[name], []
        for token in VOCABULARY:
            if token in OURS:
                made.append(own[OURS.index(token)])
            elif name == "embedding.tokens.weight":
                sources = MEAN_OF.get(token, ("<unk>",))
                made.append(torch.stack([own[OURS.index(source)] for source in sources]).mean(0))
            else:
                made.append(torch.full_like(own[0], NO_SCORE if own.ndim == 1 else 0.0))
        found[name] = torch.stack(made)
    return found


def _has_rows(name: str) -> bool:
    return name in ("embedding.tokens.weight", "head.decoder.weight", "head.decoder.bias")


def config_of(model_keys: Keys, *, pair_head: bool) -> dict[str, Any]:
    """The whole ``config.json`` for these keys."""
    ids = {f"{token[1:-1]}_token_id": VOCABULARY.index(token) for token in SPECIAL if token != "<cls>"}
    own = {"architectures": ["RiNALMoForSecondaryStructurePrediction"]} if pair_head else {}
    begin = {"bos_token_id": VOCABULARY.index("<cls>"), "dtype": "float32"}
    return {**model_keys, **own, **begin, **ids, "vocab_size": len(VOCABULARY)}


def tokenizer_files() -> tuple[str, dict[str, Any]]:
    """The text of ``vocab.txt`` and the content of ``tokenizer_config.json`` for their RNA tokenizer."""
    names = {"bos": "<cls>", "cls": "<cls>", "eos": "<eos>", "sep": "<eos>", "pad": "<pad>", "unk": "<unk>"}
    config: dict[str, Any] = {f"{name}_token": token for name, token in {**names, "mask": "<mask>"}.items()}
    config |= {"tokenizer_class": "RnaTokenizer", "extra_special_tokens": ["<null>"], "nmers": 1, "codon": False}
    return "\n".join(VOCABULARY) + "\n", {**config, "replace_T_with_U": True}
