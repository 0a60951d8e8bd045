"""The networks of nuclex as ``transformers`` models: padded (B, L) batches in, padded (B, L, ...) batches out.

Importing this module registers them, so that AutoModel opens every bundle, and AutoModelForMaskedLM or
AutoModelForCausalLM every one with a language head. It is the one module that imports ``transformers`` at its top: its
classes are made of it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (  # noqa: TID253
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput, MaskedLMOutput  # noqa: TID253

from nuclex.core.errors import CorruptError, InputError
from nuclex.models.backbone import BackboneConfig, LanguageModel
from nuclex.models.layout import Layout

IGNORED_LABEL = -100
"""What ``transformers`` writes where a position has no label."""


class NuclexConfig(PreTrainedConfig):
    """The ``config.json`` of a bundle; the key ``nuclex`` holds the whole description of the network."""

    model_type = "nuclex"

    vocab_size: int = 22
    hidden_size: int = 320
    num_hidden_layers: int = 6
    num_attention_heads: int = 20
    intermediate_size: int = 853
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | None = 2
    tie_word_embeddings: bool = False
    nuclex: dict[str, Any] | None = None


class _NuclexPreTrained(PreTrainedModel):
    """What all models share: the network, and that no weight of it may stay unread."""

    config_class = NuclexConfig
    _tied_weights_keys = {"nuclex.head.decoder.weight": "nuclex.embedding.tokens.weight"}  # noqa: RUF012
    _no_split_modules = ["Block"]  # noqa: RUF012

    def __init__(self, config: NuclexConfig) -> None:
        super().__init__(config)
        if config.nuclex is None or config.pad_token_id is None:
            raise InputError(
                "config.json: has no key 'nuclex' or no pad_token_id; a bundle that nuclex wrote is needed"
            )
        self.nuclex = LanguageModel(
            BackboneConfig.from_data(config.nuclex["backbone"]),
            vocabulary_size=config.vocab_size,
            pad_id=config.pad_token_id,
            mask_id=int(config.nuclex["mask_token_id"]),
        )
        self._to_be_read = next(self.nuclex.parameters()).is_meta
        self._refuse_other_purpose()
        self.post_init()

    def _refuse_other_purpose(self) -> None:
        """InputError for a network that this class does not stand for."""

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of the tokens."""
        return self.nuclex.embedding.tokens

    def get_output_embeddings(self) -> nn.Module | None:
        """The last layer of the language head, if there is one."""
        return None if self.nuclex.head is None else self.nuclex.head.decoder

    def _init_weights(self, module: nn.Module) -> None:
        """Called for what was not read from a file: fine for a new model, which initialised itself, else refused."""
        unread = [p for p in module.parameters(recurse=False) if not getattr(p, "_is_hf_initialized", False)]
        if self._to_be_read and unread:
            name = next(name for name, part in self.named_modules() if part is module)
            raise CorruptError(f"{self.config.name_or_path}: lacks a weight of {name!r}; it would stay random")


class NuclexModel(_NuclexPreTrained):
    """Hidden vectors of a network of nuclex; opened by ``AutoModel.from_pretrained`` after ``import nuclex.hub``."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """(B, L) ids to (B, L, D); ``hidden_states``: the embedding's and each block's, the last one after its norm."""
        read_BL = _read(input_ids, attention_mask, self.nuclex.pad_id)
        layers = _layers(self.nuclex, input_ids, read_BL)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = BaseModelOutput(last_hidden_state=layers[-1], hidden_states=layers if wanted else None)
        return output if _as_dict(self.config, return_dict) else output.to_tuple()


class NuclexForMaskedLM(_NuclexPreTrained):
    """Scores over the vocabulary at every position; opened by ``AutoModelForMaskedLM`` after ``import nuclex.hub``."""

    def _refuse_other_purpose(self) -> None:
        _refuse_other_head(self.nuclex, causal=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """(B, L) ids to (B, L, V) logits, 0 at padding; the loss is the mean over the labels that are not -100."""
        logits_BLV, layers = _scored(self.nuclex, input_ids, attention_mask)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        loss = None if labels is None else _cross_entropy(logits_BLV, labels)
        output = MaskedLMOutput(loss=loss, logits=logits_BLV, hidden_states=layers if wanted else None)
        return output if _as_dict(self.config, return_dict) else output.to_tuple()


class NuclexForCausalLM(_NuclexPreTrained, GenerationMixin):
    """Scores of the next token at every position; opened by ``AutoModelForCausalLM`` after ``import nuclex.hub``.

    ``generate`` reads the whole sequence for every token; ``nuclex generate`` remembers what it has read.
    """

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **not_used: Any
    ) -> dict[str, Any]:
        """What ``generate`` gives to ``forward`` for the next token: all tokens so far."""
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def _refuse_other_purpose(self) -> None:
        _refuse_other_head(self.nuclex, causal=True)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> CausalLMOutput | tuple[Any, ...]:
        """(B, L) ids to (B, L, V) logits, 0 at padding; each position is held against the label of the next one."""
        logits_BLV, layers = _scored(self.nuclex, input_ids, attention_mask)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        loss = None if labels is None else _cross_entropy(logits_BLV[:, :-1], labels[:, 1:])
        output = CausalLMOutput(loss=loss, logits=logits_BLV, hidden_states=layers if wanted else None)
        return output if _as_dict(self.config, return_dict) else output.to_tuple()


def _refuse_other_head(network: LanguageModel, *, causal: bool) -> None:
    if network.head is None:
        raise InputError("config.json: this network is an encoder without a language head; AutoModel opens it")
    if network.config.causal != causal:
        fitting = "AutoModelForCausalLM" if network.config.causal else "AutoModelForMaskedLM"
        raise InputError(f"config.json: nuclex.backbone.causal: found {network.config.causal}; {fitting} opens it")


def _scored(
    network: LanguageModel, input_ids: Tensor, attention_mask: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits (B, L, V), 0 at padding, and the hidden vectors of all layers."""
    read_BL = _read(input_ids, attention_mask, network.pad_id)
    layers = _layers(network, input_ids, read_BL)
    return _padded(network.scores(layers[-1][read_BL]), read_BL), layers


def _cross_entropy(logits_BLV: Tensor, labels_BL: Tensor) -> Tensor:
    return F.cross_entropy(logits_BLV.flatten(0, 1), labels_BL.flatten(), ignore_index=IGNORED_LABEL)


def _as_dict(config: PreTrainedConfig, return_dict: bool | None) -> bool:
    return bool(config.return_dict if return_dict is None else return_dict)


def _read(input_ids: Tensor, attention_mask: Tensor | None, pad_id: int) -> Tensor:
    """(B, L) bool: the tokens that are read; without a mask all but the padding."""
    return input_ids != pad_id if attention_mask is None else attention_mask.bool()


def _layers(network: LanguageModel, input_ids: Tensor, read_BL: Tensor) -> tuple[Tensor, ...]:
    """Hidden vectors (B, L, D) after the embedding and after each block, the last one after the final norm."""
    layout = Layout.of([count for count in read_BL.sum(1).tolist() if count], input_ids.device)
    if not layout.lengths:
        raise InputError("input_ids: no token to read; the attention mask is 0 everywhere")
    kept: list[Tensor] = []
    parts = [network.embedding, *network.blocks]
    hooks = [part.register_forward_hook(lambda _module, _inputs, output: kept.append(output)) for part in parts]
    try:
        last_TD = network.encode(input_ids[read_BL], layout)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(_padded(hidden_TD, read_BL) for hidden_TD in [*kept[:-1], last_TD])


def _padded(values_TC: Tensor, read_BL: Tensor) -> Tensor:
    """Put packed values back into their places; 0 elsewhere."""
    padded_BLC = values_TC.new_zeros(*read_BL.shape, values_TC.shape[-1])
    return padded_BLC.masked_scatter(read_BL[..., None], values_TC)


def _register() -> None:
    AutoConfig.register(NuclexConfig.model_type, NuclexConfig, exist_ok=True)
    AutoModel.register(NuclexConfig, NuclexModel, exist_ok=True)
    AutoModelForMaskedLM.register(NuclexConfig, NuclexForMaskedLM, exist_ok=True)
    AutoModelForCausalLM.register(NuclexConfig, NuclexForCausalLM, exist_ok=True)


_register()
