"""The files of a Hugging Face Space that runs a bundle: a page for people who have nothing installed."""

from __future__ import annotations

from pathlib import Path

import yaml

import nuclex
from nuclex.bundle import Bundle
from nuclex.bundle.rights import front_licence
from nuclex.core.artifact import disk_errors

GRADIO = "6.31.0"
"""The version that the page was tried with."""
APP = '''"""A page that runs {repository}; all of it is in nuclex.hub.demonstration."""

from nuclex.hub.demonstration import page

demo = page({place!r})

if __name__ == "__main__":
    demo.launch()
'''


def write_space(folder: Path, bundle: Bundle, repository: str, revision: str) -> None:
    """Write app.py, requirements.txt and README.md; the page opens ``repository`` at ``revision``, a commit at best."""
    with disk_errors(folder):
        folder.mkdir(parents=True)
        place = f"{repository}@{revision}"
        (folder / "app.py").write_text(APP.format(repository=repository, place=place), encoding="utf-8")
        (folder / "requirements.txt").write_text(f"nuclex[hub]=={nuclex.__version__}\n", encoding="utf-8")
        (folder / "README.md").write_text(_readme(bundle, repository, place), encoding="utf-8")


def _readme(bundle: Bundle, repository: str, place: str) -> str:
    head = {
        "title": repository.partition("/")[2],
        "emoji": "🧬",
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": GRADIO,
        "app_file": "app.py",
        "models": [repository],
        **front_licence(bundle.record),
    }
    text = f"Runs `{place}`. Its card says what it learned from and what it is worth: {repository}."
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{text}\n"
