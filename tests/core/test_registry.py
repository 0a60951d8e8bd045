from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Literal

import pytest

from nuclex.core import registry
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.registry import Registry


class AnimalConfig(Config):
    kind: str


class CatConfig(AnimalConfig):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class DogConfig(AnimalConfig):
    kind: Literal["dog"] = "dog"


class OutsiderConfig(AnimalConfig):
    kind: Literal["axolotl"] = "axolotl"
    gills: int = 6


@pytest.fixture
def animals() -> Registry[AnimalConfig]:
    made: Registry[AnimalConfig] = Registry("animals", AnimalConfig)
    assert made.register(DogConfig) is DogConfig
    made.register(CatConfig)
    return made


def test_a_name_leads_to_its_class(animals: Registry[AnimalConfig]) -> None:
    assert animals.names() == ["cat", "dog"]
    assert animals["cat"] is CatConfig
    assert animals.parse({"kind": "cat", "lives": 3}) == CatConfig(lives=3)
    cat = CatConfig(lives=1)
    assert animals.parse(cat) is cat


def test_a_name_stands_for_one_class(animals: Registry[AnimalConfig]) -> None:
    class OtherCatConfig(AnimalConfig):
        kind: Literal["cat"] = "cat"

    assert animals.register(CatConfig) is CatConfig, "the same class again is no contradiction"
    with pytest.raises(ValueError, match="animals: 'cat' is registered twice"):
        animals.register(OtherCatConfig)
    assert animals["cat"] is CatConfig


def test_an_unknown_name_is_told_what_is_known(animals: Registry[AnimalConfig]) -> None:
    with pytest.raises(InputError, match=r"^animals: unknown kind 'cow'; known: cat, dog$"):
        animals["cow"]
    with pytest.raises(InputError, match=r"^animals: unknown kind 'cow'; known: cat, dog$"):
        animals.parse({"kind": "cow"})


@pytest.mark.parametrize("data", [{}, {"kind": 3}, {"kind": None}, "cat", ["cat"], 3, Config()])
def test_what_is_no_table_with_a_kind_is_refused(data: object, animals: Registry[AnimalConfig]) -> None:
    with pytest.raises(InputError, match=r"^animals: a table with a 'kind' is needed; known kinds: cat, dog$"):
        animals.parse(data)  # type: ignore[arg-type]


def test_a_config_of_another_family_is_refused(animals: Registry[AnimalConfig]) -> None:
    class StoneConfig(Config):
        kind: Literal["cat"] = "cat"

    with pytest.raises(InputError, match="a table with a 'kind' is needed"):
        animals.parse(StoneConfig())  # type: ignore[arg-type]


def test_another_package_adds_a_kind(animals: Registry[AnimalConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Point(EntryPoint):
        def load(self) -> type[AnimalConfig]:
            asked.append(self.name)
            return OutsiderConfig

    def points(group: str) -> list[EntryPoint]:
        return [Point("axolotl", "pond:OutsiderConfig", group)] if group == "nuclex.animals" else []

    monkeypatch.setattr(registry, "entry_points", points)
    assert animals.names() == ["axolotl", "cat", "dog"]
    assert animals["cat"] is CatConfig
    assert asked == [], "a package outside is not imported for a name that is known inside"
    assert animals.parse({"kind": "axolotl", "gills": 2}) == OutsiderConfig(gills=2)
    assert animals["axolotl"] is OutsiderConfig
    assert asked == ["axolotl"]
