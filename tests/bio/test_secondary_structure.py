"""Real structures: ArchiveII, bpRNA and PDB-RNA of the catalogue go through text, arrays and files unchanged."""

from __future__ import annotations

import csv
import json
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nuclex.bio import secondary_structure as ss
from nuclex.core.errors import InputError

pytestmark = pytest.mark.real


def _path(mirror: Path, name: str) -> Path:
    path = mirror / "rna_structure" / name
    if not path.is_file():
        pytest.skip(f"{name}: real data not available: set NUCLEX_MIRROR to a mirror that holds it")
    return path


def _rows(mirror: Path, name: str) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with lzma.open(_path(mirror, name), "rt", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.slow
def test_archiveii_goes_through_dot_bracket_and_equals_its_bpseq_files(mirror: Path) -> None:
    rows = {row["id"]: row for row in _rows(mirror, "archiveii/archiveII_3975.csv.xz")}
    pseudoknotted = 0
    with tarfile.open(_path(mirror, "archiveii/archiveII_bpseq_3975.tar.xz")) as archive:
        for member in archive:
            structure = ss.parse_bpseq(archive.extractfile(member).read().decode(), member.name)  # type: ignore[union-attr]
            row = rows.pop(structure.name)
            pairs = ss.parse_dot_bracket(row["structure"])
            assert structure.sequence == row["sequence"]
            assert np.array_equal(structure.pairs, pairs)
            assert np.array_equal(ss.parse_dot_bracket(structure.dot_bracket), pairs)
            assert np.array_equal(ss.from_partners(ss.to_partners(pairs, len(row["sequence"]))), pairs)
            knotted = ss.has_pseudoknot(pairs)
            assert ("[" in structure.dot_bracket) == ("[" in row["structure"]) == knotted
            assert knotted or structure.dot_bracket == row["structure"]
            pseudoknotted += knotted
    assert rows == {}
    assert pseudoknotted == 1086  # the number in the catalogue


def test_archiveii_goes_through_files(mirror: Path, tmp_path: Path) -> None:
    for row in _rows(mirror, "archiveii/archiveII_3975.csv.xz")[::100]:
        structure = ss.Structure(row["id"], row["sequence"], ss.parse_dot_bracket(row["structure"]))
        ss.write_ct(tmp_path / "a.ct", structure)
        ss.write_bpseq(tmp_path / "a.bpseq", structure)
        assert ss.read_ct(tmp_path / "a.ct") == ss.read_bpseq(tmp_path / "a.bpseq") == structure


def test_bprna_goes_through_dot_bracket(mirror: Path) -> None:
    for row in _rows(mirror, "bprna_tr0_vl0_ts0_subset/bpRNA_TR0_VL0_TS0_subset.csv.xz"):
        pairs = ss.parse_dot_bracket(row["structure"])
        text = ss.to_dot_bracket(pairs, len(row["sequence"]))
        assert np.array_equal(ss.parse_dot_bracket(text), pairs)


def test_pdb_structures_that_are_no_matching_are_refused_with_a_sentence(mirror: Path) -> None:
    refused = 0
    for row in _rows(mirror, "pdb_rna/PDB-RNA.csv.xz"):
        given = np.array(json.loads(row["base_pairs"])) - 1
        structure = ss.Structure(row["id"], row["sequence"], given)
        assert structure.pairs.tolist() == sorted(given.tolist())  # triples are kept
        positions, times = np.unique(given, return_counts=True)
        if (times == 1).all():
            partners = ss.to_partners(given, len(row["sequence"]))
            assert np.array_equal(ss.from_partners(partners), structure.pairs)
            continue
        refused += 1
        with pytest.raises(InputError, match=f"position {positions[times > 1][0]} is in the pairs"):
            ss.to_partners(given, len(row["sequence"]))
    assert refused == 171  # the number in the catalogue


def test_readers_take_what_the_archive_holds_from_a_path(mirror: Path, tmp_path: Path) -> None:
    with tarfile.open(_path(mirror, "archiveii/archiveII_bpseq_3975.tar.xz")) as archive:
        archive.extract("archiveII_bpseq/16s_A.fulgidus.bpseq", tmp_path, filter="data")
    structure = ss.read_bpseq(tmp_path / "archiveII_bpseq" / "16s_A.fulgidus.bpseq")
    assert structure.name == "16s_A.fulgidus"
    assert len(structure.sequence) == 1492
    assert structure.pairs[0].tolist() == [3, 19]  # its fourth line is "4 C 20"
