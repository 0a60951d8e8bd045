"""Every licence of the catalogue as a person reads it."""

import pytest

from nuclex.data.catalog import list_datasets
from nuclex.data.terms import TERMS, strictest, terms_of

READ = {
    "OAS: CC BY 4.0; carrier repository MIT; IMGT/V-QUEST output: academic use": "academic",
    "SILVA 119: free for academic use, commercial use needs a licence": "academic",
    "Sanofi CodonBERT licence: academic, NON-COMMERCIAL only": "academic",
    "reads: public; carrier package AGPL-3.0; IMGT/HighV-QUEST annotation: academic use": "academic",
    "CC BY 4.0": "attribution",
    "CC BY 4.0; carrier repository GPL-3.0": "attribution",
    "Eterna data (RMDB): CC BY 4.0; carrier repository MIT": "attribution",
    "Eterna data (RMDB): CC BY 4.0; carrier repository without licence": "attribution",
    "GUE (DNABERT-2): Apache-2.0; carrier repository Apache-2.0": "attribution",
    "MIT": "attribution",
    "OAS: CC BY 4.0": "attribution",
    "PaxDb: CC BY 4.0; carrier repository BSD-3-Clause": "attribution",
    "annotation GPL-3.0; genome Ensembl: no restrictions": "share-alike",
    "ArrayExpress; carrier repository BSD-3-Clause": "not stated",
    "Ensembl and NCBI; carrier repository BSD-3-Clause": "not stated",
    "GEO (GSE114002): public": "not stated",
    "GEO GSE114002 and ClinVar: public; carrier repository GPL-3.0": "not stated",
    "GEO GSE114002: public; carrier repository BSD-3-Clause-Clear": "not stated",
    "GEO GSE57385: public; carrier repository MIT": "not stated",
    "NCBI: no restrictions; submitters may claim rights": "not stated",
    "UCSC and WormBase WS220: public; carrier package Artistic-2.0": "not stated",
    "academic benchmark without explicit licence; carrier repositories MIT, GPL-3.0 and without licence": "not stated",
    "academic benchmark without explicit licence; carrier repository GPL-3.0": "not stated",
    "academic benchmark without explicit licence; carrier repository MIT": "not stated",
    "as the capsule on Code Ocean says": "not stated",
    "as the data set's card on huggingface.co says": "not stated",
    "as the record on Zenodo says": "not stated",
    "carrier repository without licence": "not stated",
    "CC0": "open",
    "Ensembl: no restrictions": "open",
    "Ensembl: no restrictions; carrier package Artistic-2.0": "open",
    "Ensembl: no restrictions; carrier repository MIT": "open",
    "GENCODE: no restrictions": "open",
    "GtRNAdb: free use; carrier repository without licence": "open",
    "NCBI RefSeq: public domain; carrier package Artistic-2.0": "open",
    "PDB: CC0; carrier repository without licence": "open",
    "RNAcentral: CC0; carrier repository MIT": "open",
    "Rfam: CC0; carrier repository GPL-3.0": "open",
    "Rfam: CC0; carrier repository GPL/LGPL": "open",
    "Rfam: CC0; carrier repository MIT": "open",
    "dbSNP: public domain; carrier repository GPL-3.0": "open",
    "human genome: public domain; carrier repository without licence": "open",
    "human reference: public domain; carrier repository GPL-3.0": "open",
    "miRBase: public domain; carrier repository MIT": "open",
}


def test_every_licence_of_the_catalogue_is_read_as_a_person_does() -> None:
    texts = {str(row["licence"]) for row in list_datasets()}
    assert texts - READ.keys() == set(), "a licence that nobody has read: add it above"
    assert {text: terms_of(text) for text in READ} == READ


@pytest.mark.parametrize("text", ["", "of a permitted kind", "submitted", "publicly at hand", "carrier repository MIT"])
def test_what_says_nothing_states_nothing(text: str) -> None:
    assert terms_of(text) == "not stated"


def test_the_strictest_of_several() -> None:
    assert strictest(["open", "attribution", "open"]) == "attribution"
    assert strictest(reversed(TERMS)) == "academic"
    assert strictest(["not stated"]) is None
    assert strictest([]) is None
