"""The model card (``README.md``) of a bundle: what the model is, what it learned from, what it was measured to do.

Everything in it is read off the model, its tokenizer and its record; what these do not say is said to be missing.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from nuclex.bundle.formats import class_of, own_class
from nuclex.bundle.record import Record
from nuclex.bundle.rights import COLUMNS, front_licence, rights_rows, told_rights
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import Tokenizer

NOT_RECORDED = "Not recorded."
SHOWN_ROWS, SHOWN_CHARACTERS = 30, 120


def model_card(model: LanguageModel, tokenizer: Tokenizer, record: Record, task: Mapping[str, Any] | None) -> str:
    """The text of the card; ``record`` is a ``Record``, ``task`` the config of a fine-tuned head or None."""
    simulated = is_simulated(record.corpus)
    sections = [
        _front_matter(record, model),
        f"# {_cell(record.name)}",
        _summary(model, record.licence, simulated),
        "## Architecture",
        _table(("property", "value"), _architecture(model)),
        "## Tokenizer",
        _table(("property", "value"), _tokenizer(tokenizer)),
        "## Data",
        *_corpus(record.corpus),
        "## Licence",
        *_rights(record),
        "## Training",
        *_training(record.recipe, record.provenance),
        "## Evaluation",
        _table(("measure", "value"), list(_flat(record.metrics))) if record.metrics else NOT_RECORDED,
        *(["## Fine-tuned head", _json(task)] if task is not None else []),
        "## Limits",
        _bullets([*_limits(model, simulated), *map(_line, record.notes)]),
        "## Use",
        *_use(model),
    ]
    return "\n\n".join(sections) + "\n"


def is_simulated(manifest: Mapping[str, Any] | None) -> bool:
    """Whether a corpus manifest says that sequences in it are simulated (their FASTA headers said so)."""
    return bool(manifest and manifest.get("simulated"))


def _front_matter(record: Record, model: LanguageModel) -> str:
    purpose, pipeline, _ = _purpose(model)
    tags = ["nuclex", "biology", "nucleic-acids", purpose, *(["simulated-data"] if is_simulated(record.corpus) else [])]
    head: dict[str, Any] = {**front_licence(record.licence, record.corpus)}
    library = "nuclex" if class_of(model) == own_class(model) else "transformers"
    head |= {"library_name": library, "tags": tags, "pipeline_tag": pipeline}
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---"


def _purpose(model: LanguageModel) -> tuple[str, str, str]:
    """What the model is for: as a tag, as a pipeline of ``transformers``, and the class there that opens it."""
    if model.head is None:
        return "encoder", "feature-extraction", "AutoModel"
    if model.config.causal:
        return "causal-lm", "text-generation", "AutoModelForCausalLM"
    return "masked-lm", "fill-mask", "AutoModelForMaskedLM"


def _summary(model: LanguageModel, licence: str | None, simulated: bool) -> str:
    count = sum(parameter.numel() for parameter in model.parameters())
    text = f"A language model of nucleic acid sequences with {count:,} parameters, made with nuclex."
    if simulated:
        text += (
            "\n\n**It was trained on simulated sequences**, which a program made up. It is a demonstration and knows "
            "nothing of any organism."
        )
    return text if licence is not None else f"{text}\n\nNo licence is stated."


def _architecture(model: LanguageModel) -> list[tuple[str, Any]]:
    config = model.config
    mixers = ", ".join(f"{config.mixers.count(name)} {name}" for name in dict.fromkeys(config.mixers))
    heads = [("attention heads", f"{config.heads} of size {config.width // config.heads}")]
    return [
        ("network", _Markdown(f"`{class_of(model)}`")),
        ("parameters", sum(parameter.numel() for parameter in model.parameters())),
        ("blocks", mixers),
        ("width", config.width),
        *(heads if config.attends else []),
        ("feed-forward", f"{config.activation}, width {config.inner}" if config.inner else "none"),
        ("norm", config.norm),
        ("positions", config.positions),
        ("direction", "left to right" if config.causal else "both"),
        ("longest input in tokens", config.longest or "no fixed limit"),
        ("output tied to the embedding", "yes" if config.tied else "no"),
    ]


def _tokenizer(tokenizer: Tokenizer) -> list[tuple[str, Any]]:
    special = tokenizer.special
    names = (special.cls, special.pad, special.eos, special.unk, special.mask)
    rules = [(key.replace("_", " "), value) for key, value in tokenizer.config.to_data().items()]
    return [*rules, ("tokens", len(tokenizer)), ("special tokens", _Markdown(" ".join(f"`{name}`" for name in names)))]


def _corpus(corpus: Mapping[str, Any] | None) -> Iterator[str]:
    """The manifest's plain values as one table, each list of records as a table of its own."""
    if not corpus:
        yield NOT_RECORDED
        return
    corpus = _with_shares(corpus)
    records = {
        key: value for key, value in corpus.items()
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value)
    }  # fmt: skip
    yield _table(
        ("property", "value"), list(_flat({key: value for key, value in corpus.items() if key not in records}))
    )
    for key, rows in records.items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        yield f"{_cell(key.replace('_', ' ').capitalize())}:"
        yield _table(columns, [tuple(row.get(name, "") for name in columns) for row in rows])


def _with_shares(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the share of the nucleotides in each row of its composition, and rights told elsewhere."""
    shown: dict[str, Any] = dict(corpus)
    for key in ("by_source", "by_type"):
        rows = shown.get(key) or []
        total = sum(row["nucleotides"] for row in rows)
        shown[key] = [{**row, "share of nucleotides": row["nucleotides"] / total if total else None} for row in rows]
    rights = ("dataset", "licence", "terms", "citation")
    sources = corpus.get("sources")
    if sources:
        shown["sources"] = [{key: value for key, value in row.items() if key not in rights} for row in sources]
    return shown


def _rights(record: Record) -> Iterator[str]:
    yield from map(_line, told_rights(record.licence, record.corpus))
    if rows := rights_rows(record.corpus):
        yield _table(COLUMNS, rows)


def _training(recipe: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[str]:
    if not recipe and not provenance:
        yield NOT_RECORDED
    if recipe:
        yield "The recipe:"
        yield _json(recipe)
    if provenance:
        yield "The run (the command is in `nuclex.json`):"
        yield _table(("property", "value"), list(_flat({k: v for k, v in provenance.items() if k != "command"})))


def _limits(model: LanguageModel, simulated: bool) -> list[str]:
    limits = [
        "It was measured only as the table above says; other organisms, lengths and tasks were not tried.",
        "It is no medical device, and its scores are no evidence of what a variant does in a patient.",
    ]
    if model.config.longest is not None:
        limits.append(f"Inputs longer than {model.config.longest} tokens (start and end included) have no positions.")
    if simulated:
        limits.append("Simulated training sequences: no result on real sequences can be expected of it.")
    return limits


def _use(model: LanguageModel) -> Iterator[str]:
    yield "With nuclex, which checks that files, weights and tokenizer are those that were written:"
    yield '```python\nimport nuclex\n\nbundle = nuclex.load("path/to/this/folder")\n```'
    opener, extra = _purpose(model)[2], ""
    if class_of(model) != own_class(model):
        yield "With Hugging Face transformers alone; nuclex need not be installed:"
    else:
        yield "With Hugging Face transformers, which learns the architecture from `import nuclex.hub`:"
        extra = "import nuclex.hub\n"
    yield (
        f"```python\n{extra}from transformers import {opener}, AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")\n'
        f'model = {opener}.from_pretrained("path/to/this/folder")\n```'
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(map(_cell, columns)) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows[:SHOWN_ROWS]]
    more = len(rows) - SHOWN_ROWS
    return "\n".join(lines) + (f"\n\n({more} more are in `nuclex.json`.)" if more > 0 else "")


class _Markdown(str):
    """A text that is meant as it stands; all others may come from anybody and hold HTML."""


def _line(text: str) -> str:
    """A text from anybody as one line of Markdown."""
    return html.escape(" ".join(text.split()), quote=False)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "–"}[value]
    elif isinstance(value, int):
        text = f"{value:,}"
    elif isinstance(value, float):
        text = f"{value:.5g}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    text = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return (text if isinstance(value, _Markdown) else html.escape(text, quote=False)).replace("|", "\\|")


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
