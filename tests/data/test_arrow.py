"""Parquet and Arrow files, written by pyarrow and pandas: rows as records, row by row, and what is refused."""

import random

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data.columns import ReadConfig
from nuclex.data.read import read_sequences


def write_parquet(table, path):
    pq.write_table(table, path, row_group_size=700, compression="zstd")


def write_file(table, path, **options):
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=700)


def write_stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=700)


WRITERS = {
    "parquet": write_parquet,
    "arrow": write_file,
    "lz4": lambda table, path: write_file(table, path, compression="lz4"),
    "stream": write_stream,
    "feather": pyarrow.feather.write_feather,
}


def big():
    rng = random.Random(0)
    letters = ["".join(rng.choices("ACGTUNacgtu", k=rng.randrange(1, 90))) for _ in range(3_000)]
    frame = {
        "id": [f"r{number}" for number in range(3_000)],
        "sequence": letters,
        "label": [number % 4 for number in range(3_000)],
    }
    return pa.table(frame)


@pytest.mark.parametrize("kind", WRITERS)
def test_equals_what_was_written(tmp_path, kind):
    table, path = big(), tmp_path / "table.dat"  # the suffix says nothing
    WRITERS[kind](table, path)
    rows = table.to_pylist()
    assert list(read_sequences(path)) == [
        (row["id"], f"{row['id']} label={row['label']}", row["sequence"].encode(), "table.dat", number)
        for number, row in enumerate(rows, start=1)
    ]


def test_equals_pandas(tmp_path):
    frame = pd.DataFrame({"sequence": ["ACGT", "GGUU"], "score": [0.5, 2.0], "ok": [True, False]})
    frame.to_parquet(tmp_path / "x.parquet")
    expected = [
        f"row-{row + 1} score={value} ok={ok}"
        for row, (value, ok) in enumerate(zip(frame["score"], frame["ok"], strict=True))
    ]
    assert [record.description for record in read_sequences(tmp_path / "x.parquet")] == expected


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int8(), pa.string()),
    ],
)
def test_any_type_of_text(tmp_path, kind):
    plain = pa.dictionary(pa.int8(), pa.string()) != kind
    values = ["ACGTACGTAC", "GGGGUUUUCC"]
    made = pa.array(
        values if kind not in (pa.binary(), pa.large_binary()) else [value.encode() for value in values],
        kind if plain else pa.string(),
    )
    table = pa.table({"x": made if plain else made.dictionary_encode().cast(kind), "nested": [[1], [2]]})
    write_file(table, tmp_path / "x.arrow")
    assert [record.sequence.decode() for record in read_sequences(tmp_path / "x.arrow")] == values


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_are_named_in_refusals(tmp_path, kind):
    path = tmp_path / "x.parquet"
    for value, message in [
        ("AC1T", "found '1' in a sequence"),
        (None, "no sequence in column 'sequence'"),
        ("", "no sequence"),
    ]:
        letters = ["ACGT"] * 1_500 + [value] + ["ACGT"] * 10
        WRITERS[kind](pa.table({"sequence": letters}), path)
        with pytest.raises(InputError) as caught:
            list(read_sequences(path))
        assert str(caught.value).startswith(f"{path}: row 1501: {message}")


def test_other_refusals(tmp_path):
    path = tmp_path / "x.parquet"
    for table, config, message in [
        ({"a": [1], "b": [2]}, None, "1: no column holds sequences of nucleotides: 'a', 'b'"),
        (
            {"s": [["A"]], "t": [1]},
            ReadConfig(sequence_column="s"),
            " the column 's' is of type 'list<element: string>'; text is needed",
        ),
        ({"sequence": pa.array([], pa.string())}, None, " is empty; parquet with at least one sequence is needed"),
    ]:
        pq.write_table(pa.table(table), path)
        with pytest.raises(InputError) as caught:
            list(read_sequences(path, config=config))
        assert str(caught.value).startswith(f"{path}:{message}")
    twice = pa.Table.from_arrays([pa.array(["ACGT"]), pa.array(["GG"])], names=["sequence", "sequence"])
    write_file(twice, path)
    with pytest.raises(InputError, match="the column 'sequence' stands twice"):
        list(read_sequences(path))


def test_neither_packed_nor_from_stdin(tmp_path, monkeypatch):
    import gzip
    import io

    pq.write_table(pa.table({"sequence": ["ACGT"]}), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=r"is parquet packed with gzip; give the file itself"):
        list(read_sequences(tmp_path / "x.parquet.gz"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    with pytest.raises(InputError, match=r"stdin: is parquet on standard input; give the file itself"):
        list(read_sequences("-"))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
@given(data=st.data())
def test_spoilt_files_give_records_or_one_sentence(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("spoilt") / "x.dat"
    WRITERS[kind](pa.table({"id": ["a", "b"], "sequence": ["ACGTACGT", "GGUU"]}), path)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        records, sentence = list(read_sequences(path)), ""
    except InputError as error:
        records, sentence = [], str(error)
    assert sentence.startswith(str(path)) or not sentence
    assert "\n" not in sentence
    assert all(record.id and record.sequence for record in records)


def test_what_the_library_complains_of_is_one_printable_line(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "sequence": ["ACGT", "GG"]}), path)
    whole, refusals = path.read_bytes(), []
    for place in range(4, 40):
        path.write_bytes(whole[:place] + b"o" + whole[place + 1 :])
        try:
            list(read_sequences(path))
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 5
    assert all(map(str.isprintable, refusals))


@pytest.mark.parametrize("table", [{"id": ["a\x00"], "seq": ["AC"]}, {"id": ["a"], "seq": ["AC"], "no\x7fte": [1]}])
def test_control_characters_reach_no_header(tmp_path, table):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: row 1: a value or a column's name holds the control character"):
        list(read_sequences(tmp_path / "a.parquet"))
