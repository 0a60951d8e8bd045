"""Sets of sequences in a model's space: what is near, what is far, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from designers import bundle_of
from nuclex.bio.genetic_code import CODONS
from nuclex.core.errors import InputError
from nuclex.evaluation.clouds import NOISE, CloudConfig, compare_clouds, shuffled
from nuclex.inference.embed import embed_sequences
from nuclex.metrics.frechet import cover, frechet_distance, principal_axes

SENSE = [codon for codon in CODONS if codon not in ("TAA", "TAG", "TGA")]


def drawn(count: int, seed: int, codons: list[str] | None = None) -> list[tuple[str, bytes]]:
    draw = np.random.default_rng(seed)
    chosen = [draw.choice(codons or SENSE, int(draw.integers(10, 30))) for _ in range(count)]
    return [(str(row), ("ATG" + "".join(one) + "TAA").encode()) for row, one in enumerate(chosen)]


def test_as_the_metrics_say_of_the_vectors() -> None:
    bundle, real = bundle_of("gpt2"), drawn(40, 0)
    sets = {"alike": drawn(40, 1), "other": drawn(40, 2, ["AAA", "GGG", "CCC"])}
    found = compare_clouds(bundle, sets, real, (CloudConfig(neighbours=2, ridge=0.5), 0))
    assert (found.size, found.width, found.enough) == (40, 16, True)
    vectors = {
        name: np.stack([e.vectors for e in embed_sequences(bundle, s)]) for name, s in {**sets, "": real}.items()
    }
    for name in sets:
        assert found.sets[name].frechet == pytest.approx(frechet_distance(vectors[name], vectors[""], 0.5), rel=1e-4)
        assert found.sets[name].precision == cover(vectors[name], vectors[""], 2).precision
        assert found.sets[name].recall == cover(vectors[name], vectors[""], 2).recall
    assert found.sets["alike"].frechet < found.sets["other"].frechet < found.sets[NOISE].frechet
    assert found.sets[NOISE].precision < found.sets["alike"].precision


def test_few_directions() -> None:
    bundle, real, made = bundle_of("gpt2"), drawn(30, 0), drawn(30, 3)
    found = compare_clouds(bundle, {"made": made}, real, (CloudConfig(components=3), 0))
    real_ND, made_ND = (np.stack([e.vectors for e in embed_sequences(bundle, one)]) for one in (real, made))
    mean, axes = principal_axes(real_ND, 3)
    wanted = frechet_distance((made_ND - mean) @ axes.T, (real_ND - mean) @ axes.T)
    assert found.width == 3
    assert found.sets["made"].frechet == pytest.approx(wanted, rel=1e-4)


def test_all_sets_are_of_one_size_and_what_cannot_be_read_is_counted() -> None:
    odd = [("short", b"ATGA"), ("strange", b"XXX!"), ("none", b"")]
    found = compare_clouds(bundle_of("gpt2"), {"made": [*drawn(9, 1), *odd]}, drawn(20, 0), (CloudConfig(), 3))
    assert (found.size, dict(found.left_out), found.enough) == (9, {"made": 3}, False)
    with pytest.raises(InputError, match="made: this bundle reads 3 of 6 sequences; 4 are needed, or a bundle"):
        compare_clouds(bundle_of("gpt2"), {"made": [*drawn(3, 1), *odd]}, drawn(20, 0), (CloudConfig(), 3))


def test_shuffled_codons_keep_ends_and_composition() -> None:
    text = b"ATG" + b"".join(codon.encode() for codon in SENSE) + b"TAA"
    other = shuffled(text, 5)
    cut = [other[place : place + 3] for place in range(0, len(other), 3)]
    assert (cut[0], cut[-1], other != text) == (b"ATG", b"TAA", True)
    assert sorted(cut[1:-1]) == sorted(codon.encode() for codon in SENSE)
    assert (shuffled(b"ATG", 0), shuffled(b"", 0), shuffled(b"ATGTAAC", 0)) == (b"ATG", b"", b"ATGTAA")
