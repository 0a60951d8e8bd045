"""The package of ``examples/outside``, installed into a folder of its own, and the command line that sees it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nuclex.cli.schema import RESULTS, checked
from outsiders import OUTSIDE, python


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``examples/outside`` is installed by pip, from its own ``pyproject.toml``; nothing is downloaded."""
    folder, copy = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source") / "outside"
    copy.mkdir()
    for file in [OUTSIDE / "pyproject.toml", *sorted(OUTSIDE.glob("nuclex_outside/*.py"))]:
        target = copy / file.relative_to(OUTSIDE)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    done = python(["-m", "pip", "install", *offline, "--target", str(folder), str(copy)], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands run."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="session")
def nuclex(site: Path, desk: Path) -> Callable[..., dict[str, Any]]:
    """Runs ``nuclex … --json`` where the outside package is installed; its answer."""

    def run(*arguments: str) -> dict[str, Any]:
        done = python(["-m", "nuclex", *arguments, "--json"], desk, site)
        assert done.returncode == 0, done.stderr
        words = list(itertools.accumulate(arguments[:2], "{}_{}".format))
        return checked(next(verb for verb in words if verb in RESULTS), done.stdout)

    return run
