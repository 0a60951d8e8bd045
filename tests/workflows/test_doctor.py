"""What the doctor says is what is there."""

from __future__ import annotations

import json
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
