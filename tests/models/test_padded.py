"""An encoder over padding gives what the packed network gives, whatever lies in the padding."""

import pytest
import torch

from nuclex.core.errors import InputError
from nuclex.models import (
    BackboneConfig,
    BertConfig,
    LanguageModel,
    Layout,
    MambaConfig,
    RinalmoConfig,
    RobertaConfig,
)
from nuclex.models.padded import PaddedEncoder, unpaddable

LENGTHS = (9, 2, 17, 1, 30)
SIZES = {"depth": 2, "width": 16, "heads": 2, "inner": 24}
CONFIGS = {
    "roberta": RobertaConfig(**SIZES, max_positions=40).backbone(),
    "bert": BertConfig(**SIZES, max_positions=40).backbone(),
    "rinalmo": RinalmoConfig(depth=2, width=16, heads=2).backbone(),
    "relative": BackboneConfig(**SIZES, positions="relative"),
    "no positions, gate": BackboneConfig(**SIZES, positions="none", embedding_gate=True, norm_kind="rms"),
    "concatenated": BackboneConfig(
        **SIZES, positions="learned", position_use="concatenate", position_width=6, tied=False, max_positions=30
    ),
    "widened": BackboneConfig(**SIZES, positions="learned", position_width=6, max_positions=30),
    "scaled": BackboneConfig(**SIZES, attention_scale="1/d", attention_multiplier=1.7),
}
CONFIGS["encoder alone"] = CONFIGS["roberta"].model_copy(update={"head": "none"})


def made(config):
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.4 * torch.randn(value.shape, generator=generator) + (value.ndim == 1))
    return model


def sequences():
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randint(4, 22, (length,), generator=generator) for length in LENGTHS]
    return [torch.cat([torch.tensor([5]), ids[1:]]) for ids in drawn]


@pytest.mark.parametrize("filling", [1, 7, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_padded_equals_packed(name, filling):
    model = made(CONFIGS[name])
    encoder = PaddedEncoder(model)
    assert not model.training
    ids = sequences()
    ids_BL = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=filling)
    mask_BL = (torch.arange(ids_BL.shape[1]) < torch.tensor(LENGTHS)[:, None]).long()
    layout = Layout.of(LENGTHS)
    with torch.no_grad():
        found = encoder(ids_BL, mask_BL)
        hidden_TD = model.encode(torch.cat(ids), layout)
        wanted = [hidden_TD] if model.head is None else [hidden_TD, model.scores(hidden_TD)]
    assert len(found) == len(wanted)
    for theirs_BLX, ours_TX in zip(found, wanted, strict=True):
        assert float(ours_TX.abs().max()) > 0.5
        torch.testing.assert_close(theirs_BLX[mask_BL.bool()], ours_TX, rtol=1e-5, atol=1e-5)
        assert not theirs_BLX[~mask_BL.bool()].any()


def test_a_row_of_padding_alone_is_zero_and_finite():
    model = made(CONFIGS["rinalmo"])
    with torch.no_grad():
        hidden_BLD, logits_BLV = PaddedEncoder(model)(torch.full((1, 4), 5), torch.zeros(1, 4, dtype=torch.int64))
    assert not hidden_BLD.any()
    assert not logits_BLV.any()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (BackboneConfig(**SIZES, causal=True), "looks left to right"),
        (MambaConfig(depth=1, width=16, causal=False).backbone(), "its layers are mamba"),
        (MambaConfig(depth=2, width=16, attention_every=2, heads=2, causal=False).backbone(), "its layers are mamba"),
    ],
)
def test_other_networks_are_refused(config, reason):
    assert reason in unpaddable(config)
    with pytest.raises(InputError, match=reason):
        PaddedEncoder(made(config))
