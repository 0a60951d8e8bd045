"""Tables as text against Python's csv and pandas, by hand, on spoilt files and on the real ones."""

import csv
import io
import random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data.columns import ReadConfig
from nuclex.data.compression import Text
from nuclex.data.read import read_sequences
from nuclex.data.table import LONGEST_ROW, read_table, rows


def parsed(content, delimiter=","):
    return [fields for _, fields in rows(Text(io.BytesIO(content), "x.csv"), delimiter)]


def read(tmp_path, content, name="x.csv", config=None):
    path = tmp_path / name
    path.write_bytes(content)
    return list(read_sequences(path, config=config))


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from('",;\n\t'), max_size=8)


@given(st.integers(2, 5), st.data(), st.sampled_from(",\t;"), st.sampled_from(["\n", "\r\n"]))
def test_equals_what_python_wrote(width, data, delimiter, newline):
    table = data.draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8))
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows(table)
    assert parsed(text.getvalue().encode(), delimiter) == table


@given(st.text('a",\n', max_size=40))
def test_equals_python_where_both_accept(text):
    try:
        ours = parsed(text.encode())
    except InputError:
        return  # Python takes more
    assert ours == [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row not in ([], [""])]


def test_rows_by_hand(tmp_path):
    content = b'\xef\xbb\xbfid,sequence,"cell type",note\r\n\r\na,ACGT,K562,"one\r\ntwo, ""three"""\r\nb,acgu,,\r\n'
    assert read(tmp_path, content) == [
        ("a", 'a cell_type=K562 note=one_two,_"three"', b"ACGT", "x", 3),
        ("b", "b", b"acgu", "x", 5),
    ]


def test_delimiters_are_told_by_the_first_line(tmp_path):
    expected = [("a", "a label=x,y", b"ACGT", "x", 2)]
    assert read(tmp_path, b"id\tsequence\tlabel\na\tACGT\tx,y\n", "x.tsv") == expected
    assert read(tmp_path, b'id,sequence,label\na,ACGT,"x,y"\n', "x.tsv") == expected
    assert read(tmp_path, b"id;sequence;label\na;ACGT;x,y\n", "x.csv") == expected
    assert read(tmp_path, b"id\tsequence\tlabel\na\tACGT\tx,y\n", "x.txt") == expected
    assert read(tmp_path, b"id\tseq,x\tlabel\na\tACGTACGT\ty\n", "x.tsv", ReadConfig(sequence_column="seq,x"))
    assert [record.sequence for record in read(tmp_path, b"sequence\nACGT\n\nGG\n", "x")] == [b"ACGT", b"GG"]


def test_airr_needs_its_columns(tmp_path):
    airr = ReadConfig(format="airr")
    content = b"sequence_id\tsequence\tv_call\nr1\tACGT\tIGHV1-2*02\n"
    assert read(tmp_path, content, "x.dat", airr) == [("r1", "r1 v_call=IGHV1-2*02", b"ACGT", "x.dat", 2)]
    with pytest.raises(
        InputError, match=r"x\.dat:1: an AIRR table has the column 'sequence_id'; found 'sequence', 'v'"
    ):
        read(tmp_path, b"sequence\tv\nACGT\tx\n", "x.dat", airr)


def test_airr_sequences_stay_as_they_were_read(tmp_path):
    """rev_comp says that the other strand was aligned; the column holds the query, which is not turned."""
    content = b"sequence_id\tsequence\trev_comp\tproductive\nr1\tAACG\tT\tT\nr2\tAACG\tF\tT\n"
    for config in (ReadConfig(), ReadConfig(format="airr")):
        first, second = read(tmp_path, content, "x.tsv", config)
        assert first.sequence == second.sequence == b"AACG"
        assert first.description == "r1 rev_comp=T productive=T"
        assert "rev_comp=F" in second.description


@pytest.mark.parametrize("length", [2, 4, 12, 15, 19, 20, 30])
def test_a_table_without_names_loses_no_row(tmp_path, length):
    rng = random.Random(length)
    rows = ["".join(rng.choices("ACGT", k=length)), *("".join(rng.choices("ACGT", k=12)) for _ in range(20))]
    with pytest.raises(InputError, match=r"x\.csv:1: .*names"):
        read(tmp_path, "".join(f"a{number},{row}\n" for number, row in enumerate(rows)).encode())


def test_descriptions_serve_families_and_classes(tmp_path):
    from nuclex.data.split import SplitConfig, family_of
    from nuclex.tasks.classification import FastaClassConfig

    content = b"id,sequence,family,label\n" + b"".join(
        b"s%d,%s,f%d,%s\n" % (number, b"ACGT" * (number + 1), number % 3, b"yn"[number % 2 : number % 2 + 1])
        for number in range(30)
    )
    records = read(tmp_path, content)
    assert [family_of(record, SplitConfig(by="family"), "x.csv") for record in records[:4]] == ["f0", "f1", "f2", "f0"]
    task = FastaClassConfig(train=tmp_path / "x.csv", label="label").read()
    assert task.classes == ("n", "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,sequence\na,ACGT,x\n", "2: found 3 fields, the first line has 2"),
        (b"id,sequence\na,ACGT\nb\n", "3: found 1 fields, the first line has 2"),
        (b'id,sequence\na,"ACGT\nb,AC\n', "2: a quote is opened in this row and never closed"),
        (b'id,sequence\na,"AC"GT\n', "2: found 'GT' behind a closing quote; ',' is needed"),
        (b"id,sequence\na,AC\x00T\n", "2: found byte 0x00 in a table; this is not a text file"),
        (b"id,sequence\n\xe9,ACT\n", "2: the row holds bytes that are not text (UTF-8)"),
        (b"id,sequence\na,AC T\n", "2: found ' ' in a sequence; letters and the symbols * - . ~ ? are allowed"),
        (b"id,sequence\na,\n", "2: no sequence in column 'sequence'; every row needs one"),
        (b"id,sequence\ra,ACGT\r", "1: a line ends inside a field that is not quoted"),
    ],
)
def test_refusals(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    assert str(caught.value) == f"{tmp_path / 'x.csv'}:{message}"


def test_a_table_without_rows_is_empty(tmp_path):
    with pytest.raises(InputError, match=r"x\.csv: is empty; csv with at least one sequence is needed"):
        read(tmp_path, b"id,sequence\n")


def test_an_endless_row_is_refused_in_bounded_memory():
    class Endless(io.RawIOBase):
        taken, start = 0, b'id,sequence\na,"'

        def readable(self):
            return True

        def readinto(self, buffer):
            data = self.start or (b"A" * 99 + b"\n") * (len(buffer) // 100) + b"A" * (len(buffer) % 100)
            data, self.start = data[: len(buffer)], b""
            buffer[: len(data)] = data
            self.taken += len(data)
            return len(data)

    endless = Endless()
    found = rows(Text(io.BufferedReader(endless), "x.csv"), ",")
    assert next(found) == (1, ["id", "sequence"])
    with pytest.raises(InputError, match=r"x\.csv:2: the row is longer than 67108864 bytes; a quote that it opens"):
        next(found)
    assert endless.taken < LONGEST_ROW + (1 << 20)


def test_spoilt_tables_give_records_or_one_sentence():
    rng, refused = random.Random(0), 0
    content = b"id,sequence,note\n" + b"".join(b'r%d,ACGUNACGU,"a ""b"", c"\n' % number for number in range(5))
    for _ in range(1_000):
        place = rng.randrange(len(content))
        middle = rng.choice([b"", b'"', b",", b"\n", b"\r", bytes([rng.randrange(256)])])
        try:
            spoilt = io.BytesIO(content[:place] + middle + content[place + rng.randrange(6) :])
            records, sentence = list(read_table(Text(spoilt, "x.csv"), "x", ReadConfig(), "csv")), ""
        except InputError as error:
            records, sentence = [], str(error)
        refused += bool(sentence)
        assert sentence.startswith("x.csv:") or not sentence
        assert "\n" not in sentence
        assert all(record.id and record.sequence for record in records)
    assert 0.3 < refused / 1_000 < 0.95


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "column", "identity"),
    [
        ("gue/prom/prom_core_tata/train.csv.xz", "sequence", None),
        ("gue/splice/reconstructed/dev.csv.xz", "sequence", None),
        ("antibody/oas_imgt_vquest_1000.csv.xz", "sequence", "sequence_id"),
        ("antibody/tigger_AIRRDb.tsv.xz", "sequence", "sequence_id"),
        ("mrna_property/calm/protein_abundance_ecoli.csv.xz", "cds", "gene_id"),
        ("mrna_property/codonbert_nc/MLOS.csv.xz", "CDS", None),
        ("mrna_property/codonbert_nc/CoV_Vaccine_Degradation.csv.xz", "Sequence", None),
        ("mrna_property/icodon_stability/icodon_stability_7576.csv.xz", "coding", "gene_id"),
        ("variant_effect/mavenn_mpsa_data.csv.gz", "x", None),
        ("rna_structure/archiveii/archiveII_3975.csv.xz", "sequence", "id"),
        ("mrl/mrl_random50_20k.csv.xz", "utr", None),
    ],
)
def test_equals_pandas_on_real_tables(mirror, name, column, identity):
    separator = "\t" if ".tsv" in name else ","
    table = pd.read_csv(mirror / name, dtype=str, keep_default_na=False, sep=separator)
    records = list(read_sequences(mirror / name))
    assert [record.sequence.decode() for record in records] == table[column].tolist()
    if identity is not None:
        assert [record.id for record in records] == table[identity].tolist()


@pytest.mark.real
def test_real_tables_without_one_sequence_column_are_refused(mirror):
    with pytest.raises(InputError, match="no column holds sequences of nucleotides: 'Chrom', 'Pos', 'Ref', 'Alt'"):
        next(read_sequences(mirror / "variant_effect/kircher2019_satmut_elements.tsv.gz"))
