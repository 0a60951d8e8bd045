"""What a search is about: the recipes of its trials and of the full model, by hand, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nuclex.core.errors import InputError
from nuclex.tuning.asked import Asked, Goal
from nuclex.tuning.question import RATE, WARMUP, read_search


def asked(recipe: str = "search/rnaberta", **settings: Any) -> Asked:
    return Asked.of(read_search(recipe, settings))


def test_a_share_is_of_the_trial_and_its_steps_stay() -> None:
    """0.1 of 5 000 steps are 500, of 2 000 they are 200; the full run of 38 114 keeps as many."""
    for steps, warmup in ((5000, 500), (2000, 200)):
        question = asked(**{"proxy.training.steps": steps})
        settings = question.settings({RATE: 1e-3, WARMUP: 0.1})
        assert settings == {RATE: 1e-3, WARMUP: warmup}
        trial = question.trial(settings)
        assert (trial.model.width, trial.training.steps, trial.training.schedule.warmup) == (128, steps, warmup)
        for name, factor, full in question.finals(settings):
            assert (full.model.width, full.training.steps) == (512, 38114)
            assert (full.training.schedule.warmup, full.training.schedule.rate) == (warmup, 1e-3 * factor), name


def test_a_share_of_a_searched_key_is_of_the_value_drawn() -> None:
    question = asked(
        "pretrain/rnaberta", **{
            "space": {
                "training.steps": {"choices": [1000, 4000]},
                WARMUP: {"low": 0.1, "high": 0.2, "of": "training.steps"},
            },
            "proxy": {},
        },
    )  # fmt: skip
    assert question.settings({"training.steps": 4000, WARMUP: 0.2})[WARMUP] == 800


def test_a_key_may_choose_between_kinds_of_a_table() -> None:
    key, kinds = "objective.criterion.kind", ["cross-entropy", "hierarchical", "soft-labels"]
    question = asked("pretrain/helm-gpt2-laptop", **{f"space.{key}.choices": kinds})
    found = {kind: question.trial({key: kind}).objective.criterion for kind in kinds}
    assert {kind: one.kind for kind, one in found.items()} == dict(zip(kinds, kinds, strict=True))
    assert found["soft-labels"] == type(found["soft-labels"])()
    own = question.full.objective.criterion
    assert found[own.kind] == own, "the recipe's own kind keeps the recipe's keys"


def test_the_goal_is_the_number_that_says_which_weights_are_best() -> None:
    assert asked().goal == Goal("validation_loss", "min")
    by = {"base.training.best_metric": "validation_accuracy", "base.training.best_mode": "max"}
    assert asked(**by).goal == Goal("validation_accuracy", "max")
    assert Goal("x", "min").best({"a": 2.0, "b": 1.0, "c": 1.0}) == "b"
    assert Goal("x", "max").best({"a": 1.0, "b": 2.0, "c": 2.0}) == "b"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"space.training.schedule.rat.low": 1, "space.training.schedule.rat.high": 2}, "unknown key"),
        ({"space.seed.low": 1, "space.seed.high": 2}, "space: 'seed' is not to be tried"),
        ({"space.tokenizer.vocab_size.choices": [512]}, "since losses would not compare"),
        ({"space.sampling.max_tokens.choices": [128]}, "since losses would not compare"),
        ({"space.model.heads.choices": [4, 7]}, "width 128 is not a multiple of heads 7"),
        ({"space.training.schedule.warmup.of": "training.epochs"}, "no number above 0"),
        ({"proxy.training.schedule.rate": 1e-3}, "'training.schedule.rate' is searched; it cannot be set as well"),
        ({"proxy.model.base_width": 256, "proxy.model.base_inner": 1536}, r"give model.base_width = 512 in it"),
        ({"base.training.steps": 600}, "1000 steps of warm-up do not fit the 600 of the full run"),
        ({"trials": 0}, "trials: .* found 0"),
        ({"sampler": "grid"}, "sampler"),
        ({"factors": [1.0, -1.0]}, "factors: found -1"),
        ({"factors": [0.5, 0.5]}, "twice"),
        ({"full": "pretrain/nothing"}, "no such recipe file"),
        ({"space": {}}, "space: has no keys"),
    ],
)
def test_what_does_not_fit_is_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as found:
        asked(**settings)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "space: missing; of fine-tuning, say which keys are searched"),
        ({"space.task.kind.choices": ["x"]}, "space: 'task.kind' is not to be tried"),
        ({"corpus": "c"}, "corpus: is for pre-training"),
        ({"space.training.schedule.rate.choices": [1e-3], "factors": [0.5, 1.0]}, "whose test split is asked once"),
        ({"space.training.schedule.rate.choices": [1e-3], "base.seeds": 3}, "a recipe that is searched has none"),
    ],
)
def test_of_finetuning_too(settings: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        f'bundle = "{tmp_path}"\n[task]\nkind = "table-scalar"\ntrain = "own.csv"\n[training]\nsteps = 4\n'
    )
    with pytest.raises(InputError, match=sentence):
        asked(str(tmp_path / "own.toml"), **settings)
