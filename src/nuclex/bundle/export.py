"""A bundle for other programs: Hugging Face's formats, RiNALMo's own, multimolecule's, ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from nuclex.bundle.architecture import CONFIG_FILE, foreign_keys
from nuclex.bundle.foreign import to_foreign
from nuclex.bundle.formats import FORMATS
from nuclex.bundle.graph import GRAPH_FILE, write_graph
from nuclex.bundle.load import Bundle, load
from nuclex.bundle.multimolecule import (
    MULTIMOLECULE,
    USUAL_PAIR_HEAD,
    config_of,
    pair_head_weights,
    their_rows,
    tokenizer_files,
)
from nuclex.bundle.rinalmo import RINALMO, ROWS, Released, write_released
from nuclex.bundle.standard import standard
from nuclex.bundle.weights import copy_on_cpu, unshared
from nuclex.bundle.write import WEIGHTS_FILE, write_weights
from nuclex.core.artifact import atomic_folder, write_json
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.models.heads import HEADS, ClassHeadConfig, HeadConfig
from nuclex.models.padded import unpaddable
from nuclex.tokenizers.base import save_tokenizer

ForeignFormat = Literal["roberta", "bert", "gpt2", "mamba", "mamba2", "rinalmo", "multimolecule", "onnx"]
RELEASED_FILE = "rinalmo.pt"


def export(bundle: Bundle | str | Path, *, format: ForeignFormat, out: str | Path) -> dict[str, Any]:
    """Write a bundle's model into the new folder ``out`` as another program reads it, the same numbers coming out.

    ``roberta``, ``bert``, ``gpt2``, ``mamba``, ``mamba2``: a folder for ``transformers`` (config.json,
    model.safetensors, tokenizer). ``rinalmo``: ``rinalmo.pt`` for RiNALMo's own code, with a fine-tuned head and its
    threshold. ``multimolecule``: a folder for that library, with its 28 tokens. ``onnx``: ``model.onnx`` for
    onnxruntime, compared with nuclex, and the tokenizer. Elsewhere a fine-tuned head is left out, which is said.
    A network of μP is written in standard parametrisation. InputError, and nothing is written, where the format has no
    such network.
    """
    if format not in get_args(ForeignFormat):
        raise InputError(f"format: found {format!r}; allowed: {', '.join(get_args(ForeignFormat))}")
    opened, target = bundle if isinstance(bundle, Bundle) else load(bundle), Path(out)
    opened = replace(opened, model=standard(copy_on_cpu(opened.model)))
    if problem := misfit(opened, format):
        fitting = [name for name in get_args(ForeignFormat) if misfit(opened, name) is None]
        instead = f"it fits {', '.join(fitting)}" if fitting else "it fits no format but its own, which it is in"
        raise InputError(f"{opened.path}: cannot be written as {format}: {problem}; {instead}")
    with atomic_folder(target) as temporary:
        facts = _WRITERS.get(format, _write_transformers)(temporary, opened, format)
        files = sorted(path.name for path in temporary.iterdir())
    if facts.get("head") is None and opened.task is not None:
        say(
            f"{target}: the fine-tuned head for {opened.task.config.get('name')} is left out; {format} does not have it"
        )
    return {"out": str(target), "format": format, "files": files, **facts}


def misfit(bundle: Bundle, format: ForeignFormat) -> str | None:
    """Why a format does not have this bundle's network, in a few words; None where it has it."""
    model = bundle.model
    if format == "onnx":
        return unpaddable(model.config)
    if format in FORMATS:
        return FORMATS[format].misfit(model.config, model.pad_id)
    form = RINALMO if format == "rinalmo" else MULTIMOLECULE
    if problem := form.misfit(model.config, model.pad_id):
        return problem
    if bundle.tokenizer.config.kind != "nucleotide" or model.vocabulary_size != ROWS:
        kind, size = bundle.tokenizer.config.kind, model.vocabulary_size
        return f"its tokens are {kind!r} and its rows {size}, where only RiNALMo's {ROWS} nucleotides fit"
    head = _head(bundle)
    if format == "rinalmo" and isinstance(head, ClassHeadConfig) and head.pooling != "cls":
        return f"its head pools by {head.pooling!r}, where only 'cls' fits"
    return None


def _head(bundle: Bundle) -> HeadConfig | None:
    return HEADS.parse(bundle.task.config["head"]) if bundle.task is not None else None


def _write_transformers(folder: Path, bundle: Bundle, format: str) -> dict[str, Any]:
    model, tokenizer, form = bundle.model, bundle.tokenizer, FORMATS[format]
    ends = {"bos_token_id": tokenizer.cls_id, "eos_token_id": tokenizer.eos_id, "dtype": "float32"}
    write_json(folder / CONFIG_FILE, {**foreign_keys(model, form), **ends})
    write_weights(folder / WEIGHTS_FILE, to_foreign(unshared(model), form.weights(model.config)))
    save_tokenizer(tokenizer, folder, max_length=model.config.longest)
    return {"class": form.class_of(model.config)}


def _write_rinalmo(folder: Path, bundle: Bundle, format: str) -> dict[str, Any]:
    model, head, task = bundle.model, _head(bundle), bundle.task
    released = Released(model.config, unshared(model))
    if head is not None and task is not None:
        weights = {name: value.cpu() for name, value in task.weights.items()}
        threshold = task.config.get("settings", {}).get("threshold")
        released = Released(
            model.config, released.network, head, weights, max(len(task.config.get("classes", [])), 1), threshold
        )
    write_released(folder / RELEASED_FILE, released)
    return {"class": "RiNALMo", "head": head.kind if head is not None else None}


def _write_multimolecule(folder: Path, bundle: Bundle, format: str) -> dict[str, Any]:
    model, task = bundle.model, bundle.task
    pairs = _head(bundle) == USUAL_PAIR_HEAD and model.head is not None
    tensors = to_foreign(their_rows(unshared(model)), MULTIMOLECULE.weights(model.config))
    if pairs and task is not None:
        weights = {name: value.cpu() for name, value in task.weights.items()}
        tensors |= to_foreign(weights, pair_head_weights(USUAL_PAIR_HEAD.blocks))
        say("multimolecule keeps no threshold: the one that was tuned on validation is left out")
    config = config_of(foreign_keys(model, MULTIMOLECULE), pair_head=pairs)
    write_json(folder / CONFIG_FILE, config)
    write_weights(folder / WEIGHTS_FILE, tensors)
    vocabulary, tokenizer_config = tokenizer_files()
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    return {"class": config["architectures"][0], "head": "pair" if pairs else None}


def _write_onnx(folder: Path, bundle: Bundle, format: str) -> dict[str, Any]:
    difference = write_graph(folder, bundle.model, bundle.tokenizer)
    save_tokenizer(bundle.tokenizer, folder, max_length=bundle.model.config.longest)
    return {"class": GRAPH_FILE, "largest_difference": difference}


_WRITERS: dict[str, Callable[[Path, Bundle, str], dict[str, Any]]] = {
    "rinalmo": _write_rinalmo,
    "multimolecule": _write_multimolecule,
    "onnx": _write_onnx,
}
