from __future__ import annotations

import json
import platform
import re
import sys
from importlib import metadata

import pytest

from nuclex import __version__
from nuclex.core.provenance import package_versions, provenance


def test_a_record_says_how_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/deep/bin/nuclex", "plan", "a.toml"])
    record = provenance(seed=7, threads=2)
    assert json.loads(json.dumps(record)) == record
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["created"])
    assert record["command"] == ["nuclex", "plan", "a.toml"], "the folder of the program is nobody's business"
    assert record["python"] == platform.python_version()
    assert (record["seed"], record["threads"]) == (7, 2)


def test_the_versions_are_those_that_are_installed() -> None:
    versions = package_versions()
    assert versions["nuclex"] == __version__
    assert versions["torch"] == metadata.version("torch")
    assert {"numpy", "safetensors", "pydantic", "tokenizers"} <= versions.keys()


def test_a_package_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuclex.core.provenance.PACKAGES", ("numpy", "no-such-package-at-all"))
    assert list(package_versions()) == ["numpy"]
