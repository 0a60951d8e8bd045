"""Weights by name: tied ones once, put back only where all fit, and no random number drawn for it."""

from pathlib import Path

import pytest
import torch

from nuclex.bundle.weights import filled, restore, skeleton, unshared
from nuclex.core.errors import CorruptError

ORIGIN = Path("somewhere")


def bare(making, name="roberta"):
    tokenizer = making.tokenizer()
    sizes = {"vocabulary_size": len(tokenizer), "pad_id": tokenizer.pad_id, "mask_id": tokenizer.mask_id}
    return skeleton(making.configs[name], **sizes)


@pytest.mark.parametrize(("name", "tied"), [("roberta", True), ("rinalmo", False), ("tied rinalmo", True)])
def test_a_tied_weight_is_kept_once(making, name, tied):
    model = making.model(name)
    tensors = unshared(model)
    assert ("head.decoder.weight" not in tensors) == tied
    assert sum(value.numel() for value in tensors.values()) == sum(value.numel() for value in model.parameters())


def test_restore_fills_a_model_in_place(making):
    model, other = making.model(seed=1), making.model(seed=2)
    parameters = list(model.parameters())
    restore(model, unshared(other), ORIGIN)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in other.state_dict().items())
    assert all(value is before for value, before in zip(model.parameters(), parameters, strict=True))


@pytest.mark.parametrize("fill", ["restore", "filled"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("head.dense.bias"), "lacks the weight 'head.dense.bias'"),
        (lambda tensors: tensors.update(more=torch.ones(1)), "holds the weight 'more'"),
        (
            lambda tensors: tensors.update({"head.dense.bias": torch.ones(3)}),
            r"has shape \(3,\), the config says \(16,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(making, fill, change, message):
    model = making.model()
    before = {name: value.clone() for name, value in unshared(model).items()}
    tensors = unshared(making.model(seed=1))
    change(tensors)
    with pytest.raises(CorruptError, match=message):
        restore(model, tensors, ORIGIN) if fill == "restore" else filled(bare(making), tensors, ORIGIN)
    assert all(torch.equal(value, before[name]) for name, value in unshared(model).items())


@pytest.mark.parametrize("name", ["roberta", "rinalmo", "tied rinalmo", "untied roberta"])
def test_a_skeleton_is_filled_with_copies_and_nothing_is_drawn(making, name):
    model = making.model(name)
    state = torch.random.get_rng_state()
    copy = filled(bare(making, name), unshared(model), ORIGIN)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert copy.state_dict().keys() == model.state_dict().keys()
    for key, value in copy.state_dict(keep_vars=True).items():
        assert torch.equal(value, model.state_dict()[key])
        assert value.data_ptr() != model.state_dict()[key].data_ptr()
        assert value.requires_grad
    assert (copy.head.decoder.weight is copy.embedding.tokens.weight) == model.config.tied
    assert not copy.training
