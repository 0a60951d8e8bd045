"""Coding sequences in frame, by hand and against Biopython."""

import gzip

import pytest
from Bio import SeqIO
from Bio.Data import CodonTable
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nuclex.core.errors import InputError
from nuclex.data.coding import CodingConfig, CodingReader
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.curate import FilterConfig
from nuclex.data.homology import ClusterConfig
from nuclex.data.record import Record
from nuclex.data.segment import SegmentConfig
from nuclex.data.split import SplitConfig
from nuclex.data.store import Corpus
from nuclex.tokenizers import CodonConfig

KEEP = {"remainder": "keep", "start": "keep", "internal_stop": "keep", "final_stop": "keep"}
DEFECTS = list(KEEP)


def read(sequence, table=1, header="s", **settings):
    reader = CodingReader(CodingConfig(**{"frame": 0, **KEEP, **settings}), table)
    kept = reader.read(sequence.encode(), Record(header.split()[0], header, sequence.encode(), "here", 7), "x.fa")
    return None if kept is None else kept.decode(), {entry["name"]: entry for entry in reader.filters()}


# sequence, then what the policy of its one defect leaves of it by "trim"
ODD = {
    "remainder": ("ATGAAATAAGC", "ATGAAATAA"),
    "start": ("CCCATGAAATAA", "ATGAAATAA"),
    "internal_stop": ("ATGTAGAAATAA", "ATGTAG"),
    "final_stop": ("ATGAAACCC", None),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_kept_trimmed_dropped_or_refused_and_counted(defect):
    odd, trimmed = ODD[defect]
    for policy, expected in [("keep", odd), ("trim", trimmed), ("drop", None)]:
        kept, entries = read(odd, **{defect: policy})
        assert kept == expected, policy
        entry = entries[defect]
        assert (entry["policy"], entry["found"], entry["in"], entry["out"]) == (policy, 1, 1, int(expected is not None))
        assert entry["nucleotides_out"] == len(expected or "")
        assert [entries[name]["found"] for name in DEFECTS if name != defect and name in entries] == [0, 0, 0]
    with pytest.raises(InputError, match=rf"x.fa:7: 's' .*; coding.{defect} = 'keep', 'trim' or 'drop' would"):
        read(odd, **{defect: "error"})
    kept, entries = read("ATGAAATAA", **dict.fromkeys(DEFECTS, "error"))
    assert kept == "ATGAAATAA"
    assert [entries[name]["found"] for name in DEFECTS] == [0, 0, 0, 0]


def test_an_open_frame_is_cut_out_by_trimming_all():
    trim = dict.fromkeys(DEFECTS, "trim")
    assert read("GCTTAACCATGGCATAGCATGTGACC", frame=2, **trim)[0] == "ATGGCATAG"  # TTA ACC ATG GCA TAG …
    assert read("ATGAAATAAGG", final_stop="trim")[0] == "ATGAAATAAGG"
    assert read("ATGTAACCCAAA", final_stop="trim")[0] == "ATGTAA"
    assert read("CCCAAA", start="trim")[0] is None
    assert read("AUGAAAUAA", **dict.fromkeys(DEFECTS, "error"))[0] == "AUGAAAUAA"


def test_frames_are_explicit():
    kept, entries = read("GATGAAATAA", frame=1)
    assert kept == "ATGAAATAA"
    assert (entries["frame"]["nucleotides_in"], entries["frame"]["nucleotides_out"]) == (10, 9)
    assert (entries["frame"]["frame"], entries["frame"]["found"]) == (1, 1)
    assert read("GATGAAATAA", frame="record", header="s gene=x frame=1")[0] == "ATGAAATAA"
    assert read("GGATGAAATAA", frame="record", header="s vj_in_frame=T frame=2.0")[0] == "ATGAAATAA"  # as pandas writes
    assert read("ATGAAATAA", frame="record", header="s phase=0", frame_pattern=r"phase=(\d)")[0] == "ATGAAATAA"
    for header in ("s", "s frame=3", "s frame=1.5", "s inframe=1"):
        with pytest.raises(InputError, match=r"x.fa:7: 's' names no frame; coding.frame = 'record' needs"):
            read("ATGAAATAA", frame="record", header=header)
    assert read("A", frame=2)[0] == ""


def test_start_codons_are_those_of_the_code_or_those_named():
    drop = {"start": "drop"}
    assert read("CTGAAATAA", **drop)[0] == "CTGAAATAA"  # code 1 starts at CTG and TTG, too
    assert read("GTGAAATAA", **drop)[0] is None
    assert read("GTGAAATAA", table=11, **drop)[0] == "GTGAAATAA"
    assert read("CTGAAATAA", start_codons=("ATG",), **drop)[0] is None
    assert read("AUAAAAUAA", start_codons=("aua",), **drop)[0] == "AUAAAAUAA"
    with pytest.raises(ValidationError, match="start_codons: 'ATX' is no codon"):
        CodingConfig(frame=0, start_codons=("ATX",))


def test_stops_are_those_of_the_code():
    drop = {"internal_stop": "drop", "final_stop": "drop"}
    assert read("ATGTGAAAATAA", **drop)[0] is None
    assert read("ATGTGAAAATAA", table=2, **drop)[0] == "ATGTGAAAATAA"  # W in mitochondria of vertebrates
    assert read("ATGAGATAA", table=2, **drop)[0] is None  # a stop there
    assert read("ATGTGATGA", table=31, **drop)[0] is None  # TGA is W; the stops are TAA and TAG, which are E as well
    assert read("ATGTAATAA", table=31, **drop)[0] == "ATGTAATAA"
    assert read("ATGTAR", **drop)[0] == "ATGTAR"  # TAA or TAG
    assert read("ATGTAN", **drop)[0] is None
    assert read("ATGTIATAA", **drop)[0] == "ATGTIATAA"


@given(
    st.text("ACGT", max_size=60), st.sampled_from(sorted(CodonTable.unambiguous_dna_by_id)), st.sampled_from([0, 1, 2])
)
def test_what_is_found_agrees_with_biopython(sequence, table, frame):
    entries = read(sequence, table=table, frame=frame)[1]
    framed = sequence[frame:]
    whole = Seq(framed[: len(framed) // 3 * 3])
    codons = [str(whole[place : place + 3]) for place in range(0, len(whole), 3)]
    known = CodonTable.unambiguous_dna_by_id[table]
    protein = str(whole.translate(table=table)) if not set(known.stop_codons) & set(known.forward_table) else None
    assert entries["remainder"]["found"] == (len(framed) % 3 > 0)
    assert entries["start"]["found"] == (not codons or codons[0] not in known.start_codons)
    assert entries["final_stop"]["found"] == (not codons or codons[-1] not in known.stop_codons)
    if protein is not None:
        assert entries["internal_stop"]["found"] == ("*" in protein[:-1])


def test_a_corpus_of_coding_sequences_is_in_frame_and_keeps_the_last_codon(tmp_path):
    path = tmp_path / "cds.fa"
    whole = [f"ATG{'GCA' * (n + 2)}TAA" for n in range(9)]
    odd = ["ATGGCATAAGCATAA", "ATGGCAGCATA", "CCCGCAGCATAA", "ATGGCAGCACCC"]
    path.write_text("".join(f">s{n} frame=1\ng{s.lower()}\n" for n, s in enumerate([*whole, *odd])))
    config = CorpusConfig(
        coding=CodingConfig(frame=1),
        filter=FilterConfig(min_length=3),
        cluster=ClusterConfig(method="none"),
        split=SplitConfig(validation=0, test=0),
    )
    manifest = build_corpus([path], tmp_path / "corpus", config)
    taken = {entry["name"]: (entry["in"], entry["out"]) for entry in manifest["filters"]}
    assert list(taken) == [
        "gaps", "letters", "frame", "remainder", "start", "internal_stop", "final_stop", "length", "ambiguity",
        "duplicates",
    ]  # fmt: skip
    assert [taken[name] for name in DEFECTS] == [(13, 12), (12, 11), (11, 10), (10, 9)]
    corpus, tokenizer = Corpus.open(tmp_path / "corpus"), CodonConfig(frame=0).build()
    stored = [corpus.sequence(row) for row in range(9)]
    assert [s.decode() for s in stored] == whole
    for sequence in stored:
        assert tokenizer.decode(tokenizer.encode(sequence)[-2:]) == "TAA"


def test_pieces_have_no_frame():
    with pytest.raises(
        ValidationError, match=r"coding.frame = 0 needs whole sequences, found segment.method = 'random'"
    ):
        CorpusConfig(coding=CodingConfig(frame=0), segment=SegmentConfig(method="random"))


@pytest.mark.real
def test_real_coding_sequences_are_found_odd_as_biopython_finds_them(tmp_path, mirror):
    path = mirror / "cds" / "yeast" / "yeast_cds_6600.fa.gz"
    config = CorpusConfig(
        coding=CodingConfig(frame=0, **KEEP),
        cluster=ClusterConfig(method="none"),
        filter=FilterConfig(max_length=99999),
    )
    manifest = build_corpus([path], tmp_path / "corpus", config)
    known = CodonTable.unambiguous_dna_by_id[1]
    with gzip.open(path, "rt") as lines:
        sequences = [str(record.seq).upper() for record in SeqIO.parse(lines, "fasta")]
    whole = [sequence[: len(sequence) // 3 * 3] for sequence in sequences]
    found = {entry["name"]: entry["found"] for entry in manifest["filters"] if "found" in entry}
    assert found == {
        "frame": 0,
        "remainder": sum(len(sequence) % 3 > 0 for sequence in sequences),
        "start": sum(sequence[:3] not in known.start_codons for sequence in whole),
        "internal_stop": sum("*" in str(Seq(sequence).translate())[:-1] for sequence in whole),
        "final_stop": sum(sequence[-3:] not in known.stop_codons for sequence in whole),
    }
    assert found["internal_stop"] > 0
