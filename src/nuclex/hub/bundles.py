"""Models of other programs as bundles of nuclex: Hugging Face's, RiNALMo's released files, multimolecule's folders."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from nuclex.bundle import Bundle, Record, TaskPart, load, write_bundle
from nuclex.bundle.foreign import from_foreign
from nuclex.bundle.multimolecule import (
    DROPPED,
    MULTIMOLECULE,
    PAIR_HEAD,
    VOCABULARY,
    own_rows,
    pair_head_weights,
    with_both_biases,
)
from nuclex.bundle.rinalmo import HEADS, ROWS, read_released
from nuclex.bundle.weights import filled, read_weights, refuse_unfit, skeleton, unshared
from nuclex.core.artifact import sha256_file
from nuclex.core.errors import CorruptError, InputError, OutsideError, one_line
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.hub.convert import failure, import_transformers
from nuclex.models.architecture import BackboneConfig
from nuclex.models.backbone import LanguageModel
from nuclex.models.heads import HeadConfig, PairHeadConfig
from nuclex.tasks import Shape
from nuclex.tokenizers import NucleotideConfig, Tokenizer, load_tokenizer
from nuclex.tokenizers.base import CONFIG_FILE as TOKENIZER_CONFIG_FILE
from nuclex.training.pairs import DecodingConfig

WEIGHT_SUFFIXES = (".bin", ".pt", ".pth", ".safetensors")
READ = ("*.json", "*.txt", "*.model", "README.md")
"""What is fetched of a model on the hub beside its weights: no code."""
USUAL_THRESHOLD = 0.5
"""Of multimolecule's folding, which keeps none."""


@dataclass(frozen=True, eq=False)
class _Found:
    """What was read, and what a person must know about it."""

    model: LanguageModel
    tokenizer: Tokenizer
    notes: tuple[str, ...]
    task: TaskPart | None = None


def import_bundle(
    source: str | Path,
    out: str | Path,
    *,
    tokenizer: Tokenizer | None = None,
    heads: int = HEADS,
    classes: Sequence[str] = (),
    licence: str | None = None,
) -> Bundle:
    """Read a model of another program and write it as the bundle ``out``, which is returned.

    ``source`` is one of RiNALMo's ``.pt`` files (pre-trained, or fine-tuned for structures or classes: ``classes``
    names them in their order, since the file does not; ``heads`` is the number of attention heads, which no weight
    tells), or a folder, or an id on the Hugging Face hub, which ``@`` and a commit, branch or tag may follow (without
    one the newest commit is taken, said and recorded): multimolecule's RiNALMo, or a RoBERTa, BERT, GPT-2, Mamba or
    Mamba-2. These need ``tokenizer``, the one of nuclex that reads as theirs does, unless nuclex wrote the one beside
    them; RiNALMo's is known. InputError for weights that are missing or left over and for variants that nuclex does
    not compute, OutsideError for what cannot be fetched. Nothing is left random, nothing in a file is executed. Without
    ``licence`` it is the one that the card beside the weights names, if there is one.
    """
    _refuse_absent(source)
    path, called = _brought(source)
    try:
        found = _of_rinalmo(path, heads, classes) if path.is_file() else _of_folder(path, tokenizer)
    except (CorruptError, InputError) as error:  # nuclex did not write it, and the cache's path says nothing
        raise InputError(str(error).replace(str(path), called)) from None
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in WEIGHT_SUFFIXES)
    sums = {file.name: sha256_file(file) for file in files}
    facts = provenance(imported_from=called, sha256=sums)
    notes = tuple(note.replace(str(path), called) for note in found.notes)
    if licence is None and not path.is_file() and (licence := _licence(path)) is not None:
        notes += (f"The licence of the weights, {licence}, is the one that the card beside them names.",)
    name = path.stem if path == Path(source) else Path(called.partition("@")[0]).name
    record = Record({}, facts, {}, None, name, licence, notes)
    write_bundle(out, found.model, found.tokenizer, record, task=found.task)
    return load(out)


def _brought(source: str | Path) -> tuple[Path, str]:
    """A path of this machine, and what it is called: of an id on the hub the files in its cache, and ``id@commit``."""
    if isinstance(source, Path) or os.path.exists(source):
        return Path(source), str(source)
    from huggingface_hub import snapshot_download

    name, at, asked = source.partition("@")
    if at and not asked:
        raise InputError(f"{source}: a commit, branch or tag is needed behind @")
    try:
        for weights in ("*.safetensors", "*.bin"):  # pickles only of who has nothing else
            folder = Path(
                snapshot_download(
                    name, revision=asked or None, allow_patterns=[*READ, weights], ignore_patterns=["*/*"]
                )
            )
            if any(folder.glob(weights)):
                break
    except Exception as error:  # the network can fail in any way
        raise OutsideError(f"{source}: cannot be fetched: {one_line(str(error))}") from None
    if asked != folder.name:
        say(f"{name}: {asked or 'main'} is commit {folder.name}; {name}@{folder.name} gives the same again")
    return folder, f"{name}@{folder.name}"


def _refuse_absent(source: str | Path) -> None:
    """InputError for what is a path by its looks, not an id of the hub, and leads nowhere."""
    looks = isinstance(source, Path) or source.startswith((".", "/")) or source.count("/") > 1
    if (looks or Path(source).suffix in WEIGHT_SUFFIXES) and not Path(source).exists():
        raise InputError(f"{source}: no such file or folder")


def _of_folder(source: Path, tokenizer: Tokenizer | None) -> _Found:
    keys = _config(source)
    if keys.get("model_type") == MULTIMOLECULE.name:
        return _of_multimolecule(source, keys)
    return _of_transformers(source, tokenizer)


def _of_rinalmo(path: Path, heads: int, classes: Sequence[str]) -> _Found:
    released = read_released(path, heads=heads)
    tokenizer = NucleotideConfig().build()
    model = _filled(released.config, released.network, tokenizer, path)
    notes: tuple[str, ...] = (f"Imported from RiNALMo's file {path.name}.",)
    if released.head is None or released.head_weights is None:
        return _Found(model, tokenizer, notes)
    if isinstance(released.head, PairHeadConfig):
        assert released.threshold is not None
        task = _pairs(released.head, released.head_weights, released.threshold, model)
        return _Found(model, tokenizer, notes, task)
    names = list(classes) or [str(number) for number in range(released.outputs)]
    if len(names) != released.outputs or len(set(names)) != len(names):
        raise InputError(f"classes: found {len(set(names))} names; {path} has {released.outputs} classes")
    if not classes:
        notes += ("The file does not name its classes; they have numbers here.",)
    config = {"name": "classes", "shape": str(Shape.CLASS), "classes": names, "settings": {}}
    return _Found(model, tokenizer, notes, _part(config, released.head, released.head_weights, model))


def _of_multimolecule(source: Path, keys: dict[str, Any]) -> _Found:
    vocabulary = _file(source, "vocab.txt")
    if vocabulary is not None and tuple(vocabulary.read_text(encoding="utf-8").split()) != VOCABULARY:
        raise InputError(f"{source}: vocab.txt is not multimolecule's RNA alphabet of {len(VOCABULARY)} tokens")
    weights = _file(source, "model.safetensors")
    if weights is None:
        raise InputError(f"{source}: has no model.safetensors; weights in pickles or in several files are not read")
    tokenizer = NucleotideConfig(alphabet="rna").build()
    try:
        config, head, rest = MULTIMOLECULE.network(keys), None, read_weights(weights)
        tensors = {name: value.float() for name, value in rest.items() if not name.startswith(MULTIMOLECULE.more)}
        of_head = {name: tensors.pop(name) for name in list(tensors) if name.startswith(PAIR_HEAD)}
        if MULTIMOLECULE.class_of(config.model_copy(update={"head": "none"})) in (keys.get("architectures") or []):
            config = config.model_copy(update={"head": "none"})
        native = own_rows(from_foreign(with_both_biases(tensors), MULTIMOLECULE.weights(config), source))
        if of_head:
            blocks = len({name.split(".")[3] for name in of_head if ".convnet.layers." in name})
            of_head = from_foreign(of_head, pair_head_weights(blocks), source)
            channels, kernel = of_head["decoder.weight"].shape[1:3]
            head = PairHeadConfig(channels=channels, blocks=blocks, kernel=kernel)
        model = _filled(config, native, tokenizer, source)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise InputError(f"{source}: is not a whole RiNALMo of multimolecule: {one_line(str(error))}") from None
    left = ", ".join(repr(token) for token in DROPPED)
    notes: tuple[str, ...] = (f"Imported from multimolecule's {source}; its tokens {left} are left out.",)
    if head is None:
        return _Found(model, tokenizer, notes)
    notes += (f"Its threshold is multimolecule's {USUAL_THRESHOLD}, not one that was tuned.",)
    return _Found(model, tokenizer, notes, _pairs(head, of_head, USUAL_THRESHOLD, model))


def _of_transformers(source: Path, tokenizer: Tokenizer | None) -> _Found:
    if tokenizer is None:
        if not (source / TOKENIZER_CONFIG_FILE).is_file():
            raise InputError(f"{source}: has no tokenizer of nuclex beside it; give the one that reads as its own does")
        tokenizer = load_tokenizer(source)
    return _Found(import_transformers(source, tokenizer=tokenizer), tokenizer, (f"Imported from {source}.",))


def _filled(config: BackboneConfig, tensors: dict[str, Tensor], tokenizer: Tokenizer, origin: Path) -> LanguageModel:
    bare = skeleton(config, vocabulary_size=ROWS, pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id)
    return filled(bare, tensors, origin)


def _pairs(head: PairHeadConfig, weights: dict[str, Tensor], threshold: float, model: LanguageModel) -> TaskPart:
    settings = {"threshold": threshold, "decoding": DecodingConfig(tune="relaxed").to_data()}
    config = {"name": "secondary structure", "shape": str(Shape.PAIR_MAP), "classes": [], "settings": settings}
    return _part(config, head, weights, model)


def _part(config: dict[str, Any], head: HeadConfig, weights: dict[str, Tensor], model: LanguageModel) -> TaskPart:
    """The head as a bundle keeps it; CorruptError unless the weights are those of such a head on such a network."""
    with torch.device("meta"):
        built = head.build(model.config.width, max(len(config["classes"]), 1))
    refuse_unfit(unshared(built), weights, Path(config["name"]))
    return TaskPart({**config, "head": head.to_data(), "digest": None}, weights)


def _config(source: Path) -> dict[str, Any]:
    from transformers import PreTrainedConfig

    try:
        keys = dict(PreTrainedConfig.get_config_dict(source)[0])
    except Exception as error:  # a foreign file can bring any error to light
        raise failure(source, error) from None
    if not keys:
        raise InputError(f"{source}: has no config.json; a model's folder or one of RiNALMo's .pt files is needed")
    return keys


def _licence(source: Path) -> str | None:
    """The licence that the front matter of a model's card names, by its own name where the hub has none for it."""
    card = _file(source, "README.md")
    text = "" if card is None else card.read_text(encoding="utf-8", errors="replace")
    head = re.match(r"---\n(.*?)\n---", text.replace("\r\n", "\n"), re.DOTALL)
    try:
        told = yaml.safe_load(head[1]) if head is not None else None
    except yaml.YAMLError:
        return None
    if not isinstance(told, dict):
        return None
    found = told.get("license_name" if told.get("license") == "other" and "license_name" in told else "license")
    return found if isinstance(found, str) and found else None


def _file(folder: Path, name: str) -> Path | None:
    """A file of a folder; None where it is not there."""
    path = folder / name
    return path if path.is_file() else None
