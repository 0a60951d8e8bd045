"""Public data sets by name: where they are, what they are, under which licence, and how to get a checked copy.

The entries are in ``catalog.toml`` beside this file. A mirror (``NUCLEX_MIRROR``, a folder or an address) is asked
first, then the public address. Every file is checked against its sha256 before it is handed out. Of some files nobody
published a sum: they are given to who accepts the first copy (``trust_first``), whose sum is demanded from then on.
"""

from __future__ import annotations

import contextlib
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
from nuclex.core.errors import CorruptError, InputError, OutsideError, meant
from nuclex.data.download import download
from nuclex.data.first_sum import accept, accepted
from nuclex.data.unpack import archive_stem, unpack_archive

MIRROR = "NUCLEX_MIRROR"
CACHE = "NUCLEX_CACHE"


class Dataset(Config):
    """One file of the catalogue; ``sha256`` and ``bytes`` are those in a mirror, ``url_*`` those of the public file.

    ``file`` is what a copy is called where the mirror's name for it says too little. Without ``sha256`` and ``bytes``
    nobody knows them yet. ``page`` is where a person finds a file that no program can fetch, and ``how`` tells the way.
    ``rna`` is the type of RNA (INSDC's word for it) that every sequence of the file is of.
    """

    name: str
    what: str
    mirror: str
    file: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    licence: str
    citation: str
    rna: str | None = None
    records: int | None = None
    url: str | None = None
    url_sha256: str | None = None
    url_bytes: int | None = None
    derived: bool = False
    derived_from: str | None = None
    page: str | None = None
    how: str = ""

    @model_validator(mode="after")
    def _has_an_origin(self) -> Dataset:
        origins = [self.url, self.derived_from, self.page]
        if sum(origin is not None for origin in origins) != 1 or self.derived != (self.derived_from is not None):
            raise ValueError(f"{self.name}: has either a url, or a page, or derived = true and derived_from")
        if (self.sha256 is None) != (self.bytes is None) or (self.sha256 is None and self.derived):
            raise ValueError(f"{self.name}: has both sha256 and bytes, or, if it is not derived, none of them")
        if (self.page is None) == bool(self.how) or (self.url_sha256 is not None and self.sha256 is None):
            raise ValueError(f"{self.name}: a page needs how, and url_sha256 a sha256")
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
    return all(_at_hand(dataset) is not None for dataset in members(name))


def recognised(sha256: str) -> Dataset | None:
    """The data set that a file with this sum is, in the mirror's form or the public one; None where it is none.

    A copy that was accepted first counts, too.
    """
    for dataset in _catalogue()[0].values():
        if sha256 in (dataset.sha256, dataset.url_sha256):
            return dataset
    for dataset in _catalogue()[0].values():
        if dataset.sha256 is None:
            with contextlib.suppress(CorruptError):  # which is said when that data set is asked for
                known = accepted(_cached(dataset))
                if known is not None and known.sha256 == sha256:
                    return dataset
    return None


def fetch(name: str, out: str | Path | None = None, *, unpack: bool = False, trust_first: bool = False) -> list[Path]:
    """The files of a data set or a collection, checked against their sha256.

    From a mirror folder the mirror's own files are returned; from elsewhere copies in the cache (``NUCLEX_CACHE``,
    else the user's cache folder). With ``out``, copies in that folder. A copy from the public address may be
    uncompressed where the mirror's is compressed; the content is the same. With ``unpack``, an archive is given as the
    folder of what is in it. With ``trust_first``, the first copy of a file whose sum nobody knows is accepted as it is
    (from a mirror folder, else the cache, else the public address); without, only a copy of the sum accepted before.
    Raises InputError for an unknown name, OutsideError where no place has the file or what it has is not it.
    """
    place = Path(out) if out is not None else None
    files = [(dataset, _fetch(_summed(dataset, trust_first), place)) for dataset in members(name)]
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


def members(name: str) -> list[Dataset]:
    """The data set of that name, or all of a collection; InputError for a name that is neither."""
    datasets, collections = _catalogue()
    if name in collections:
        return [datasets[member] for member in collections[name]]
    if name in datasets:
        return [datasets[name]]
    known = [*collections, *datasets]
    raise InputError(f"data: unknown name {name!r}{meant(name, known)}; known: {', '.join(known)}")


def _summed(dataset: Dataset, trust_first: bool) -> Dataset:
    """The entry with a sum: the catalogue's, or that of the copy which was, or now is, accepted first."""
    if dataset.sha256 is not None:
        return dataset
    known = accepted(_cached(dataset))
    if known is None:
        mirror = os.environ.get(MIRROR, "")
        place = Path(mirror) / dataset.mirror if mirror and "://" not in mirror else None
        place = place if place is not None and place.is_file() else _cached(dataset)
        if not trust_first or (dataset.page is not None and not place.is_file()):
            raise OutsideError(_unknown(dataset, place))
        origin = str(place)
        if dataset.url is not None and not place.is_file():
            place, origin = download(dataset.url, place, sha256=None, size=None), dataset.url
        known = accept(place, _cached(dataset), origin)
    return dataset.model_copy(update={"sha256": known.sha256, "bytes": known.bytes})


def _unknown(dataset: Dataset, place: Path) -> str:
    """What to do about a file whose sum nobody knows."""
    command = f"nuclex data fetch {dataset.name} --trust-first"
    begin = f"{dataset.name}: the sha256 of {dataset.mirror_file} was published nowhere"
    end = "takes the first copy as it is and demands its sum from then on"
    if place.is_file():
        return f"{begin}; `{command}` {end}: {place}"
    if dataset.page is not None:
        way = f"{dataset.how} ({dataset.page}), save it as {place}"
        return f"{begin}, and no program can fetch it: {way}; `{command}` {end}"
    return f"{begin}; `{command}` {end}: {dataset.url}"


def _cached(dataset: Dataset) -> Path:
    """Where the cache has a copy in the mirror's form."""
    return _cache() / dataset.name / dataset.mirror_file


def _fetch(dataset: Dataset, out: Path | None) -> Path:
    assert dataset.sha256 is not None
    assert dataset.bytes is not None
    mirror = os.environ.get(MIRROR, "")
    troubles = []
    if mirror and "://" not in mirror:
        place = Path(mirror) / dataset.mirror
        if place.is_file():
            return _from_folder(dataset, place, out)
        troubles.append(f"the mirror {mirror} has no {dataset.mirror}")
    cached = _cached(dataset)
    if cached.is_file() and sha256_file(cached) == dataset.sha256:
        return cached if out is None else _copied(cached, out / dataset.mirror_file)
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
    if dataset.page is not None:
        troubles.append(f"the copy that was accepted is gone; {dataset.how} ({dataset.page}) and save it as {cached}")
    raise OutsideError(
        f"{dataset.name}: cannot be obtained: {'; '.join(troubles)}; "
        f"set {MIRROR} to a folder or an address that has {dataset.mirror}"
    )


def _from_folder(dataset: Dataset, place: Path, out: Path | None) -> Path:
    if sha256_file(place) != dataset.sha256:
        raise OutsideError(
            f"{place}: its sha256 differs from the catalogue's; the mirror's copy was changed or damaged"
        )
    return place if out is None else _copied(place, out / dataset.mirror_file)


def _copied(place: Path, target: Path) -> Path:
    with atomic_file(target) as copy:
        shutil.copyfile(place, copy)
    return target


def _at_hand(dataset: Dataset) -> Path | None:
    """A copy that needs no network, by name and size."""
    mirror = os.environ.get(MIRROR, "")
    if dataset.sha256 is None:
        known = accepted(_cached(dataset))
        dataset = dataset.model_copy(update={"bytes": known.bytes if known else None})
    places = [(_cached(dataset), dataset.bytes)]
    if mirror and "://" not in mirror:
        places.append((Path(mirror) / dataset.mirror, dataset.bytes))
    if dataset.url_bytes is not None:
        places.append((_cache() / dataset.name / dataset.public_file, dataset.url_bytes))
    return next((place for place, size in places if place.is_file() and place.stat().st_size == size), None)


def _cache() -> Path:
    return cache_folder() / "data"


def cache_folder() -> Path:
    """Where nuclex keeps copies of what it fetched: ``NUCLEX_CACHE``, else the user's cache folder."""
    import pooch

    return Path(os.environ.get(CACHE) or pooch.os_cache("nuclex"))
