from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from nuclex.core import registry
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.provenance import package_versions
from nuclex.core.registry import Registry


class AnimalConfig(Config):
    kind: str


class CatConfig(AnimalConfig):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class DogConfig(AnimalConfig):
    kind: Literal["dog"] = "dog"


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


POND = """
from typing import Literal

from animal_base import AnimalConfig


class AxolotlConfig(AnimalConfig):
    kind: Literal["axolotl"] = "axolotl"
    gills: int = 6


class NewtConfig(AnimalConfig):
    kind: Literal["triton"] = "triton"


class StoneConfig:
    kind = "stone"
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts packages on the path that declare parts of the family ``animals``: lines of ``name = module:class``."""
    monkeypatch.setitem(sys.modules, "animal_base", SimpleNamespace(AnimalConfig=AnimalConfig))
    monkeypatch.setattr(registry, "_IN_USE", {})

    def made(package: str, *lines: str, code: str = POND, version: str = "1.0") -> None:
        site, module = tmp_path / package, package.replace("-", "_")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("\n".join(["[nuclex.animals]", *lines, ""]))
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        registry._declared.cache_clear()

    yield made
    registry._declared.cache_clear()
    for name in ("pond", "pond_two", "lake"):
        sys.modules.pop(name, None)


def test_another_package_adds_a_kind(animals: Registry[AnimalConfig], install: Install) -> None:
    install("pond", "axolotl = pond:AxolotlConfig", version="2.3")
    assert animals.names() == ["axolotl", "cat", "dog"]
    assert animals["cat"] is CatConfig
    assert "pond" not in sys.modules, "a package outside is not imported for a name that is known inside"
    assert registry.packages_in_use() == {}
    found = animals.parse({"kind": "axolotl", "gills": 2})
    assert found.to_data() == {"kind": "axolotl", "gills": 2}
    assert animals["axolotl"] is type(found)
    assert (animals.package("axolotl"), animals.package("cat")) == ("pond 2.3", None)
    assert registry.packages_in_use() == {"pond": "2.3"} == {"pond": package_versions()["pond"]}
    with pytest.raises(InputError, match=r"'cow'; known: axolotl \(from pond 2.3\), cat, dog$"):
        animals["cow"]


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("axolotl = pond:Missing", POND, "pond:Missing cannot be imported (AttributeError: "),
        ("axolotl = pond:AxolotlConfig", "import nothing_like_it", "(ModuleNotFoundError: No module named 'nothing"),
        ("axolotl = pond:AxolotlConfig", "raise SystemExit('bye')", "(SystemExit: bye); repair or uninstall it"),
        ("axolotl = pond:StoneConfig", POND, "pond:StoneConfig is no subclass of AnimalConfig"),
        ("axolotl = pond:POND", f"POND = {POND!r}", "pond:POND is no subclass of AnimalConfig"),
        ("axolotl = pond:NewtConfig", POND, "the kind of pond:NewtConfig is 'triton'; entry point and kind share a"),
    ],
)
def test_a_broken_package_is_named_and_only_its_own_kind_is_lost(
    line: str, code: str, sentence: str, animals: Registry[AnimalConfig], install: Install
) -> None:
    install("pond", line, code=code)
    assert animals.names() == ["axolotl", "cat", "dog"]
    assert animals["dog"] is DogConfig
    with pytest.raises(InputError, match=r"^animals: 'axolotl' of the package pond 1.0: ") as caught:
        animals["axolotl"]
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_that_is_not_finished_is_told_what_it_lacks(install: Install) -> None:
    class Shape(AnimalConfig, ABC):
        @abstractmethod
        def feed(self) -> None: ...

    shapes: Registry[Shape] = Registry("animals", Shape)  # type: ignore[type-abstract]
    sys.modules["animal_base"].AnimalConfig = Shape
    install("pond", "axolotl = pond:AxolotlConfig")
    with pytest.raises(InputError, match=r"pond:AxolotlConfig lacks feed$"):
        shapes["axolotl"]


def test_two_packages_with_one_name_are_refused_and_the_rest_works(
    animals: Registry[AnimalConfig], install: Install
) -> None:
    install("pond", "axolotl = pond:AxolotlConfig", "dog = pond:AxolotlConfig")
    install("lake", "axolotl = lake:AxolotlConfig", version="7")
    with pytest.raises(InputError, match=r"^animals: 'axolotl' is declared by lake 7 and by pond 1.0; a short name"):
        animals["axolotl"]
    with pytest.raises(InputError, match=r"^animals: 'dog' is declared by \S+ and by pond 1.0; "):
        animals["dog"]
    assert animals["cat"] is CatConfig
    assert not {"pond", "lake"} & set(sys.modules), "nothing is imported to find that out"


def test_a_package_that_lies_on_the_path_twice_counts_once(animals: Registry[AnimalConfig], install: Install) -> None:
    install("pond", "axolotl = pond:AxolotlConfig")
    install("pond-two", "axolotl = pond_two:AxolotlConfig")
    second = next(path for path in map(Path, sys.path) if path.name == "pond-two")
    (second / "pond_two-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: Pond\nVersion: 3.0\n")
    assert animals["axolotl"].__module__ == "pond_two", "the one that lies further in front"
