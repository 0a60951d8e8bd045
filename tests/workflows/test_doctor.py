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

from nuclex.cli.schema import checked
from nuclex.cli.show import show
from nuclex.data.catalog import list_datasets
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


def test_what_is_missing_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    rows = doctor.doctor()["optional"]
    assert {row["version"] for row in rows} == {None}
    shown = show({"optional": rows}).splitlines()
    [wandb] = [line for line in shown if line.split()[0] == "wandb"]
    assert "not installed" in wandb
    assert wandb.endswith('pip install "nuclex[wandb]"')


def test_nothing_stands_in_the_way_of_a_sound_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUCLEX_MIRROR", raising=False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "ROOM", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    found = doctor.doctor()
    assert found["problems"] == {}
    assert found["verdict"] == f"Nothing stands in the way; models can compute on {' and '.join(found['devices'])}."


def test_problems_are_told_with_what_to_do_about_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(doctor, "ROOM", shutil.disk_usage(tmp_path).total + 1)
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda process: {0}, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    found = doctor.doctor()
    assert found["problems"].keys() == {"mirror", "disk", "threads", "cuda"}
    assert str(tmp_path / "nowhere") in found["problems"]["mirror"]
    assert "OMP_NUM_THREADS=1" in found["problems"]["threads"]
    assert torch.__version__ in found["problems"]["cuda"]
    assert found["verdict"].startswith("4 problems; ")
    checked("doctor", json.dumps(found))


def test_what_is_there_is_not_told_to_be_installed() -> None:
    assert "pip install" not in show(
        {"optional": [{"library": "a", "version": "1", "for": "b", "install": "pip install c"}]}
    )


def test_where_data_sets_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUCLEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NUCLEX_MIRROR", raising=False)
    found = doctor.doctor()
    nothing = {"place": None, "readable": None, "datasets_at_hand": 0, "datasets": len(list_datasets())}
    assert found["mirror"] == nothing
    assert found["cache"] == {"place": str(tmp_path / "cache"), "files": 0, "bytes": 0}
    dataset = next(row for row in list_datasets() if row["bytes"] is not None and row["bytes"] < 10**6)
    for folder in (tmp_path / "mirror", tmp_path / "cache"):
        copy = folder / dataset["mirror"]
        copy.parent.mkdir(parents=True)
        copy.write_bytes(bytes(dataset["bytes"]))
    monkeypatch.setenv("NUCLEX_MIRROR", str(tmp_path / "mirror"))
    found = doctor.doctor()
    assert (found["mirror"]["readable"], found["mirror"]["datasets_at_hand"]) == (True, 1)
    assert (found["cache"]["files"], found["cache"]["bytes"]) == (1, dataset["bytes"])
    for place, readable in ((str(tmp_path / "none"), False), ("https://mirror.example/data", None)):
        monkeypatch.setenv("NUCLEX_MIRROR", place)
        assert doctor.doctor()["mirror"] == {**nothing, "place": place, "readable": readable}


def test_without_mmseqs_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuclex.data.homology.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert doctor.doctor()["mmseqs"] is None


def test_kernels_are_told_where_a_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "kernels" not in doctor.doctor() or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    found = doctor.doctor()
    assert [row["library"] for row in found["kernels"]] == ["triton", "mamba-ssm", "flash-linear-attention"]
    assert "flash attention" in found["paths"]["cuda"]["attention"]
    checked("doctor", json.dumps(found))


@pytest.mark.slow
def test_without_numba_mamba_goes_the_plain_way() -> None:
    code = "import sys; sys.modules['numba'] = None; import importlib.util as u; old = u.find_spec\n"
    code += "u.find_spec = lambda name, *rest: None if name == 'numba' else old(name, *rest)\n"
    code += "import nuclex; print(nuclex.doctor()['paths']['cpu']['mamba'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("chunks in plain torch; with numba")
