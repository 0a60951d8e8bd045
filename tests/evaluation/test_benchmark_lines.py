"""Metrics of all test sequences together, against the runs' own summaries and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from nuclex.evaluation.benchmark import ZERO_SHOT, Line, Question, System
from nuclex.evaluation.benchmark_comparisons import comparisons
from nuclex.evaluation.benchmark_lines import TOGETHER, lines
from nuclex.evaluation.tables import markdown, metrics_tables
from nuclex.metrics import rmse, spearman
from nuclex.metrics.statistics import bootstrap
from nuclex.tasks import Example
from nuclex.training.pairs import measured_pairs, pooled_pairs
from nuclex.training.results import scored

UNITS = np.arange(40) // 2


def by_metric(question: Question) -> dict[str, Line]:
    return {line.metric: line for line in lines(question)}


def question(
    *seeds: list[dict[str, Any]], arm: str = "pretrained", reported: tuple[str, ...] = (), **task: Any
) -> Question:
    for rows in seeds:
        for number, row in enumerate(rows):
            row.setdefault("id", f"e{number}")
            row.setdefault("scores", {})
    system = System("a", arm, tuple(seeds), ({name: {} for name in reported},) * len(seeds))
    return Question("q", "", task, ("m",), UNITS[: len(seeds[0])], (system,))


def structures(seed: int) -> list[np.ndarray]:
    """Twelve hairpins of different lengths, half of them with a second helix that crosses the first."""
    rng, found = np.random.default_rng(seed), []
    for number in range(12):
        pairs = [(place, 14 - place) for place in range(int(rng.integers(2, 6)))]
        crossing = [(7 + place, 24 - place) for place in range(2)] if number % 2 else []
        found.append(np.array(pairs + crossing))
    return found


def test_structures_weigh_as_their_length_and_pseudoknots_are_counted_apart() -> None:
    examples = [Example("A" * (25 + 7 * n), pairs, f"e{n}") for n, pairs in enumerate(structures(0))]
    answers = structures(1)
    answers[0], answers[3] = answers[1], answers[2][:1]  # a pseudoknot that is none, one that is missed
    measured = measured_pairs(examples, answers)
    asked = question(scored(measured))
    found, expected = by_metric(asked), pooled_pairs(measured, np.arange(12), asked.units_N)
    for score in ("strict_f1", "relaxed_f1", "mcc"):
        got, wanted = found[f"length_weighted_{score}"].interval, expected["length_weighted"][score]
        assert (got.value, got.low, got.high) == pytest.approx((wanted["value"], wanted["low"], wanted["high"]))
    knots = expected["pseudoknots"]
    got, wanted = found["pseudoknot_f1"].interval, knots["strict_f1"]
    assert (got.n, got.value, got.low) == (knots["n"], pytest.approx(wanted["value"]), pytest.approx(wanted["low"]))
    assert found["pseudoknot_f1"].units == 6
    assert got.n == 6
    assert found["pseudoknot_false_alarms"].interval.value * 6 == knots["false_alarms"] == 1
    plain = question(scored(measured_pairs(examples[::2], answers[::2])))
    assert "pseudoknot_f1" not in by_metric(plain), "no structure of these has one"


def test_seeds_of_structures_are_averaged() -> None:
    examples = [Example("A" * 30, pairs, f"e{n}") for n, pairs in enumerate(structures(0))]
    seeds = [measured_pairs(examples, structures(seed)) for seed in (1, 2)]
    line = by_metric(question(*map(scored, seeds)))["length_weighted_mcc"]
    each = [one.scores["mcc"].mean() for one in seeds]
    assert line.interval.value == pytest.approx(np.mean(each))
    assert (line.seeds, line.seed_spread) == (2, pytest.approx(np.std(each, ddof=1)))


def called(seed: int, names: str) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    truth = np.array(list(names))[np.arange(40) % len(names)]
    guess = np.where(rng.random(40) < 0.6, truth, rng.permutation(truth))
    return [{"truth": t, "predicted": g} for t, g in zip(truth.tolist(), guess.tolist(), strict=True)]


def test_two_classes_have_a_positive_one() -> None:
    seeds = [called(1, "nnp"), called(2, "nnp")]
    found = by_metric(question(*seeds, classes=("n", "p")))
    for name, of in (
        ("precision", lambda t, g: sklearn.precision_score(t, g, pos_label="p")),
        ("recall", lambda t, g: sklearn.recall_score(t, g, pos_label="p")),
        ("specificity", lambda t, g: sklearn.recall_score(t, g, pos_label="n")),
        ("f1", lambda t, g: sklearn.f1_score(t, g, pos_label="p")),
        ("weighted_f1", lambda t, g: sklearn.f1_score(t, g, average="weighted")),
        ("macro_f1", lambda t, g: sklearn.f1_score(t, g, average="macro")),
        ("matthews", sklearn.matthews_corrcoef),
        ("balanced_accuracy", sklearn.balanced_accuracy_score),
    ):
        each = [of(*([row[part] for row in rows] for part in ("truth", "predicted"))) for rows in seeds]
        line = found[name]
        assert line.interval.value == pytest.approx(np.mean(each)), name
        assert line.interval.low < line.interval.value < line.interval.high, name
        assert (line.units, line.seed_spread) == (20, pytest.approx(np.std(each, ddof=1)))
    three = by_metric(question(called(1, "abc")))
    assert {"weighted_f1", "macro_f1"} <= three.keys()
    assert "specificity" not in three


def test_classes_of_positions_are_counted_position_by_position() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, size=(20, 3, 3))
    rows = [{"truth": ["x"], "predicted": ["x"], "counts": one.tolist()} for one in counts]
    total = counts.sum(axis=0)
    truth, guess = (np.repeat(np.indices((3, 3))[axis].ravel(), total.ravel()) for axis in (0, 1))
    line = by_metric(question(rows))["weighted_f1"]
    assert line.interval.value == pytest.approx(sklearn.f1_score(truth, guess, average="weighted"))
    assert line.interval.low < line.interval.value < line.interval.high


def test_numbers_of_positions_have_a_correlation_and_an_error_with_intervals() -> None:
    rng = np.random.default_rng(0)
    tracks = [(x, x + rng.normal(size=len(x))) for x in (rng.normal(size=n) for n in rng.integers(5, 30, size=40))]
    rows = [
        {
            **{"truth": x.tolist(), "predicted": y.tolist()},
            "moments": [len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y],
        }
        for x, y in tracks
    ]
    found = by_metric(question(rows))
    x, y = (np.concatenate(part) for part in zip(*tracks, strict=True))
    assert found["pearson"].interval.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found["rmse"].interval.value == pytest.approx(rmse(x, y))
    for name in ("pearson", "rmse"):
        assert found[name].interval.low < found[name].interval.value < found[name].interval.high
        assert (found[name].units, found[name].interval.n) == (20, 40)


def test_several_numbers_of_positions_have_the_mean_error_of_their_columns() -> None:
    rng = np.random.default_rng(0)
    tracks = [(x, x + [1, 9] * rng.normal(size=x.shape)) for x in (rng.normal(size=(n, 2)) for n in range(5, 45))]
    rows = [
        {
            **{"truth": {}, "predicted": {}},
            "moments": [[len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b] for a, b in zip(x.T, y.T, strict=True)],
        }
        for x, y in tracks
    ]
    found = by_metric(question(rows))
    x, y = (np.concatenate(part) for part in zip(*tracks, strict=True))
    assert found["mcrmse"].interval.value == pytest.approx(np.mean([rmse(x[:, k], y[:, k]) for k in (0, 1)]))
    wanted = np.mean([np.corrcoef(x[:, k], y[:, k])[0, 1] for k in (0, 1)])
    assert found["mean_pearson"].interval.value == pytest.approx(wanted)
    for line in found.values():
        assert line.interval.low < line.interval.value < line.interval.high
    assert not question(rows).systems[0].binary


def test_the_mean_of_train_has_an_error_and_no_correlation() -> None:
    rows = [{"truth": [float(n)], "predicted": [2.0], "moments": [1, n, 2, n * n, 4, 2 * n]} for n in range(40)]
    asked = question(rows, arm="train-mean")
    found = by_metric(asked)
    assert found["rmse"].interval.low < found["rmse"].interval.value == pytest.approx(rmse(np.arange(40), [2] * 40))
    assert np.isnan(found["pearson"].interval.value)
    assert found["pearson"].interval.method.startswith("none: pearson is not defined")
    (shown,) = metrics_tables(asked, list(found.values()))
    assert "the mean of the train split" in markdown(shown)


def effects(seed: int, sign: float = 1.0) -> list[dict[str, Any]]:
    """Labels of 0 and 1, and numbers that are higher (or lower) for 1."""
    rng = np.random.default_rng(seed)
    return [{"truth": float(n % 3 == 0), "predicted": float(sign * (n % 3 == 0) + rng.normal())} for n in range(40)]


def test_learned_numbers_are_higher_for_harm_and_likelihoods_lower() -> None:
    for sign, arm, reported in ((1.0, "pretrained", ("r_squared", "pearson", "spearman")), (-1.0, ZERO_SHOT, ())):
        rows = effects(0, sign)
        found = by_metric(question(rows, arm=arm, reported=reported))
        truth, guess = ([row[part] for row in rows] for part in ("truth", "predicted"))
        assert found["auroc"].interval.value == pytest.approx(sklearn.roc_auc_score(truth, sign * np.array(guess)))
        assert found["auprc"].interval.value == pytest.approx(
            sklearn.average_precision_score(truth, sign * np.array(guess))
        )
        assert found["auroc"].interval.value > 0.5
        assert {*reported} <= found.keys()
    other = [{**row, "truth": row["truth"] + 1} for row in effects(0)]
    assert "auroc" not in by_metric(question(other, reported=("spearman",))), "labels of 1 and 2 are numbers"


def test_of_harm_the_area_is_quoted_learned_or_not() -> None:
    reported = ("r_squared", "pearson", "spearman")
    learned = replace(question(effects(0), reported=reported), compared=("negative_squared_error",))
    assert learned.headline == "auroc"
    numbers = [{**row, "truth": 2 * row["truth"]} for row in effects(0)]
    learned = replace(question(numbers, reported=reported), compared=("negative_squared_error",))
    assert learned.headline == "r_squared"


def test_every_name_is_known_to_the_tables() -> None:
    for rows, task in ((called(1, "np"), {"classes": ("n", "p")}), (effects(0), {})):
        assert by_metric(question(rows, **task)).keys() <= TOGETHER


def zero_shot(*guesses: np.ndarray, truth: np.ndarray, chief: str) -> Question:
    systems = tuple(
        System(
            f"model{place}",
            ZERO_SHOT,
            (
                [
                    {"id": f"e{n}", "truth": t, "predicted": g, "scores": {}}
                    for n, (t, g) in enumerate(zip(truth, guess, strict=True))
                ],
            ),
            ({chief: {}},),
        )
        for place, guess in enumerate(guesses)
    )
    return Question("q", "", {}, (chief,), UNITS, systems)


def test_models_without_learning_are_held_against_each_other() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=40)
    good, bad = truth + 0.1 * rng.normal(size=40), 1000 * rng.normal(size=40)  # on other scales
    (one,) = comparisons([zero_shot(good, bad, truth=truth, chief="spearman_of_sizes")])
    assert (one.model, one.against, one.metric, one.seeds) == ("model0", "model1", "spearman_of_sizes", 1)
    gain = spearman(np.abs(truth), np.abs(good)) - spearman(np.abs(truth), np.abs(bad))
    assert one.found.difference.value == pytest.approx(gain)
    assert (one.verdict(), one.found.units) == ("better", 20)
    (same,) = comparisons([zero_shot(good, 7 * good, truth=truth, chief="spearman_of_sizes")])
    assert (same.found.difference.value, same.found.p_value, same.verdict()) == (0, 1, "not significant")
    harm = (np.arange(40) % 3 == 0).astype(float)
    (area,) = comparisons([zero_shot(-harm, harm, truth=harm, chief="auroc")])
    assert (area.found.difference.value, area.verdict()) == (1, "better"), "less likely where it harms"
    assert comparisons([zero_shot(good, np.ones(40), truth=truth, chief="spearman_of_sizes")]) == []


def test_a_mean_is_still_a_mean() -> None:
    rows = [{"truth": "x", "predicted": "x", "scores": {"m": float(n % 3)}} for n in range(40)]
    assert by_metric(question(rows))["m"].interval == bootstrap(np.arange(40) % 3, clusters=UNITS)
