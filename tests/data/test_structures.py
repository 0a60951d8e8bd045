import gzip

import pytest

from nuclex.bio.structure_files import Structure, write_bpseq, write_ct
from nuclex.core.errors import InputError
from nuclex.core.progress import quiet
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.store import Corpus
from nuclex.data.structures import holds_structures, read_structure_sequences

ONE, TWO, THREE = (
    "GGGGAAAACCCCUUUUAGGCAUCGAUCUAGCG",
    "GCGCAUAUGCGCAAGCCUUAGCUAGGAUCCGG",
    "AUGCUAGCUAGGAUCGAUCCUAGCUAGGCUAA",
)


def _files(folder):
    write_bpseq(folder / "one.bpseq", Structure("one", ONE, [(0, 11), (1, 10)]))
    write_ct(folder / "two.ct", Structure("two", TWO, [(0, 11)]), Structure("one", ONE, []))
    (folder / "three.dbn").write_text(f">three a\n{THREE}\n{'.' * 32} (-1.0)\n\n>two\r\n{TWO}\r\n{'.' * 32}\r\n")
    (folder / "four.dbn").write_text(f"#Name: four\n#Length: 32\n{THREE}\n{'.' * 32}\n")
    (folder / "five.st").write_text(f"#Name: five\n{ONE}\n{'.' * 32}\nEEEE\n")
    (folder / "six.bpseq.gz").write_bytes(gzip.compress((folder / "one.bpseq").read_bytes()))


def test_sequences_of_every_kind_of_structure_file(tmp_path):
    _files(tmp_path)
    found = {}
    for path in sorted(tmp_path.iterdir()):
        assert holds_structures(path)
        found[path.name] = [record.sequence.decode() for record in read_structure_sequences(path, "x", str(path))]
    assert found == {
        "one.bpseq": [ONE], "two.ct": [TWO, ONE], "three.dbn": [THREE, TWO], "four.dbn": [THREE], "five.st": [ONE],
        "six.bpseq.gz": [ONE],
    }  # fmt: skip


def test_structures_and_tables_with_named_columns_are_kept_out_of_a_corpus(tmp_path):
    _files(tmp_path)
    texts = {"a": ONE, "b": TWO, "c": THREE, "d": ONE[::-1], "e": TWO[::-1]}
    (tmp_path / "x.fa").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    (tmp_path / "q.csv").write_text(f"name,rna\nq,{ONE}\n")
    config = CorpusConfig.from_data(
        {
            "cluster": {"method": "none"},
            "split": {"validation": 0, "test": 0},
            "decontaminate": {"read": {"sequence_column": "rna"}},
        }
    )
    for number, (names, left) in enumerate((("one.bpseq", "bcde"), ("two.ct three.dbn", "de"), ("q.csv", "bcde"))):
        with quiet():
            exclude = [tmp_path / name for name in names.split()]
            build_corpus([tmp_path / "x.fa"], tmp_path / f"{number}", config, exclude=exclude)
        corpus = Corpus.open(tmp_path / f"{number}")
        assert "".join(corpus.ids(row) for row in range(len(corpus))) == left


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGU\n..\n", r"x\.dbn:2: 4 nucleotides but 2 marks"),
        (">a\nAC GU\n....\n", r"x\.dbn:2: found 'AC GU'"),
        (">a\nACGU\n....\nACGU\n", r"x\.dbn:4: found 'ACGU'; a header"),
        (">a\n", r"x\.dbn:1: found ''"),
        (">a\nACGU\n", r"x\.dbn:2: 4 nucleotides but 0 marks"),
    ],
)
def test_what_is_no_structure_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "x.dbn"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_structure_sequences(path, "x", str(path)))
