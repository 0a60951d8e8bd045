"""multimolecule's RiNALMo as a second opinion: the same weights, its 28 tokens, masks, padding, values and gradients.

It is AGPL software of others: an optional extra of the tests (``nuclex[oracle]``), which nuclex never imports. Where it
is not installed, these tests are skipped and say so.
"""

import json

import pytest
import torch

from nuclex.bundle import Record, TaskPart, load, write_bundle
from nuclex.bundle.multimolecule import DROPPED, OURS, VOCABULARY
from nuclex.bundle.weights import unshared
from nuclex.models import Layout
from nuclex.models.heads import PairHeadConfig
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.supervised import answering_model
from oracles import (
    OF_GRADIENTS,
    RINALMOS,
    TOLERANCE,
    against_multimolecule,
    made,
    multimolecule,
    pairs_against_multimolecule,
    random_multimolecule,
    theirs_of,
)

pytestmark = pytest.mark.slow
SMALL = next(iter(RINALMOS))


@pytest.fixture(scope="module")
def library():
    pytest.importorskip("multimolecule", reason="multimolecule is not installed: pip install 'nuclex[oracle]'")
    return multimolecule()


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("nuclex.hub")


def exported(folder, model, task=None):
    import nuclex

    write_bundle(folder / "bundle", model, NucleotideConfig().build(), Record({}, {}, {}, None, "x"), task=task)
    return nuclex.export(folder / "bundle", format="multimolecule", out=folder / "theirs")


@pytest.mark.parametrize("name", RINALMOS)
def test_their_weights_in_nuclex(library, hub, tmp_path, name):
    foreign = random_multimolecule(name, tmp_path / "theirs")
    bundle = hub.import_bundle(tmp_path / "theirs", tmp_path / "ours")
    assert len(bundle.tokenizer) == 22
    assert all(f"{token!r}" in bundle.record.notes[0] for token in DROPPED)
    found = against_multimolecule(name, bundle.model, foreign)
    assert found.largest > 1
    assert found.values <= TOLERANCE
    assert found.gradients <= OF_GRADIENTS


def test_nuclexs_weights_in_theirs(library, tmp_path):
    model = made(SMALL)
    result = exported(tmp_path, model)
    assert result["class"] == "RiNALMoForMaskedLM"
    foreign, loading = library.RiNALMoForMaskedLM.from_pretrained(tmp_path / "theirs", output_loading_info=True)
    assert not any(loading.values())
    found = against_multimolecule(SMALL, model, foreign.eval())
    assert found.values <= TOLERANCE
    assert found.gradients <= OF_GRADIENTS


def test_their_tokenizer_opens_the_export_and_probabilities_are_nuclexs(library, tmp_path):
    model = made(SMALL)
    exported(tmp_path, model)
    reader = library.RnaTokenizer.from_pretrained(tmp_path / "theirs")
    assert len(reader) == len(VOCABULARY) == 28
    foreign = library.RiNALMoForMaskedLM.from_pretrained(tmp_path / "theirs").eval()
    tokenizer = NucleotideConfig().build()
    sequence = "ACGTURYKMSWBDHVNI-"
    theirs = reader(sequence, return_tensors="pt")
    ours_T = torch.from_numpy(tokenizer.encode(sequence))
    assert torch.equal(theirs["input_ids"][0], theirs_of(ours_T))
    with torch.no_grad():
        probabilities_TV = model(ours_T, Layout.of([len(ours_T)])).softmax(-1)
        theirs_TV = foreign(**theirs).logits[0].softmax(-1)
    columns = [VOCABULARY.index(token) for token in OURS]
    torch.testing.assert_close(theirs_TV[:, columns], probabilities_TV, rtol=0, atol=1e-5)
    assert float(theirs_TV[:, [VOCABULARY.index(token) for token in DROPPED]].max()) < 1e-30


def test_there_and_back_gives_the_same_bundle(library, hub, tmp_path):
    model = made(SMALL)
    exported(tmp_path, model)
    again = hub.import_bundle(tmp_path / "theirs", tmp_path / "again").model
    assert again.config == model.config.model_copy(update={"initialisation": again.config.initialisation})
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("direction", ["import", "export"])
def test_the_head_for_structures(library, hub, tmp_path, direction):
    cls = library.RiNALMoForSecondaryStructurePrediction
    if direction == "import":
        foreign = random_multimolecule(SMALL, tmp_path / "theirs", pairs=True)
        bundle = hub.import_bundle(tmp_path / "theirs", tmp_path / "ours")
        assert bundle.task.config["settings"]["threshold"] == 0.5
        assert "not one that was tuned" in bundle.record.notes[1]
    else:
        head = PairHeadConfig().build(40, 1)
        config = {
            "shape": "pair map",
            "classes": [],
            "head": PairHeadConfig().to_data(),
            "settings": {"threshold": 0.1},
        }
        result = exported(tmp_path, made(SMALL), TaskPart(config, dict(unshared(head))))
        assert (result["class"], result["head"]) == (cls.__name__, "pair")
        foreign, loading = cls.from_pretrained(tmp_path / "theirs", output_loading_info=True)
        assert not any(loading.values())
        bundle = load(tmp_path / "bundle")
    found = pairs_against_multimolecule(SMALL, answering_model(bundle), foreign.eval())
    assert found.largest > 0.1
    assert found.values <= TOLERANCE
    assert found.gradients <= OF_GRADIENTS


@pytest.mark.parametrize("key", ["learnable_beta", "token_dropout", "vocab_size", "position_embedding_type"])
def test_a_variant_is_refused(library, hub, tmp_path, key):
    from nuclex.core.errors import InputError

    exported(tmp_path, made(SMALL))
    path = tmp_path / "theirs" / "config.json"
    keys = json.loads(path.read_text())
    path.write_text(
        json.dumps({**keys, key: {"vocab_size": 26, "position_embedding_type": "absolute"}.get(key, False)})
    )
    with pytest.raises(InputError, match=f"{key}: found"):
        hub.import_bundle(tmp_path / "theirs", tmp_path / "again")
    assert not (tmp_path / "again").exists()
