"""Folding by energy: structures that are known, scores as a model's, and a second opinion on our own decoding."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from nuclex.bio.folding import can_pair, mea_pairs
from nuclex.bio.secondary_structure import has_pseudoknot, parse_dot_bracket
from nuclex.core.errors import InputError
from nuclex.evaluation.thermodynamics import thermodynamic_baseline, thermodynamic_pairs
from nuclex.metrics import score_pairs
from nuclex.tasks import ArchiveiiConfig, Example, Shape, SimulatedStructureConfig, Task

HAIRPIN, STRUCTURE = "GGGGGCAAAAGCCCCC", "((((((....))))))"


def small_task() -> Task:
    config = {"kind": "simulated-structure", "simulation": {"families": 3, "members": 4}}
    return SimulatedStructureConfig.from_data(config).read()


def test_a_hairpin_by_energy() -> None:
    pytest.importorskip("RNA")
    for sequence in (HAIRPIN, HAIRPIN.lower(), f"{HAIRPIN}UUNN"[:16].replace("U", "T")):
        for method in ("mfe", "mea"):
            assert np.array_equal(thermodynamic_pairs(sequence, method), parse_dot_bracket(STRUCTURE))  # type: ignore[arg-type]
    assert len(thermodynamic_pairs("A")) == 0
    assert len(thermodynamic_pairs("GGGGNNNNNNNN")) == 0
    with pytest.raises(InputError, match="the sequence is empty"):
        thermodynamic_pairs("")
    with pytest.raises(InputError, match="method: found 'nonsense'; allowed: mfe, mea"):
        thermodynamic_pairs("GGGGAAAACCCC", "nonsense")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="gamma: found -1; a number above 0 is needed"):
        thermodynamic_pairs("GGGGAAAACCCC", "mea", gamma=-1)


def test_our_structures_of_its_probabilities_are_as_good_as_its_own() -> None:
    package = pytest.importorskip("RNA")
    rng = np.random.default_rng(0)
    for length, gamma in ((60, 1.0), (90, 1.0), (120, 0.5), (120, 4.0)):
        sequence = "".join(rng.choice(list("ACGU"), length))
        compound = package.fold_compound(sequence)
        compound.exp_params_rescale(compound.mfe()[1])
        compound.pf()
        probability_LL = np.triu(np.array(compound.bpp())[1:, 1:].clip(0, 1))
        probability_LL *= can_pair(sequence)
        alone_L = 1 - probability_LL.sum(axis=0) - probability_LL.sum(axis=1)

        def accuracy(pairs: np.ndarray, weight: float, p_LL: np.ndarray, q_L: np.ndarray) -> float:
            unpaired = np.setdiff1d(np.arange(len(q_L)), pairs.ravel())
            return float(2 * weight * p_LL[pairs[:, 0], pairs[:, 1]].sum() + q_L[unpaired].sum())

        theirs = parse_dot_bracket(compound.MEA(gamma)[0])
        ours = mea_pairs(probability_LL, sequence, threshold=0.0, gamma=gamma)
        values = [accuracy(pairs, gamma, probability_LL, alone_L) for pairs in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], rel=1e-3)  # it leaves out the least probable pairs
        assert values[0] >= values[1] - 1e-6


def test_the_test_split_is_scored_as_a_models() -> None:
    pytest.importorskip("RNA")
    task = small_task()
    found = thermodynamic_baseline(task)
    assert found.keys() == {"mfe", "mea"}
    for method, measured in found.items():
        assert [row["id"] for row in measured.rows] == [example.id for example in task.examples("test")]
        assert measured.settings["method"] == method
        assert measured.settings["program"].startswith("ViennaRNA ")
        for place, (row, example) in enumerate(zip(measured.rows, task.examples("test"), strict=True)):
            pairs = thermodynamic_pairs(example.sequence, method)
            assert row["predicted"] == pairs.tolist()
            assert not has_pseudoknot(pairs)
            score = score_pairs(pairs, example.pairs, len(example.sequence))
            assert measured.scores["strict_f1"][place] == score.strict.f1
            assert measured.scores["mcc"][place] == score.mcc


def test_what_it_cannot_do_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {split: (Example("ACGU", "x", split),) for split in ("train", "validation", "test")}
    with pytest.raises(InputError, match="t: asks for a class; folding by energy answers with base pairs"):
        thermodynamic_baseline(Task("t", Shape.CLASS, splits, ("x",)))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(
        InputError, match=r"folding by energy needs the package 'ViennaRNA'.*pip install 'nuclex\[fold\]'"
    ):
        thermodynamic_baseline(small_task())


@pytest.mark.real
@pytest.mark.slow
def test_trnas_are_folded_about_as_well_as_is_known(mirror: Path) -> None:
    pytest.importorskip("RNA")
    found = thermodynamic_baseline(ArchiveiiConfig(family="tRNA", test_limit=200).read())
    for measured in found.values():
        assert 0.55 < measured.scores["strict_f1"].mean() < 0.85
