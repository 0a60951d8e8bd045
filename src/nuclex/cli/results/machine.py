"""What `nuclex doctor` prints: this machine, what is installed, and which way each part of a model takes."""

from __future__ import annotations

from pydantic import Field

from nuclex.cli.results.answer import Answer, sometimes


class Kernel(Answer):
    """A library that computes on a GPU."""

    library: str
    """Its package."""
    version: str | None
    """Its version; null where it is not installed."""
    purpose: str = Field(alias="for")
    """What it is for."""


class Library(Kernel):
    """An optional library."""

    extra: str
    """The extra of nuclex that brings it."""
    install: str
    """The command that installs it."""


class Mirror(Answer):
    """Where the data sets of the catalogue are looked for first."""

    place: str | None
    """What NUCLEX_MIRROR says: a folder or an address; null where it is not set."""
    readable: bool | None
    """Whether that folder can be read; null where it is none. An address is not asked."""
    datasets_at_hand: int
    """Data sets of which a copy is in that folder or in the cache."""
    datasets: int
    """Data sets of the catalogue."""


class Cache(Answer):
    """The folder that keeps what was fetched."""

    place: str
    """The folder: NUCLEX_CACHE, or the user's own."""
    files: int
    """Files in it."""
    bytes: int
    """What they take, in bytes."""


class Doctor(Answer):
    """What this installation can do."""

    python: str
    """Version of Python."""
    system: str
    """Operating system and kind of machine."""
    cpus: int | None
    """CPUs of the machine; null where the system does not say."""
    threads: int
    """Threads that torch computes with."""
    disk_free_bytes: int
    """Free room where the working folder is, in bytes."""
    mirror: Mirror
    """Where data sets come from."""
    cache: Cache
    """What was fetched."""
    mmseqs: str | None
    """Where MMseqs2 comes from; null where it is not installed."""
    packages: dict[str, str]
    """Versions of what numbers depend on."""
    devices: dict[str, str]
    """Devices at hand, and what they are called."""
    optional: list[Library]
    """Optional libraries."""
    kernels: list[Kernel] = sometimes()
    """Libraries for a GPU of NVIDIA, where there is one."""
    paths: dict[str, dict[str, str]]
    """By device and mixer: which way it computes."""
    problems: dict[str, str]
    """What will fail or be needlessly slow, and what to do about it; empty if nothing."""
    verdict: str
    """How many problems there are, and where models can compute."""
