"""What the doctor says is what is there."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from nuclex.workflows import doctor
from nuclex.workflows.doctor import OPTIONAL

ROOT = Path(__file__).resolve().parents[2]


def test_every_mixer_has_a_path_on_every_device() -> None:
    found = doctor.doctor()
    assert found["threads"] == torch.get_num_threads()
    assert found["devices"].keys() == found["paths"].keys() >= {"cpu"}
    for paths in found["paths"].values():
        assert paths.keys() == {"attention", "mamba", "mamba2", "hyena"}
    assert "untested" not in json.dumps(found["paths"]["cpu"])


def test_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for library, (extra, _) in OPTIONAL.items():
        assert any(requirement.startswith(library) for requirement in extras[extra]), library


def test_every_sentence_about_a_missing_library_names_an_extra_that_brings_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "missing_extra":
                extra = call.args[1]
                assert isinstance(extra, ast.Constant), path
                assert extra.value in extras, f"{path}:{call.lineno}"
                found += 1
        for named in re.findall(r"nuclex\[([a-z,]+)\]", text):
            assert set(named.split(",")) <= extras.keys(), path
    assert found > 10


def test_disk_is_that_of_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    free = shutil.disk_usage(tmp_path).free
    assert doctor.doctor()["disk_free_bytes"] == pytest.approx(free, rel=0.1)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert {row["version"] for row in doctor.doctor()["optional"]} == {"not installed"}


@pytest.mark.slow
def test_without_numba_mamba_goes_the_plain_way() -> None:
    code = "import sys; sys.modules['numba'] = None; import importlib.util as u; old = u.find_spec\n"
    code += "u.find_spec = lambda name, *rest: None if name == 'numba' else old(name, *rest)\n"
    code += "import nuclex; print(nuclex.doctor()['paths']['cpu']['mamba'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("chunks in plain torch; with numba")
