import json
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.artifact import atomic_folder, write_json, write_manifest
from nuclex.core.errors import CorruptError, InputError
from nuclex.data import store
from nuclex.data.split import SPLITS
from nuclex.data.store import CORPUS, FORMAT, SCHEMA, Corpus, StoreWriter, lined, sequences_of, store_files

ROWS = [
    ("a", b"ACGT", "one", "tRNA", 0, 0),
    ("b", b"GG", "two", None, 1, 1),
    ("a", b"TTTTT", "one", "5S", 0, 0),
    ("ü", b"N", "two", None, 2, 2),
]


def _write(folder, rows):
    columns = list(zip(*rows, strict=True))
    table = {
        "id": pa.array(columns[0], pa.string()),
        "sequence": pa.array([sequence.decode() for sequence in columns[1]], pa.large_string()),
        "length": pa.array(list(map(len, columns[1])), pa.int64()),
        "source": pa.array(columns[2], pa.string()),
        "cluster": pa.array(columns[4], pa.int64()),
        "split": pa.array([SPLITS[code] for code in columns[5]], pa.string()),
        "family": pa.array(columns[3], pa.string()),
    }
    with atomic_folder(folder) as made:
        writer = StoreWriter(made)
        for batch in pa.table(table, schema=SCHEMA).to_batches(max_chunksize=3):
            writer.add(batch)
        manifest = {
            **FORMAT,
            "sequences_out": len(rows),
            "sources": [{"name": name} for name in sorted({row[2] for row in rows})],
            "fingerprint": writer.close(),
            "files": store_files(made),
        }
        write_json(made / CORPUS, manifest)
    return folder


@pytest.fixture
def folder(tmp_path):
    return _write(tmp_path / "corpus", ROWS)


def test_everything_comes_back(folder):
    corpus = Corpus.open(folder)
    assert len(corpus) == 4
    assert [corpus.sequence(row) for row in range(4)] == [row[1] for row in ROWS]
    assert [corpus.ids(row) for row in range(4)] == ["a", "b", "a", "ü"]
    assert corpus.lengths.tolist() == [4, 2, 5, 1]
    assert corpus.clusters.tolist() == [0, 1, 0, 2]
    assert corpus.split_codes.tolist() == [0, 1, 0, 2]
    assert corpus.split_codes.dtype == np.int8
    codes_N, names = corpus.sources
    assert [names[code] for code in codes_N] == ["one", "two", "one", "two"]
    assert corpus.families == ["tRNA", None, "5S", None]
    assert [corpus.indices(split).tolist() for split in ("train", "validation", "test")] == [[0, 2], [1], [3]]
    assert corpus.fingerprint == corpus.computed_fingerprint()
    with pytest.raises(InputError, match="found 'dev', allowed: train, validation, test"):
        corpus.indices("dev")
    for row in (-1, 4):
        with pytest.raises(IndexError):
            corpus.sequence(row)


def test_columns_are_read_only(folder):
    with pytest.raises(ValueError, match="read-only"):
        Corpus.open(folder).lengths[0] = 1


def test_arrow_opens_it_as_text_in_uncompressed_files(folder):
    with pa.memory_map(str(folder / "sequences-00000.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
        assert table.schema == SCHEMA
        assert table.column("sequence").to_pylist() == ["ACGT", "GG", "TTTTT", "N"]
        assert table.column("split").to_pylist() == ["train", "validation", "train", "test"]
    assert b"TTTTT" in (folder / "sequences-00000.arrow").read_bytes()


lines = st.lists(st.text("ACGTN", min_size=1, max_size=30).map(str.encode), min_size=1, max_size=40)


@given(lines, st.integers(1, 7), st.integers(1, 60))
def test_batches_and_files_change_nothing(tmp_path_factory, sequences, batch_rows, file_bytes):
    rows = [(f"s{n}", sequence, "x", None, n // 3, n % 3) for n, sequence in enumerate(sequences)]
    home = tmp_path_factory.mktemp("store")
    whole = Corpus.open(_write(home / "whole", rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "BATCH_ROWS", batch_rows)
        patch.setattr(store, "_FILE_BYTES", file_bytes)
        parts = Corpus.open(_write(home / "parts", rows))
    for corpus in (whole, parts):
        assert [corpus.sequence(row) for row in range(len(corpus))] == sequences
        assert corpus.lengths.tolist() == list(map(len, sequences))
        assert corpus.clusters.tolist() == [row[4] for row in rows]
        assert corpus.families is None
    assert whole.fingerprint == parts.fingerprint == parts.computed_fingerprint()


@given(lines, st.integers(0, 5))
def test_lines_and_single_sequences_of_a_slice(sequences, skipped):
    column = pa.array([sequence.decode() for sequence in sequences], pa.large_string()).slice(skipped)
    assert b"".join(lined(column)) == b"".join(sequence + b"\n" for sequence in sequences[skipped:])
    assert list(sequences_of(column)) == sequences[skipped:]


def test_the_fingerprint_sees_what_training_sees(tmp_path):
    def fingerprint(rows, name):
        return Corpus.open(_write(tmp_path / name, rows)).fingerprint

    base = fingerprint(ROWS, "base")
    assert fingerprint([("other", *row[1:]) for row in ROWS], "ids") == base
    changes = {
        "letters": [(*ROWS[0][:1], b"ACGA", *ROWS[0][2:]), *ROWS[1:]],
        "borders": [("a", b"ACG", *ROWS[0][2:]), ("b", b"TGG", *ROWS[1][2:]), *ROWS[2:]],
        "cluster": [(*ROWS[0][:4], 7, 0), *ROWS[1:]],
        "split": [(*ROWS[0][:5], 1), *ROWS[1:]],
        "order": [ROWS[2], ROWS[1], ROWS[0], ROWS[3]],
    }
    found = [fingerprint(rows, name) for name, rows in changes.items()]
    assert len({base, *found}) == 1 + len(changes)


def test_it_travels_to_another_process(folder):
    corpus = pickle.loads(pickle.dumps(Corpus.open(folder)))
    assert corpus.sequence(2) == b"TTTTT"


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "extra", "no manifest", "no corpus.json"])
def test_damage_is_recognised(folder, damage):
    path = folder / "sequences-00000.arrow"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[content.index(b"TTTTT")] = ord("A")
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "gone":
        path.unlink()
    elif damage == "extra":
        shutil.copy(path, folder / "sequences-00001.arrow")
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        (folder / CORPUS).unlink()
    with pytest.raises(CorruptError):
        Corpus.open(folder)


def test_damage_that_is_not_verified_is_still_an_error(folder):
    path = folder / "sequences-00000.arrow"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptError, match="not a readable Arrow file"):
        Corpus.open(folder, verify=False)
    (folder / CORPUS).write_text("{}")
    with pytest.raises(CorruptError, match="not the readable manifest"):
        Corpus.open(folder, verify=False)


def test_a_corpus_of_another_version_or_length_is_refused(folder):
    manifest = json.loads((folder / CORPUS).read_text())
    write_json(folder / CORPUS, {**manifest, "format_version": 2})
    with pytest.raises(InputError, match="is of version 2"):
        Corpus.open(folder, verify=False)
    write_json(folder / CORPUS, {**manifest, "sequences_out": 5})
    with pytest.raises(CorruptError, match=r"holds 4 sequences, corpus\.json says 5"):
        Corpus.open(folder, verify=False)


def test_what_is_no_corpus_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="is not a corpus"):
            Corpus.open(path)


def _resummed(folder):
    write_manifest(folder)
    return folder


@pytest.mark.parametrize(
    ("before", "after"),
    [('"name"', '"nam"'), ('"files": [', '"files": [3, '), ("sources", "sourc"), ('"name": "one"', '"name": 1')],
)
def test_a_manifest_that_lacks_what_is_read_from_it_is_damage(tmp_path, before, after):
    folder = _write(tmp_path / "corpus", ROWS)
    text = (folder / CORPUS).read_text()
    assert before in text
    (folder / CORPUS).write_text(text.replace(before, after, 1))
    with pytest.raises(CorruptError, match=r"corpus\.json: is not the readable manifest"):
        Corpus.open(_resummed(folder))


def test_an_arrow_file_whose_offsets_lead_out_of_it_is_damage_and_no_crash(tmp_path):
    folder = _write(tmp_path / "corpus", ROWS)
    file = folder / "sequences-00000.arrow"
    content = file.read_bytes()
    offsets = np.array([0, 4, 6, 11], dtype="<i8").tobytes()  # of the sequences of the first batch
    assert content.count(offsets) == 1
    file.write_bytes(content.replace(offsets, np.array([0, 4, 6, 1 << 40], dtype="<i8").tobytes()))
    with pytest.raises(CorruptError, match=r"sequences-00000\.arrow: is not a readable Arrow file"):
        Corpus.open(_resummed(folder))
    file.write_bytes(content.replace(offsets, np.array([0, 3, 6, 11], dtype="<i8").tobytes()))
    with pytest.raises(CorruptError, match="a sequence is not as long as the column length says"):
        Corpus.open(_resummed(folder))


def test_other_columns_and_holes_are_damage(tmp_path):
    folder = _write(tmp_path / "corpus", ROWS)
    file = folder / "sequences-00000.arrow"
    table = pa.ipc.open_file(file.read_bytes()).read_all()
    holes = table.set_column(0, SCHEMA.field("id"), pa.array(["a", None, "a", "b"]))
    for wrong, sentence in ((table.drop_columns("split"), "its columns are not"), (holes, "the column id has holes")):
        with pa.ipc.new_file(file, wrong.schema) as writer:
            writer.write_table(wrong)
        with pytest.raises(CorruptError, match=sentence):
            Corpus.open(_resummed(folder))
