"""A Python of its own that sees nuclex, and outside packages where a test says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ROOT / "examples" / "outside"


def python(arguments: list[str], folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """A Python of its own in ``folder``, with these places on its path in front of nuclex."""
    path = os.pathsep.join([*map(str, paths), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
