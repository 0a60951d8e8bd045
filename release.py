"""Make a release in dist/: sdist and wheel, pinned requirements with hashes, a bill of materials, SHA256SUMS.

    pip install build hatchling twine uv cyclonedx-bom
    python release.py [--rehearsal] [--environment PYTHON]

Nothing is uploaded: .github/workflows/release.yml does that with what this made. A rehearsal may be made from a tree
with changes and before the changelog has a date. The bill of materials (CycloneDX) is of an environment that holds the
wheel and what it needs; without ``--environment`` one is made, which takes minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = {"build": "build", "hatchling": "hatchling", "twine": "twine", "uv": "uv", "cyclonedx_py": "cyclonedx-bom"}
"""Module that is run: the package that brings it."""
PUBLIC = {"pypi.org", "files.pythonhosted.org", "download.pytorch.org"}
"""Hosts that may stand in what is released; any other index is this machine's own."""


def main() -> None:
    """Check, build, describe, sum up; the first thing that is wrong ends it with one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rehearsal", action="store_true", help="changes and an undated changelog are allowed")
    parser.add_argument("--environment", metavar="PYTHON", help="an interpreter whose environment holds the wheel")
    options = parser.parse_args()
    out = ROOT / "dist"
    missing = [package for module, package in TOOLS.items() if find_spec(module) is None]
    if missing:
        refuse(f"needs tools that are not installed; pip install {' '.join(missing)}")
    if out.exists():
        refuse("dist: exists already; make clean removes it")
    for complaint in complaints(ROOT, released=not options.rehearsal):
        refuse(complaint)
    step("sdist, and the wheel from it", "build", "--no-isolation", "--outdir", out, ROOT)
    step("twine check", "twine", "check", "--strict", *sorted(out.iterdir()))
    pin(out / "requirements.txt")
    with tempfile.TemporaryDirectory(prefix="nuclex-release-") as folder:
        python = options.environment or environment(Path(folder), next(out.glob("*.whl")))
        describe(python, out / "sbom.cdx.json")
    words = own_words()
    for complaint in (found for path in sorted(out.iterdir()) for found in leaks(path, words)):
        refuse(complaint)
    (out / "SHA256SUMS").write_text(sums(out), encoding="utf-8")
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:>10,}  dist/{path.name}")


def refuse(sentence: str) -> None:
    """End with a sentence on stderr and exit code 2."""
    print(f"release: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def step(title: str, *command: object) -> None:
    """Run a tool of this interpreter; what it says is shown, and its failure ends the release."""
    print(f"== {title}", flush=True)
    done = subprocess.run([sys.executable, "-m", *map(str, command)], cwd=ROOT, check=False)
    if done.returncode:
        refuse(f"{title}: {command[0]} failed with exit code {done.returncode}")


def complaints(root: Path, *, released: bool) -> Iterator[str]:
    """What stands in the way of a release: versions that differ, an undated changelog, a tree with changes."""
    version = first(r'^__version__ = "(.+)"', root / "src/nuclex/__init__.py")
    heading = first(r"^## \[(.+?)\]", root / "CHANGELOG.md")
    citation = first(r"^version: (.+)$", root / "CITATION.cff")
    if not version == heading == citation:
        yield (
            f"the version is {version} in src/nuclex/__init__.py, {heading} in CHANGELOG.md, {citation} in CITATION.cff"
        )
    if not released:
        return
    date = first(r"^## \[.+?\] - (.*)$", root / "CHANGELOG.md")
    if re.fullmatch(r"\d{4}-\d\d-\d\d", date) is None:
        yield f"CHANGELOG.md: {heading} is dated {date!r}; a date such as 2027-01-31 is allowed"
    status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    if status.stdout:
        yield f"the tree has changes, {status.stdout.splitlines()[0].strip()!r} the first; commit them"


def first(pattern: str, path: Path) -> str:
    """What the pattern's group finds first in a file, or a name for nothing."""
    found = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "(none)"


def pin(path: Path) -> None:
    """Write what `pip install nuclex` brings by constraints.txt, for every system, with the hashes of the files."""
    step(
        "pinned requirements", "uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11",
        "--constraint", "constraints.txt", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url",
        "--no-emit-find-links", "--quiet", "--output-file", path,
    )  # fmt: skip


def describe(python: str | Path, path: Path) -> None:
    """Write the bill of materials of an environment, CycloneDX as JSON, with the version that is released."""
    step(
        "bill of materials", "cyclonedx_py", "environment", "--output-reproducible", "--mc-type", "library",
        "--pyproject", "pyproject.toml", "--output-file", path, python,
    )  # fmt: skip
    bill = json.loads(path.read_text(encoding="utf-8"))
    version = first(r'^__version__ = "(.+)"', ROOT / "src/nuclex/__init__.py")
    bill["metadata"]["component"]["version"] = version  # which pyproject.toml leaves to the package
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def environment(folder: Path, wheel: Path) -> Path:
    """An interpreter in a new environment with the wheel and what it needs, torch first as in the Makefile."""
    print("== an environment with the wheel alone (minutes)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    for package in ("torch", wheel):
        command = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", package]
        if subprocess.run(command, check=False).returncode:
            refuse(f"{package}: cannot be installed")
    return python


def own_words() -> set[str]:
    """What belongs to this machine: where the repository and the home lie, and the indexes that pip is told of."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    told_by = told.stdout + " ".join(value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_")))
    hosts = set(re.findall(r"https?://(?:[^/@\s']*@)?([^/:\s']+)", told_by)) - PUBLIC
    folders = set(re.findall(r"file://(/[^\s']+)", told_by))
    return {f"{ROOT}/", f"{Path.home()}/", *hosts, *folders}


def leaks(path: Path, words: set[str]) -> Iterator[str]:
    """Where one of the words stands in a released file, an archive being looked through file by file."""
    for name, content in contents(path):
        text = content.decode("utf-8", errors="replace")
        for word in sorted(words if name != path.name else words | {"file:/"}):
            if word in text:
                yield f"dist/{path.name}: {name} holds {word!r}, which is of this machine alone"


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The name and bytes of each file of a wheel or sdist, or of the file itself."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
    elif path.name.endswith(".tar.gz"):
        with tarfile.open(path) as sdist:
            for member in sdist:
                file = sdist.extractfile(member)
                if file is not None:
                    yield member.name, file.read()
    else:
        yield path.name, path.read_bytes()


def sums(folder: Path) -> str:
    """A line for each file, as `sha256sum -c` reads it."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())
    )


if __name__ == "__main__":
    main()
