"""Documents that are computed say what the code says; the site is whole, strict, offline, with every verb and name."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import nuclex
from nuclex.cli.main import app
from nuclex.cli.schema import kinds, schema

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_the_drawn_tree_of_codons_is_the_one_that_losses_know(tmp_path: Path) -> None:
    def run(*extra: str) -> int:
        return subprocess.run([sys.executable, str(ROOT / "docs" / "codon_tree.py"), *extra], check=False).returncode

    assert run("--check") == 0, "python docs/codon_tree.py draws it anew"
    assert run("--check", "--out", str(tmp_path / "none.svg")) == 1
    (tmp_path / "other.svg").write_text((ROOT / "docs" / "codon_tree.svg").read_text().replace("GCA", "GCC"))
    assert run("--check", "--out", str(tmp_path / "other.svg")) == 1


# ---- what pages take from the code ----


def module(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_what_the_ten_stops_print_is_what_python_prints() -> None:
    text = (DOCS / "ten-stops.md").read_text()
    blocks = re.findall(r"^```pycon\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    stops = re.findall(r"^## (\d+)\. ", text, re.MULTILINE)
    assert stops == [str(number) for number in range(1, 11)]
    assert len(blocks) == 10, "something to try at each stop"
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "ten-stops.md", "ten-stops.md", 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=said.append)
    assert not said, "".join(said)


def test_snippets_are_taken_by_names_that_exist() -> None:
    blocks = module("source_blocks")
    wanted = [match for page in DOCS.rglob("*.md") for match in blocks.BLOCK.finditer(page.read_text())]
    assert len(wanted) >= 10
    for match in wanted:
        assert blocks.code_of(ROOT / "src" / match["file"], match["name"])
    left = [page.name for page in DOCS.rglob("*.md") if "```source" in blocks.BLOCK.sub("", page.read_text())]
    assert not left, "a source block is three lines: ```source, FILE: NAME, ```"


def test_a_snippet_is_the_code_of_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        'A: int = 1\n\n\nclass B:\n    x = 1\n\n    @property\n    def c(self) -> int:\n        """First.\n\n'
        '        More.\n        """\n        return A\n\n\ndef d() -> None: ...\n'
    )
    code_of = module("source_blocks").code_of
    assert code_of(tmp_path / "one.py", "A") == "A: int = 1"
    assert code_of(tmp_path / "one.py", "B.c") == '@property\ndef c(self) -> int:\n    """First."""\n    return A'
    with pytest.raises(ValueError, match=r"has no B\.d"):
        code_of(tmp_path / "one.py", "B.d")


def test_every_verb_with_settings_lists_them() -> None:
    pages = module("verb_pages")
    taking = set()
    for verb in nuclex.VERBS:
        command = app
        for word in verb.split("_"):
            command = command[word]
        if any(argument.names[0] == "--set" for argument in command.assemble_argument_collection()):
            taking.add(verb)
    assert taking == pages.SETTINGS.keys()
    written = {path.name for path in (DOCS / "verbs").glob("*.md")} - {"index.md"}
    assert written <= {pages.file_of(verb) for verb in nuclex.VERBS}, "a page of a verb that is gone"


@pytest.mark.parametrize("page", ["different", "rnaberta", "tinydnabert"])
def test_a_page_names_tests_that_exist(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / f"{page}.md").read_text())
    assert len(named) >= 6
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"


# ---- the site as it is built ----


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs-material is needed (extra docs)")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is needed (extra docs)")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


class Fetched(HTMLParser):
    """The addresses that a browser fetches by itself when it opens a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        names = ("src", "srcset", "data", "poster") if tag != "link" else ("href",)
        if given.get("rel") not in ("canonical", "next", "prev"):
            self.found += [str(given[name]) for name in names if given.get(name)]


def outside(addresses: list[str]) -> Iterator[str]:
    return (address for address in addresses if re.match(r"\s*(https?:)?//", address))


def test_finding_what_is_fetched() -> None:
    text = (
        '<script src="//cdn.x/a.js"></script><a href="https://x"></a><link rel="icon" href="https://x/i"><img src="a">'
    )
    assert list(outside(Fetched(text).found)) == ["//cdn.x/a.js", "https://x/i"]


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        assert not list(outside(Fetched(page.read_text()).found)), page
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", sheet.read_text()), sheet


@pytest.mark.slow
def test_every_verb_has_a_page_with_every_flag(site: Path) -> None:
    pages = module("verb_pages")
    for verb in nuclex.VERBS:
        text = (site / "verbs" / pages.file_of(verb).replace(".md", ".html")).read_text()
        command = app
        for word in verb.split("_"):
            command = command[word]
        for argument in command.assemble_argument_collection():
            name = argument.names[0].removeprefix("--").upper() if argument.index is not None else argument.names[0]
            assert f"{name}" in text or name == "--set", (verb, name)
        assert nuclex.VERBS[verb].split(":")[1] in text, verb


@pytest.mark.slow
def test_every_verb_says_what_json_prints_and_has_a_schema_to_download(site: Path) -> None:
    pages = module("verb_pages")
    index = (site / "json.html").read_text()
    for verb in nuclex.VERBS:
        name = pages.file_of(verb).removesuffix(".md")
        assert f'href="json/{name}.json"' in index
        assert f'href="verbs/{name}.html#what-json-prints"' in index
        assert json.loads((site / "json" / f"{name}.json").read_text()) == schema(verb)
        text = (site / "verbs" / f"{name}.html").read_text()
        for kind in kinds(verb):
            for key, field in kind.model_fields.items():
                assert f"<code>{field.alias or key}</code>" in text, (verb, key)


@pytest.mark.slow
def test_the_reference_has_every_exported_name_and_search_finds_it(site: Path) -> None:
    reference = module("reference_pages")
    words = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    places = {entry["location"] for entry in words}
    for floor in set(reference.FLOORS) - set(reference.MODULES):
        text = (site / "reference" / f"{floor}.html").read_text()
        for name, path in reference.exported(ROOT / "src" / "nuclex" / floor).items():
            anchor = reference.origin(ROOT / "src", path)
            if f"{anchor}" not in {target.replace(":", ".") for target in nuclex.VERBS.values()}:
                assert f'id="{anchor}"' in text, (floor, name)
                assert f"reference/{floor}.html#{anchor}" in places, (floor, name)
