"""Mamba and Mamba-2 as Hugging Face's ``transformers`` writes them: causal, no feed-forward, one matrix as head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nuclex.bundle.foreign import Format, Keys, Weight, named, refuse_variant
from nuclex.bundle.gpt2 import matrix_head
from nuclex.core.errors import InputError
from nuclex.models.architecture import BackboneConfig
from nuclex.models.blocks.state_space import StateSpaceConfig
from nuclex.models.presets import MambaConfig

ALLOWED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "time_step_limit": ([0.0, float("inf")], (0.0, float("inf"))),
}
SHARED = (("A_log", "A_log"), ("D", "D"))
OF_MAMBA = (
    *SHARED,
    ("x_proj.weight", "select.weight"),
    ("dt_proj.weight", "delta.weight"),
    ("dt_proj.bias", "delta.bias"),
)
OF_MAMBA2 = (*SHARED, ("dt_bias", "delta_bias"), ("norm.weight", "norm.weight"))


def _shared_keys(config: BackboneConfig, pad_id: int) -> Keys:
    sizes = config.state_space
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "layer_norm_epsilon": config.norm_epsilon,
        "state_size": sizes.state_size,
        "expand": sizes.expansion,
        "conv_kernel": sizes.kernel,
        "use_bias": sizes.bias,
        "use_conv_bias": sizes.convolution_bias,
        "hidden_act": "silu",
        "time_step_min": sizes.delta_min,
        "time_step_max": sizes.delta_max,
        "time_step_floor": sizes.delta_floor,
        "tie_word_embeddings": config.tied and config.head != "none",
    }


def _mamba_keys(config: BackboneConfig, pad_id: int) -> Keys:
    return {**_shared_keys(config, pad_id), "time_step_rank": config.state_space.rank or -(-config.width // 16)}


def _mamba2_keys(config: BackboneConfig, pad_id: int) -> Keys:
    sizes = config.state_space
    heads = {"num_heads": sizes.heads(config.width), "head_dim": sizes.head_size, "n_groups": sizes.groups}
    return {**_shared_keys(config, pad_id), **heads, "chunk_size": sizes.chunk}


def _network(keys: Keys, version: int, own: Keys) -> BackboneConfig:
    refuse_variant(keys, ALLOWED, "Mamba")
    if int(keys["expand"]) != keys["expand"]:
        raise InputError(f"config.json: expand: found {keys['expand']}; only whole numbers can be read by nuclex")
    sizes = StateSpaceConfig(
        state_size=keys["state_size"],
        expansion=int(keys["expand"]),
        kernel=keys["conv_kernel"],
        bias=keys["use_bias"],
        convolution_bias=keys["use_conv_bias"],
        delta_min=keys["time_step_min"],
        delta_max=keys["time_step_max"],
        delta_floor=keys["time_step_floor"],
        **own,
    )
    preset = MambaConfig(
        version=version,
        depth=keys["num_hidden_layers"],
        width=keys["hidden_size"],
        state_space=sizes,
        norm_epsilon=keys["layer_norm_epsilon"],
        tied=bool(keys["tie_word_embeddings"]),
    )
    return preset.backbone()


def _mamba(keys: Keys) -> BackboneConfig:
    return _network(keys, 1, {"rank": 0 if keys["time_step_rank"] == "auto" else keys["time_step_rank"]})


def _mamba2(keys: Keys) -> BackboneConfig:
    own = {"head_size": keys["head_dim"], "groups": keys["n_groups"], "chunk": keys["chunk_size"]}
    network = _network(keys, 2, {**own, "norm_epsilon": keys["layer_norm_epsilon"]})
    heads = network.state_space.heads(network.width)
    if heads != keys["num_heads"]:
        raise InputError(f"config.json: num_heads: found {keys['num_heads']}; the other sizes need {heads}")
    return network


def _body(config: BackboneConfig) -> Iterator[Weight]:
    sizes, version2 = config.state_space, config.mixer == "mamba2"
    yield Weight("embedding.tokens.weight", ("embeddings.weight",))
    kinds = ("weight", "bias") if sizes.bias else ("weight",)
    for layer in range(config.depth):
        theirs, ours = f"layers.{layer}.mixer.", f"blocks.{layer}.mixer."
        yield Weight(f"blocks.{layer}.mixer_norm.weight", (f"layers.{layer}.norm.weight",))
        for kind in kinds:
            yield Weight(f"{ours}into.{kind}", (f"{theirs}in_proj.{kind}",))
            yield Weight(f"{ours}output.{kind}", (f"{theirs}out_proj.{kind}",))
        yield Weight(f"{ours}convolution.weight", (f"{theirs}conv1d.weight",), "kernel")
        if sizes.convolution_bias:
            yield Weight(f"{ours}convolution.bias", (f"{theirs}conv1d.bias",))
        yield from named(OF_MAMBA2 if version2 else OF_MAMBA, native=ours, foreign=theirs)
    yield Weight("norm.weight", ("norm_f.weight",))


MAMBA = Format(
    name="mamba",
    classes=("MambaForCausalLM", "MambaModel"),
    prefix="backbone.",
    keys=_mamba_keys,
    network=_mamba,
    body=_body,
    head=matrix_head,
    mixer="mamba",
)
MAMBA2 = Format(
    name="mamba2",
    classes=("Mamba2ForCausalLM", "Mamba2Model"),
    prefix="backbone.",
    keys=_mamba2_keys,
    network=_mamba2,
    body=_body,
    head=matrix_head,
    mixer="mamba2",
)
