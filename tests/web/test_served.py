"""What makes sense for which bundle, and what the page is told against it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asking import answer, client_of
from likelihoods import SMALL, network_in
from nuclex.bundle import Bundle, Record, load
from nuclex.tokenizers import TOKENIZERS, CodonConfig, KmerConfig
from nuclex.web.served import KINDS, Served

HEADLESS = SMALL.model_copy(update={"head": "none"})
CAUSAL = SMALL.model_copy(update={"causal": True})


@pytest.fixture(scope="module")
def plain(tiny_bundle: Path) -> Bundle:
    return load(tiny_bundle)


def refused(*bundles: Bundle) -> set[str]:
    return {kind for kind, reason in Served.of(list(bundles))[0].can.items() if reason}


def bpe(bundle: Bundle) -> Bundle:
    tokenizer = TOKENIZERS.parse({"kind": "bpe", "vocab_size": 40}).train(["ACGTTGCAACGTACGGTACCATGA" * 4])
    return network_in(replace(bundle, tokenizer=tokenizer), SMALL)


def test_each_bundle_is_asked_what_makes_sense(plain: Bundle) -> None:
    of_codons = network_in(replace(plain, tokenizer=CodonConfig(frame=0).build()), SMALL)
    overlapping = network_in(replace(plain, tokenizer=KmerConfig(k=3, stride=1).build()), SMALL)
    assert refused(plain) == {"compare"}
    assert refused(plain, plain) == set()
    assert refused(of_codons) == {"fold", "compare"}
    assert refused(network_in(plain, CAUSAL)) == {"fold", "compare"}
    assert refused(bpe(plain)) == set(KINDS) - {"embed"}
    assert refused(overlapping) == set(KINDS) - {"embed"}
    assert refused(network_in(plain, HEADLESS)) == set(KINDS) - {"embed"}
    assert "of another kind" in (Served.of([plain, network_in(plain, CAUSAL)])[0].can["compare"] or "")


def test_the_api_says_the_same_and_refuses_with_the_reason(plain: Bundle) -> None:
    with client_of(bpe(plain)) as client:
        [told] = client.get("/api/v1/about").json()["bundles"]
        for kind in KINDS:
            response = client.post(f"/api/v1/{kind}", json={"fasta": "ACGTACGT"})
            assert response.status_code == (202 if kind == "embed" else 400)
            if kind != "embed":
                assert response.json()["error"] == f"{kind}: not answered for this bundle: {told['can'][kind]}"
        assert len(answer(client, "embed", fasta=">a\nACGT\n>b\nGGGT\n")["points"]) == 2


def test_what_speaks_against_a_bundle_is_told(plain: Bundle) -> None:
    poor = replace(plain, record=Record({}, {}, {"validation_loss": 9.0}, {"simulated": True}, "poor"))
    with client_of(plain, poor) as client:
        good, bad = client.get("/api/v1/about").json()["bundles"]
    assert good["doubts"] == []
    assert [sentence.split(":")[0] for sentence in bad["doubts"]] == [
        "It was trained on simulated sequences, which a program made up",
        f"It guesses no better than all {len(plain.tokenizer)} tokens alike",
    ]
