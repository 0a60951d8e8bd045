"""What a verb's page says by itself: usage and help, every flag, every setting, the function in Python.

It is read from the command line and from the configs, so it is never older than they are. What is written by hand (when
to use it, what comes out, pitfalls, an example) stands in docs/verbs/VERB.md, and is laid between usage and flags.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, Literal, Union, get_args, get_origin

SETTINGS = {
    "corpus_build": ["nuclex.data.corpus:CorpusConfig"],
    "tokenizer_train": ["nuclex.tokenizers:TOKENIZERS"],
    "plan": ["nuclex.training.pretrain:PretrainConfig"],
    "pretrain": ["nuclex.training.pretrain:PretrainConfig"],
    "finetune": ["nuclex.training.finetune:FinetuneConfig"],
    "search": ["nuclex.tuning.question:SearchConfig"],
    "benchmark": ["nuclex.evaluation.suite:SuiteConfig"],
    "judge": ["nuclex.evaluation.judge:JudgeConfig"],
    "predict": ["nuclex.inference.changes:ChangeColumns", "nuclex.inference.partners:PartnerColumns"],
    "fold": ["nuclex.inference.fold:FoldConfig"],
    "embed": ["nuclex.inference.embed:EmbedConfig"],
    "score": ["nuclex.inference.score:ScoreConfig"],
    "generate": ["nuclex.inference.generate:GenerateConfig", "nuclex.inference.design:DesignConfig"],
    "serve": ["nuclex.web.settings:ServeConfig"],
    "publish": ["nuclex.hub.publish:PublishConfig"],
}
"""The configs whose keys are flags of a verb; a test holds that every verb with ``--set`` is here."""
SAME_AS = {"plan": "pretrain"}
"""Verbs whose settings are those of another one, and stand on its page."""
KEYS = ("key", "kind", "default", "what it is")
FAMILIES = ("tokenizers", "models", "objectives", "tasks")
"""Families of parts whose configs stand in the reference, a page for each."""
FLAG = re.compile(r"(?<![\w`-])(--[a-z][\w.-]*\w)")
EXAMPLE = re.compile(r"\s*Example: (nuclex .*)$", re.MULTILINE)


def file_of(verb: str) -> str:
    """The name of a verb's page: ``corpus-build.md``."""
    return f"{verb.replace('_', '-')}.md"


def ordered(verbs: dict[str, str]) -> dict[str, list[str]]:
    """Every verb in its group, as ``nuclex --help`` tells them: ``corpus_build`` stands where ``corpus`` does."""
    from nuclex.cli.verbs import ORDER

    return {
        title: [verb for name in names for verb in verbs if name in (verb, verb.partition("_")[0])]
        for title, names in ORDER.items()
    }


def completed(verb: str, written: str, target: str, more: Sequence[str] = ()) -> str:
    """The whole page: title, usage, help; what was written by hand; flags, settings, ``more``, the Python function."""
    title, _, rest = written.partition("\n")
    parts = [title, *_head(verb), rest.strip(), *_flags(verb), *_settings(verb), *more, *_python(verb, target)]
    return "\n\n".join(part for part in parts if part)


def title_of(verb: str) -> str:
    """The first line of a page."""
    return f"# nuclex {verb.replace('_', ' ')}"


def _command(verb: str) -> Any:
    from nuclex.cli.main import app

    for word in verb.split("_"):
        app = app[word]
    return app


def _head(verb: str) -> list[str]:
    command = _command(verb)
    words = [f"nuclex {verb.replace('_', ' ')}"]
    for argument in command.assemble_argument_collection(parse_docstring=True):
        name = argument.names[0].removeprefix("--").upper().replace("-", "_")
        if argument.index is not None:
            many = argument.field_info.kind is inspect.Parameter.VAR_POSITIONAL
            words.append(f"{name}…" if many else name if argument.required else f"[{name}]")
        elif argument.required:
            words.append(f"{argument.names[0]} {_metavar(argument)}")
    text = re.split(r"\n+Parameters\n-+\n", inspect.getdoc(command.default_command) or "")[0]
    example = EXAMPLE.search(text)
    first, _, more = EXAMPLE.sub("", text).partition("\n\n")
    lines = [f"$ {' '.join(words)} [options]", *([f"$ {example[1]}"] if example else [])]
    return ["```console\n" + "\n".join(lines) + "\n```", _prose(first), _prose(more)]


def _flags(verb: str) -> list[str]:
    rows = []
    for argument in _command(verb).assemble_argument_collection(parse_docstring=True):
        if argument.names[0] == "--set":
            continue
        positional = argument.index is not None
        shown = argument.names[0].removeprefix("--").upper() if positional else ", ".join(argument.names)
        default = "required" if argument.required else _value(argument.field_info.default)
        rows.append(
            (_coded(shown, ", "), _coded(_kind(argument.hint), " | "), default, _cell(argument.parameter.help or ""))
        )
    if not rows:
        return ["## Flags\n\nNone of its own, beside those that are [everywhere](index.md#everywhere)."]
    return ["## Flags", _table(("flag", "kind", "default", "what it is"), rows)]


def _settings(verb: str) -> list[str]:
    if verb in SAME_AS:
        other = SAME_AS[verb]
        where = f"[nuclex {other}]({file_of(other)}#settings)"
        return [f"## Settings\n\nEvery key of the recipe is a flag: those of {where}."]
    parts = []
    for place in SETTINGS.get(verb, ()):
        module, name = place.split(":")
        found = getattr(import_module(module), name)
        if isinstance(found, type):
            parts += [f"### `{name}`", _cell(_first(found))] if len(SETTINGS[verb]) > 1 else []
            parts.append(_table(KEYS, list(_rows(found))))
        else:
            for kind in found.names():
                parts += [f'### `kind = "{kind}"`', _cell(_first(found[kind])), _table(KEYS, list(_rows(found[kind])))]
    if not parts:
        return []
    how = "Every key is a flag (`--key value`, with dots as it stands), and a key of a recipe where the verb takes one."
    return ["## Settings", how, *parts]


def _python(verb: str, target: str) -> list[str]:
    path = target.replace(":", ".")
    options = "    options:\n      heading_level: 3\n      show_root_toc_entry: false"
    return ["## In Python", f"`nuclex.{verb}` is this function:", f"::: {path}\n{options}"]


def _rows(config: type, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    from nuclex.core.config import Config

    notes = _notes(config)
    for name, field in config.model_fields.items():
        key, kind = f"{prefix}{name}", field.annotation
        note = field.description or notes.get(name, "")
        inner = next((part for part in _parts(kind) if isinstance(part, type) and issubclass(part, Config)), None)
        registry = None if inner is None else _registry(inner)
        if registry is not None:
            chosen = getattr(field.default, "kind", None)
            yield f"`{key}.kind`", "table", f"`{chosen}`" if chosen else _default(field), _kinds(registry, note)
        elif inner is not None and get_origin(kind) in (None, Union, types.UnionType):
            if field.default is None or field.is_required():
                yield f"`{key}`", "table", _default(field), _cell(note)
            yield from _rows(inner, f"{key}.")
        elif name != "kind" or prefix:
            yield f"`{key}`", _coded(_kind(kind), " | "), _default(field), _cell(note)


def _parts(hint: Any) -> list[Any]:
    """The kinds that a value may be, None and annotations left out."""
    if get_origin(hint) in (Union, types.UnionType):
        return [found for part in get_args(hint) for found in _parts(part)]
    if hasattr(hint, "__metadata__"):
        return _parts(get_args(hint)[0])
    return [] if hint is type(None) else [hint]


def _kinds(registry: Any, note: str) -> str:
    kinds = "one of " + ", ".join(f"`{name}`" for name in registry.names())
    page = f"; their keys: [reference](../reference/{registry.family}.md)" if registry.family in FAMILIES else ""
    return f"{_cell(note)}; {kinds}{page}" if note else f"{kinds}{page}"


def _registry(config: type) -> Any:
    from nuclex.core.registry import Registry

    for module in ("nuclex.tokenizers", "nuclex.models", "nuclex.objectives", "nuclex.tasks", "nuclex.models.heads"):
        for value in vars(import_module(module)).values():
            if isinstance(value, Registry) and value.base is config:
                return value
    return None


def _notes(config: type) -> dict[str, str]:
    """The strings that follow the fields of a class, of its bases too."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not cls.__module__.startswith("nuclex"):
            continue
        tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
        for field, after in pairwise(body):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = inspect.cleandoc(text.value)
    return found


def _kind(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " | ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(_kind(part) for part in _parts(hint))
    if get_origin(hint) is tuple:
        return f"{_kind(get_args(hint)[0])}, …"
    if hasattr(hint, "__metadata__"):
        return _kind(get_args(hint)[0])
    plain = {"str": "text", "Path": "path", "int": "whole number", "float": "number", "bool": "yes or no"}
    return plain.get(
        getattr(hint, "__name__", ""), "table" if get_origin(hint) is dict or isinstance(hint, type) else str(hint)
    )


def _metavar(argument: Any) -> str:
    return {"path": "PATH"}.get(_kind(argument.hint), "VALUE")


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is None:
        return _value(field.default)
    return "follows from others" if field.default_factory_takes_validated_data else _value(field.default_factory())


def _value(value: Any) -> str:
    if value is None or value is inspect.Parameter.empty or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, tuple | list):
        return f"`{', '.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _first(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(map(_barred, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _barred(cell: str) -> str:
    """A cell whose | are its own; those in backticks need no sign, and would show it."""
    return "`".join(
        piece.replace("|", "\\|") if place % 2 == 0 else piece for place, piece in enumerate(cell.split("`"))
    )


def _coded(text: str, sign: str) -> str:
    """Choices or spellings, each as code of its own."""
    return ", ".join(f"`{part}`" for part in text.split(sign))


def _cell(text: str) -> str:
    return _prose(" ".join(text.replace("``", "`").split()))


def _prose(text: str) -> str:
    """Text whose < and * mean themselves, outside of what stands in backticks, and whose flags stand in them."""
    pieces = FLAG.sub(r"`\1`", text).split("`")
    plain = [re.sub(r"([*_<\[])", r"\\\1", piece) if place % 2 == 0 else piece for place, piece in enumerate(pieces)]
    return "`".join(plain)
