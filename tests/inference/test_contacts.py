"""Contact scores: couplings that were put in come out again, and a model's are those of one change at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nuclex.bundle import Record, load, write_bundle
from nuclex.core.errors import InputError
from nuclex.inference.attention import attention_maps
from nuclex.inference.contacts import (
    attention_contacts,
    average_product,
    categorical_jacobian,
    coupling_strength,
    jacobian_contacts,
)
from nuclex.models import Gpt2Config, LanguageModel, Layout, RinalmoConfig
from nuclex.tokenizers import KmerConfig, NucleotideConfig


def potts(rng, length, letters):
    """Couplings W[i, a, j, b] = W[j, b, i, a] whose sums over either letter are zero; none within a position."""
    coupling = rng.normal(size=(length, letters, length, letters))
    coupling = coupling + coupling.transpose(2, 3, 0, 1)
    coupling[np.arange(length), :, np.arange(length)] = 0
    coupling -= coupling.mean(1, keepdims=True)
    return coupling - coupling.mean(3, keepdims=True)


def test_the_couplings_of_a_potts_model_come_out_again():
    rng = np.random.default_rng(0)
    length, letters = 7, 4
    coupling, field = potts(rng, length, letters), rng.normal(size=(length, letters))

    def logits_of(ids_BL):
        return np.stack([field + sum(coupling[i, letter] for i, letter in enumerate(ids)) for ids in ids_BL])

    ids_L = rng.integers(0, letters, length)
    found = categorical_jacobian(logits_of, ids_L, np.arange(letters), ids_L)
    centred = found - found.mean(1, keepdims=True)
    np.testing.assert_allclose(centred, coupling, atol=1e-12)
    np.testing.assert_allclose(coupling_strength(found), average_product(np.sqrt((coupling**2).sum((1, 3)))))


def test_what_every_position_has_with_all_others_is_taken_away():
    rng = np.random.default_rng(1)
    score = rng.random((6, 6))
    score = score + score.T
    off = ~np.eye(6, dtype=bool)
    mean = np.array([score[i][off[i]].mean() for i in range(6)])
    wanted = (score - np.outer(mean, mean) / score[off].mean()) * off
    np.testing.assert_allclose(average_product(score), wanted)
    np.testing.assert_allclose(average_product(np.stack([score, 2 * score])), [wanted, 2 * wanted])
    assert not average_product(np.zeros((3, 3))).any()
    assert average_product(np.ones((1, 1))).tolist() == [[0.0]]


def test_a_model_is_asked_with_one_letter_changed_at_a_time(tiny_bundle):
    bundle, sequence = load(tiny_bundle), "GGCANAUGCU"
    tokenizer = bundle.tokenizer

    def alone(text):
        ids = np.concatenate([[tokenizer.cls_id], tokenizer.encode(text)[1:-1], [tokenizer.eos_id]])
        with torch.no_grad():
            hidden = bundle.model.encode(torch.from_numpy(ids), Layout.of([len(ids)]))
            return bundle.model.scores(hidden)[1:-1].double().numpy()

    columns = [int(tokenizer.encode(letter)[1]) for letter in "ACGU"]
    before = alone(sequence)[:, columns]
    wanted = np.zeros((10, 4, 10, 4))
    for place in range(10):
        for number, letter in enumerate("ACGU"):
            changed = sequence[:place] + letter + sequence[place + 1 :]
            wanted[place, number] = alone(changed)[:, columns] - before
    found = jacobian_contacts(bundle, sequence)
    np.testing.assert_allclose(found, coupling_strength(wanted), atol=1e-5)
    np.testing.assert_allclose(jacobian_contacts(bundle, sequence.lower().replace("u", "t")), found, atol=1e-5)
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(found, found.T, atol=1e-12)


def test_attention_is_symmetric_and_without_the_ends(tiny_bundle):
    bundle, heads = load(tiny_bundle), [(0, 1), (1, 0)]
    found = list(attention_contacts(bundle, "GGCAAAUGCU", heads))
    maps = next(attention_maps(bundle, ["GGCAAAUGCU"]))[:, :, 1:-1, 1:-1].astype(float)
    for one, (layer, head) in zip(found, heads, strict=True):
        np.testing.assert_allclose(one, average_product((maps[layer, head] + maps[layer, head].T) / 2))
        np.testing.assert_allclose(one, one.T)
        assert not one.diagonal().any()
    assert not np.allclose(found[0], found[1])


def test_positions_that_are_all_alike_have_no_contacts():
    for length in range(10, 120):
        assert not average_product(np.full((length, length), 1 / (length + 2))).any()


def test_an_empty_sequence_is_refused(tiny_bundle):
    bundle = load(tiny_bundle)
    for ask in (jacobian_contacts, lambda *given: list(attention_contacts(*given, [(0, 0)]))):
        with pytest.raises(InputError, match="the sequence is empty"):
            ask(bundle, "")


@pytest.mark.parametrize(
    ("model", "tokenizer", "sentence"),
    [
        (Gpt2Config(depth=1, width=8, heads=2, inner=8), NucleotideConfig(), "reads from left to right"),
        (None, KmerConfig(k=3, stride=3), "one token a nucleotide is needed"),
    ],
)
def test_who_cannot_be_asked(tmp_path, model, tokenizer, sentence):
    reads = tokenizer.build()
    config = (model or RinalmoConfig(depth=1, width=8, heads=2)).backbone()
    network = LanguageModel(config, vocabulary_size=len(reads), pad_id=reads.pad_id, mask_id=reads.mask_id)
    write_bundle(tmp_path / "b", network.eval(), reads, Record({}, {}, {}, None, "x"))
    with pytest.raises(InputError, match=sentence):
        jacobian_contacts(load(tmp_path / "b"), "ACGUACGUA")
