"""What a result came from: versions, command, machine, threads. Saved with every run, corpus and bundle."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import metadata
from typing import Any

from nuclex.core.registry import packages_in_use

PACKAGES = ("nuclex", "torch", "numpy", "safetensors", "tokenizers", "pydantic", "pyarrow", "scipy", "scikit-learn")


def provenance(**facts: Any) -> dict[str, Any]:
    """A plain record of how and where something was made; ``facts`` (seed, threads, …) are added as given."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": package_versions(),
        **facts,
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the libraries that numbers depend on, and of outside packages whose parts are in use."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**versions, **packages_in_use()}
