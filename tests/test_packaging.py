"""What is released: the files of wheel and sdist, their metadata, the extras, what containers and workflows say."""

from __future__ import annotations

import ast
import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

import nuclex

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
DISTRIBUTIONS = {
    "Bio": "biopython", "RNA": "viennarna", "pynvml": "nvidia-ml-py",
    "sklearn": "scikit-learn", "yaml": "pyyaml", "zlib_ng": "zlib-ng",
    "pytorch_optimizer": "pytorch-optimizer", "markupsafe": "jinja2", "starlette": "fastapi",
}  # fmt: skip
"""Modules that another name is installed by, or that come with what is named."""
ELSEWHERE = {"gradio": "a Space has it", "fla": "kernels for GPUs", "mamba_ssm": "kernels for GPUs"}
"""Modules that no extra brings, and why."""
WITH_EXTRA = ("web/", "hub/", "models/blocks/scan_kernel.py")
"""Files that are imported only where their extra is; all others import optional libraries in functions."""


def distribution(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def brought(extra: str) -> set[str]:
    """The distributions that an extra names, those of the extras that it is made of too."""
    found = set()
    for requirement in EXTRAS[extra]:
        inner = re.fullmatch(r"nuclex\[(.+)\]", requirement)
        found |= set().union(*map(brought, inner[1].split(","))) if inner else {distribution(requirement)}
    return found


BASE = {distribution(requirement) for requirement in PROJECT["project"]["dependencies"]}


# ---- extras ----


def test_the_extras_that_are_promised_are_there() -> None:
    assert {"web", "search", "fold", "hub", "ray", "dev"} <= EXTRAS.keys()
    assert {"fastapi", "uvicorn", "matplotlib"} <= brought("web")
    assert {"transformers", "huggingface-hub"} <= brought("hub")
    assert (brought("search"), brought("fold"), brought("ray")) == ({"optuna"}, {"viennarna"}, {"ray"})
    left = EXTRAS.keys() - {"dev", "oracle", "wandb"}
    assert all(brought(extra) <= brought("dev") for extra in left), "what is tested is installed"


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """The top-level names that are imported, and whether that is done when the module is; those for types are not."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, at_once = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0], at_once
        at_once = at_once and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        waiting += [(child, at_once) for child in ast.iter_child_nodes(node)]


def test_imports_are_told_apart() -> None:
    text = "import a.b\nif TYPE_CHECKING:\n    import c\ndef f():\n    from d.e import g\nclass H:\n    import i\n"
    assert sorted(imports(ast.parse(text))) == [("a", True), ("d", False), ("i", True)]


def test_every_library_is_installed_by_nuclex_or_by_an_extra() -> None:
    optional = set().union(*map(brought, EXTRAS.keys() - {"dev", "oracle", "docs", "fuzz"}))
    met = set()
    for path in sorted((ROOT / "src" / "nuclex").rglob("*.py")):
        place = path.relative_to(ROOT / "src" / "nuclex").as_posix()
        for name, at_once in imports(ast.parse(path.read_text())):
            if name in sys.stdlib_module_names or name == "nuclex":
                continue
            needed = DISTRIBUTIONS.get(name, name).replace("_", "-")
            met.add(needed)
            assert needed in BASE | optional or name in ELSEWHERE, f"{place}: {name} is installed by nothing"
            if at_once and needed not in BASE:
                assert place.startswith(WITH_EXTRA), f"{place}: {name} is imported at once, and nuclex alone lacks it"
    assert BASE - met == set(), "installed, and imported nowhere"


def test_a_sentence_about_a_missing_library_names_an_extra_that_brings_it() -> None:
    told = {}
    for path in sorted((ROOT / "src" / "nuclex").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "missing_extra":
                package, extra = call.args[:2]
                if isinstance(package, ast.Constant) and isinstance(extra, ast.Constant):
                    assert distribution(package.value) in brought(extra.value), f"{path}:{call.lineno}"
                    told[package.value] = extra.value
    assert told["ViennaRNA"] == "fold"
    assert len(told) >= 8


# ---- wheel and sdist ----


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of this tree, and in `again` the wheel that is built of the sdist."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install hatchling")
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*build, "-d", str(out)], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(out.glob("*.tar.gz"))) as sdist:
        sdist.extractall(out, filter="data")
    source = out / f"nuclex-{nuclex.__version__}"
    subprocess.run([*build, "-t", "wheel", "-d", str(out / "again")], cwd=source, check=True, capture_output=True)
    return out


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def lying(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_its_recipes_alone(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    found = names(wheel)
    package = {name for name in found if not name.startswith(f"nuclex-{nuclex.__version__}.dist-info/")}
    expected = {f"nuclex/{name}" for name in lying(ROOT / "src" / "nuclex")}
    assert package == expected | {f"nuclex/recipes/{name}" for name in lying(ROOT / "recipes")}
    assert {"nuclex/py.typed", "nuclex/web/page/index.html", "nuclex/evaluation/report.html.jinja"} <= package
    assert {"nuclex/data/catalog.toml", "nuclex/recipes/pretrain/quickstart.toml"} <= package
    assert wheel.stat().st_size < 2_000_000
    assert names(next((built / "again").glob("*.whl"))) == found, "the sdist builds another wheel than the tree"


def test_the_sdist_holds_what_is_named_and_no_traces_of_work(built: Path) -> None:
    source = built / f"nuclex-{nuclex.__version__}"
    named = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    always = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}
    assert {path.name for path in source.iterdir()} == named | always
    traces = re.compile(r"__pycache__|\.pyc$|\.egg-info|_cache/|/\.hypothesis|/\.tmp-|/runs?/|/quickstart/")
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        members = sdist.getmembers()
    assert not [member.name for member in members if traces.search(member.name) or not member.isfile()]
    assert max(member.size for member in members) < 500_000
    assert next(built.glob("*.tar.gz")).stat().st_size < 3_000_000


def test_the_metadata_says_what_an_index_shows(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    about = f"nuclex-{nuclex.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata: Message = email.message_from_bytes(archive.read(f"{about}/METADATA"))
        points = archive.read(f"{about}/entry_points.txt").decode()
        assert b"Apache License" in archive.read(f"{about}/licenses/LICENSE")
    assert (metadata["Name"], metadata["Version"]) == ("nuclex", nuclex.__version__)
    assert (metadata["License-Expression"], metadata["Author"]) == ("Apache-2.0", "The nuclex authors")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).decode() == (ROOT / "README.md").read_text()  # type: ignore[union-attr]
    urls = dict(str(url).split(", ") for url in metadata.get_all("Project-URL", []))
    assert urls.keys() == {"Source", "Documentation", "Changelog", "Issues"}
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS.keys()
    assert "nuclex = nuclex.cli.main:main" in points


# ---- containers and workflows ----


def pythons() -> list[str]:
    classifiers = PROJECT["project"]["classifiers"]
    return [found[1] for line in classifiers if (found := re.fullmatch(r"Programming .* :: (3\.\d+)", line))]


def docker() -> list[str]:
    """The instructions of the Dockerfile, one an entry."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line]


def test_the_container_copies_what_is_let_in_and_runs_as_nobody_special() -> None:
    lines = docker()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in allowed
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert f"!{source}" in allowed, line
                assert (ROOT / source).exists()
    (extras,) = (line.partition("EXTRAS=")[2].split(",") for line in lines if line.startswith("ARG EXTRAS"))
    assert set(extras) <= EXTRAS.keys()
    (python,) = (line.partition("=")[2] for line in lines if line.startswith("ARG PYTHON="))
    assert any(fnmatch(python, f"{version}-slim-*") for version in pythons())
    assert lines.index("USER 1000:1000") < min(i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    assert "VOLUME /data" in lines


def test_the_container_asks_for_its_health_where_there_is_an_answer() -> None:
    prefix = re.search(r'^PREFIX = "(.+)"$', (ROOT / "src/nuclex/web/app.py").read_text(), re.MULTILINE)
    assert prefix is not None
    (asked,) = (line for line in docker() if line.startswith("HEALTHCHECK"))
    assert f"http://127.0.0.1:8000{prefix[1]}/about" in asked
    compile(re.findall(r'"([^"]+)"', asked)[2], "healthcheck", "exec")


@pytest.mark.parametrize("name", ["tests", "docs", "release"])
def test_a_workflow_may_little_and_ends(name: str) -> None:
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 45
        for step in job["steps"]:
            used = step.get("uses", "actions/checkout@v4")
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})", used), used
            assert "secrets." not in str(step)


def test_what_runs_is_every_python_that_is_named() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == pythons() == ["3.11", "3.12", "3.13"]
