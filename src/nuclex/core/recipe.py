"""Recipe files: what a TOML or YAML file says, and on which line it says it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nuclex.core.errors import InputError, at, meant, one_line, shown

Place = tuple[str, ...]
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEYS = rf"({_KEY}(?:\s*\.\s*{_KEY})*)"
_MOST_KEYS, _MOST_BYTES, _MOST_LEVELS = 10_000, 1 << 16, 32
_MOST_DOTS, _MOST_DIGITS = 1000, 1000
"""In one line: the standard library's parser takes minutes for keys such as a.a.a.a… and reads no endless numbers."""
_DIGITS = re.compile(r"[0-9_]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TEXT = re.compile(r"""\"{3}|'{3}|"(?:\\.|[^"\\])*"|'[^']*'|#.*""")
_HEADER, _ASSIGNMENT = re.compile(rf"\s*(\[\[?)\s*{_KEYS}\s*\]"), re.compile(rf"\s*{_KEYS}\s*=")


@dataclass(frozen=True)
class Recipe:
    """The plain data of a file, and the line (from 1) of each key; a key is named by the path that leads to it."""

    path: Path
    data: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)

    def line_of(self, place: Place) -> int | None:
        """The line of a key or, where it does not stand in the file, of the innermost table that would hold it."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with nuclex: ``pretrain/quickstart`` and so on, and where they lie."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return {
                path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.toml"))
            }
    return {}


def read_recipe(path: Path) -> Recipe:
    """Read a TOML or YAML recipe: a file, or the name of one that comes with nuclex. InputError where it is neither."""
    if not os.path.isfile(path):  # unlike Path.is_file, it takes a name that is too long for one that is not there
        known = shipped_recipes()
        if path.as_posix() not in known:
            hint = meant(path.as_posix(), known)
            raise InputError(
                f"{path}: no such recipe file{hint}; give a .toml or .yaml file or one of: {', '.join(known)}"
            )
        path = known[path.as_posix()]
    content = _content(path)
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        bad = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{at(path, bad)}: is not UTF-8 text, which recipes are written in") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > _MOST_DOTS or max(map(len, _DIGITS.findall(line)), default=0) > _MOST_DIGITS:
            raise InputError(
                f"{at(path, number)}: found {shown(line)}; no key has so many parts, no number so many digits"
            )
    try:
        if path.suffix in {".yaml", ".yml"}:
            recipe = _read_yaml(path, text)
        else:
            recipe = Recipe(path, tomllib.loads(text), _toml_lines(text))
    except tomllib.TOMLDecodeError as error:
        message, number = _located(str(error), text)
        raise InputError(f"{at(path, number)}: not valid TOML: {one_line(message)}") from None
    except RecursionError:
        raise InputError(
            f"{path}: holds tables in tables in tables without end; a recipe goes a few levels deep"
        ) from None
    for place, problem in unfit(recipe.data):
        raise InputError(f"{at(path, recipe.line_of(place))}: {dotted(place)}: {problem}")
    return recipe


def unfit(data: Any) -> Iterator[tuple[Place, str]]:
    """The values that no config can hold, each with its place and a word on what is wrong with it."""
    waiting: list[tuple[Place, Any]] = [((), data)]
    while waiting:  # no recursion: what is too deep for Python is to be found here
        place, value = waiting.pop()
        if len(place) > _MOST_LEVELS:
            yield place, f"is more than {_MOST_LEVELS} tables and lists deep; a recipe goes a few levels deep"
        elif isinstance(value, dict):
            waiting += [((*place, str(name)), inner) for name, inner in reversed(value.items())]
        elif isinstance(value, list | tuple):
            waiting += [((*place, str(number)), inner) for number, inner in reversed(list(enumerate(value)))]
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            yield place, "found a whole number of more than 64 bits"
        elif isinstance(value, str) and (strange := _CONTROL.search(value)):
            yield place, f"found {shown(value)}; {strange.group()!r} is no letter of a text"


def dotted(place: Place, most: int = 80) -> str:
    """A key as a message names it: ``model.depth``; cut where it is long, on one line whatever it holds."""
    name = ".".join(part if part.isprintable() else repr(part)[1:-1] for part in place)
    return name if len(name) <= most else f"{name[:most]}..."


def _content(path: Path) -> bytes:
    with open(path, "rb") as handle:
        content = handle.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path}: is larger than {_MOST_BYTES >> 10} kB, which no recipe is")
    return content


def _located(message: str, text: str) -> tuple[str, int]:
    """What ``tomllib`` complains about, and on which line."""
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    if found is None:
        return message.removesuffix(" (at end of document)"), text.rstrip("\n").count("\n") + 1
    return message[: found.start()], int(found[1])


def _toml_lines(text: str) -> dict[Place, int]:
    """The lines of all keys that begin a line; those inside an inline table share the line of the table's key."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    quoted = ""
    for number, line in enumerate(text.split("\n"), start=1):  # other marks, as in str.splitlines, end no line of TOML
        inside, quoted = quoted, _quoted_behind(line, quoted)
        if inside:
            continue
        if header := _HEADER.match(line):
            table = _names(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                lines.setdefault(table, number)
                table = (*table, str(counts[table]))
            for length in range(1, len(table) + 1):
                lines.setdefault(table[:length], number)
        elif assignment := _ASSIGNMENT.match(line):
            names = _names(assignment[1])
            for length in range(1, len(names) + 1):
                lines.setdefault(table + names[:length], number)
    return lines


def _quoted_behind(line: str, quoted: str) -> str:
    """The three quotes of the text that goes on behind a line, none where none does; ``quoted`` is that before it."""
    place = 0
    while place < len(line):
        if quoted:
            end = line.find(quoted, place)
            if end < 0:
                return quoted
            place, quoted = end + 3, ""
        elif found := _TEXT.match(line, place):
            quoted, place = (found[0], found.end()) if found[0] in ('"""', "'''") else ("", found.end())
        else:
            place += 1
    return quoted


def _names(keys: str) -> Place:
    return tuple(name.strip("\"'") for name in re.findall(_KEY, keys))


def _read_yaml(path: Path, text: str) -> Recipe:
    import yaml

    try:
        loader = _yaml_loader()(text)
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise InputError(f"{at(path, number)}: not valid YAML: {chr(error.character)!r} is not allowed in it") from None
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{path}: a recipe is a table of keys, which this file does not begin with")
        lines: dict[Place, int] = {}
        _walk_yaml(path, node, (), lines, ())
        return Recipe(path, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise InputError(f"{at(path, line)}: not valid YAML: {one_line(f'{error.problem or error.context}')}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {one_line(str(error))}") from None
    finally:
        loader.dispose()


def _yaml_loader() -> Any:
    """PyYAML's safe loader with YAML 1.2's numbers: by itself it reads 1e-4 as text, 010 as 8 and 1:30 as 90."""
    import yaml

    class Loader(yaml.SafeLoader):
        def fetch_flow_collection_start(self, token: Any) -> None:
            """Begin [ or {; each that is open costs time at every later token, a thousand of them seconds."""
            if self.flow_level > 4 * _MOST_LEVELS:
                raise RecursionError
            super().fetch_flow_collection_start(token)

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            """The value of a node; PyYAML leaves it to Python to complain of a 13th month or of ``!!int x``."""
            try:
                if node.tag in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}:
                    _refuse_ambiguous(node)
                return super().construct_object(node, deep)
            except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
                kind = node.tag.rpartition(":")[2]
                raise yaml.constructor.ConstructorError(None, None, f"this is no {kind}", node.start_mark) from None

    exponential = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponential, list("-+0123456789"))
    return Loader


def _refuse_ambiguous(node: Any) -> None:
    from yaml.constructor import ConstructorError

    plain = str(node.value).replace("_", "")
    if ":" in plain or re.match(r"[-+]?0[0-9]", plain):
        problem = f"{shown(node.value)} is not the same number to every program; write it as a plain one"
        raise ConstructorError(None, None, problem, node.start_mark)


def _walk_yaml(path: Path, node: Any, place: Place, lines: dict[Place, int], above: tuple[int, ...]) -> None:
    """Note the line of every key; refuse keys that are no text or stand twice, and tables that hold themselves."""
    from yaml import MappingNode, SequenceNode

    line = node.start_mark.line + 1
    if len(lines) > _MOST_KEYS:
        raise InputError(f"{path}: has more than {_MOST_KEYS} keys, those that aliases repeat counted; not a recipe")
    if id(node) in above:
        raise InputError(f"{at(path, line)}: {dotted(place)}: a table cannot hold itself")
    above = (*above, id(node))
    if isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            lines[(*place, str(number))] = item.start_mark.line + 1
            _walk_yaml(path, item, (*place, str(number)), lines, above)
    if not isinstance(node, MappingNode):
        return
    for name, value in node.value:
        line, inner = name.start_mark.line + 1, (*place, str(name.value))
        if name.tag != "tag:yaml.org,2002:str":
            raise InputError(
                f"{at(path, line)}: the key {shown(name.value)} is not a name; write it in quotes if it is one"
            )
        if inner in lines:
            raise InputError(f"{at(path, line)}: {dotted(inner)}: stands twice, first on line {lines[inner]}")
        lines[inner] = line
        _walk_yaml(path, value, inner, lines, above)
