"""A run is one value: a recipe file, dotted flags and keyword arguments become one frozen, strictly checked config."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from nuclex.core.errors import InputError, at

Location = tuple[str | int, ...]


class Config(BaseModel):
    """The base of every configuration: immutable, every key typed, an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Validate plain data (as TOML or JSON gives it) strictly: no string passes for a number."""
        return cls.model_validate_json(json.dumps(data, default=str), strict=True)

    def to_data(self) -> dict[str, Any]:
        """Plain data that ``from_data`` turns back into an equal value."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """sha256 of the canonical JSON of this config: equal configs, and only they, share it."""
        return hashlib.sha256(json.dumps(self.to_data(), sort_keys=True).encode()).hexdigest()


def load_config(
    cls: type[Config], path: str | Path | None = None, overrides: Mapping[str, Any] | None = None, **keywords: Any
) -> Any:
    """Read a recipe and lay overrides over it: file, then dotted ``overrides``, then Python keywords.

    Returns a ``cls``. Raises InputError with file, line, key, what was found and what is allowed.
    """
    data = read_recipe(Path(path)) if path is not None else {}
    for key, value in {**(overrides or {}), **keywords}.items():
        _set(data, key.split("."), value)
    try:
        return cls.from_data(data)
    except ValidationError as error:
        raise InputError(_explain(error, cls, Path(path) if path is not None else None)) from None


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with nuclex: ``pretrain/quickstart`` and so on, and where they lie."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return {
                path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.toml"))
            }
    return {}


def read_recipe(path: Path) -> dict[str, Any]:
    """The plain data of a TOML or YAML recipe: a file, or the name of one that comes with nuclex."""
    if not path.is_file():
        known = shipped_recipes()
        if path.as_posix() not in known:
            raise InputError(f"{path}: no such recipe file; give a .toml or .yaml file or one of: {', '.join(known)}")
        path = known[path.as_posix()]
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in {".yaml", ".yml"}:
        return _read_yaml(path, text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def _read_yaml(path: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: a recipe is a table of keys, found {type(data).__name__}")
    return data


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` texts into dotted overrides; a value is read as TOML, and as plain text where it is none.

    >>> parse_settings(["model.depth=6", "train.rate=3e-4", "corpus=my corpus", "fast=true"])
    {'model.depth': 6, 'train.rate': 0.0003, 'corpus': 'my corpus', 'fast': True}
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InputError(f"command line: found --set {setting!r}; settings are written KEY=VALUE")
        overrides[key] = _value(value)
    return overrides


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(data: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise InputError(f"{'.'.join(keys)}: {key!r} is a value, not a table")
    data[keys[-1]] = value


def _explain(error: ValidationError, cls: type[Config], path: Path | None) -> str:
    """One sentence about the first problem: where, what was found, what is allowed."""
    location, first, owner = _innermost(error, cls)
    key = ".".join(str(part) for part in location)
    where = at(path, _line_of(path, location)) + ": " if path is not None else ""
    if first["type"] == "extra_forbidden":
        allowed = sorted(owner.model_fields) if owner is not None else []
        near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return f"{where}{key}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"{where}{key}: missing, and it has no default"
    found = "" if first["type"] == "value_error" else f", found {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}{key}: {message}{found}" if key else f"{where}{message}"


def _innermost(error: ValidationError, cls: type[Config] | None) -> tuple[Location, Any, type[Config] | None]:
    first = error.errors()[0]
    location: Location = first["loc"]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ValidationError):  # a config read by a registry inside another config
        deeper, innermost, owner = _innermost(inner, _class_named(inner.title))
        return location + deeper, innermost, owner
    owner = cls
    for part in location[:-1]:
        owner = _field_class(owner, part)
    return location, first, owner


def _class_named(title: str) -> type[Config] | None:
    pending = list(Config.__subclasses__())
    while pending:
        cls = pending.pop()
        if cls.__name__ == title:
            return cls
        pending.extend(cls.__subclasses__())
    return None


def _field_class(cls: type[Config] | None, part: str | int) -> type[Config] | None:
    field = cls.model_fields.get(str(part)) if cls is not None else None
    annotation = field.annotation if field is not None else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, Config) else None


def _line_of(path: Path | None, location: Location) -> int | None:
    """The line of a key in a TOML or YAML file, found by its table header and its own name; None if not there."""
    if path is None or not path.is_file() or not location:
        return None
    parts = [str(part) for part in location]
    table, key = ".".join(parts[:-1]), parts[-1]
    current, best = "", None
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header and path.suffix == ".toml":
            current = header.group(1)
            if current == ".".join(parts):
                return number
        elif re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=:]", line):
            if current == table:
                return number
            best = best or (number if path.suffix != ".toml" else None)
    return best
