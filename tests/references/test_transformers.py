"""Whole networks of transformers with the same weights as nuclex's: values and gradients, unequal lengths."""

import pytest

from oracles import HEADLESS, OF_GRADIENTS, PRESETS, TOLERANCE, against_transformers

pytestmark = pytest.mark.slow  # imports transformers

NAMES = [*PRESETS, *(f"{name}, encoder alone" for name in HEADLESS)]


@pytest.fixture(scope="module", autouse=True)
def _hub():
    pytest.importorskip("nuclex.hub")


@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_theirs(name, direction):
    found = against_transformers(name, direction)
    assert found.largest > 1, "numbers near 0 prove nothing"
    assert found.values <= TOLERANCE
    assert found.gradients <= OF_GRADIENTS


def test_a_wrong_weight_would_be_seen(monkeypatch):
    """The comparison itself can fail: with one norm's weights changed by a thousandth it does."""
    import nuclex.hub as hub

    exported = hub.to_transformers

    def spoilt(model):
        foreign = exported(model)
        foreign.bert.encoder.layer[1].output.LayerNorm.weight.data.mul_(1.001)
        return foreign

    monkeypatch.setattr(hub, "to_transformers", spoilt)
    found = against_transformers("BERT", "export")
    assert found.values > 10 * TOLERANCE
    assert found.gradients > 3 * OF_GRADIENTS
