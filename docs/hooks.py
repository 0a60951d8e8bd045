"""What mkdocs does beside Markdown: pages read from the command line and from docstrings, snippets of source by name.

mkdocs calls these functions while it builds (`mkdocs.yml`). An entry of the nav that ends in / is a folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parent
SOURCE = DOCS.parent / "src"
for folder in (DOCS, SOURCE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import json_pages  # noqa: E402
import reference_pages  # noqa: E402
import source_blocks  # noqa: E402
import verb_pages  # noqa: E402

from nuclex import VERBS  # noqa: E402

FIRST = [
    "rnaberta.md",
    "rinalmo.md",
    "tinydnabert.md",
    "helm.md",
    "tokenizer.md",
    "architecture.md",
    "loss.md",
    "task.md",
]
"""The order of pages in a folder of the nav, where they are there; others follow by name."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Folders of the nav become lists of what is in them, and go where nothing is."""
    config.nav = _listed(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is nowhere on disk: the reference, notebooks as text, verbs nobody has written about, JSON Schemas."""
    written = {file.src_uri for file in files}
    pages = {f"reference/{floor}.md": _reference(floor) for floor in reference_pages.FLOORS}
    pages |= {f"verbs/{verb_pages.file_of(verb)}": verb_pages.title_of(verb) for verb in VERBS}
    pages |= {
        file.src_uri.removesuffix(".ipynb") + ".md": _notebook(Path(str(file.abs_src_path)))
        for file in files
        if file.src_uri.endswith(".ipynb")
    }
    for name, content in (pages | json_pages.files()).items():
        if name not in written:
            files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in the source blocks of a page, and completes the page of a verb."""
    uri = page.file.src_uri
    for verb, target in VERBS.items():
        if uri == f"verbs/{verb_pages.file_of(verb)}":
            markdown = verb_pages.completed(verb, markdown, target, json_pages.section(verb))
    if uri == "json.md":
        markdown = markdown.replace("```json-verbs\n```", json_pages.index())
    return source_blocks.with_code(markdown, SOURCE)


def _listed(nav: list[Any]) -> list[Any]:
    found = []
    for entry in nav:
        if not isinstance(entry, dict):
            found.append(entry)
            continue
        [(title, value)] = entry.items()
        if isinstance(value, list):
            value = _listed(value)
        elif value.endswith("/"):
            value = _folder(value)
        if value:
            found.append({title: value})
    return found


def _folder(name: str) -> list[Any]:
    if name == "verbs/":
        groups = verb_pages.ordered(VERBS)
        pages = {title: [_page(verb) for verb in verbs] for title, verbs in groups.items()}
        return ["verbs/index.md", *({title: verbs} for title, verbs in pages.items())]
    if name == "reference/":
        return [
            "reference/index.md",
            *({title: f"reference/{floor}.md"} for floor, title in reference_pages.FLOORS.items()),
        ]
    inside = {path.stem + ".md" for path in (DOCS / name).glob("*") if path.suffix in (".md", ".ipynb")}
    first = [page for page in ["index.md", *FIRST] if page in inside]
    return [f"{name}{page}" for page in [*first, *sorted(inside - set(first))]]


def _page(verb: str) -> dict[str, str]:
    return {verb.replace("_", " "): f"verbs/{verb_pages.file_of(verb)}"}


def _reference(floor: str) -> str:
    pages = {target.replace(":", "."): verb_pages.file_of(verb) for verb, target in VERBS.items()}
    return reference_pages.page(SOURCE, floor, pages)


def _notebook(path: Path) -> str:
    """A notebook as a page: its text, its code, and what it printed."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            printed = "".join(output.get("text", output.get("data", {}).get("text/plain", [])))
            if printed.strip():
                parts.append(f"```text\n{printed.rstrip()}\n```")
    parts.append(f"[The notebook itself]({path.name})")
    return "\n\n".join(parts)
