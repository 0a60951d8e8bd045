"""From which data sets a question's examples come, under which licences: by the catalogue's names and files' sums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nuclex.core.artifact import sha256_file
from nuclex.core.errors import InputError
from nuclex.data.catalog import members, recognised
from nuclex.data.summary import rights_of


def origins(notes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A record a source, of what a task's ``notes`` name: ``dataset``, a name of the catalogue, and ``files``.

    What the catalogue does not know has its name, and of a file its sum.
    """
    found: list[dict[str, Any]] = []
    for name in _listed(notes.get("dataset")):
        try:
            found += [{"name": dataset.name, **rights_of(dataset)} for dataset in members(name)]
        except InputError:
            found.append({"name": name})
    for name in _listed(notes.get("files")):
        path = Path(name)
        if path.is_file():
            digest = sha256_file(path)
            known = recognised(digest)
            found.append({"name": path.name, "sha256": digest, **(rights_of(known) if known is not None else {})})
        elif not found:
            found.append({"name": path.name})
    return found


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
