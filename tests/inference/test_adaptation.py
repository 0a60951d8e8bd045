"""What codons are measured by: genes are counted, tables are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nuclex.bio.genetic_code import CODONS, GeneticCode
from nuclex.core.errors import InputError
from nuclex.inference.adaptation import codon_weights
from nuclex.metrics.codon_usage import adaptiveness, codon_counts

CODE = GeneticCode.ncbi(1)


def test_genes_and_their_counts_as_a_table_are_one(tmp_path: Path) -> None:
    genes = [b"ATGAAAAAGGCCGCTGCTTAA" * 3, "".join(CODONS).encode()]
    counts = codon_counts(genes).sum(0)
    fasta, table = tmp_path / "genes.fa", tmp_path / "usage.tsv"
    fasta.write_bytes(b"".join(b">g\n" + gene + b"\n" for gene in genes))
    lines = [f"{codon.replace('T', 'U')}\t{count}" for codon, count in zip(CODONS, counts, strict=True)]
    table.write_text("\n".join(["codon\tcount", *lines]) + "\n")
    assert codon_weights(fasta, CODE) == pytest.approx(adaptiveness(counts, CODE))
    assert codon_weights(table, CODE) == pytest.approx(adaptiveness(counts, CODE))
    sequences = tmp_path / "genes.csv"
    sequences.write_text("id,sequence\na,ATGAAAAAG\n")
    assert codon_weights(sequences, CODE) == pytest.approx(adaptiveness(codon_counts([b"ATGAAAAAG"])[0], CODE))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("codon,count\nAAA,x\n", r"u.csv:2: found 'AAA,x'; a codon and a number are needed"),
        ("codon,count\nAAA,1\nAAA,2\n", r"u.csv:3: AAA is there twice"),
        ("codon,count\nAAA,1\n", r"u.csv: codon usage: AAC has no number"),
        ("codon,count\nAAA,3\nABC,1\n", r"u.csv:3: found 'ABC,1'; three of A, C, G and T or U, and a number of 0 or"),
        ("codon,count\nATG,-1\n", r"u.csv:2: found 'ATG,-1'; three of A, C, G and T or U, and a number of 0 or more"),
        ("codon,count\nATG,nan\n", r"u.csv:2: found 'ATG,nan'; three of A, C, G and T or U, and a number of 0 or"),
        ("id,sequence\na,NNN\n", r"u.csv: codon usage: the reference sequences hold no codon"),
    ],
)
def test_what_is_neither_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("u.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        codon_weights("u.csv", CODE)
