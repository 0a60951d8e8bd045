"""Amino acids as tokens, against Biopython and the order of HELM's tokens."""

import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import tokenizers as library
from nuclex.bio.genetic_code import CODONS
from nuclex.core.errors import InputError
from nuclex.tokenizers import AminoAcidConfig, census

NOT_DUAL = [
    table
    for table, code in sorted(CodonTable.unambiguous_dna_by_id.items())
    if not set(code.stop_codons) & set(code.forward_table)
]


def residues(**values):
    return AminoAcidConfig(**{"frame": 0, **values}).build()


@given(
    st.lists(st.sampled_from(CODONS), max_size=30).map("".join), st.sampled_from(NOT_DUAL), st.sampled_from([0, 1, 2])
)
def test_tokens_are_the_protein_of_any_code_and_frame(sequence, table, frame):
    tokenizer = residues(genetic_code=table, frame=frame)
    protein = str(Seq(sequence).translate(table=table))
    assert tokenizer.decode(tokenizer.encode("C" * frame + sequence)) == protein
    assert tokenizer.spans("C" * frame + sequence).tolist() == [
        [frame + 3 * place, frame + 3 * place + 3] for place in range(len(protein))
    ]


def test_vocabularies():
    assert residues().vocabulary == ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *"*ACDEFGHIKLMNPQRSTVWY")
    helm = residues(compatibility="helm-released")
    assert helm.vocabulary == (
        "<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWC", *"XBUZO.-", "start_codon", "end_codon", "<mask>",
        "<distill_token>",
    )  # fmt: skip
    assert len(helm) == 35
    assert (helm.cls_id, helm.pad_id, helm.eos_id, helm.unk_id, helm.mask_id) == (0, 1, 2, 3, 33)
    assert helm.special_ids.tolist() == [0, 1, 2, 3, 31, 32, 33, 34]
    assert helm.random_ids.tolist() == list(range(4, 24))


def test_helms_tokens_have_no_stop_and_that_is_no_unknown_letter():
    helm = residues(compatibility="helm-released", max_unknown_share=0)
    assert helm.encode("ATGTTATAA").tolist() == [0, 20, 4, 3, 2]
    assert helm.decode(helm.encode("ATGTTATAA")) == "ML"
    with pytest.raises(InputError, match=r"'TNA' at position 3 .* 1 of 3 symbols"):
        helm.encode("ATGTNATAA")
    file = library.Tokenizer.from_str(helm.to_json())
    assert file.encode("auguuauaa").ids == [0, 20, 4, 3, 2]


def test_the_last_codon_survives_and_remainders_are_dealt_with():
    assert residues().decode(residues().encode("ATGAAATAA")) == "MK*"
    with pytest.raises(InputError, match=r"10 nucleotides leave 1 behind the last whole codon of frame 0"):
        residues().encode("ATGAAATAAG")
    trimmed = census(residues(remainder="trim"), ["ATGAAATAAGC"])
    assert (trimmed.tokens, trimmed.left_out, trimmed.unknown) == (3, 2, 0)
    assert residues(remainder="unknown").encode("ATGG", start=False, end=False).tolist() == [16, 3]


def test_a_frame_and_a_known_code_are_needed():
    with pytest.raises(ValidationError, match="frame"):
        AminoAcidConfig()
    with pytest.raises(ValidationError, match="genetic code 7 is not known"):
        AminoAcidConfig(frame=0, genetic_code=7)
