from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from nuclex.core.config import Config, load_config, parse_settings
from nuclex.core.errors import InputError
from nuclex.core.registry import Registry


class PartConfig(Config):
    kind: str


PARTS: Registry[PartConfig] = Registry("parts", PartConfig)
AnyPart = Annotated[SerializeAsAny[PartConfig], BeforeValidator(PARTS.validator())]


@PARTS.register
class WheelConfig(PartConfig):
    kind: Literal["wheel"] = "wheel"
    spokes: int = Field(default=8, ge=3)
    weight: float = 1.0
    inner: AnyPart | None = None


@PARTS.register
class SailConfig(PartConfig):
    kind: Literal["sail"] = "sail"
    area: float = 1.0


class StageConfig(Config):
    step: int = Field(ge=0)
    blocks: int | Literal["all"] = 1


class SizesConfig(Config):
    width: int = 64
    heads: int = 4
    rate: float = Field(default=1e-4, gt=0)
    mode: Literal["cosine", "linear"] = "cosine"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class MachineConfig(Config):
    part: AnyPart = WheelConfig()
    spare: AnyPart | None = None
    sizes: SizesConfig = SizesConfig()
    other: SizesConfig | None = None
    stages: tuple[StageConfig, ...] = ()
    names: tuple[str, ...] = ()
    folder: Path | None = None
    fast: bool = False
    seed: int


BAD_TOML = """
seed = 1
fasst = true
:2: fasst: unknown key (did you mean 'fast'?); allowed: <machine>
---
seed = 1
qqq = 1
:2: qqq: unknown key; allowed: <machine>
---
seed = 1

[szies]
width = 1
:3: szies: unknown key (did you mean 'sizes'?); allowed: <machine>
---
seed = 1
[sizes]
# widht = 3
widht = 3
:4: sizes.widht: unknown key (did you mean 'width'?); allowed: <sizes>
---
seed = 1
sizes.widht = 3
:2: sizes.widht: unknown key (did you mean 'width'?); allowed: <sizes>
---
seed = 1
sizes = {heads = 2, widht = 3}
:2: sizes.widht: unknown key (did you mean 'width'?); allowed: <sizes>
---
seed = 1
[other]
widht = 3
:3: other.widht: unknown key (did you mean 'width'?); allowed: <sizes>
---
seed = 1
[part]
kind = "wheel"
spoeks = 3
:4: part.spoeks: unknown key (did you mean 'spokes'?); allowed: <wheel>
---
seed = 1
[spare]
kind = "wheel"
spoeks = 3
:4: spare.spoeks: unknown key (did you mean 'spokes'?); allowed: <wheel>
---
seed = 1
[part]
kind = "wheel"
[part.inner]
kind = "sail"
raea = 3
:6: part.inner.raea: unknown key (did you mean 'area'?); allowed: area, kind
---
seed = 1
[[stages]]
step = 1
[[stages]]
step = 2
bloks = 1
:6: stages.1.bloks: unknown key (did you mean 'blocks'?); allowed: blocks, step
---
seed = 1
[part]
kind = "slai"
:2: part: parts: unknown kind 'slai' (did you mean 'sail'?); known: sail, wheel
---
seed = 1
[part]
spokes = 4
:2: part: parts: a table with a 'kind' is needed; known kinds: sail, wheel
---
seed = 1
part = 'wheel'
:2: part: parts: a table with a 'kind' is needed; known kinds: sail, wheel
---
seed = "1"
:1: seed: Input should be a valid integer, found '1'
---
seed = 1
[part]
kind = "wheel"
spokes = "4"
:4: part.spokes: Input should be a valid integer, found '4'
---
seed = 1.5
:1: seed: Input should be a valid integer, found 1.5
---
seed = 1.0
:1: seed: Input should be a valid integer, found 1.0
---
seed = true
:1: seed: Input should be a valid integer, found True
---
seed = 1
fast = 1
:2: fast: Input should be a valid boolean, found 1
---
seed = 1
names = [1]
:2: names.0: Input should be a valid string, found 1
---
seed = 1
sizes = 4
:2: sizes: Input should be an object, found 4
---
seed = 1
[sizes]
rate = inf
:3: sizes.rate: Input should be a finite number, found inf
---
seed = 1
[sizes]
rate = nan
:3: sizes.rate: Input should be a finite number, found nan
---
seed = 1
[sizes]
rate = 0
:3: sizes.rate: Input should be greater than 0, found 0
---
seed = 1
[part]
kind = "wheel"
spokes = 2
:4: part.spokes: Input should be greater than or equal to 3, found 2
---
seed = 1
[sizes]
mode = 'cosin'
:3: sizes.mode: Input should be 'cosine' or 'linear', found 'cosin'
---
seed = 1
[[stages]]
step = 0
blocks = 'al'
:4: stages.0.blocks: Input should be a valid integer or Input should be 'all', found 'al'
---
fast = true
: seed: missing, and it has no default
---
seed = 1
[[stages]]
step = 0
[[stages]]
blocks = 1
:4: stages.1.step: missing, and it has no default
---
seed = 1

[sizes]
heads = 5
:3: sizes: width 64 is not a multiple of heads 5
---
seed = 1
fast = = true
:2: not valid TOML: Invalid value
---
seed = 1
names = [
:2: not valid TOML: Invalid value
---
seed = 1
seed = 2
:2: not valid TOML: Cannot overwrite a value
"""
BAD_YAML = """
seed: 1
fasst: true
:2: fasst: unknown key (did you mean 'fast'?); allowed: <machine>
---
seed: 1
sizes:
  width: 8
part:
  kind: wheel
  spoeks: 3
:6: part.spoeks: unknown key (did you mean 'spokes'?); allowed: <wheel>
---
seed: 1
other:
  rate: 1.0
sizes:
  rate: -1.0
:5: sizes.rate: Input should be greater than 0, found -1.0
---
seed: 1
sizes: {width: 8,
        rate: x}
:3: sizes.rate: Input should be a valid number, found 'x'
---
seed: 1
stages:
  - step: 1
  - step: -2
:4: stages.1.step: Input should be greater than or equal to 0, found -2
---
seed: '1'
:1: seed: Input should be a valid integer, found '1'
---
sizes:
  width: 8
: seed: missing, and it has no default
---
seed: 1
sizes:
  heads: 5
:2: sizes: width 64 is not a multiple of heads 5
---
seed: 1
sizes:
  rate: 1.0
  rate: 2.0
:4: sizes.rate: stands twice, first on line 3
---
seed: 1
2: 3
:2: the key '2' is not a name; write it in quotes if it is one
---
seed: 1
2024-01-01: 3
:2: the key '2024-01-01' is not a name; write it in quotes if it is one
---
seed: 1
sizes: &a
  rate: *a
:2: sizes.rate: a table cannot hold itself
---
seed: 1
sizes: [1, 2
:3: not valid YAML: expected ',' or ']', but got '<stream end>'
---
- 1
- 2
: a recipe is a table of keys, which this file does not begin with
---
seed: !!python/object/apply:os.system [ls]
:1: not valid YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system'
"""
KEYS = {
    "<machine>": "fast, folder, names, other, part, seed, sizes, spare, stages",
    "<sizes>": "heads, mode, rate, width",
    "<wheel>": "inner, kind, spokes, weight",
}


def cases(text: str) -> list[tuple[str, str]]:
    """Recipes and the sentence that each of them gets, which is the line that begins with a colon."""
    for short, keys in KEYS.items():
        text = text.replace(short, keys)
    parts = [part.strip("\n").rpartition("\n:") for part in text.split("\n---\n")]
    return [(f"{recipe}\n", f":{sentence}") for recipe, _, sentence in parts]


def complaint(text: str, folder: Path, name: str = "machine.toml", **settings: Any) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_config(MachineConfig, path, settings)
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(folder) + "/", "")


@pytest.mark.parametrize(("text", "sentence"), cases(BAD_TOML))
def test_a_bad_toml_recipe_gives_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    assert complaint(text, tmp_path) == f"machine.toml{sentence}"
    assert complaint(text.replace("\n", "\r\n"), tmp_path) == f"machine.toml{sentence}", "Windows line ends"


@pytest.mark.parametrize(("text", "sentence"), cases(BAD_YAML))
def test_a_bad_yaml_recipe_gives_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    assert complaint(text, tmp_path, "machine.yaml") == f"machine.yaml{sentence}"


def test_a_recipe_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none\.toml: no such recipe file; give a \.toml or \.yaml file or one of: .*pre"
    ):
        load_config(MachineConfig, tmp_path / "none.toml")
    with pytest.raises(InputError, match="no such recipe file"):
        load_config(MachineConfig, tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"seed = 1\n# caf\xe9\n")
    with pytest.raises(InputError, match=r"latin\.toml:2: is not UTF-8 text"):
        load_config(MachineConfig, tmp_path / "latin.toml")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbfseed = 3\n")
    assert load_config(MachineConfig, tmp_path / "bom.toml").seed == 3


def test_a_setting_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    text = "seed = 1\n[sizes]\nrate = 0.1\n"
    expected = "sizes.rate: Input should be a valid number, found 'x' (set over machine.toml)"
    assert complaint(text, tmp_path, **{"sizes.rate": "x"}) == expected
    expected = f"sizes.widht: unknown key (did you mean 'width'?) (set over machine.toml); allowed: {KEYS['<sizes>']}"
    assert complaint(text, tmp_path, **{"sizes.widht": 3}) == expected
    assert complaint(text, tmp_path, **{"sizes": {"rate": 0}}).startswith("sizes.rate: Input should be greater")
    assert complaint(text, tmp_path, **{"seed.deep": 3}) == "seed.deep: 'seed' is a value, not a table"
    with pytest.raises(InputError, match=r"^seed: Input should be a valid integer, found 'x'$"):
        load_config(MachineConfig, None, {"seed": "x"})


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        'seed = 7\nfast = true\nfolder = "a b"\nnames = ["x", "y"]\n[sizes]\nrate = 5e-5\nmode = "linear"\n'
        '[part]\nkind = "wheel"\nweight = 3\n[[stages]]\nstep = 1\n[[stages]]\nstep = 2\nblocks = "all"\n'
    )
    (tmp_path / "a.yaml").write_text(
        "seed: 7\nfast: true\nfolder: a b\nnames: [x, y]\nsizes:\n  rate: 5e-5\n  mode: linear\n"
        "part: {kind: wheel, weight: 3}\nstages:\n- step: 1\n- step: 2\n  blocks: all\n"
    )
    first, second = (load_config(MachineConfig, tmp_path / name) for name in ("a.toml", "a.yaml"))
    assert first == second
    assert first.digest() == second.digest()
    assert first == MachineConfig(
        seed=7,
        fast=True,
        folder=Path("a b"),
        names=("x", "y"),
        sizes=SizesConfig(rate=5e-5, mode="linear"),
        part=WheelConfig(weight=3.0),
        stages=(StageConfig(step=1), StageConfig(step=2, blocks="all")),
    )


@pytest.mark.parametrize("number", ["1e-4", "1E5", "+1e-4", "1.5e-4", "1.e3", "12e+2", "0.5", "3"])
def test_yaml_reads_numbers_as_toml_and_people_do(number: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"seed: 1\nsizes:\n  rate: {number}\n")
    assert load_config(MachineConfig, tmp_path / "a.yaml").sizes.rate == float(number)


def test_settings_lie_over_the_file_and_keywords_over_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('seed = 1\nsizes.rate = 0.5\nsizes.width = 8\n[part]\nkind = "wheel"\n')
    nested = {"heads": 2}
    config = load_config(MachineConfig, path, {"sizes": nested, "sizes.width": 16, "part.spokes": 5, "seed": 2}, seed=3)
    assert (config.seed, config.sizes, config.part.spokes) == (3, SizesConfig(heads=2, width=16), 5)
    assert nested == {"heads": 2}, "what the caller gave must stay as it was"
    assert load_config(MachineConfig, path, part=WheelConfig(spokes=9)).part == WheelConfig(spokes=9)
    assert load_config(MachineConfig, None, seed=1, folder=Path("x")).folder == Path("x")
    with pytest.raises(InputError, match=r"found <object .*>, a object; a config is made of plain values"):
        load_config(MachineConfig, None, seed=1, folder=object())


def test_settings_are_read_as_toml_or_as_text() -> None:
    texts = ["a=1", "b.c=2.5", "d=true", 'e="7"', "f=x=y", "g=[1, 2]", "h=", "i=my corpus", "j={k = 1}", "k=007"]
    values = [1, 2.5, True, "7", "x=y", [1, 2], "", "my corpus", {"k": 1}, "007"]
    assert parse_settings(texts) == dict(zip(["a", "b.c", *"defghijk"], values, strict=True))
    assert parse_settings(["a=1\nb = 2"]) == {"a": "1\nb = 2"}, "only one value can be set at a time"
    assert load_config(MachineConfig, None, {"seed": 1, **parse_settings(["folder=2024-01-01"])}).folder == Path(
        "2024-01-01"
    )
    deep = "[" * 5000
    assert parse_settings([f"a={deep}"]) == {"a": deep}
    for wrong in ("a", "=3", "", ".a=3", "a.=3", "a..b=3"):
        with pytest.raises(InputError, match="command line: found --set"):
            parse_settings([wrong])
    with pytest.raises(InputError, match=r"^command line: a\.b is set twice, to 1 and to '2'$"):
        parse_settings(["a.b=1", "c=1", "a.b=2"])


def test_a_config_cannot_be_changed_and_takes_no_unknown_key() -> None:
    config = SizesConfig()
    with pytest.raises(ValidationError):
        config.width = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        SizesConfig(widht=3)  # type: ignore[call-arg]


sizes = st.builds(
    SizesConfig,
    width=st.integers(1, 50).map(lambda number: 4 * number),
    rate=st.floats(1e-300, 1e300),
    mode=st.sampled_from(["cosine", "linear"]),
)
machines = st.builds(
    MachineConfig,
    part=st.builds(WheelConfig, spokes=st.integers(3, 2**60), weight=st.floats(allow_nan=False, allow_infinity=False)),
    sizes=sizes,
    other=st.none() | sizes,
    stages=st.lists(st.builds(StageConfig, step=st.integers(0), blocks=st.integers() | st.just("all"))).map(tuple),
    names=st.lists(st.text()).map(tuple),
    folder=st.none() | st.text("ab/.-_ é", min_size=1).map(Path),
    fast=st.booleans(),
    seed=st.integers(),
)


@given(machines, machines)
def test_plain_data_round_trip_and_digest(first: MachineConfig, second: MachineConfig) -> None:
    again = MachineConfig.from_data(first.to_data())
    assert again == first
    assert again.digest() == first.digest()
    assert (first.digest() == second.digest()) == (first.to_data() == second.to_data())


def test_a_whole_number_for_a_float_is_the_same_config() -> None:
    assert SizesConfig.from_data({"rate": 1}).digest() == SizesConfig(rate=1.0).digest()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (f"sizes.width={'9' * 30}", r"^sizes\.width: found a whole number of more than 64 bits$"),
        (f"sizes.width={'9' * 5000}", r"^sizes\.width: Input should be a valid integer, found '9+\.\.\.$"),
        (f"{'a.' * 3000}a=1", r"^(a\.)+a: is more than 32 tables and lists deep"),
        (f"sizes={'[' * 300}{']' * 300}", r"^sizes\.0\.0.*: is more than 32 tables and lists deep"),
        ('sizes.mode="a\\u0000"', r"^sizes\.mode: found 'a\\x00'; '\\x00' is no letter of a text"),
        (f"sizes.{'x' * 5000}=1", r"^sizes\.x+\.\.\.: unknown key; allowed"),
        (f"part.kind={'x' * 5000}", r"^part: parts: unknown kind 'x+\.\.\.; known: sail, wheel"),
    ],
)
def test_settings_that_no_config_holds_get_a_short_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        load_config(MachineConfig, None, parse_settings(["seed=1", setting]))
    assert len(str(caught.value)) < 400
