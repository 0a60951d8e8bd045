"""Loss, decoding and threshold of base pairs, against numbers by hand and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nuclex.bio.folding import greedy_pairs, matching_pairs, mea_pairs
from nuclex.core.errors import InputError
from nuclex.metrics import mean_score, score_pairs
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import PairHeadConfig, build_head
from nuclex.tasks import Example, SimulatedStructureConfig, Task
from nuclex.tasks.base import SPLITS
from nuclex.tokenizers import CodonConfig, NucleotideConfig
from nuclex.training.pairs import DecodingConfig, PairAnswers, pair_loss, pseudoknot_summary
from nuclex.training.supervised import Measured, Reading

TOKENIZER = NucleotideConfig().build()


def small_task() -> Task:
    config = {"kind": "simulated-structure", "simulation": {"families": 3, "members": 4}}
    return SimulatedStructureConfig.from_data(config).read()


def answers(task: Task, decoding: DecodingConfig) -> PairAnswers:
    return PairAnswers(task, {split: Reading.of(task.examples(split), TOKENIZER, None) for split in SPLITS}, decoding)


def small_model() -> AnsweringModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = RinalmoConfig(depth=1, width=8, heads=2).backbone()
        model = LanguageModel(network, vocabulary_size=22, pad_id=1, mask_id=4)
    return AnsweringModel(model, build_head(PairHeadConfig(channels=4, blocks=1), 8, 1, 0)).eval()


def test_the_loss_is_a_mean_over_the_pairs_above_the_diagonal() -> None:
    logits_LL = torch.tensor([[9.0, 2.0, -1.0], [5.0, 9.0, 0.5], [5.0, 5.0, 9.0]], dtype=torch.float64)
    pairs_P2 = np.array([[0, 2]], dtype=np.int32)
    softplus = [math.log1p(math.exp(2.0)), math.log1p(math.exp(1.0)), math.log1p(math.exp(0.5))]
    assert pair_loss(logits_LL, pairs_P2).item() == pytest.approx(sum(softplus) / 3, abs=1e-12)


def test_the_loss_of_a_single_nucleotide_is_nothing() -> None:
    assert pair_loss(torch.zeros(1, 1), np.empty((0, 2), dtype=np.int32)).item() == 0


def test_the_loss_stays_finite_at_a_huge_gap() -> None:
    logits_LL = torch.full((4, 4), 200.0, requires_grad=True)
    loss = pair_loss(logits_LL, np.array([[0, 3]], dtype=np.int32))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits_LL.grad is not None
    assert bool(torch.isfinite(logits_LL.grad).all())


def test_a_batch_is_the_sum_of_its_structures() -> None:
    task = small_task()
    made, model = answers(task, DecodingConfig()), small_model()
    alone = [made.loss(model, np.array([index])).item() for index in (0, 1, 3)]
    assert made.loss(model, np.array([3, 0, 1])).item() == pytest.approx(sum(alone), rel=1e-6)
    assert [micro.tolist() for micro in made.micros(np.array([3, 0, 1]))] == [[3], [0], [1]]


@pytest.mark.parametrize("tune", ["strict", "relaxed"])
def test_the_threshold_is_the_best_one_on_validation(tune: str) -> None:
    task, model = small_task(), small_model()
    decoding = DecodingConfig.from_data({"lowest": 0.3, "highest": 0.6, "step": 0.05, "tune": tune})
    found = answers(task, decoding).validate(model)
    means = []
    for threshold in decoding.thresholds:
        scores = []
        for example in task.examples("validation"):
            tokens_T = torch.from_numpy(TOKENIZER.encode(example.sequence))
            with torch.no_grad():
                probability_LL = model.pair_logits(tokens_T).double().sigmoid().numpy()
            pairs = greedy_pairs(probability_LL, example.sequence, threshold=threshold)
            scores.append(score_pairs(pairs, example.pairs, len(example.sequence)))
        means.append(mean_score(scores))
    values = [mean.strict.f1 if tune == "strict" else mean.relaxed.f1 for mean in means]
    best = means[int(np.argmax(values))]
    assert max(values) > 0
    assert found["threshold"] == decoding.thresholds[int(np.argmax(values))]
    assert (found["validation_f1"], found["validation_relaxed_f1"]) == (best.strict.f1, best.relaxed.f1)


def test_the_test_split_is_folded_with_the_validation_threshold() -> None:
    task, model = small_task(), small_model()
    made = answers(task, DecodingConfig(lowest=0.3, highest=0.6, step=0.05))
    measured = made.measure(model)
    assert measured.settings["threshold"] == made.validate(model)["threshold"]
    assert DecodingConfig.from_data(measured.settings["decoding"]) == made.decoding
    for row, example, f1 in zip(measured.rows, task.examples("test"), measured.scores["strict_f1"], strict=True):
        predicted = np.array(row["predicted"], dtype=np.int64).reshape(-1, 2)
        assert row["id"] == example.id
        assert row["truth"] == example.pairs.tolist()
        assert score_pairs(predicted, example.pairs, len(example.sequence)).strict.f1 == f1


def test_grids_of_thresholds() -> None:
    assert DecodingConfig().thresholds == [round(0.01 * number, 2) for number in range(1, 30)]
    assert DecodingConfig(lowest=0.5, highest=0.5).thresholds == [0.5]
    with pytest.raises(ValueError, match=r"lowest 0\.5 is above highest 0\.29"):
        DecodingConfig(lowest=0.5)


def test_pairs_need_a_token_a_nucleotide() -> None:
    codons = CodonConfig(frame=0, remainder="trim").build()
    readings = {"train": Reading.of([Example("ACGACGA", np.empty((0, 2), dtype=np.int32), "a")], codons, None)}
    with pytest.raises(InputError, match="'a' has 7 nucleotides but 2 tokens; base pairs need a tokenizer"):
        PairAnswers(small_task(), readings, DecodingConfig())


# ---- how the structure is chosen ----


def maps(count: int, length: int = 40) -> list[tuple[np.ndarray, str]]:
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGU"), length)) for _ in range(count)]
    return [(rng.beta(0.4, 1, (length, length)), sequence) for sequence in sequences]


@pytest.mark.parametrize("method", ["greedy", "mea", "matching"])
def test_structures_at_all_thresholds_are_those_at_each(method: str) -> None:
    decoding = DecodingConfig.from_data({"method": method, "highest": 0.9, "step": 0.2})
    alone = {"greedy": greedy_pairs, "mea": mea_pairs, "matching": matching_pairs}[method]
    for probability_LL, sequence in maps(3):
        found = decoding.pairs_at_all(probability_LL, sequence)
        assert len(found) == len(decoding.thresholds)
        for pairs, threshold in zip(found, decoding.thresholds, strict=True):
            assert np.array_equal(pairs, alone(probability_LL, sequence, threshold=threshold))
            assert np.array_equal(pairs, decoding.pairs(probability_LL, sequence, threshold))


def test_gamma_and_the_limits_reach_the_decoder() -> None:
    probability_LL, sequence = maps(1)[0]
    decoding = DecodingConfig(method="mea", gamma=0.5, min_loop=5, canonical=False)
    found = decoding.pairs(probability_LL, sequence, 0.1)
    expected = mea_pairs(probability_LL, sequence, threshold=0.1, gamma=0.5, min_loop=5, canonical=False)
    assert np.array_equal(found, expected)
    assert (found[:, 1] - found[:, 0] > 5).all()
    with pytest.raises(ValueError, match=r"gamma 2\.0: the greedy method has none"):
        DecodingConfig(gamma=2.0)


def test_what_an_old_bundle_stores_is_read_and_means_the_same() -> None:
    stored = {"lowest": 0.05, "highest": 0.2, "step": 0.05, "tune": "relaxed", "min_loop": 3, "canonical": True}
    assert DecodingConfig.from_data(stored).method == "greedy"
    for probability_LL, sequence in maps(2):
        found = DecodingConfig.from_data(stored).pairs(probability_LL, sequence, 0.1)
        assert np.array_equal(found, greedy_pairs(probability_LL, sequence, threshold=0.1))


def test_the_pairing_ratio_balances_the_pairs() -> None:
    task, model = small_task(), small_model()
    decoding = DecodingConfig(lowest=0.3, highest=0.6, step=0.01, tune="pairing-ratio")
    found = answers(task, decoding).validate(model)
    distances = []
    for threshold in decoding.thresholds:
        predicted = true = 0
        for example in task.examples("validation"):
            with torch.no_grad():
                logits_LL = model.pair_logits(torch.from_numpy(TOKENIZER.encode(example.sequence)))
            predicted += len(decoding.pairs(logits_LL.double().sigmoid().numpy(), example.sequence, threshold))
            true += len(example.pairs)
        distances.append(abs(predicted / true - 1))
    assert len(set(distances)) > 1
    assert found["threshold"] == decoding.thresholds[int(np.argmin(distances))]
    assert abs(found["pairing_ratio"] - 1) == pytest.approx(min(distances))
    assert found["score"] == pytest.approx(found["validation_f1"], abs=1e-5)


def test_pooled_numbers() -> None:
    knot, plain, nothing = [[0, 10], [1, 9], [5, 15]], [[0, 10]], np.empty((0, 2), dtype=np.int32)
    rows = [
        {"sequence": "A" * 20, "truth": knot, "predicted": knot[:2]},
        {"sequence": "A" * 20, "truth": knot, "predicted": knot},
        {"sequence": "A" * 60, "truth": plain, "predicted": knot},
        {"sequence": "A" * 60, "truth": plain, "predicted": nothing.tolist()},
    ]
    found = pseudoknot_summary(rows, np.arange(4))
    assert (found["n"], found["false_alarms"], found["truth"], found["predicted"]) == (2, 1, 6, 6)
    assert (found["strict_f1"]["value"], found["strict_f1"]["n"]) == (0.5, 2)
    assert pseudoknot_summary(rows[2:], np.arange(2)) == {"n": 0, "false_alarms": 1, "truth": 0, "predicted": 3}
    scores = {name: np.array([1.0, 1.0, 0.0, 0.0]) for name in ("strict_f1", "relaxed_f1", "mcc")}
    made = answers(small_task(), DecodingConfig())
    pooled = made.pooled(Measured(rows, scores, {}), np.array([0, 1, 2]), np.array([0, 1, 2]))
    assert pooled["pairs"] == {"truth": 7, "predicted": 8}
    assert pooled["length_weighted"]["mcc"]["value"] == pytest.approx(40 / 100)
    assert pooled["length_weighted"]["strict_f1"]["n"] == 3
    assert pooled["pseudoknots"]["n"] == 2
