"""How many sequences there are is known before the work begins, so that a bar can tell the time left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nuclex.core.progress import Bar
from nuclex.data.variants import read_variants
from nuclex.inference import parts
from nuclex.inference.embed import embed
from nuclex.inference.reading import how_many
from nuclex.inference.score import score

THREE = ">a\nACGT\n>b\nACGTAC\n>c\nGGCC\n"


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.fa"
    path.write_text(THREE)
    return path


def test_it_is_known_of_files_that_can_be_read_twice(three: Path, tmp_path: Path) -> None:
    table = tmp_path / "variants.csv"
    table.write_text("chrom,pos,ref,alt\na,1,A,C\na,2,C,G\n")
    assert how_many(three) == 3
    assert how_many(table, read_variants) == 2


def test_what_can_be_read_once_only_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert how_many(pipe) == 0  # opening it would wait for ever
    assert how_many("-") == 0
    assert how_many("a" * 300) == 0
    assert how_many(tmp_path / "none.fa") == 0


def test_a_mistake_is_told_when_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "bad.fa"
    path.write_text(THREE + ">d\nAC!T\n")
    assert how_many(path) == 0


@pytest.mark.parametrize(("verb", "name"), [(embed, "out.npz"), (score, "out.csv")])
def test_bars_know_the_whole(
    verb: Any, name: str, three: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Bar] = []

    class Kept(Bar):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(parts, "bar", Kept)
    verb(tiny_bundle, three, tmp_path / name)
    assert [(bar.total, bar.done) for bar in made] == [(3, 3)]
