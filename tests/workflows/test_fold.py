"""Structures on disk: files that hold what the model says, pictures of each, whole or not there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import nuclex.workflows.fold as module
from nuclex.bio.secondary_structure import read_bpseq, read_ct_all
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.inference.fold import Folded
from nuclex.tasks import read_vienna

RNAS = [("a/../<b>", "GGGAAACCC", [(0, 8), (1, 7)]), ("knot", "GGGAACCCAACCCAAGGG", [(0, 12), (1, 11), (5, 17)])]

FIRST = "0001-a_..__b_"  # a file name without what could lead elsewhere


@pytest.fixture
def fold(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """The verb with structures given instead of a model's."""

    def given(*_: object) -> list[Folded]:
        made = []
        for name, sequence, pairs in RNAS:
            probability_LL = np.full((len(sequence), len(sequence)), 0.02)
            for i, j in pairs:
                probability_LL[i, j] = 0.9
            made.append(Folded(name, sequence, np.array(pairs, dtype=np.int32), probability_LL, 0.3, "greedy"))
        return made

    monkeypatch.setattr(module, "folded", given)
    bundle = Bundle.__new__(Bundle)
    return lambda out, **keywords: module.fold(bundle, "x.fa", out, **keywords)


def test_one_file_for_all(fold: Callable[..., dict], tmp_path: Path) -> None:
    told = fold(tmp_path / "s.dbn")
    assert told == {
        "out": str(tmp_path / "s.dbn"),
        "sequences": 2,
        "pairs": 5,
        "mean_pair_probability": pytest.approx(0.9),
    }
    fold(tmp_path / "s.ct")
    fold(tmp_path / "s.json")
    vienna, tables = list(read_vienna(tmp_path / "s.dbn")), read_ct_all(tmp_path / "s.ct")
    listed = json.loads((tmp_path / "s.json").read_text())
    for (name, sequence, pairs), example, table, row in zip(RNAS, vienna, tables, listed, strict=True):
        assert (example.id, table.name, row["id"]) == (name, name, name)
        assert (example.sequence, table.sequence, row["sequence"]) == (sequence,) * 3
        assert example.pairs.tolist() == table.pairs.tolist() == [list(pair) for pair in pairs]
        assert row["pairs"] == [[i, j, 0.9] for i, j in pairs]
    with pytest.raises(InputError, match=r"s\.bpseq: a \.bpseq file holds one structure"):
        fold(tmp_path / "s.bpseq")
    assert not (tmp_path / "s.bpseq").exists()


def test_a_folder_for_all_and_one_for_pictures(fold: Callable[..., dict], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert fold(tmp_path / "out", svg=tmp_path / "pictures")["svg"] == str(tmp_path / "pictures")
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"manifest.json"}
    assert names == {f"{stem}{end}" for stem in (FIRST, "0002-knot") for end in module.ENDINGS}
    assert read_bpseq(tmp_path / "out" / "0002-knot.bpseq").pairs.tolist() == [[0, 12], [1, 11], [5, 17]]
    drawn = sorted(path.name for path in (tmp_path / "pictures").glob("*.svg"))
    assert drawn == [f"{stem}-{kind}.svg" for stem in (FIRST, "0002-knot") for kind in ("arcs", "dots", "planar")]
    for path in (tmp_path / "pictures").glob("0001*.svg"):
        root = ElementTree.fromstring(path.read_text())  # well-formed, though the name is not
        words = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
        assert "a/../<b>" in words
        assert root.get("aria-label", "").startswith("a/../<b>: ")
    dashed = (tmp_path / "pictures" / "0002-knot-planar.svg").read_text().count("stroke-dasharray")
    assert dashed == 1, "the one pair that crosses the others"


@pytest.mark.parametrize(
    ("out", "svg", "sentence"),
    [
        ("s.txt", None, r"s\.txt: structures are written to \.dbn, \.ct, \.bpseq, \.json, or to a folder"),
        ("out", "out", "out: pictures go to a folder of their own"),
        ("out", "out/pictures", "pictures: pictures go to a folder of their own"),
        ("pictures/s.dbn", "pictures", "pictures: pictures go to a folder of their own"),
    ],
)
def test_places_that_do_not_fit(
    fold: Callable[..., dict], tmp_path: Path, out: str, svg: str | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        fold(tmp_path / out, svg=None if svg is None else tmp_path / svg)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_when_a_sequence_fails(
    fold: Callable[..., dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    before = module.folded
    monkeypatch.setattr(module, "folded", lambda *_: _failing(before))
    for out in ("s.dbn", "s.json", "folder"):
        with pytest.raises(InputError, match=r"x\.fa: no"):
            fold(tmp_path / out, svg=tmp_path / "pictures")
    assert not list(tmp_path.iterdir())


def _failing(given: Callable[[], list[Folded]]) -> Iterator[Folded]:
    yield from given()
    raise InputError("x.fa: no")
