"""A run is one value: a recipe file, dotted flags and keyword arguments become one frozen, strictly checked config."""

from __future__ import annotations

import copy
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path, PurePath
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from nuclex.core.errors import InputError, at, meant, shown
from nuclex.core.recipe import Recipe, dotted, read_recipe, unfit

Location = tuple[str, ...]


class Config(BaseModel):
    """The base of every configuration: immutable, every key typed, an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Validate plain data (as TOML or JSON gives it) strictly: no string passes for a number."""
        return cls.model_validate_json(json.dumps(data, default=_plain), strict=True)

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
    recipe = read_recipe(Path(path)) if path is not None else None
    data = copy.deepcopy(recipe.data) if recipe is not None else {}
    settings = {**(overrides or {}), **keywords}
    for key, value in settings.items():
        _refuse_unfit(value, key)
        _set(data, key.split("."), copy.deepcopy(value))
    _refuse_unfit(data)
    try:
        return cls.from_data(data)
    except ValidationError as error:
        raise InputError(_explain(error, cls, data, (recipe, set(settings)))) from None


def _refuse_unfit(value: Any, key: str = "") -> None:
    for place, problem in unfit(value):
        raise InputError(f"{dotted((*filter(None, [key]), *place))}: {problem}")


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` texts into dotted overrides; a value is read as TOML, and as plain text where it is none.

    >>> parse_settings(["model.depth=6", "train.rate=3e-4", "corpus=my corpus", "fast=true"])
    {'model.depth': 6, 'train.rate': 0.0003, 'corpus': 'my corpus', 'fast': True}
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError(f"command line: found --set {shown(setting)}; settings are written KEY=VALUE")
        if key in overrides:
            raise InputError(f"command line: {key} is set twice, to {shown(overrides[key])} and to {shown(value)}")
        overrides[key] = _value(value)
    return overrides


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # no TOML, or a number of thousands of digits
        return text
    return read["value"] if len(read) == 1 else text


def _set(data: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise InputError(f"{dotted(tuple(keys))}: {shown(key)} is a value, not a table")
    data[keys[-1]] = value


def _explain(
    error: ValidationError, cls: type[Config], data: Mapping[str, Any], origin: tuple[Recipe | None, set[str]]
) -> str:
    """One sentence about the first problem: where, what was found, what is allowed."""
    location, problems, owner = _first_key(error, cls, data)
    first, key = problems[0], dotted(location)
    where, over = _whence(location, origin)
    if first["type"] == "extra_forbidden":
        allowed = sorted(owner.model_fields) if owner is not None else []
        return f"{where}{key}: unknown key{meant(location[-1], allowed)}{over}; allowed: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"{where}{key}: missing, and it has no default"
    found = "" if first["type"] == "value_error" else f", found {shown(first['input'], most=80)}"
    message = " or ".join(dict.fromkeys(problem["msg"].removeprefix("Value error, ") for problem in problems))
    return f"{where}{key}: {message}{found}{over}" if key else f"{where}{message}{found}{over}"


def first_problem(error: ValidationError, *above: str) -> str:
    """The first thing that is wrong with stored data, its key in front; ``above`` leads to the data."""
    first = error.errors()[0]
    found = "" if first["type"] == "value_error" else f", found {shown(first['input'])}"
    return f"{dotted((*above, *map(str, first['loc'])))}: {first['msg'].removeprefix('Value error, ')}{found}"


def _whence(location: Location, origin: tuple[Recipe | None, set[str]]) -> tuple[str, str]:
    """File and line in front of the key; or, where it or what is in it was set over the file, a remark that says so."""
    recipe, settings = origin
    if recipe is None:
        return "", ""
    place = ".".join(location)
    if any(f"{place}.".startswith(f"{key}.") or f"{key}.".startswith(f"{place}.") for key in settings):
        return "", f" (set over {recipe.path})"
    return f"{at(recipe.path, recipe.line_of(location))}: ", ""


def _first_key(
    error: ValidationError, cls: type[Config], data: Mapping[str, Any]
) -> tuple[Location, list[Any], type[Config] | None]:
    """The first key that is wrong, all that is wrong with it, and the config class that it is in."""
    problems = error.errors()
    location = _followed(problems[0]["loc"], data)
    owner: type[Config] | None = cls
    value: Any = data
    for part in location[:-1]:
        value = value[int(part)] if isinstance(value, list | tuple) else value[part]
        if not part.isdecimal():
            owner = _config_at(owner, part, value)
    return location, [problem for problem in problems if _followed(problem["loc"], data) == location], owner


def _followed(location: tuple[str | int, ...], data: Any) -> Location:
    """The part of pydantic's location that is a path into the data; behind it are the names of a union's branches."""
    followed: list[str] = []
    for part in location:
        if not isinstance(data, Mapping | list | tuple):
            break
        followed.append(str(part))
        try:
            data = data[part]  # type: ignore[index]
        except (LookupError, TypeError):
            break
    return tuple(followed)


def _config_at(cls: type[Config] | None, part: str, value: Any) -> type[Config] | None:
    """The config class of a field, be it inside a tuple or beside None; ``kind`` tells which of a family it is."""
    field = cls.model_fields.get(part) if cls is not None else None
    pending = [field.annotation] if field is not None else []
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, Config):
            return _of_kind(annotation, value.get("kind")) if isinstance(value, Mapping) else annotation
        pending.extend(get_args(annotation))
    return None


def _of_kind(cls: type[Config], kind: Any) -> type[Config]:
    for inner in cls.__subclasses__():
        found = _of_kind(inner, kind)
        if "kind" in found.model_fields and found.model_fields["kind"].default == kind:
            return found
    return cls


def _plain(value: Any) -> Any:
    """What JSON cannot hold as something it can: configs, paths, and the dates that TOML knows."""
    if isinstance(value, Config):
        return value.to_data()
    if isinstance(value, PurePath | date | time):
        return str(value)
    raise InputError(f"found {shown(value)}, a {type(value).__name__}; a config is made of plain values")
