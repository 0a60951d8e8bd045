"""Documents that are computed say what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_drawn_tree_of_codons_is_the_one_that_losses_know(tmp_path: Path) -> None:
    def run(*extra: str) -> int:
        return subprocess.run([sys.executable, str(ROOT / "docs" / "codon_tree.py"), *extra], check=False).returncode

    assert run("--check") == 0, "python docs/codon_tree.py draws it anew"
    assert run("--check", "--out", str(tmp_path / "none.svg")) == 1
    (tmp_path / "other.svg").write_text((ROOT / "docs" / "codon_tree.svg").read_text().replace("GCA", "GCC"))
    assert run("--check", "--out", str(tmp_path / "other.svg")) == 1
