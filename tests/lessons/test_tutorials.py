"""The tutorials, run as they stand; and a page that promises what is not true, which the runner must not let pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = sorted(path.name for path in TUTORIALS.glob("*.md"))


def told(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(TUTORIALS / "run.py"), str(page), str(folder)]
    return subprocess.run(words, capture_output=True, text=True, timeout=1800)


def test_there_is_one_for_each_founding_system() -> None:
    assert PAGES == ["helm.md", "rinalmo.md", "rnaberta.md", "tinydnabert.md"]


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_keeps_what_it_promises(name: str, tmp_path: Path) -> None:
    done = told(TUTORIALS / name, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("promise", "code"), [("two 2 to 2", 0), ("two 3 to 4", 1), ("three 3 to 3", 1)])
def test_a_broken_promise_is_seen(promise: str, code: int, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```python\ntwo = 1 + 1\n# expect: {promise}\n```\n")
    done = told(page, tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
