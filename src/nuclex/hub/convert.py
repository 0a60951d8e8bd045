"""Models of ``transformers`` as models of nuclex, and back: the same weights, the same function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nuclex.bundle.roberta import backbone_of, from_roberta, is_roberta, roberta_keys, to_roberta
from nuclex.bundle.weights import filled, skeleton, unshared
from nuclex.core.errors import InputError, OutsideError, one_line
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from transformers import RobertaForMaskedLM

TIED = ("lm_head.decoder.weight", "lm_head.decoder.bias")


def roberta_from_transformers(model: RobertaForMaskedLM, *, mask_id: int) -> LanguageModel:
    """The same RoBERTa as a model of nuclex, in float32 and evaluation mode; the weights are copied.

    ``mask_id`` is the id of the mask token, which a RoBERTa does not know itself. InputError for a variant of RoBERTa
    that nuclex does not compute (another activation, a decoder).
    """
    keys = model.config.to_dict()
    config, origin = backbone_of(keys), Path(model.config.name_or_path or "RobertaForMaskedLM")
    tensors = {name: value.detach().float() for name, value in model.state_dict().items()}
    if config.tied:
        tensors = {name: value for name, value in tensors.items() if name not in TIED}
    else:
        tensors["lm_head.bias"] = tensors["lm_head.decoder.bias"]  # transformers adds only the latter, where not tied
    native = from_roberta(tensors, config, origin)
    bare = skeleton(config, vocabulary_size=keys["vocab_size"], pad_id=keys["pad_token_id"], mask_id=mask_id)
    return filled(bare, native, origin)


def roberta_to_transformers(model: LanguageModel) -> RobertaForMaskedLM:
    """The same network as a ``RobertaForMaskedLM`` in evaluation mode; the weights are copied.

    InputError if it is not RoBERTa, which a preset ``roberta`` is whose ``position_offset`` is the padding id + 1.
    """
    from transformers import RobertaConfig, RobertaForMaskedLM

    if not is_roberta(model.config, model.pad_id):
        raise InputError(
            f"export: the network is not RoBERTa: its config differs from that of the preset 'roberta' with "
            f"position_offset {model.pad_id + 1} (the padding id + 1)"
        )
    with torch.random.fork_rng(devices=[]):  # it draws weights first, which are then replaced
        made = RobertaForMaskedLM(RobertaConfig(**roberta_keys(model)))
    tensors = to_roberta({name: value.cpu() for name, value in unshared(model).items()}, model.config)
    if model.config.tied:
        tensors |= {TIED[0]: tensors["roberta.embeddings.word_embeddings.weight"], TIED[1]: tensors["lm_head.bias"]}
    made.load_state_dict(tensors, strict=True)
    return made.eval()


def import_roberta(path_or_id: str | Path, *, tokenizer: Tokenizer | None = None) -> LanguageModel:
    """Read a RoBERTa from a folder or from the Hugging Face hub, which is asked only when this is called.

    ``tokenizer`` is the one of nuclex to be used with it; without it the mask token is that of the tokenizer found
    beside the model. InputError if tokenizer and model disagree: a RoBERTa whose config names another padding token
    than its tokenizer counts positions wrongly, and nuclex does not repeat that. OutsideError if it cannot be fetched.
    Code that comes with a model is never run, and pickled weights are read as tensors or not at all.
    """
    model, loading, foreign = _foreign(path_or_id, with_tokenizer=tokenizer is None)
    if missing := sorted(loading["missing_keys"]):
        raise InputError(f"{path_or_id}: lacks the weight {missing[0]!r}, which would stay random; not a whole RoBERTa")
    pad_id, mask_id = (
        (tokenizer.pad_id, tokenizer.mask_id)
        if tokenizer is not None
        else (foreign.pad_token_id, foreign.mask_token_id)
    )
    if pad_id is None or mask_id is None:
        raise InputError(f"{path_or_id}: its tokenizer has no padding or no mask token; both are needed")
    if pad_id != model.config.pad_token_id:
        raise InputError(
            f"{path_or_id}: the padding id is {pad_id} in the tokenizer, {model.config.pad_token_id} in the model"
        )
    if tokenizer is not None and len(tokenizer) != model.config.vocab_size:
        raise InputError(f"{path_or_id}: has {model.config.vocab_size} tokens, the tokenizer given {len(tokenizer)}")
    return roberta_from_transformers(model, mask_id=mask_id)


def _foreign(path_or_id: str | Path, *, with_tokenizer: bool) -> tuple[Any, dict[str, Any], Any]:
    """The model, what ``transformers`` says of its loading, and the tokenizer beside it if that is wanted."""
    from transformers import AutoTokenizer, RobertaForMaskedLM

    kind = InputError if Path(path_or_id).is_dir() else OutsideError
    foreign: Any = None
    try:
        loaded: Any = RobertaForMaskedLM.from_pretrained(
            path_or_id, output_loading_info=True, trust_remote_code=False, weights_only=True
        )
        if with_tokenizer:
            foreign = AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # a foreign file can bring any error to light, and which one is up to its maker
        raise kind(f"{path_or_id}: cannot be read by transformers: {_reason(error)}") from None
    return loaded[0], loaded[1], foreign


def _reason(error: Exception) -> str:
    """What is wrong with a foreign model; the libraries' own words advise to let its code run."""
    text = str(error)
    if "trust_remote_code" in text:
        return "it brings code of its own to be run, which nuclex never does"
    if "weights_only" in text:
        return "its weights are a pickle of more than tensors, which could run code; ask its makers for safetensors"
    return one_line(text) or type(error).__name__
