"""RiNALMo's released ``.pt`` files: their names of weights, of a fine-tuned head and of its threshold, there and back.

doi:10.1038/s41467-025-60872-5, doi:10.5281/zenodo.15043668. A pre-trained file holds the network alone; a fine-tuned
one holds it behind ``lm.`` (structures) or ``rinalmo.`` (classes), beside the weights of ``pred_head.``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nuclex.bundle.foreign import Format, Keys, Weight, and_more, from_foreign, named, to_foreign, with_biases
from nuclex.core.errors import CorruptError, InputError, one_line
from nuclex.models.architecture import BackboneConfig
from nuclex.models.heads import ClassHeadConfig, HeadConfig, PairHeadConfig
from nuclex.models.presets import RinalmoConfig

ROWS, HEADS = 22, 20
"""Tokens of its vocabulary, and attention heads of every released size, which no weight tells."""
LAYER = with_biases(
    [
        ("attn_layer_norm", "mixer_norm"),
        ("out_layer_norm", "feedforward_norm"),
        ("transition.0.linear", "feedforward.into"),
        ("transition.0.linear_gate", "feedforward.gate"),
        ("transition.2", "feedforward.output"),
    ]
)
OF_A_LAYER = (
    ("mh_attn.Wqkv.weight", "mixer.query_key_value.weight"),
    ("mh_attn.out_proj.weight", "mixer.output.weight"),
    ("transition.0.beta", "feedforward.beta"),
    *LAYER,
)
HEAD = with_biases([("linear1", "dense"), ("layer_norm", "norm"), ("linear2", "decoder")])
PREFIXES = {"pair": "lm.", "class": "rinalmo."}
PRED_HEAD, THRESHOLD = "pred_head.", "threshold"


def rinalmo_keys(config: BackboneConfig, pad_id: int) -> Keys:
    """The sizes that tell one RiNALMo from another."""
    names = ("depth", "width", "heads", "inner", "dropout", "attention_dropout")
    return {name: getattr(config, name) for name in names}


def rinalmo_network(sizes: Keys) -> BackboneConfig:
    """The RiNALMo of these sizes."""
    inner = {"inner": sizes["inner"]}
    preset = RinalmoConfig(**{name: value for name, value in sizes.items() if name in RinalmoConfig.model_fields})
    return preset.backbone().model_copy(update=inner)


def _body(config: BackboneConfig) -> Iterator[Weight]:
    yield Weight("embedding.tokens.weight", ("embedding.weight",))
    for layer in range(config.depth):
        yield from named(OF_A_LAYER, native=f"blocks.{layer}.", foreign=f"transformer.blocks.{layer}.")
    yield from named(with_biases([("final_layer_norm", "norm")]), foreign="transformer.")


RINALMO = Format(
    name="rinalmo",
    classes=("RiNALMo", ""),
    prefix="",
    keys=rinalmo_keys,
    network=rinalmo_network,
    body=_body,
    head=lambda config: named(HEAD, native="head.", foreign="lm_mask_head."),
)


@dataclass(frozen=True, eq=False)
class Released:
    """What a ``.pt`` file holds, in nuclex's names: a network, and a head with its threshold where it has one.

    A splice head, whose one number is the log-odds of "yes", is a head of two classes here.
    """

    config: BackboneConfig
    network: dict[str, Tensor]
    head: HeadConfig | None = None
    head_weights: dict[str, Tensor] | None = None
    outputs: int = 0
    threshold: float | None = None


def read_released(path: Path, *, heads: int = HEADS) -> Released:
    """Read a pre-trained or fine-tuned file in either layout of its attention; nothing in it is executed.

    InputError if it is no file of tensors, if a weight is missing or left over, or for the head of a regression
    (MRL, TE, EL), which nuclex does not have.
    """
    entries = _entries(path)
    tensors = {
        name: value.float() for name, value in entries.items() if isinstance(value, Tensor) and name != THRESHOLD
    }
    embedding = next((name for name in tensors if re.fullmatch(r"(lm\.|rinalmo\.)?embedding\.weight", name)), None)
    if embedding is None:
        raise InputError(f"{path}: holds no weight 'embedding.weight'; it is not a file of RiNALMo")
    prefix = embedding.removesuffix("embedding.weight")
    rest = {name: value for name, value in tensors.items() if name.startswith(PRED_HEAD)}
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name not in rest}
    try:
        own = _fused(own, heads)
        config = rinalmo_network(_sizes(own, heads))
        network = from_foreign(own, RINALMO.weights(config), path)
        if network["embedding.tokens.weight"].shape[0] != ROWS:
            raise InputError(f"{path}: its embedding has {len(network['embedding.tokens.weight'])} rows, not {ROWS}")
        return _with_head(Released(config, network), rest, entries.get(THRESHOLD), path)
    except CorruptError as error:
        raise InputError(str(error)) from None
    except (KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: is not a whole file of RiNALMo: {one_line(str(error))}") from None


def _entries(path: Path) -> dict[str, Any]:
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, FileNotFoundError):
        raise
    except Exception as error:  # a foreign file can bring any error to light
        why = "it holds more than tensors, which could run code" if "weights_only" in str(error) else str(error)
        raise InputError(f"{path}: cannot be read as a file of tensors: {one_line(why)}") from None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{path}: holds no weights by name; it is not a file of RiNALMo")
    if odd := sorted(name for name, entry in value.items() if not isinstance(entry, Tensor) and name != THRESHOLD):
        raise InputError(f"{path}: holds {and_more(odd)}, which is no weight of RiNALMo")
    return value


def _fused(tensors: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """The layout of flash attention; the other one keeps query, key and value apart, one level deeper."""
    found = dict(tensors)
    for name in [name for name in found if name.endswith(".mh_attn.mh_attn.to_q.weight")]:
        inner, outer = name.removesuffix("to_q.weight"), name.removesuffix("mh_attn.to_q.weight")
        found[f"{outer}Wqkv.weight"] = torch.cat([found.pop(f"{inner}to_{part}.weight") for part in "qkv"])
        found[f"{outer}out_proj.weight"] = found.pop(f"{inner}out_proj.weight")
        waves = found.pop(f"{inner}rotary_emb.inv_freq", None)
        if waves is not None:
            width = len(found[f"{outer}out_proj.weight"])
            if 2 * len(waves) * heads != width:
                raise ValueError(
                    f"it was made with {width / len(waves) / 2:g} attention heads, not {heads}; give heads"
                )
            usual = 10_000.0 ** -(torch.arange(len(waves), dtype=torch.float32) / len(waves))
            if not torch.allclose(waves, usual, rtol=1e-2):
                raise ValueError(f"{inner}rotary_emb.inv_freq is not that of RiNALMo's rotary positions")
    return found


def _sizes(tensors: Mapping[str, Tensor], heads: int) -> Keys:
    layers = {int(found[1]) for name in tensors if (found := re.match(r"transformer\.blocks\.(\d+)\.", name))}
    return {
        "depth": max(layers, default=-1) + 1,
        "width": tensors["embedding.weight"].shape[1],
        "inner": tensors["transformer.blocks.0.transition.0.linear.weight"].shape[0],
        "heads": heads,
    }


def _with_head(found: Released, tensors: dict[str, Tensor], threshold: Any, path: Path) -> Released:
    if not tensors:
        if threshold is not None:
            raise InputError(f"{path}: holds a threshold but no head that it belongs to")
        return found
    if f"{PRED_HEAD}classifier.0.weight" in tensors:
        weights = from_foreign(tensors, head_weights("class"), path)
        if threshold is not None:
            raise InputError(f"{path}: holds a threshold, which a head of classes does not have")
        if len(weights["decoder.weight"]) == 1:
            weights |= {name: torch.cat([torch.zeros_like(weights[name]), weights[name]]) for name in _DECODER}
        head = ClassHeadConfig(hidden=weights["dense.weight"].shape[0])
        return Released(found.config, found.network, head, weights, len(weights["decoder.bias"]))
    if f"{PRED_HEAD}linear_out.weight" in tensors:
        raise InputError(
            f"{path}: holds the head of a regression ('{PRED_HEAD}linear_out'), which nuclex does not have"
        )
    blocks = {int(place[1]) for name in tensors if (place := re.search(r"resnet\.blocks\.(\d+)\.", name))}
    weights = from_foreign(tensors, head_weights("pair", len(blocks)), path)
    if threshold is None or not 0 <= float(threshold) <= 1:
        raise InputError(f"{path}: lacks the entry '{THRESHOLD}' of its head, or it is no probability")
    channels, _, kernel, _ = weights["decoder.weight"].transpose(0, 1).shape
    pair = PairHeadConfig(channels=channels, blocks=len(blocks), kernel=kernel)
    return Released(found.config, found.network, pair, weights, 1, float(threshold))


_DECODER = ("decoder.weight", "decoder.bias")


def head_weights(kind: Literal["pair", "class"], blocks: int = 0) -> list[Weight]:
    """The names of a head's weights."""
    if kind == "class":
        return list(named(with_biases([("classifier.0", "dense"), ("classifier.2", "decoder")]), foreign=PRED_HEAD))
    pairs = with_biases([("linear_in", "projection"), ("conv_out", "decoder")])
    for block in range(blocks):
        for place, number in enumerate((0, 3, 6)):
            name = f"resnet.blocks.{block}.conv_net.{number}.weight"
            pairs.append((name, f"blocks.{block}.convolutions.{place}.weight"))
    return list(named(pairs, foreign=PRED_HEAD))


def write_released(path: Path, released: Released) -> None:
    """Write a file that RiNALMo's own code reads, with the layout of flash attention.

    It is the one thing that nuclex writes as a pickle, because nothing else can be read there: of tensors and, with a
    head of pairs, one number. A head of two classes becomes one number, the log-odds of the second.
    """
    head, weights = released.head, released.head_weights
    entries: dict[str, Any] = dict(to_foreign(released.network, RINALMO.weights(released.config)))
    if head is not None and weights is not None:
        entries = {f"{PREFIXES[head.kind]}{name}": value for name, value in entries.items()}
        if isinstance(head, PairHeadConfig):
            entries |= to_foreign(weights, head_weights("pair", head.blocks))
            entries[THRESHOLD] = released.threshold
        else:
            if released.outputs == 2:
                weights = {**weights, **{name: weights[name][1:] - weights[name][:1] for name in _DECODER}}
            entries |= to_foreign(weights, head_weights("class"))
    torch.save(entries, path)
