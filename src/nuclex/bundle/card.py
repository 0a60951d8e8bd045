"""The model card (``README.md``) of a bundle: what the model is, what it learned from, what it was measured to do.

Everything in it is read off the model, its tokenizer and its record; what these do not say is said to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from nuclex.bundle.citation import bibtex
from nuclex.bundle.doubts import LANGUAGE_HEAD, failures
from nuclex.bundle.formats import class_of, own_class
from nuclex.bundle.markdown import Markdown, as_json, bullets, cell, flat, folded, line, table, without_paths
from nuclex.bundle.measured import NOT_RECORDED, model_index, told_measures
from nuclex.bundle.record import Record
from nuclex.bundle.rights import (
    COLUMNS,
    corpus_sources,
    front_licence,
    learned_under,
    rights_rows,
    told_rights,
    tuning_sources,
)
from nuclex.models.backbone import LanguageModel
from nuclex.tokenizers.base import Tokenizer

PLACE = "path/to/this/folder"
NOT_COUNTED = "Controls, searches and runs that were thrown away are not in these numbers."
ENERGY = (
    "Energy is what counters of the machine gained during that process, whatever else ran there; memory, cooling and "
    "the losses of power supplies are not in it."
)
"""What the card tells to open, where nobody knows yet where the bundle will be published."""
MACHINERY = ("format", "format_version", "fingerprint", "config.", "cluster.arguments",
             "cluster.linking_arguments", "cluster.version", "cluster.tool", "cluster.from")  # fmt: skip
"""Keys of a corpus's manifest that the card leaves to ``nuclex.json``."""
PROCEDURE = {
    "objective.kind": "objective",
    "objective.criterion.kind": "loss",
    "objective.share": "share of tokens hidden",
    "sampling.batch_tokens": "tokens a batch",
    "sampling.max_tokens": "longest piece in tokens",
    "batching.examples": "examples a batch",
    "batching.tokens": "tokens a batch",
    "training.steps": "updates asked for",
    "training.epochs": "epochs asked for",
    "training.optimizer.name": "optimizer",
    "training.optimizer.weight_decay": "weight decay",
    "training.optimizer.clip": "gradients clipped at",
    "training.schedule.kind": "schedule",
    "training.schedule.rate": "learning rate",
    "training.schedule.warmup": "updates of warm-up",
    "training.precision": "precision",
    "seed": "seed",
}
"""The keys of a recipe that the card tells first, in words."""


def model_card(
    model: LanguageModel,
    tokenizer: Tokenizer,
    record: Record,
    task: Mapping[str, Any] | None,
    place: str = PLACE,
) -> str:
    """The text of the card; ``record`` is a ``Record``, ``task`` the config of a fine-tuned head or None.

    ``place`` is what a reader opens: a name on the hub, once there is one.
    """
    sections = [
        _front_matter(record, model, task),
        f"# {cell(record.name)}",
        _summary(model, record, task),
        *(f"**{line(failure)}**" for failure in failures(record, tokenizer, task)),
        "## Architecture",
        table(("property", "value"), _architecture(model)),
        "## Tokenizer",
        table(("property", "value"), _tokenizer(tokenizer)),
        "## Data",
        *_corpus(record.corpus),
        *_asked(record),
        "## Licence",
        *_rights(record),
        "## Training",
        *_training(record.recipe, record.provenance),
        "## Time and energy",
        *_spent(record.provenance),
        "## Evaluation",
        *told_measures(record),
        *(["## Fine-tuned head", as_json(without_paths(task))] if task is not None else []),
        "## Limits",
        bullets([*_limits(model, record, task), *(line(without_paths(note)) for note in record.notes)]),
        "## Use",
        *_use(model, task, place),
        "## Citation",
        f"```bibtex\n{bibtex(model, record)}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def is_simulated(manifest: Mapping[str, Any] | None) -> bool:
    """Whether a corpus manifest says that sequences in it are simulated (their FASTA headers said so)."""
    return bool(manifest and manifest.get("simulated"))


def _base(record: Record) -> str | None:
    """The name on the hub of the model that this one was fine-tuned from, if it came from there."""
    source = (record.finetuned or {}).get("base")
    return source.partition("@")[0] if isinstance(source, str) else None


def _front_matter(record: Record, model: LanguageModel, task: Mapping[str, Any] | None) -> str:
    purpose, pipeline, _ = _purpose(model)
    tags = ["nuclex", "biology", "nucleic-acids", purpose, *(["simulated-data"] if is_simulated(record.corpus) else [])]
    head: dict[str, Any] = {**front_licence(record)}
    if (base := _base(record)) is not None:
        head |= {"base_model": base, "base_model_relation": "finetune"}
    library = "nuclex" if class_of(model) == own_class(model) else "transformers"
    head |= {"library_name": library, "tags": tags}
    if task is None:  # the hub knows no pipeline that would use the head
        head["pipeline_tag"] = pipeline
    else:
        tags.append("fine-tuned")
    if index := model_index(record, pipeline):
        head["model-index"] = index
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---"


def _purpose(model: LanguageModel) -> tuple[str, str, str]:
    """What the model is for: as a tag, as a pipeline of ``transformers``, and the class there that opens it."""
    if model.head is None:
        return "encoder", "feature-extraction", "AutoModel"
    if model.config.causal:
        return "causal-lm", "text-generation", "AutoModelForCausalLM"
    return "masked-lm", "fill-mask", "AutoModelForMaskedLM"


def _summary(model: LanguageModel, record: Record, task: Mapping[str, Any] | None) -> str:
    count = sum(parameter.numel() for parameter in model.parameters())
    told = [f"A language model of nucleic acid sequences with {count:,} parameters, made with nuclex."]
    if task is not None:
        told.append(f"It was fine-tuned to answer one question: {cell(task.get('name', 'not named'))}.")
        base = (record.finetuned or {}).get("base")
        told += [f"It began from `{line(base)}`."] if isinstance(base, str) else []
    text = " ".join(told)
    if is_simulated(record.corpus):
        text += (
            "\n\n**It was trained on simulated sequences**, which a program made up. It is a demonstration and knows "
            "nothing of any organism."
        )
    if learned_under(record) == "academic":
        text += "\n\n**Some of its data allow academic, non-commercial use only** (see Licence)."
    return text if record.licence is not None else f"{text}\n\nNo licence is stated."


def _architecture(model: LanguageModel) -> list[tuple[str, Any]]:
    config = model.config
    mixers = ", ".join(f"{config.mixers.count(name)} {name}" for name in dict.fromkeys(config.mixers))
    heads = [("attention heads", f"{config.heads} of size {config.width // config.heads}")]
    return [
        ("network", Markdown(f"`{class_of(model)}`")),
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
    return [*rules, ("tokens", len(tokenizer)), ("special tokens", Markdown(" ".join(f"`{name}`" for name in names)))]


def _corpus(corpus: Mapping[str, Any] | None) -> Iterator[str]:
    """The manifest's plain values as one table, each list of records as a table of its own."""
    if not corpus:
        yield NOT_RECORDED
        return
    corpus = _with_shares(without_paths(corpus))
    records = {
        key: value for key, value in corpus.items()
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value)
    }  # fmt: skip
    plain = {key: value for key, value in corpus.items() if key not in records and value != []}
    yield table(("property", "value"), [row for row in flat(plain) if not row[0].startswith(MACHINERY)])
    for key, rows in records.items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        yield f"{cell(key.replace('_', ' ').capitalize())}:"
        yield table(columns, [tuple(row.get(name, "") for name in columns) for row in rows])


def _with_shares(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the share of the nucleotides in each row of its composition, and rights told elsewhere."""
    shown: dict[str, Any] = dict(corpus)
    for key in ("by_source", "by_type"):
        rows = shown.get(key) or []
        total = sum(row["nucleotides"] for row in rows)
        shown[key] = [{**row, "share of nucleotides": row["nucleotides"] / total if total else None} for row in rows]
    told = ("dataset", "licence", "terms", "citation", "lengths", "composition")
    sources = corpus.get("sources")
    if sources:
        shown["sources"] = [{key: value for key, value in row.items() if key not in told} for row in sources]
    return shown


def _asked(record: Record) -> Iterator[str]:
    """What a fine-tuned model was asked, of which sequences."""
    if (finetuned := record.finetuned) is None:
        return
    yield f"Fine-tuning ({line(str(finetuned.get('task')))}, a {line(str(finetuned.get('shape')))} for each sequence):"
    facts = {**finetuned.get("counts", {}), **finetuned.get("notes", {})}
    yield table(("property", "value"), list(flat(without_paths(facts))))


def _rights(record: Record) -> Iterator[str]:
    yield from map(line, told_rights(record))
    if rows := rights_rows(corpus_sources(record)):
        yield table(COLUMNS, rows)
    if sources := tuning_sources(record):
        yield "Fine-tuning:"
        rows = [(row[0], row[1], *row[4:]) for row in rights_rows(sources)]
        yield table(("source", "data set", "licence", "to cite"), rows)


def _training(recipe: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[str]:
    if not recipe and not provenance:
        yield NOT_RECORDED
    if recipe:
        told = dict(flat(without_paths(recipe)))
        if rows := [
            (words, told[key]) for key, words in PROCEDURE.items() if told.get(key) or (key == "seed" and key in told)
        ]:
            yield table(("hyper-parameter", "value"), rows)
        yield folded("The whole recipe", as_json(without_paths(recipe)))
    if provenance:
        yield "The run (the command is in `nuclex.json`):"
        left = {key: value for key, value in provenance.items() if key not in ("command", "spent")}
        yield table(("property", "value"), list(flat(without_paths(left))))


def _spent(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Time and energy as the run measured them; of energy that no counter told, that nobody measured it."""
    spent = provenance.get("spent")
    rows = [("seconds of the updates, over all its processes and breaks", provenance.get("seconds"))]
    if isinstance(spent, Mapping):
        rows += [
            ("seconds by the clock of the process that ended the run", spent.get("wall_seconds")),
            ("processor seconds of that process", spent.get("cpu_seconds")),
            ("most memory of that process, bytes", spent.get("peak_memory_bytes")),
            ("most memory on the device, bytes", spent.get("peak_device_memory_bytes")),
            ("computed on", spent.get("device")),
            ("processor", spent.get("processor")),
        ]
    energy = spent.get("energy_joules") if isinstance(spent, Mapping) else None
    if isinstance(energy, Mapping):
        rows += [(f"kilowatt-hours of the {name}", one / 3.6e6) for name, one in energy.items()]
    rows = [row for row in rows if row[1] is not None]
    yield table(("property", "value"), rows) if rows else NOT_RECORDED
    yield f"{ENERGY if energy else 'Energy was not measured.'} {NOT_COUNTED}"


def _limits(model: LanguageModel, record: Record, task: Mapping[str, Any] | None) -> list[str]:
    limits = [
        "It was measured only as the tables above say; other organisms, lengths and tasks were not tried.",
        "It is no medical device, and its scores are no evidence of what a variant does in a patient.",
    ]
    if model.config.longest is not None:
        limits.append(f"Inputs longer than {model.config.longest} tokens (start and end included) have no positions.")
    if task is not None:
        limits.append(LANGUAGE_HEAD)
    if is_simulated(record.corpus):
        limits.append("Simulated training sequences: no result on real sequences can be expected of it.")
    return limits


def _use(model: LanguageModel, task: Mapping[str, Any] | None, place: str) -> Iterator[str]:
    yield "With nuclex, which checks that files, weights and tokenizer are those that were written:"
    pinned = "" if place == PLACE else f"  # or {place}@COMMIT, for the same bytes always"
    yield f'```python\nimport nuclex\n\nbundle = nuclex.load("{place}"){pinned}\n```'
    if task is not None:
        verb = "fold" if task.get("shape") == "pair map" else "predict"
        yield f"```\nnuclex {verb} {place} my.fa --out {'my.dbn' if verb == 'fold' else 'answers.csv'}\n```"
    opener, extra = _purpose(model)[2], ""
    if class_of(model) != own_class(model):
        yield "With Hugging Face transformers alone; nuclex need not be installed:"
    else:
        yield "With Hugging Face transformers, which learns the architecture from `import nuclex.hub`:"
        extra = "import nuclex.hub\n"
    yield (
        f"```python\n{extra}from transformers import {opener}, AutoTokenizer\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{place}")\n'
        f'model = {opener}.from_pretrained("{place}")\n```'
    )
    if task is not None:
        yield "That opens the network without the fine-tuned head, whose weights only nuclex reads."
