"""What release.py refuses, and that nothing of the machine it runs on gets into what it makes."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository that may be released as 1.2.0."""
    (tmp_path / "src/nuclex").mkdir(parents=True)
    (tmp_path / "src/nuclex/__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.0] - 2027-01-31\n\n## [1.1.0] - 2026-12-01\n")
    (tmp_path / "CITATION.cff").write_text("version: 1.2.0\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.x"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_tree_of_one_version_is_released(release: ModuleType, tree: Path) -> None:
    assert list(release.complaints(tree, released=True)) == []


def test_versions_that_differ_are_refused_in_a_rehearsal_too(release: ModuleType, tree: Path) -> None:
    (tree / "CITATION.cff").write_text("version: 1.1.0\n")
    (complaint,) = release.complaints(tree, released=False)
    assert complaint == "the version is 1.2.0 in src/nuclex/__init__.py, 1.2.0 in CHANGELOG.md, 1.1.0 in CITATION.cff"


def test_changes_and_a_changelog_without_a_date_are_refused(release: ModuleType, tree: Path) -> None:
    text = (tree / "CHANGELOG.md").read_text()
    (tree / "CHANGELOG.md").write_text(text.replace("2027-01-31", "unreleased"))
    date, changes = release.complaints(tree, released=True)
    assert date.startswith("CHANGELOG.md: 1.2.0 is dated 'unreleased'")
    assert changes == "the tree has changes, 'M CHANGELOG.md' the first; commit them"
    assert list(release.complaints(tree, released=False)) == []


def test_a_word_of_this_machine_is_found_in_every_kind_of_file(release: ModuleType, tmp_path: Path) -> None:
    inner = tmp_path / "inner.txt"
    inner.write_text("--index-url https://index.example/simple\n")
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.write(inner, "nuclex/x.py")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as sdist:
        sdist.add(inner, "nuclex-1/x.py")
    for name, place in (("a.whl", "nuclex/x.py"), ("a.tar.gz", "nuclex-1/x.py"), ("inner.txt", "inner.txt")):
        (found,) = release.leaks(tmp_path / name, {"index.example", "elsewhere.example"})
        assert found == f"dist/{name}: {place} holds 'index.example', which is of this machine alone"
        assert not list(release.leaks(tmp_path / name, {"elsewhere.example"}))
    inner.write_text('{"url": "file:///somewhere/torch.whl"}')
    assert list(release.leaks(inner, set()))


def test_an_index_of_ones_own_is_such_a_word_and_the_public_ones_are_none(
    release: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:secret@index.example:8080/simple https://pypi.org/simple")
    words = release.own_words()
    assert "index.example" in words
    assert f"{ROOT}/" in words
    assert not {"pypi.org", "download.pytorch.org"} & words


def test_sums_are_those_that_sha256sum_reads(release: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    assert release.sums(tmp_path).splitlines() == [
        f"{hashlib.sha256(b'one').hexdigest()}  a",
        f"{hashlib.sha256(b'two').hexdigest()}  b",
    ]


def test_missing_tools_are_one_sentence() -> None:
    code = "import sys, importlib.util as u; u.find_spec = lambda name: None; sys.argv = ['release.py']\n"
    code += f"exec(compile(open({str(ROOT / 'release.py')!r}).read(), 'release.py', 'exec'))"
    code = code.replace("exec(", "__file__ = 'release.py'; exec(", 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "release: needs tools that are not installed; pip install build hatchling twine uv cyclonedx-bom\n"
    )
