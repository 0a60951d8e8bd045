"""GenBank and EMBL against Biopython, which writes and reads them, and by hand."""

import gzip
import io
import random

import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import FeatureLocation, SeqFeature
from Bio.SeqRecord import SeqRecord
from hypothesis import given
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.data.compression import Text
from nuclex.data.corpus import CorpusConfig, build_corpus
from nuclex.data.flatfile import read_flatfile
from nuclex.data.read import read_sequences

GENBANK = b"""LOCUS       SCU49845                 70 bp    DNA     linear   PLN 21-JUN-1999
DEFINITION  Saccharomyces cerevisiae TCP1-beta gene, partial cds.
ACCESSION   U49845
VERSION     U49845.1  GI:1293613
SOURCE      Saccharomyces cerevisiae (baker's yeast)
  ORGANISM  Saccharomyces cerevisiae
            Eukaryota; Fungi; Ascomycota.
FEATURES             Location/Qualifiers
     source          1..70
                     /organism="Saccharomyces cerevisiae"
                     /mol_type="genomic DNA"
     CDS             <1..20
                     /translation="SSIYNGISTSGLDLNNG"
ORIGIN
        1 gatcctccat atacaacggt atctccacct caggtttaga tctcaacaac ggaaccattg
       61 ccgacatgag
//
"""
EMBL = b"""ID   X56734; SV 1; linear; mRNA; STD; PLN; 70 BP.
XX
AC   X56734; S46826;
XX
OS   Trifolium repens (white clover)
XX
FH   Key             Location/Qualifiers
FT   source          1..70
FT                   /organism="Trifolium repens"
FT                   /mol_type="mRNA"
XX
SQ   Sequence 70 BP; 27 A; 12 C; 14 G; 17 T; 0 other;
     aaacaaacca aatatggatt ttattgtagc catatttgct ctgtttgtta ttagctcatt        60
     cacaattact                                                               70
//
"""


def read(content, kind="genbank"):
    return list(read_flatfile(Text(io.BytesIO(content), "x.gb"), "x", kind))


def letters_of(content):
    lines = content.split(b"ORIGIN\n" if b"ORIGIN" in content else b"other;\n")[1].split(b"//")[0]
    return lines.translate(None, b" 0123456789\n").upper()


def test_lower_case_marks_no_repeats(tmp_path):
    """The formats write all letters in lower case; a corpus that masks repeats holds what that of the FASTA holds."""
    fasta = b"".join(b">%s\n%s\n" % (name, letters_of(text)) for name, text in [(b"a", GENBANK), (b"b", EMBL)])
    kept = {}
    for name, content in [("a.gb", GENBANK), ("b.embl", EMBL), ("both.fa", fasta)]:
        (tmp_path / name).write_bytes(content)
        kept[name] = [record.sequence for record in read_sequences(tmp_path / name)]
    assert kept["a.gb"] + kept["b.embl"] == kept["both.fa"]
    assert all(sequence.isupper() for sequence in kept["both.fa"])
    for policy in ("n", "drop"):
        config = CorpusConfig.from_data({
            "filter": {"soft_mask": policy, "min_length": 1}, "cluster": {"method": "none"},
            "split": {"validation": 0, "test": 0},
        })  # fmt: skip
        manifest = build_corpus([tmp_path / "a.gb", tmp_path / "b.embl"], tmp_path / policy, config)
        assert (manifest["sequences_out"], manifest["nucleotides_out"]) == (2, 140)


def test_entries_by_hand():
    (record,) = read(GENBANK)
    description = "U49845.1 mol_type=genomic_DNA organism=Saccharomyces_cerevisiae"
    assert record == ("U49845.1", description, letters_of(GENBANK), "x", 1)
    first, second = read(EMBL + b"\n" + EMBL, "embl")
    description = "X56734.1 mol_type=mRNA organism=Trifolium_repens_(white_clover)"
    assert first == ("X56734.1", description, letters_of(EMBL), "x", 1)
    assert second == first._replace(line=17)


def test_older_forms():
    old = EMBL.replace(b"X56734; SV 1; linear; mRNA; STD; PLN; 70 BP.", b"AA03518    standard; DNA; FUN; 70 BP.")
    assert [record.id for record in read(old, "embl")] == ["X56734"]
    assert [record.id for record in read(old.replace(b"XX\nOS", b"SV   X56734.7\nOS"), "embl")] == ["X56734.7"]
    plasmid = GENBANK.replace(b"SCU49845  ", b"my plasmid").replace(b"ACCESSION   U49845", b"ACCESSION")
    assert [record.id for record in read(plasmid.replace(b"U49845.1  GI:1293613", b"."))] == ["."]
    assert [record.id for record in read(plasmid.replace(b"VERSION     U49845.1  GI:1293613\n", b""))] == ["my_plasmid"]


names = st.text("ABCXYZ0123456789_", min_size=1, max_size=12)
molecules = st.sampled_from(["DNA", "RNA", "mRNA"])


@given(
    st.lists(
        st.tuples(names, st.integers(1, 9), st.text("acgtnryk", min_size=1, max_size=400), molecules),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["genbank", "embl"]),
    st.booleans(),
)
def test_equals_biopython(entries, kind, crlf):
    made = []
    for name, version, letters, molecule in entries:
        record = SeqRecord(Seq(letters), f"{name}.{version}", name, "made", annotations={"molecule_type": molecule})
        record.annotations["organism"] = "Homo sapiens"
        place = FeatureLocation(0, len(letters), 1)
        record.features.append(SeqFeature(place, "source", qualifiers={"mol_type": [f"other {molecule}"]}))
        made.append(record)
    text = io.StringIO()
    SeqIO.write(made, text, kind)
    content = text.getvalue().encode().replace(b"\n", b"\r\n" if crlf else b"\n")
    found = read(content, kind)
    reference = list(SeqIO.parse(io.StringIO(text.getvalue()), kind))
    assert [(record.id, record.sequence.upper()) for record in found] == [
        (record.id, str(record.seq).upper().encode()) for record in reference
    ]
    marks = [f"mol_type=other_{molecule} organism=Homo_sapiens" for *_, molecule in entries]
    assert [record.description.split(" ", 1)[1] for record in found] == marks
    first = b"LOCUS " if kind == "genbank" else b"ID "
    starts = [number for number, line in enumerate(content.split(b"\n"), start=1) if line.startswith(first)]
    assert [record.line for record in found] == starts


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"70 bp", b"71 bp", "x.gb:17: 'SCU49845' has 70 letters, its first line states 71"),
        (b"70 bp", b"70 aa", "x.gb:1: 'SCU49845' is a protein of 70 amino acids; DNA or RNA is needed"),
        (
            b"70 bp",
            b"bp",
            "x.gb:1: found 'LOCUS       SCU49845                 bp    DNA     linear  ...; name and length",
        ),
        (b"       61", b"       62", "x.gb:16: found '62' in front of the letters, where their count, 61, is needed"),
        (
            b"ccgacatgag",
            b"ccgac!tgag",
            "x.gb:16: found '!' in a sequence; letters and the symbols * - . ~ ? are allowed",
        ),
        (
            b"ccgacatgag",
            b"ccgac1tgag",
            "x.gb:16: found '1' in a sequence; letters and the symbols * - . ~ ? are allowed",
        ),
        (b"//\n", b"", "x.gb:1: the file ends inside the entry 'SCU49845', before its //"),
        (b"//\n", b"LOCUS x 3 bp\n", "x.gb:17: a new entry starts, and // has not ended 'SCU49845' before it"),
        (b"//\n", b"//\nthe end\n", "x.gb:18: found 'the end' where an entry should start; entries start with LOCUS"),
        (b"yeast", b"ye\x00st", "x.gb:5: found byte 0x00; this is not a text file"),
        (b"genomic", b"g\xe9nomic", "x.gb:11: the line holds bytes that are not text (UTF-8)"),
        (b"yeast", b"y" * 1_100_000, "x.gb:5: the line is longer than 1048576 bytes; lines of this format have 80"),
    ],
)
def test_refusals(old, new, message):
    assert old in GENBANK
    with pytest.raises(InputError) as caught:
        read(GENBANK.replace(old, new, 1))
    assert str(caught.value).startswith(message)


def test_entries_without_letters_are_refused():
    without = GENBANK[: GENBANK.index(b"ORIGIN")]
    why = "; an entry with its letters is needed"
    for content, kind, message in [
        (
            without + b"CONTIG      join(U00096.3:1..70)\n//\n",
            "genbank",
            f"x.gb:1: 'SCU49845' has no sequence (its CONTIG line only says where it is){why}",
        ),
        (without + b"ORIGIN\n//\n", "genbank", f"x.gb:1: 'SCU49845' has no sequence{why}"),
        (
            EMBL[: EMBL.index(b"SQ ")] + b"CO   join(A:1..70)\n//\n",
            "embl",
            f"x.gb:1: 'X56734' has no sequence (its CO line only says where it is){why}",
        ),
        (
            b"ID   CYC_BOVIN      Reviewed;   104 AA.\n",
            "embl",
            "x.gb:1: 'CYC_BOVIN' is a protein of 104 amino acids; DNA or RNA is needed",
        ),
        (
            EMBL.replace(b"     70\n", b"     71\n"),
            "embl",
            "x.gb:14: found '71' behind the letters, where their count, 70, is needed",
        ),
    ]:
        with pytest.raises(InputError) as caught:
            read(content, kind)
        assert str(caught.value) == message


def test_spoilt_files_give_records_or_one_sentence():
    rng = random.Random(0)
    refused = 0
    for number in range(1_000):
        kind, content = rng.choice([("genbank", GENBANK * 2), ("embl", EMBL * 2)])
        place = rng.randrange(len(content))
        middle = [b"", bytes([rng.randrange(256)]), b"\n", b"//\n", bytes([rng.randrange(97, 123)])][number % 5]
        content = content[:place] + middle + content[place + rng.randrange(8) :]
        try:
            records, sentence = read(content, kind), ""
        except InputError as error:
            records, sentence = [], str(error)
        refused += bool(sentence)
        assert sentence.startswith("x.gb:") or not sentence
        assert "\n" not in sentence
        assert {len(record.sequence) for record in records} <= {70}  # what is cut or shifted is noticed
    assert 0.3 < refused / 1_000 < 0.95


def test_told_by_content_and_packed(tmp_path):
    for content, name in ((GENBANK, "U49845.1"), (EMBL, "X56734.1")):
        path = tmp_path / "entry.dat"
        path.write_bytes(gzip.compress(b"\n" + content))
        assert [(record.id, record.line) for record in read_sequences(path)] == [(name, 2)]


def test_a_length_in_no_unit_is_refused():
    with pytest.raises(InputError, match=r"x\.gb:1: found 'ID   A x; 4 4\.'; name and length are needed"):
        read(b"ID   A x; 4 4.\nSQ\n     acgt 4\n//\n", "embl")
