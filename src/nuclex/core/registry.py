"""One mechanism for everything that has a short name: a name leads to a config class.

A part registers its config class with a decorator. A package outside nuclex does it with an entry point in the
group ``nuclex.<family>``; those are asked only when a name is not known inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from nuclex.core.config import Config
from nuclex.core.errors import InputError, meant, shown

C = TypeVar("C", bound=Config)


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
        return sorted({*self._classes, *(point.name for point in entry_points(group=f"nuclex.{self.family}"))})

    def __getitem__(self, name: str) -> type[C]:
        if name not in self._classes:
            for point in entry_points(group=f"nuclex.{self.family}"):
                if point.name == name:
                    self._classes[name] = point.load()
        if name not in self._classes:
            hint, known = meant(name, self.names()), ", ".join(self.names())
            raise InputError(f"{self.family}: unknown kind {shown(name)}{hint}; known: {known}")
        return self._classes[name]

    def parse(self, data: Mapping[str, Any] | C) -> C:
        """Turn ``{"kind": name, ...}`` into the config value of that name; a config value passes through."""
        if isinstance(data, self.base):
            return data
        if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
            raise InputError(f"{self.family}: a table with a 'kind' is needed; known kinds: {', '.join(self.names())}")
        return self[data["kind"]].from_data(data)

    def validator(self) -> Callable[[Any], C]:
        """The function that pydantic's ``BeforeValidator`` needs to read a field of this family."""

        def read(data: Any) -> C:
            try:
                return self.parse(data)
            except InputError as error:  # pydantic reports ValueErrors with their place
                raise ValueError(str(error)) from None

        return read
