"""The page's own files: only what lies in the folder ``page`` is served, by exact name, so no path leads out of it."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import Response
from starlette.exceptions import HTTPException

from nuclex.core.errors import shown

FOLDER = Path(__file__).parent / "page"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


def page_files(folder: Path = FOLDER) -> dict[str, Path]:
    """Every file of the page by its name below the folder; links are left out."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


def read_page_file(files: dict[str, Path], name: str) -> Response:
    """The file of this name; 404 with a sentence where there is none."""
    path = files.get(name)
    if path is None:
        raise HTTPException(404, f"page: there is no file {shown(name, 60)}; the API is described at /api")
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), media_type=kind)
