"""A map of sequences: the model's mean vectors seen along the two directions in which they differ most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import to_dna
from nuclex.core.errors import InputError
from nuclex.data.read import read_sequences, source_name
from nuclex.inference.embed import embed_sequences
from nuclex.inference.reading import label_of
from nuclex.tasks.base import header_field
from nuclex.web.jobs import Answer, Job
from nuclex.web.pasted import Pasted
from nuclex.web.served import Served
from nuclex.web.settings import ServeConfig
from nuclex.web.tables import csv_file, rounded

CLASSES = ("class", "family", "type", "group")
"""Words NAME=VALUE of a header that say where a sequence belongs; the first that is there."""
CLOSEST = 3
TOKENS = 2048
"""Letters embedded together: a step."""
Vectors = NDArray[np.float64]
Rows = list[tuple[str, bytes]]


@dataclass(eq=False)
class Atlas:
    """The reference sequences, and their vectors under each bundle once they were needed."""

    name: str = ""
    rows: Rows = field(default_factory=list)
    classes: list[str | None] = field(default_factory=list)
    vectors: dict[str, Vectors] = field(default_factory=dict)

    @classmethod
    def read(cls, config: ServeConfig) -> Atlas:
        """The reference of a server; empty where it has none. InputError for a file that is not read."""
        if config.reference is None:
            return cls()
        atlas = cls(source_name(config.reference))
        for record in read_sequences(config.reference):
            if len(atlas.rows) >= config.reference_most:
                raise InputError(
                    f"{label_of(config.reference)}: has more than {config.reference_most} sequences; give a sample, or "
                    "a larger --reference-most"
                )
            atlas.rows.append((record.id, record.sequence))
            atlas.classes.append(class_of(record.description))
        return atlas

    def about(self) -> dict[str, Any] | None:
        """What the page is told of it."""
        return {"name": self.name, "count": len(self.rows)} if self.rows else None


def class_of(header: str) -> str | None:
    """Where the header of a sequence says that it belongs.

    >>> class_of("sim01_0003 family=sim01 simulated")
    'sim01'
    """
    return next((found for name in CLASSES if (found := header_field(header, name)) is not None), None)


def embed(served: Served, pasted: Pasted, atlas: Atlas, job: Job) -> Answer:
    """The mean vectors of the sequences, as `nuclex embed` gives them, in two dimensions.

    Principal components of pasted and reference sequences together; ``explained`` is their share of the variance.
    ``nearest``: the reference sequences with the highest cosine of their vectors, three for each pasted one, and
    whether they have the ``same`` letters.
    """
    known = atlas.vectors.get(served.id)
    job.expect(len(pasted) + (len(atlas.rows) if known is None else 0))
    if known is None:
        known = _vectors(served, atlas.rows, job)
        atlas.vectors[served.id] = known
    rows = pasted.pairs()
    own = _vectors(served, rows, job)
    places, explained = principal_plane(np.concatenate([own, known]))
    everything = [*rows, *atlas.rows]
    classes = [*map(class_of, pasted.descriptions), *atlas.classes]
    points = [
        {
            "name": name,
            "x": x,
            "y": y,
            "kind": "pasted" if number < len(rows) else "reference",
            "class": classes[number],
            "length": len(sequence),
            "gc": gc_share(sequence),
        }
        for number, ((name, sequence), (x, y)) in enumerate(zip(everything, rounded(places), strict=True))
    ]
    files = {
        "vectors.csv": csv_file(
            "the mean vector of each pasted sequence",
            ("name", *(f"v{place}" for place in range(own.shape[1]))),
            ([name, *row] for (name, _), row in zip(rows, rounded(own), strict=True)),
        ),
        "map.csv": csv_file("the points of the map", tuple(points[0]), (list(point.values()) for point in points)),
    }
    result = {"points": points, "method": "PCA", "explained": rounded(explained), "note": _note(len(rows), atlas)}
    return Answer({**result, "nearest": _nearest(pasted, own, atlas, known)}, files)


def principal_plane(vectors_ND: Vectors) -> tuple[Vectors, Vectors]:
    """N vectors along their two widest directions (N, 2), and the shares of the variance that these have (2,).

    Of either direction the sign is such that the largest weight is above 0, so equal vectors give equal maps.
    """
    centred_ND = vectors_ND - vectors_ND.mean(0)
    _, size_K, direction_KD = np.linalg.svd(centred_ND, full_matrices=False)
    direction_KD = direction_KD[:2]
    largest_K = np.abs(direction_KD).argmax(1)
    direction_KD = direction_KD * np.sign(direction_KD[np.arange(len(direction_KD)), largest_K])[:, None]
    places_N2, explained_2 = np.zeros((len(vectors_ND), 2)), np.zeros(2)
    total = float((size_K**2).sum())
    if total > 1e-12 * len(vectors_ND):
        places_N2[:, : len(direction_KD)] = centred_ND @ direction_KD.T
        explained_2[: len(direction_KD)] = (size_K**2)[:2] / total
    return places_N2, explained_2


def gc_share(sequence: bytes) -> float:
    """The share of G and C among the letters."""
    letters = sequence.upper()
    return (letters.count(b"G") + letters.count(b"C")) / len(letters)


def _vectors(served: Served, rows: Rows, job: Job) -> Vectors:
    """(N, D), a few sequences at a time."""
    found = [np.zeros((0, served.bundle.model.config.width))]
    first = 0
    while first < len(rows):
        last, letters = first + 1, len(rows[first][1])
        while last < len(rows) and letters + len(rows[last][1]) <= TOKENS:
            letters, last = letters + len(rows[last][1]), last + 1
        found.append(np.stack([one.vectors for one in embed_sequences(served.bundle, rows[first:last])]))
        job.step(last - first)
        first = last
    return np.concatenate(found).astype(np.float64)


def _nearest(pasted: Pasted, own: Vectors, atlas: Atlas, known: Vectors) -> list[dict[str, Any]]:
    cosine_NR = _directions(own) @ _directions(known).T
    found = []
    for name, letters, cosine_R in zip(pasted.names, pasted.letters, cosine_NR, strict=True):
        for index in np.argsort(-cosine_R, kind="stable")[:CLOSEST].tolist():
            reference, sequence = atlas.rows[index]
            same = to_dna(letters) == to_dna(sequence.decode().upper())
            row = {"name": name, "reference": reference, "class": atlas.classes[index], "same": same}
            found.append({**row, "cosine": float(rounded(cosine_R[index]))})
    return found


def _directions(vectors_ND: Vectors) -> Vectors:
    return vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-12)


def _note(count: int, atlas: Atlas) -> str:
    if atlas.rows:
        return f"Axes are of {count} pasted and {len(atlas.rows)} reference sequences ({atlas.name}) together."
    return f"Axes are of the {count} pasted sequences alone: the server was started without --reference."
