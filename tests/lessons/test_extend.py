"""The pages that say how to add a part show the files of the example package, which other tests install and use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTEND, EXAMPLE = ROOT / "docs" / "extend", ROOT / "examples" / "outside" / "nuclex_outside"


def test_the_diffs_are_the_files() -> None:
    done = subprocess.run([sys.executable, str(EXTEND / "diffs.py"), "--check"], check=False)
    assert done.returncode == 0, "python docs/extend/diffs.py writes them anew"


def test_every_file_and_every_entry_point_is_shown_as_it_is() -> None:
    shown = "".join(page.read_text() for page in EXTEND.glob("*.md"))
    for file in sorted(EXAMPLE.glob("[a-z]*.py")):
        assert f"+++ nuclex_outside/{file.name}" in shown
        assert "\n".join(f"+{line}" for line in file.read_text().splitlines()) in shown
    for group in ("tokenizers", "models", "criteria", "objectives", "tasks"):
        assert f'+[project.entry-points."nuclex.{group}"]' in shown
