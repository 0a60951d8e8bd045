"""The pages that teach say what the code says, and their runner notices where they do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS, EXTEND = ROOT / "docs" / "tutorials", ROOT / "docs" / "extend"
PAGES = sorted(TUTORIALS.glob("*.md"))
ORIGINALS = {"rnaberta", "rinalmo", "tinydnabert", "helm"}
KEPT = """
```python
value = 2.0
# expect: value 1 to 3
# expect: value + 1 3 to 3
```
"""


def followed(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The runner's answer about a page."""
    runner = [sys.executable, str(TUTORIALS / "run.py"), str(page), str(folder)]
    return subprocess.run(runner, capture_output=True, text=True, check=False)


def test_the_diffs_on_the_pages_are_the_files_of_the_example() -> None:
    stale = subprocess.run([sys.executable, str(EXTEND / "diffs.py"), "--check"], check=False)
    assert stale.returncode == 0, "python docs/extend/diffs.py writes them anew"
    shown = "".join(page.read_text() for page in EXTEND.glob("*.md"))
    for file in sorted((ROOT / "examples" / "outside" / "nuclex_outside").glob("*_*.py")):
        assert file.name == "__init__.py" or f"+++ nuclex_outside/{file.name}" in shown
    for group in ("tokenizers", "models", "criteria", "objectives", "tasks"):
        assert f'+[project.entry-points."nuclex.{group}"]' in shown


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (KEPT.replace("1 to 3", "1 to 1.5"), "not kept: value is 2; the page says 1.0 to 1.5"),
        (KEPT.replace("1 to 3", "about 2"), "is not 'KEY LOW to HIGH'"),
        (KEPT.replace("value = 2.0", "raise ValueError('no')"), "ValueError: no"),
        ("```sh\nrm -r everything\n```\n", "a command is one of nuclex, found: rm -r everything"),
    ],
)
def test_a_promise_that_is_not_kept_is_told(page: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(page)
    done = followed(tmp_path / "page.md", tmp_path)
    assert done.returncode == 1
    assert sentence in done.stdout


def test_a_page_that_keeps_its_promises_passes_and_writes_its_files(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(KEPT + "```toml\n# file: one.toml\nkey = 1\n```\n")
    done = followed(tmp_path / "page.md", tmp_path)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "one.toml").read_text() == "key = 1\n"


def test_there_is_a_tutorial_for_each_founding_system_that_promises_something() -> None:
    assert {page.stem for page in PAGES} == ORIGINALS
    for page in PAGES:
        text = page.read_text()
        assert text.count("# expect: ") >= 4
        assert "**What so small a run can show:**" in text
        assert "cannot show:**" in text


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    done = followed(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
