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
        ("a.yaml", f"seed:{' {a:' * 5000}\n", "a.yaml: holds tables in tables in tables without end"),
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


# Found by fuzzing: a traceback, minutes of work, another number than written, or a message as long as a file.
@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.toml", f"seed = 1\n{'a.' * 30_000}a = 1\n", "a.toml:2: found 'a.a."),
        ("a.toml", f"seed = 1\n\nsteps = {'9' * 5000}\n", "a.toml:3: found 'steps = 999"),
        ("a.toml", "seed = 0x8000_0000_0000_0000\n", "a.toml:1: seed: found a whole number of more than 64 bits"),
        ("a.toml", f"seed = 1\n{'a.' * 40}a = 1\n", "a.toml:2: a.a.a"),
        (
            "a.toml",
            '[part]\ncorpus = "a\\u0000b"\n',
            r"a.toml:2: part.corpus: found 'a\x00b'; '\x00' is no letter of a text",
        ),
        ("a.toml", '"a\\u202e" = "\\u0007"\n', r"a.toml: a\u202e: found '\x07'"),
        ("a.toml", "# " + "x" * 70_000, "a.toml: is larger than 64 kB, which no recipe is"),
        ("a.yaml", "seed: 1\nstarted: 2020-13-45\n", "a.yaml:2: not valid YAML: this is no timestamp"),
        ("a.yaml", "seed: !!int x\n", "a.yaml:1: not valid YAML: this is no int"),
        ("a.yaml", "seed: !!bool x\n", "a.yaml:1: not valid YAML: this is no bool"),
        ("a.yaml", "seed: 010\n", "a.yaml:1: not valid YAML: '010' is not the same number to every program"),
        ("a.yaml", "steps: 1:30\n", "a.yaml:1: not valid YAML: '1:30' is not the same number to every program"),
        ("a.yaml", 'name: "\\ud800"\n', r"a.yaml:1: name: found '\ud800'; '\ud800' is no letter of a text"),
        ("a.yaml", f"seed: *{'a' * 5000}\n", "a.yaml:1: not valid YAML: found undefined alias"),
    ],
)
def test_what_fuzzing_found(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        read_recipe(tmp_path / name)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_table_that_only_its_inner_tables_name_has_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seed = 1\n\n[trainig.schedule]\nrate = 1.0\n")
    assert read_recipe(tmp_path / "a.toml").line_of(("trainig",)) == 3


def test_numbers_of_yaml_are_those_that_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 10\nb: -1\nc: 1e-4\nd: 0.5\ne: 1_000\nf: 0\ng: '010'\n")
    assert list(read_recipe(tmp_path / "a.yaml").data.values()) == [10, -1, 1e-4, 0.5, 1000, 0, "010"]


@pytest.mark.parametrize(
    "value", ["\"a'''b\"", '\'a"""b\'', '1  # it\'s """', "\"\\\"\" # '''", '""', "''", "'''a'''", '"""a""" # "']
)
def test_quotes_inside_texts_and_remarks_hide_no_line(value: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"first = {value}\n[[thaw]]\nstep = 0\n[[thaw]]\nstep = 1\n")
    recipe = read_recipe(tmp_path / "a.toml")
    assert recipe.lines["first",] == 1
    assert recipe.lines["thaw", "1", "step"] == 5


@pytest.mark.parametrize("mark", ["'''", '"""'])
def test_what_looks_like_a_key_inside_a_long_text_is_none(mark: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"first = {mark}a # 'b\nsecond = 1\nthird{mark} # it's\nfourth = 2\n")
    assert read_recipe(tmp_path / "a.toml").lines == {("first",): 1, ("fourth",): 4}
