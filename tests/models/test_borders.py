"""The head of HELM's code has its size, and what it says of a sequence does not depend on its neighbours."""

from __future__ import annotations

import torch

from nuclex.models.borders import BorderHead, borders_of
from nuclex.models.layout import Layout


def test_seven_borders_of_902_places_are_the_6314_outputs_of_helm() -> None:
    head = BorderHead(640, 4, 902)
    assert borders_of(4) == 7
    assert head.places.decoder.out_features == 6314
    assert head(torch.zeros(9, 640), Layout.of([4, 5], torch.device("cpu"))).shape == (2, 7, 902)


def test_each_sequence_is_read_by_itself() -> None:
    torch.manual_seed(0)
    head = BorderHead(8, 2, 12).eval()
    hidden_TD = torch.randn(11, 8)
    together = head(hidden_TD, Layout.of([4, 7], torch.device("cpu")))
    for row, part in enumerate(hidden_TD.split([4, 7])):
        alone = head(part, Layout.of([len(part)], torch.device("cpu")))
        torch.testing.assert_close(together[row : row + 1], alone)
