"""Public data sets by name: where they are, what they are, under which licence, and how to get a checked copy.

The entries are in ``catalog.toml`` beside this file. A mirror (``NUCLEX_MIRROR``, a folder or an address) is asked
first, then the public address. Every file is checked against its sha256 before it is handed out.
"""

from __future__ import annotations

import difflib
import functools
import os
import shutil
import tomllib
import urllib.parse
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError, model_validator

from nuclex.core.artifact import atomic_file, sha256_file
from nuclex.core.config import Config
from nuclex.core.errors import InputError, OutsideError
from nuclex.data.download import download
from nuclex.data.unpack import archive_stem, unpack_archive

MIRROR = "NUCLEX_MIRROR"
CACHE = "NUCLEX_CACHE"


class Dataset(Config):
    """One file of the catalogue; ``sha256`` and ``bytes`` are those in a mirror, ``url_*`` those of the public file.

    ``file`` is what a copy is called where the mirror's name for it says too little.
    """

    name: str
    what: str
    mirror: str
    file: str | None = None
    sha256: str
    bytes: int
    licence: str
    citation: str
    records: int | None = None
    url: str | None = None
    url_sha256: str | None = None
    url_bytes: int | None = None
    derived: bool = False
    derived_from: str | None = None

    @model_validator(mode="after")
    def _has_an_origin(self) -> Dataset:
        if self.derived == (self.url is not None) or self.derived != (self.derived_from is not None):
            raise ValueError(f"{self.name}: has either a url, or derived = true and derived_from")
        if (self.url_sha256 is None) != (self.url_bytes is None):
            raise ValueError(f"{self.name}: has both url_sha256 and url_bytes, or none of them")
        return self

    @property
    def mirror_file(self) -> str:
        """The name of a copy from a mirror."""
        return self.file or PurePosixPath(self.mirror).name

    @property
    def public_file(self) -> str:
        """The name of a copy from the public address: as from a mirror, without a compression that is not there."""
        return self.mirror_file if self.url_sha256 is None else PurePosixPath(self.mirror_file).stem


def list_datasets() -> list[dict[str, Any]]:
    """What there is: the fields of each entry, the collections it is in, and whether a copy is at hand (no network)."""
    datasets, collections = _catalogue()
    return [
        {
            **dataset.to_data(),
            "collections": [name for name, members in collections.items() if dataset.name in members],
            "available": _at_hand(dataset) is not None,
        }
        for dataset in datasets.values()
    ]


def available(name: str) -> bool:
    """Whether a data set, or all of a collection, is in the mirror folder or the cache; never asks the network."""
    return all(_at_hand(dataset) is not None for dataset in _members(name))


def fetch(name: str, out: str | Path | None = None, *, unpack: bool = False) -> list[Path]:
    """The files of a data set or a collection, checked against their sha256.

    From a mirror folder the mirror's own files are returned; from elsewhere copies in the cache (``NUCLEX_CACHE``,
    else the user's cache folder). With ``out``, copies in that folder. A copy from the public address may be
    uncompressed where the mirror's is compressed; the content is the same. With ``unpack``, an archive is given as the
    folder of what is in it.
    Raises InputError for an unknown name, OutsideError where no place has the file or what it has is not it.
    """
    place = Path(out) if out is not None else None
    files = [(dataset, _fetch(dataset, place)) for dataset in _members(name)]
    return [_unpacked(dataset, path, place) if unpack else path for dataset, path in files]


def _unpacked(dataset: Dataset, path: Path, out: Path | None) -> Path:
    """The folder of what is in an archive; another file is left as it is."""
    stem = archive_stem(path.name)
    return path if stem is None else unpack_archive(path, (out or _cache() / dataset.name) / stem)


@functools.cache
def _catalogue() -> tuple[dict[str, Dataset], dict[str, list[str]]]:
    data = tomllib.loads(resources.files("nuclex.data").joinpath("catalog.toml").read_text(encoding="utf-8"))
    try:
        datasets = [Dataset.from_data(entry) for entry in data["dataset"]]
    except ValidationError as error:
        raise AssertionError(f"catalog.toml: {error}") from None
    return {dataset.name: dataset for dataset in datasets}, data["collections"]


def _members(name: str) -> list[Dataset]:
    datasets, collections = _catalogue()
    if name in collections:
        return [datasets[member] for member in collections[name]]
    if name in datasets:
        return [datasets[name]]
    known = [*collections, *datasets]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"data: unknown name {name!r}{hint}; known: {', '.join(known)}")


def _fetch(dataset: Dataset, out: Path | None) -> Path:
    mirror = os.environ.get(MIRROR, "")
    troubles = []
    if mirror and "://" not in mirror:
        place = Path(mirror) / dataset.mirror
        if place.is_file():
            return _from_folder(dataset, place, out)
        troubles.append(f"the mirror {mirror} has no {dataset.mirror}")
    cached = _cache() / dataset.name / dataset.mirror_file
    if out is None and cached.is_file() and sha256_file(cached) == dataset.sha256:
        return cached
    origins = []
    if "://" in mirror:
        address = f"{mirror.rstrip('/')}/{urllib.parse.quote(dataset.mirror)}"
        origins.append((address, dataset.mirror_file, dataset.sha256, dataset.bytes))
    if dataset.url is not None:
        wanted = (dataset.url_sha256 or dataset.sha256, dataset.url_bytes or dataset.bytes)
        origins.append((dataset.url, dataset.public_file, *wanted))
    for address, name, digest, size in origins:
        try:
            return download(address, (out or _cache() / dataset.name) / name, sha256=digest, size=size)
        except OutsideError as error:
            troubles.append(str(error))
    if dataset.derived:
        troubles.append(f"it was made from {dataset.derived_from} and has no public address of its own")
    raise OutsideError(
        f"{dataset.name}: cannot be obtained: {'; '.join(troubles)}; "
        f"set {MIRROR} to a folder or an address that has {dataset.mirror}"
    )


def _from_folder(dataset: Dataset, place: Path, out: Path | None) -> Path:
    if sha256_file(place) != dataset.sha256:
        raise OutsideError(
            f"{place}: its sha256 differs from the catalogue's; the mirror's copy was changed or damaged"
        )
    if out is None:
        return place
    with atomic_file(out / dataset.mirror_file) as copy:
        shutil.copyfile(place, copy)
    return out / dataset.mirror_file


def _at_hand(dataset: Dataset) -> Path | None:
    """A copy that needs no network, by name and size."""
    mirror = os.environ.get(MIRROR, "")
    places = [(_cache() / dataset.name / dataset.mirror_file, dataset.bytes)]
    if mirror and "://" not in mirror:
        places.append((Path(mirror) / dataset.mirror, dataset.bytes))
    if dataset.url_bytes is not None:
        places.append((_cache() / dataset.name / dataset.public_file, dataset.url_bytes))
    return next((place for place, size in places if place.is_file() and place.stat().st_size == size), None)


def _cache() -> Path:
    import pooch

    return Path(os.environ.get(CACHE) or pooch.os_cache("nuclex")) / "data"
