"""Maps of a model's attention: what they are made of, and that the model computes with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import nuclex
from likelihoods import SMALL, network_in
from nuclex.bundle import Bundle, load
from nuclex.core.errors import InputError
from nuclex.inference import attention_maps
from nuclex.models import MambaConfig
from nuclex.tokenizers import KmerConfig


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load(tiny_bundle)


def test_maps_of_each_sequence_are_its_own(bundle: Bundle) -> None:
    sequences = ["ACGU", b"ACGUACGUAGG", "ACGU"]
    found = list(attention_maps(bundle, sequences))
    assert [weights.shape for weights in found] == [(2, 2, 6, 6), (2, 2, 13, 13), (2, 2, 6, 6)]
    assert np.array_equal(found[0], found[2])
    for weights in found:
        assert weights.dtype == np.float32
        assert np.allclose(weights.sum(-1), 1, atol=1e-6)
        assert (weights >= 0).all()
    assert nuclex.inference.attention_maps is attention_maps


def test_a_token_that_nobody_looks_at_does_not_matter(bundle: Bundle) -> None:
    """Queries and keys of nothing look everywhere alike; a causal model looks at nothing ahead."""
    causal = network_in(bundle, SMALL.model_copy(update={"causal": True}))
    with torch.no_grad():
        for block in causal.model.blocks:
            block.mixer.query_key_value.weight[:32].zero_()  # type: ignore[union-attr, index]
            block.mixer.query_key_value.bias[:32].zero_()  # type: ignore[union-attr, index]
    (weights,) = attention_maps(causal, ["ACG"])
    wanted = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]
    assert np.allclose(weights, wanted, atol=1e-6)


def test_tokens_are_those_of_the_tokenizer_and_hybrids_show_their_attention(bundle: Bundle) -> None:
    tokenizer = KmerConfig(k=3, stride=1).build()
    hybrid = MambaConfig.from_data({"depth": 4, "width": 16, "attention_every": 2, "heads": 2}).backbone()
    (weights,) = attention_maps(network_in(replace(bundle, tokenizer=tokenizer), hybrid), ["ACGTACGT"])
    assert weights.shape == (2, 2, 8, 8)


def test_one_sequence_is_taken_at_a_time(bundle: Bundle) -> None:
    pulled = 0

    def endless() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield "ACGU"

    for number, _ in zip(range(1, 4), attention_maps(bundle, endless()), strict=False):
        assert pulled == number


def test_what_has_no_maps_is_named(bundle: Bundle) -> None:
    state = network_in(bundle, MambaConfig(depth=1, width=16).backbone())
    short = network_in(bundle, SMALL.model_copy(update={"positions": "learned", "max_positions": 8}))
    for asked, sequence, sentence in (
        (state, "ACGU", "this model has no attention, its layers are 'mamba'"),
        (short, "ACGUACG", r"^sequence 1: has 7 tokens; this model reads at most 6 at once$"),
        (bundle, "ACGUXX", r"^sequence 1: 'X' at position 4"),
    ):
        with pytest.raises(InputError, match=sentence):
            list(attention_maps(asked, ["ACGUAC", sequence]))
