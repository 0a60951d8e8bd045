"""One mechanism for everything that has a short name: a name leads to a config class.

A part registers its config class with a decorator. A package outside nuclex declares it with an entry point in the
group ``nuclex.<family>``; its code is imported when its name is asked for, and not before.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any, Generic, TypeVar

from nuclex.core.config import Config
from nuclex.core.errors import InputError, meant, one_line, shown

C = TypeVar("C", bound=Config)
_IN_USE: dict[str, str] = {}


class Registry(Generic[C]):
    """The short names of one family of parts (models, objectives, tasks, tokenizers) and their config classes."""

    def __init__(self, family: str, base: type[C]) -> None:
        self.family = family
        self.base = base
        self._classes: dict[str, type[C]] = {}

    def register(self, cls: type[C]) -> type[C]:
        """Class decorator: file ``cls`` under the default of its ``kind`` field."""
        name = cls.model_fields["kind"].default
        if name in self._classes and self._classes[name] is not cls:
            raise ValueError(f"{self.family}: {name!r} is registered twice")
        self._classes[name] = cls
        return cls

    def names(self) -> list[str]:
        """All known short names, outside packages included, in alphabetical order."""
        return sorted({*self._classes, *(point.name for point in declared(self.family))})

    def package(self, name: str) -> str | None:
        """The package, with its version, that brings this kind from outside; None for a kind of nuclex itself."""
        points = [point for point in declared(self.family) if point.name == name]
        return package_of(points[0]) if points else None

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> type[C]:
        inside = self._classes.get(name)
        points = [point for point in declared(self.family) if point.name == name]
        owners = [package_of(point) for point in points]
        if inside is not None and not any(_of_one_package(inside, point) for point in points):
            owners.insert(0, "nuclex itself" if inside.__module__.startswith("nuclex.") else inside.__module__)
        if len(owners) > 1:
            raise InputError(
                f"{self.family}: {name!r} is declared by {' and by '.join(owners)}; a short name stands for one part, "
                "so rename it in one of them, or uninstall one"
            )
        if inside is None and not points:
            hint = meant(name, self.names())
            raise InputError(f"{self.family}: unknown kind {shown(name)}{hint}; known: {self._known()}")
        return inside if inside is not None else self._load(points[0])

    def parse(self, data: Mapping[str, Any] | C) -> C:
        """Turn ``{"kind": name, ...}`` into the config value of that name; a config value passes through."""
        if isinstance(data, self.base):
            return data
        if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
            raise InputError(f"{self.family}: a table with a 'kind' is needed; known kinds: {self._known()}")
        return self[data["kind"]].from_data(data)

    def validator(self) -> Callable[[Any], C]:
        """The function that pydantic's ``BeforeValidator`` needs to read a field of this family."""

        def read(data: Any) -> C:
            try:
                return self.parse(data)
            except InputError as error:  # pydantic reports ValueErrors with their place
                raise ValueError(str(error)) from None

        return read

    def _known(self) -> str:
        """The names, each from outside with its package."""
        brought = {point.name: f"{point.name} (from {package_of(point)})" for point in declared(self.family)}
        return ", ".join(brought.get(name, name) for name in self.names())

    def _load(self, point: EntryPoint) -> type[C]:
        """The class that an entry point names; InputError that names its package where it is no part of the family."""
        package, where = package_of(point), f"{self.family}: {point.name!r} of the package {package_of(point)}"
        try:
            found = point.load()
        except (Exception, SystemExit) as error:  # whatever the code of others does when it is imported
            why = f"{type(error).__name__}: {one_line(str(error))}"
            raise InputError(f"{where}: {point.value} cannot be imported ({why}); repair or uninstall it") from error
        if not (isinstance(found, type) and issubclass(found, self.base)):
            raise InputError(f"{where}: {point.value} is no subclass of {self.base.__name__}")
        if inspect.isabstract(found):
            raise InputError(f"{where}: {point.value} lacks {', '.join(sorted(found.__abstractmethods__))}")
        if (kind := found.model_fields["kind"].default) != point.name:
            raise InputError(f"{where}: the kind of {point.value} is {shown(kind)}; entry point and kind share a name")
        self._classes[point.name] = found
        name, _, version = package.partition(" ")
        _IN_USE[name] = version
        return found


def packages_in_use() -> dict[str, str]:
    """The outside packages whose parts this process has taken, with their versions."""
    return dict(_IN_USE)


def declared(family: str) -> tuple[EntryPoint, ...]:
    """What installed packages declare for a family; nothing of theirs is imported."""
    return _declared().get(f"nuclex.{family}", ())


def package_of(point: EntryPoint) -> str:
    """The package that declares an entry point, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _of_one_package(cls: type, point: EntryPoint) -> bool:
    return cls.__module__.partition(".")[0] == point.value.partition(":")[0].partition(".")[0]


@cache
def _declared() -> dict[str, tuple[EntryPoint, ...]]:
    """By group; read once a process, since it means a look into every installed package."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in _points():
        found[point.group] = (*found.get(point.group, ()), point)
    return found


def _points() -> Iterator[EntryPoint]:
    """Entry points of the groups ``nuclex.…``; where a package lies on the path twice, of the first."""
    seen = set()
    for distribution in distributions():
        points = [point for point in distribution.entry_points if point.group.startswith("nuclex.")]
        name = re.sub(r"[-_.]+", "-", distribution.name).lower() if points else ""
        if points and name not in seen:
            seen.add(name)
            yield from points
