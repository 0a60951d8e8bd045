"""Fuzzing led by coverage (atheris) of the parsers that are Python; thousands of inputs each, in ``make test-all``."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nuclex_fuzz.formats import TEXT

RUNS = 20_000


def guided(name: str, runs: int) -> dict[str, object]:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install 'nuclex[fuzz]'")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-m", "nuclex_fuzz.guided", name, str(runs)]
    result = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr[-3000:]).decode("utf-8", "replace")
    said: dict[str, object] = json.loads(result.stdout)
    return said


@pytest.mark.slow
def test_a_short_guided_run() -> None:
    said = guided("ct", 300)
    assert (said["inputs"], said["findings"]) == (300, 0)


@pytest.mark.long
@pytest.mark.parametrize("name", TEXT)
def test_guided_runs(name: str) -> None:
    said = guided(name, RUNS)
    assert (said["inputs"], said["findings"]) == (RUNS, 0)
    assert said["refused"]
