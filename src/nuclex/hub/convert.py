"""Models of ``transformers`` as models of nuclex, and back: the same weights, the same function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nuclex.bundle.architecture import foreign_keys
from nuclex.bundle.foreign import Format, Weight, and_more, from_foreign, to_foreign
from nuclex.bundle.formats import FORMATS, format_of
from nuclex.bundle.standard import standard
from nuclex.bundle.weights import filled, skeleton, unshared
from nuclex.core.errors import CorruptError, InputError, OutsideError, one_line
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_ROWS = 4096
"""The largest multiple that a config can round its vocabulary up to."""


def from_transformers(model: PreTrainedModel, *, mask_id: int, pad_id: int | None = None) -> LanguageModel:
    """The same RoBERTa, BERT, GPT-2, Mamba or Mamba-2 as a model of nuclex, in float32 and evaluation mode.

    The weights are copied. ``mask_id`` and ``pad_id`` are the ids of the mask and padding tokens, of which a model
    knows at most the latter itself. InputError for a variant that nuclex does not compute (another activation, a
    decoder of an encoder), another class, or a padding id that the model counts its positions otherwise from.
    """
    form = _form(model.config.model_type)
    if type(model).__name__ not in form.classes:
        raise InputError(f"{type(model).__name__}: cannot be read; nuclex reads {' and '.join(form.classes)}")
    origin = Path(model.config.name_or_path or type(model).__name__)
    keys = model.config.to_dict()
    own_pad = keys.get("pad_token_id")
    pad_id = own_pad if pad_id is None else pad_id
    if pad_id is None:
        raise InputError(f"{origin}: its config names no padding token; give pad_id")
    try:
        config = form.network(keys)
        if type(model).__name__ == form.classes[1]:
            config = config.model_copy(update={"head": "none"})
        if form.misfit(config, pad_id):
            raise InputError(f"{origin}: the padding id is {pad_id} in the tokenizer, {own_pad} in the model")
        weights = form.weights(config)
        tensors = {name: value.detach().float() for name, value in model.named_parameters()}
        tensors = {name: value for name, value in tensors.items() if not name.startswith(form.more)}
        for unused, used in _twins(weights):
            tensors[unused] = tensors[used]
        native = from_foreign(tensors, weights, origin)
        bare = skeleton(config, vocabulary_size=keys["vocab_size"], pad_id=pad_id, mask_id=mask_id)
        return filled(bare, native, origin)
    except (KeyError, ValueError, CorruptError) as error:
        raise InputError(f"{origin}: is not a whole {form.name}: {one_line(str(error))}") from None


def to_transformers(model: LanguageModel) -> PreTrainedModel:
    """The same network as a model of ``transformers`` in evaluation mode; the weights are copied.

    A network of μP becomes one in standard parametrisation (``bundle/standard``). InputError where ``transformers`` has
    no network that computes exactly the same.
    """
    import transformers

    model = standard(model)
    form = format_of(model)
    if form is None:
        reasons = "; ".join(f"{form.name}: {form.misfit(model.config, model.pad_id)}" for form in FORMATS.values())
        raise InputError(f"export: transformers has no such network ({reasons})")
    cls = getattr(transformers, form.class_of(model.config))
    with torch.random.fork_rng(devices=[]):  # it draws weights first, which are then replaced
        made = cls(cls.config_class(**foreign_keys(model, form)), **_headless(form, model.head is None))
    tensors = to_foreign(unshared(model), form.weights(model.config))
    wanted = dict(made.named_parameters())
    assert wanted.keys() == tensors.keys(), f"{sorted(wanted.keys() ^ tensors.keys())}"
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])
    return made.eval()


def import_transformers(path_or_id: str | Path, *, tokenizer: Tokenizer | None = None) -> LanguageModel:
    """Read a RoBERTa, BERT, GPT-2, Mamba or Mamba-2 from a folder, or from the Hugging Face hub if it is an id there.

    The hub is asked only when this is called. ``tokenizer`` is the one of nuclex to be used with it; without it the
    mask token is that of the tokenizer found beside the model. InputError if a weight is missing or left over, or if
    tokenizer and model disagree: a RoBERTa whose config names another padding token than its tokenizer counts
    positions wrongly, and nuclex does not repeat that. OutsideError if it cannot be fetched. Code that comes with a
    model is never run, and pickled weights are read as tensors or not at all.
    """
    model, foreign = _foreign(path_or_id, with_tokenizer=tokenizer is None)
    pad_id, mask_id = (
        (tokenizer.pad_id, tokenizer.mask_id)
        if tokenizer is not None
        else (foreign.pad_token_id, foreign.mask_token_id)
    )
    if pad_id is None or mask_id is None:
        raise InputError(f"{path_or_id}: its tokenizer has no padding or no mask token; both are needed")
    rows = model.config.vocab_size
    multiple = None if tokenizer is None else row_multiple(len(tokenizer), rows)
    if tokenizer is not None and multiple is None:
        raise InputError(f"{path_or_id}: has {rows} tokens, the tokenizer given {len(tokenizer)}")
    made = from_transformers(model, mask_id=mask_id, pad_id=pad_id)
    made.config = made.config.model_copy(update={"vocabulary_multiple": multiple or 1})
    return made


def row_multiple(tokens: int, rows: int) -> int | None:
    """The smallest number to a multiple of which so many tokens are rounded up to so many rows, if there is one.

    >>> row_multiple(70, 72), row_multiple(70, 70), row_multiple(70, 69)
    (3, 1, None)
    """
    return next((by for by in range(1, MOST_ROWS + 1) if -(-tokens // by) * by == rows), None)


def _form(name: str) -> Format:
    if name not in FORMATS:
        raise InputError(f"config.json: model_type: found {name!r}; nuclex reads {', '.join(FORMATS)}")
    return FORMATS[name]


def _headless(form: Format, needed: bool) -> dict[str, Any]:
    return dict(form.headless) if needed else {}


def _twins(weights: list[Weight]) -> Iterator[tuple[str, str]]:
    """Pairs of names of one weight that is kept twice, the one that is used last."""
    first: dict[str, str] = {}
    for weight in weights:
        if weight.native in first:
            yield first[weight.native], weight.foreign[0]
        first[weight.native] = weight.foreign[0]


def _foreign(path_or_id: str | Path, *, with_tokenizer: bool) -> tuple[Any, Any]:
    """The model and, if wanted, the tokenizer beside it; InputError unless its weights are whole."""
    import transformers

    foreign: Any = None
    try:
        config = transformers.AutoConfig.from_pretrained(path_or_id, trust_remote_code=False)
        form = _form(config.model_type)
        headless = (config.architectures or [""])[0] == form.classes[1]
        cls = getattr(transformers, form.classes[headless])
        loaded: Any = cls.from_pretrained(
            path_or_id,
            output_loading_info=True,
            trust_remote_code=False,
            weights_only=True,
            **_headless(form, headless),
        )
        if with_tokenizer:
            foreign = transformers.AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
    except (MemoryError, InputError):
        raise
    except Exception as error:  # a foreign file can bring any error to light, and which one is up to its maker
        raise failure(path_or_id, error) from None
    if missing := sorted(loaded[1]["missing_keys"]):
        raise InputError(f"{path_or_id}: lacks the weight {and_more(missing)}; it would stay random: not a whole model")
    if extra := sorted(name for name in loaded[1]["unexpected_keys"] if not name.startswith(form.more)):
        raise InputError(f"{path_or_id}: holds the weight {and_more(extra)}, which {cls.__name__} does not have")
    return loaded[0], foreign


def failure(path_or_id: str | Path, error: Exception) -> InputError | OutsideError:
    """What to say where ``transformers`` could not read a folder, or not fetch what is no folder."""
    kind = InputError if Path(path_or_id).is_dir() else OutsideError
    return kind(f"{path_or_id}: cannot be read by transformers: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What is wrong with a foreign model; the libraries' own words advise to let its code run."""
    text = str(error)
    if "trust_remote_code" in text:
        return "it brings code of its own to be run, which nuclex never does"
    if "weights_only" in text:
        return "its weights are a pickle of more than tensors, which could run code; ask its makers for safetensors"
    return one_line(text) or type(error).__name__
