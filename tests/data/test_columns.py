"""Which columns a table is read by: by the config, by name, by what is in them; else one sentence."""

import pytest

from nuclex.core.errors import InputError
from nuclex.data.columns import LONGEST_VALUE, ReadConfig, choose_columns

CALL = "; call one 'sequence', or name it (sequence_column)"
NONE = ", which is no column; found 'a', 'sequence'"
RNA = "GGGAAAUCCGCUAUCC"


def chosen(names, *rows, **settings):
    columns = choose_columns(names, rows, ReadConfig(**settings), "x.csv")
    return columns.sequence, columns.id


def test_by_name():
    assert chosen(["name", "sequence", "label"], ["a", RNA, "1"]) == (1, 0)
    assert chosen(["Sequence", "Value"], [RNA, "0.1"]) == (0, None)
    assert chosen(["seq", "ID"], [RNA, "a"]) == (0, 1)
    assert chosen(["name", "sequence_id", "sequence", "sequence_aa"], ["n", "s", RNA, "MK"]) == (2, 1)
    assert chosen(["Sequence", "sequence"], [RNA, RNA]) == (1, None)


def test_by_what_is_in_them():
    assert chosen(["gene_id", "cds", "split"], ["b1", "ATGGCTTATAAA", "train"]) == (1, 0)
    assert chosen(["utr", "rl"], ["CCCACCCCGGGC", "4.8"], ["", "1"], [None, "2"]) == (0, None)
    assert chosen(["species", "x"], ["human", "ACGNNTGCA"]) == (1, None)  # h, u, m, a, n are all IUPAC letters
    assert chosen(["Ref", "Alt", "flank"], ["A", "T", "ACGTACGTA"]) == (2, None)
    assert chosen(["protein", "dna"], ["MKVLAEFGHI", "ATGAAAGTGCTG"]) == (1, None)
    assert chosen(["structure", "dna"], ["....((..))", "ATGAAAGTGCTG"]) == (1, None)


def test_by_config():
    assert chosen(["utr", "cds"], [RNA, RNA], sequence_column="cds", id_column="utr") == (1, 0)


@pytest.mark.parametrize(
    ("names", "rows", "settings", "message"),
    [
        (["utr", "cds"], [[RNA, RNA]], {}, f"several columns hold sequences: 'utr', 'cds'{CALL}"),
        (["a", "b"], [["x", "1"]], {}, f"no column holds sequences of nucleotides: 'a', 'b'{CALL}"),
        (["SEQ", "Seq"], [[RNA, RNA]], {}, f"several columns are called so: 'SEQ', 'Seq'{CALL}"),
        (["a", "sequence"], [["x", RNA]], {"sequence_column": "dna"}, f"sequence_column is 'dna'{NONE}"),
        (["a", "sequence"], [["x", RNA]], {"id_column": "id"}, f"id_column is 'id'{NONE}"),
        (["a", "sequence", "a"], [["x", RNA, "y"]], {}, "the column 'a' stands twice; each name is needed once"),
        ([RNA * 2, "1"], [[RNA, "1"]], {}, f"the first line holds a sequence, '{RNA * 2}'; column names are needed"),
    ],
)  # fmt: skip
def test_refusals(names, rows, settings, message):
    with pytest.raises(InputError) as caught:
        chosen(names, *rows, **settings)
    assert str(caught.value) == f"x.csv:1: {message}"


def test_a_row_becomes_a_record():
    columns = choose_columns(["", "id", "sequence", "cell type", "note"], [], ReadConfig(), "x.csv")
    record = columns.record(["0", "a b", " acgU ", "K562 cells", "n" * 1_001], "x", 7, 3, "x.csv:7")
    assert record == ("a_b", "a_b cell_type=K562_cells", b"acgU", "x", 7)
    unnamed = choose_columns(["sequence", "family"], [], ReadConfig(), "x.csv")
    assert unnamed.record([RNA, "tRNA"], "x", 7, 3, "x.csv:7")[:2] == ("row-3", "row-3 family=tRNA")
    assert unnamed.record([RNA, None], "x", 7, 3, "x.csv:7")[:2] == ("row-3", "row-3")


def test_long_labels_and_families_are_kept():
    lineage = ";".join(["Bacteria", "Pseudomonadota"] * 40)
    assert 900 < len(lineage) <= LONGEST_VALUE == 1_000
    columns = choose_columns(["id", "sequence", "family", "prose"], [], ReadConfig(), "x.csv")
    record = columns.record(["a", RNA, lineage, "x" * (LONGEST_VALUE + 1)], "x", 2, 1, "x.csv:2")
    assert record.description == f"a family={lineage}"


@pytest.mark.parametrize(
    "first", ["ACGU", "acgtacgtac", "TAG", "cat", "NNNN", "GATTACAGATTACAGATTA", "ACGRYKM", "ACGTIACGTT", " ACGUACGU "]
)
def test_a_first_row_is_never_taken_for_names(first):
    rows = [[f"s{number}", RNA[number:]] for number in range(8)]
    message = "the column of sequences is called .*, which may be a sequence itself; a first line with the names"
    with pytest.raises(InputError, match=message):
        chosen(["s", first], *rows)
    assert chosen(["s", first], *rows, sequence_column=first) == (1, None)  # who says that it is a name is believed


@pytest.mark.parametrize(
    "name", ["dna", "cDNA", "RNA", "mRNA", "tRNA", "cds", "CDS", "utr", "UTR5", "x", "coding", "tag_seq", "Strand"]
)
def test_usual_names_are_names(name):
    assert chosen(["s", name], ["a", RNA], ["b", RNA]) == (1, None)


def test_rows_that_are_refused():
    columns = choose_columns(["id", "sequence"], [], ReadConfig(), "x.csv")
    for values, message in [
        (["a", ""], "x.csv:7: no sequence in column 'sequence'; every row needs one"),
        (["", RNA], "x.csv:7: no id in column 'id'; every row needs one"),
        (["a", "AC1"], "x.csv:7: found '1' in a sequence; letters and the symbols * - . ~ ? are allowed"),
        (["a", "ACÄ"], "x.csv:7: found byte 0xc3 in a sequence; letters and the symbols * - . ~ ? are allowed"),
    ]:
        with pytest.raises(InputError) as caught:
            columns.record(values, "x", 7, 3, "x.csv:7")
        assert str(caught.value) == message
