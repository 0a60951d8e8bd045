from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from nuclex.core.errors import InputError
from nuclex.core.recipe import read_recipe, shipped_recipes

TOML = '''# comment with key = 1
seed = 1
"quoted key" = 2
text = """
inside = 3
"""
a.b . c = 4
many = [
  {x = 1},
]

[table]  # why
key = 5
  indented = 6

[table.inner]
key = 7

[[list]]
key = 8

[[list]]
key = 9
'''


def test_every_key_of_a_toml_file_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TOML)
    recipe = read_recipe(tmp_path / "a.toml")
    assert recipe.lines == {
        ("seed",): 2,
        ("quoted key",): 3,
        ("text",): 4,
        ("a",): 7,
        ("a", "b"): 7,
        ("a", "b", "c"): 7,
        ("many",): 8,
        ("table",): 12,
        ("table", "key"): 13,
        ("table", "indented"): 14,
        ("table", "inner"): 16,
        ("table", "inner", "key"): 17,
        ("list",): 19,
        ("list", "0"): 19,
        ("list", "0", "key"): 20,
        ("list", "1"): 22,
        ("list", "1", "key"): 23,
    }
    assert recipe.line_of(("many", "0", "x")) == 8, "what has no line of its own has that of its table"
    assert recipe.line_of(("list", "1", "absent")) == 22
    assert recipe.line_of(("absent",)) is None
    assert recipe.line_of(()) is None


def test_every_key_of_a_yaml_file_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("seed: 1\ntable:\n  key: 2\n  inner: {x: 3}\nlist:\n- a: 1\n  b: 2\n- c\n")
    recipe = read_recipe(tmp_path / "a.yml")
    assert recipe.data == {"seed": 1, "table": {"key": 2, "inner": {"x": 3}}, "list": [{"a": 1, "b": 2}, "c"]}
    places = [("seed",), ("table",), ("table", "key"), ("table", "inner", "x"), ("list", "0", "b"), ("list", "1")]
    assert [recipe.line_of(place) for place in places] == [1, 2, 3, 4, 7, 8]


def test_shipped_recipes_are_found_by_name() -> None:
    shipped = shipped_recipes()
    assert "pretrain/quickstart" in shipped
    assert read_recipe(Path("pretrain/quickstart")).path == shipped["pretrain/quickstart"]
    with pytest.raises(InputError, match="pretrain/quickstrat: no such recipe file"):
        read_recipe(Path("pretrain/quickstrat"))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.toml", f"seed = {'[' * 5000}{']' * 5000}\n", "a.toml: holds tables in tables in tables without end"),
        ("a.yaml", f"seed: {'[' * 5000}{']' * 5000}\n", "a.yaml: holds tables in tables in tables without end"),
        ("a.yaml", "seed: 1\nname: \x01\n", r"a.yaml:2: not valid YAML: '\x01' is not allowed in it"),
        ("a.yaml", "seed: 1\nname: a\x00b\n", r"a.yaml:2: not valid YAML: '\x00' is not allowed in it"),
    ],
)
def test_a_file_that_no_parser_survives_gets_a_sentence(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_recipe(tmp_path / name)


def test_a_recipe_whose_aliases_multiply_is_refused_at_once(tmp_path: Path) -> None:
    levels = [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise("abcdefghijkl")]
    (tmp_path / "a.yaml").write_text("\n".join(["a: &a [1]", *levels]))
    with pytest.raises(InputError, match=r"a\.yaml: has more than 10000 keys"):
        read_recipe(tmp_path / "a.yaml")


def test_a_name_too_long_for_a_file_is_no_recipe() -> None:
    with pytest.raises(InputError, match="xxx: no such recipe file"):
        read_recipe(Path("x" * 300))
