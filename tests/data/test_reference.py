"""Any stretch of any sequence of a file, against slices of the sequences themselves."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made import fasta, letters
from nuclex.core.errors import InputError
from nuclex.data.reference import Reference

RECORDS = [("chr1", letters(1, 501)), ("chr2", "acgtNNRY"), ("M", "A")]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    return Reference(fasta(folder / "in.fa", RECORDS), folder)


@given(st.sampled_from(range(3)), st.integers(-30, 600), st.integers(-30, 600))
def test_stretches_are_slices_clipped_at_the_ends(reference: Reference, which: int, start: int, stop: int) -> None:
    name, text = RECORDS[which]
    assert reference.letters(name, start, stop) == text[max(start, 0) : max(stop, 0)].encode()


def test_names_and_lengths(reference: Reference) -> None:
    assert list(reference) == ["chr1", "chr2", "M"]
    assert [reference.length(name) for name in ("chr1", "chr2", "M", "chr3")] == [501, 8, 1, None]


def test_the_digest_is_that_of_names_and_letters(reference: Reference, tmp_path: Path) -> None:
    packed = tmp_path / "same.fa.gz"
    with gzip.open(packed, "wt") as handle:
        handle.writelines(f">{name} more words\n{text[:7]}\n{text[7:]}\n" for name, text in RECORDS)
    assert Reference(packed, tmp_path).digest == reference.digest
    others = [[("chr1", RECORDS[0][1] + "A"), *RECORDS[1:]], RECORDS[:2], [("chrX", RECORDS[0][1]), *RECORDS[1:]]]
    found = {Reference(fasta(tmp_path / "x.fa", records), tmp_path).digest for records in others}
    assert len(found | {reference.digest}) == 4


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = fasta(tmp_path / "in.fa", [("a", "ACGT"), ("b", "A"), ("a", "CC")])
    with pytest.raises(InputError, match=r"in\.fa:5: the id 'a' stands twice; variants are told by it"):
        Reference(path, tmp_path)
    with pytest.raises(InputError, match=r"none\.fa: no such file"):
        Reference(tmp_path / "none.fa", tmp_path)
