"""VCF against pysam, tables against VCF, and one sentence for everything that is neither."""

from __future__ import annotations

import gzip
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from made import accepted_share, spoilt
from nuclex.core.errors import InputError
from nuclex.data.variants import Variant, read_variants

pysam = pytest.importorskip("pysam")

HEADER = """##fileformat=VCFv4.3
##contig=<ID=chr1,length=1000>
##contig=<ID=chr2,length=1000>
##INFO=<ID=X,Number=1,Type=String,Description="x">
##INFO=<ID=END,Number=1,Type=Integer,Description="x">
##ALT=<ID=DEL,Description="x">
##FORMAT=<ID=GT,Number=1,Type=String,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo
"""
TAIL = "\t50\tPASS\tX=a\tGT\t0/1\t1/1\n"
RECORDS = [
    ("chr1", 1, "rs1", "A", "C"),
    ("chr1", 17, ".", "acg", "Tcg,A"),
    ("chr1", 900, "rs2;rs3", "G", "GTTT,*,<DEL>"),
    ("chr2", 5, ".", "T", "."),
    ("chr2", 6, ".", "T", "T[chr1:5["),
    ("chr2", 7, ".", "N", "A"),
    ("chr2", 8, ".", "T", "TA."),
]


def vcf(path: Path, records: list[tuple[Any, ...]] = RECORDS, header: str = HEADER) -> Path:
    text = header + "".join("\t".join(map(str, record)) + TAIL for record in records)
    path.write_text(text)
    return path


def test_vcf_is_read_as_pysam_reads_it(tmp_path: Path) -> None:
    path = vcf(tmp_path / "in.vcf")
    found = list(read_variants(path))
    with pysam.VariantFile(str(path)) as file:
        wanted = [
            (record.contig, record.start, record.ref.upper(), alt.upper(), record.id or "")
            for record in file
            for alt in record.alts or (".",)
        ]
    assert [(one.contig, one.start, one.ref, one.alt.upper(), one.name.replace(".", "")) for one in found] == wanted
    assert [one.place.rpartition(":")[2] for one in found] == [
        "9",
        "10",
        "10",
        "11",
        "11",
        "11",
        "12",
        "13",
        "14",
        "15",
    ]
    assert found[1] == Variant("chr1", 16, "ACG", "TCG", "", f"{path}:10")


def test_what_is_no_change_of_letters_is_told(tmp_path: Path) -> None:
    kinds = [one.other for one in read_variants(vcf(tmp_path / "in.vcf"))]
    assert kinds == [
        *(None, None, None, None, "overlapping deletion (*)", "symbolic (<...>)", "no alternative (.)", "breakend"),
        *(None, "breakend"),
    ]


def test_bcf_is_read_where_pysam_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, binary = vcf(tmp_path / "in.vcf"), tmp_path / "in.bcf"
    with pysam.VariantFile(str(path)) as file, pysam.VariantFile(str(binary), "wb", header=file.header) as out:
        for record in file:
            out.write(record)
    found = list(read_variants(binary))
    assert [one[:5] for one in found] == [one[:5] for one in read_variants(path)]
    assert found[1].place == f"{binary}: record 2"
    (tmp_path / "cut.bcf").write_bytes(binary.read_bytes()[:-60])
    with pytest.raises(InputError, match=r"cut\.bcf:?.*"):
        list(read_variants(tmp_path / "cut.bcf"))
    monkeypatch.setitem(sys.modules, "pysam", None)
    with pytest.raises(InputError, match=r"in\.bcf: reading BCF needs the package 'pysam'.*nuclex\[variants\]"):
        list(read_variants(binary))


@pytest.mark.parametrize("packed", ["gzip", "bgzip"])
def test_packed_vcf_is_read_the_same(packed: str, tmp_path: Path) -> None:
    path = vcf(tmp_path / "in.vcf")
    other = tmp_path / "other.vcf.gz"
    if packed == "gzip":
        other.write_bytes(gzip.compress(path.read_bytes()))
    else:
        pysam.tabix_compress(str(path), str(other))
    assert [one[:5] for one in read_variants(other)] == [one[:5] for one in read_variants(path)]


def test_line_ends_and_thousands_of_samples_do_not_matter(tmp_path: Path) -> None:
    plain = [one[:5] for one in read_variants(vcf(tmp_path / "in.vcf"))]
    content = (tmp_path / "in.vcf").read_bytes()
    (tmp_path / "crlf.vcf").write_bytes(content.replace(b"\n", b"\r\n"))
    (tmp_path / "open.vcf").write_bytes(content.removesuffix(b"\n"))
    (tmp_path / "wide.vcf").write_bytes(content.replace(b"\tGT\t", b"\tGT\t" + b"0/1:99\t" * 400_000, 3))
    for name in ("crlf", "open", "wide"):
        assert [one[:5] for one in read_variants(tmp_path / f"{name}.vcf")] == plain


@pytest.mark.parametrize("position", ["pos", "start"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_a_table_says_by_its_names_what_is_counted_from(mark: str, position: str, tmp_path: Path) -> None:
    first = {"pos": 1, "start": 0}[position]
    lines = [["Chrom", position.upper(), "ID", "Ref", "Alt", "more"]]
    lines += [["chr1", str(16 + first), "rs1", "acg", '"T,TA"' if mark == "," else "T,TA", "x"]]
    lines += [["chr2", str(5 + first), ".", "U", "A", ""]]
    path = tmp_path / "in.txt"
    path.write_text("".join(mark.join(line) + "\n" for line in lines))
    assert list(read_variants(path)) == [
        Variant("chr1", 16, "ACG", "T", "rs1", f"{path}:2"),
        Variant("chr1", 16, "ACG", "TA", "rs1", f"{path}:2"),
        Variant("chr2", 5, "T", "A", "", f"{path}:3"),
    ]


def test_without_chrom_the_id_is_that_of_the_sequence(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,start,ref,alt,variant\ns1,0,A,"C,-",first\n')
    assert list(read_variants(path)) == [
        Variant("s1", 0, "A", "C", "first", f"{path}:2"),
        Variant("s1", 0, "A", "", "first", f"{path}:2"),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", r"in\.csv: is empty; a VCF file or a table"),
        (
            "chrom,ref,alt\n",
            r"in\.csv:1: one column of positions is needed, found none: pos \(1-based.*start \(0-b",
        ),
        ("chrom,pos,start,ref,alt\n", r"in\.csv:1: one column of positions is needed, found \['pos', 'start'\]"),
        ("pos,ref,alt\n", r"in\.csv:1: no column is called chrom or #chrom or contig .*found 'pos', 'ref', 'alt'"),
        ("chrom,pos,ref\n", r"in\.csv:1: no column is called alt, found"),
        ("chrom,pos,ref,alt\nx,one,A,C\n", r"in\.csv:2: the position is 'one'; a whole number is needed"),
        ("chrom,pos,ref,alt\nx,-1,A,C\n", r"in\.csv:2: the position is '-1'"),
        ("chrom,pos,ref,alt\nx,1,-,A\n", r"in\.csv:2: REF is '-'; nucleotides are needed, and where some are put in"),
        ("chrom,pos,ref,alt\nx,1,A,\n", r"in\.csv:2: ALT is ''; nucleotides are needed"),
        (HEADER + "chr1\t1\t.\tA\t-\t.\n", r"in\.csv:9: ALT is '-'; nucleotides"),
        ("chrom,pos,ref,alt\nx,1,,C\n", r"in\.csv:2: REF is ''; nucleotides are needed"),
        ("chrom,pos,ref,alt\nx,1,A,Q\n", r"in\.csv:2: ALT is 'Q'; nucleotides"),
        ("chrom,pos,ref,alt\n,1,A,C\n", r"in\.csv:2: names no sequence"),
        ("chrom,pos,ref,alt\nx,1,A\n", r"in\.csv:2: found 3 fields, the first line has 4"),
        (
            "##fileformat=VCFv4.2\nchr1\t1\t.\tA\tC\n",
            r"in\.csv:2: found a record before the line that begins with #CHROM",
        ),
        ("##fileformat=VCFv4.2\n", r"in\.csv: has no line that begins with #CHROM POS ID REF ALT; it is no whole VCF"),
        (HEADER + "chr1\t1\tA\n", r"in\.csv:9: found 3 columns; a record of VCF has CHROM, POS, ID, REF and ALT"),
        (HEADER + "chr1\tx\t.\tA\tC\t.\n", r"in\.csv:9: the position is 'x'"),
        (HEADER + "chr1\t1\t.\tA\tC,?\t.\n", r"in\.csv:9: ALT is '\?'; nucleotides"),
        ("BCF\x02\x02", r"in\.csv: cannot be read behind record 0: "),
        (">a\nACGT\n", r"in\.csv:1: no column is called chrom"),
    ],
)
def test_what_is_wrong_gets_one_sentence(content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(content)
    with pytest.raises(InputError, match=sentence) as caught:
        list(read_variants(tmp_path / "in.csv"))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "in.vcf").write_bytes(HEADER.encode() + b"chr\xff\t1\t.\tA\tC\n")
    with pytest.raises(InputError, match=r"in\.vcf:9: holds bytes that are not text"):
        list(read_variants(tmp_path / "in.vcf"))
    with pytest.raises(InputError, match=r"none\.vcf: no such file"):
        list(read_variants(tmp_path / "none.vcf"))
    whole = gzip.compress((HEADER + "chr1\t1\t.\tA\tC\n" * 500).encode())
    (tmp_path / "cut.vcf.gz").write_bytes(whole[:-30])
    with pytest.raises(InputError, match="damaged or ends too early"):
        list(read_variants(tmp_path / "cut.vcf.gz"))


def test_the_file_is_read_as_it_is_used(tmp_path: Path) -> None:
    path = vcf(tmp_path / "in.vcf", [("chr1", 1, ".", "A", "C")] * 3 + [("chr1", "x", ".", "A", "C")])
    found = read_variants(path)
    assert [next(found).start for _ in range(3)] == [0, 0, 0]
    with pytest.raises(InputError, match=r"in\.vcf:12"):
        next(found)


def test_spoilt_files_are_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    """What is left of a file after random damage is variants or one sentence, and never anything else."""
    table = "chrom,pos,id,ref,alt\n" + "".join(f"c{n},{n + 1},v{n},A,{'CGT'[n % 3] * 2}\n" for n in range(8))
    pieces = [b"\t", b"\n", b",", b'"', b"\x00", b"\xff", b"##", b"#CHROM", b"<DEL>", b"*", b"-1", b"9" * 40, b"BCF"]
    rng = random.Random(5)
    for name, content in (("a.vcf", vcf(tmp_path / "in.vcf").read_bytes()), ("a.csv", table.encode())):
        path, sentences = tmp_path / name, []
        for _ in range(400):
            path.write_bytes(spoilt(content, rng, pieces, (1, 1, 2, 4)))
            try:
                sentences.append("" if list(read_variants(path)) is not None else "never")
            except InputError as error:
                sentences.append(str(error).removeprefix(f"{tmp_path}/"))
        assert 0.02 < accepted_share(sentences, name) < 0.98
