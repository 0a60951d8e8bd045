"""The fingerprint: exact about weights and tokenizer, tolerant of other machines' rounding, and of nothing else."""

import copy
import hashlib
import json
import struct

import numpy as np
import pytest
import torch

from nuclex.bundle.fingerprint import MASKED_PROBE, PROBES, TOLERANCE, check_fingerprint, fingerprint, parameter_hash
from nuclex.bundle.weights import unshared
from nuclex.core.errors import CorruptError, NonFiniteError
from nuclex.models import Layout


def taken(making, name="roberta", kind="nucleotide"):
    model, tokenizer = making.model(name, kind).eval(), making.tokenizer(kind)
    return model, tokenizer, unshared(model)


def through_json(value):
    return json.loads(json.dumps(value))


def test_parameter_hash_is_the_sha256_of_what_it_says():
    text = b"a int64 [2]\n" + struct.pack("<2q", 3, -1) + b"b float32 [1, 2]\n" + struct.pack("<2f", 1.5, -2.0)
    tensors = {"b": torch.tensor([[1.5, -2.0]]), "a": torch.tensor([3, -1])}
    assert parameter_hash(tensors) == hashlib.sha256(text).hexdigest()


def test_parameter_hash_sees_name_type_shape_and_value_but_not_layout_or_order():
    value = torch.arange(6.0).reshape(2, 3)
    base = parameter_hash({"w": value, "v": value})
    assert parameter_hash({"v": value, "w": value.T.contiguous().T}) == base
    others = [
        {"w": value, "u": value},
        {"w": value, "v": value.double()},
        {"w": value, "v": value.reshape(3, 2)},
        {"w": value, "v": torch.nextafter(value, value + 1)},
        {"w": value},
    ]
    assert len({base, *(parameter_hash(tensors) for tensors in others)}) == 6


@pytest.mark.parametrize("kind", ["nucleotide", "rna", "codon", "bpe"])
@pytest.mark.parametrize("name", ["roberta", "rinalmo"])
def test_every_tokenizer_has_probes_and_they_agree_with_themselves(making, name, kind):
    model, tokenizer, tensors = taken(making, name, kind)
    stored = through_json(fingerprint(model, tokenizer, tensors))
    check_fingerprint(stored, model, tokenizer, tensors, making.folder)
    assert len(stored["probes"]) == 3
    for number, probe in enumerate(stored["probes"]):
        room = model.config.longest or 10_000
        assert 5 < len(probe["tokens"]) <= room
        assert (tokenizer.mask_id in probe["tokens"]) == (number == MASKED_PROBE)
        assert probe["positions"][0] == 0
        assert probe["positions"][-1] == len(probe["tokens"]) - 1
        assert np.array(probe["logits"]).shape == (4, 16)


def test_stored_scores_are_those_of_the_sequences_alone(making):
    model, tokenizer, tensors = taken(making, "rinalmo")
    stored = fingerprint(model, tokenizer, tensors)["probes"]
    for letters, probe in zip(PROBES[:2], stored, strict=False):
        ids = torch.from_numpy(tokenizer.encode(letters))
        assert probe["tokens"] == ids.tolist()
        logits_LV = model(ids, Layout.of([len(ids)])).detach()[probe["positions"]]
        np.testing.assert_allclose(probe["logits"], logits_LV[:, probe["ids"]], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(probe["logsumexp"], logits_LV.exp().sum(1).log(), rtol=1e-4)


@pytest.mark.parametrize(("share", "refused"), [(0.5, False), (2.0, True), (float("nan"), True)])
def test_scores_may_differ_by_a_thousandth_of_the_largest(making, share, refused):
    model, tokenizer, tensors = taken(making)
    stored = through_json(fingerprint(model, tokenizer, tensors))
    probe = stored["probes"][1]
    largest = max(abs(value) for row in [*probe["logits"], probe["logsumexp"]] for value in row)
    probe["logits"][2][3] += share * TOLERANCE * largest
    if not refused:
        check_fingerprint(stored, model, tokenizer, tensors, making.folder)
        return
    with pytest.raises(CorruptError, match="probe sequence 2 other scores"):
        check_fingerprint(stored, model, tokenizer, tensors, making.folder)


def test_scores_move_far_less_in_other_arithmetic_than_is_allowed(making):
    for name in ("roberta", "rinalmo"):
        model, tokenizer, tensors = taken(making, name)
        stored = fingerprint(model, tokenizer, tensors)
        precise = fingerprint(copy.deepcopy(model).double(), tokenizer, tensors)
        for probe, exact in zip(stored["probes"], precise["probes"], strict=True):
            wanted = np.array(exact["logits"])
            assert np.abs(np.array(probe["logits"]) - wanted).max() < TOLERANCE / 50 * np.abs(wanted).max()


@pytest.mark.parametrize("part", ["tokens", "logits", "logsumexp", "probes", "tokenizer", "parameters"])
def test_a_fingerprint_that_was_cut_short_is_refused(making, part):
    model, tokenizer, tensors = taken(making)
    whole = through_json(fingerprint(model, tokenizer, tensors))
    shortened = copy.deepcopy(whole)
    owner = shortened if part in shortened else shortened["probes"][0]
    owner[part] = owner[part][:-1]
    with pytest.raises(CorruptError):
        check_fingerprint(shortened, model, tokenizer, tensors, making.folder)
    owner.pop(part)
    with pytest.raises(CorruptError, match="not readable"):
        check_fingerprint(shortened, model, tokenizer, tensors, making.folder)
    check_fingerprint(whole, model, tokenizer, tensors, making.folder)


def test_scores_that_are_not_finite_are_refused(making):
    model, tokenizer, tensors = taken(making)
    with torch.no_grad():
        model.head.dense.weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="not finite"):
        fingerprint(model, tokenizer, tensors)


def test_autocast_around_it_changes_nothing(making):
    model, tokenizer, tensors = taken(making)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = fingerprint(model, tokenizer, tensors)
    assert inside == fingerprint(model, tokenizer, tensors)
