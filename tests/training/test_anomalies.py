"""A batch that would break a run never reaches the weights; skipped or rolled back, the run stays the same run."""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from learners import Line
from nuclex.core.config import load_config
from nuclex.core.errors import InputError, NonFiniteError, StoppedError
from nuclex.training.anomalies import AnomalyConfig, History
from nuclex.training.duration import TrainingConfig
from nuclex.training.loop import Work, train
from nuclex.training.tracking import read_metrics

IDENTITY = {"seed": 5}
Micro = tuple[int, Tensor]


class Points(Work[Micro]):
    """Epochs of five batches of two parts; ``spoil`` may change the loss of the batch number that is drawn."""

    def __init__(self, spoil: Callable[[int, Tensor], Tensor] = lambda number, loss: loss) -> None:
        self.spoil, self.drawn = spoil, []  # type: ignore[var-annotated]
        self.on_draw: Callable[[int], None] = lambda number: None

    def batches(self, epoch: int) -> int:
        return 5

    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> list[Micro]:
        number = 5 * epoch + batch
        self.drawn.append(number)
        self.on_draw(number)
        chance = torch.Generator().manual_seed(number)
        return [(number, torch.randn(count, 3, generator=chance)) for count in (4, 2)]

    def targets(self, micro: Micro) -> int:
        return len(micro[1])

    def tokens(self, micro: Micro) -> int:
        return len(micro[1])

    def members(self, micro: Micro) -> list[str]:
        return [f"sequence {micro[0]}"]

    def loss(self, model: nn.Module, micro: Micro) -> Tensor:
        return self.spoil(micro[0], (model(micro[1]) - 1).square().sum())

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"score": -float(model(torch.ones(2, 3)).sub(1).square().sum())}


class NanGradient(torch.autograd.Function):
    """The identity, whose gradient is NaN."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * math.nan


SPOILS: dict[str, Callable[[Tensor], Tensor]] = {
    "NaN loss": lambda loss: loss * math.nan,
    "infinite loss": lambda loss: loss * math.inf,
    "NaN gradient": NanGradient.apply,
    "huge loss": lambda loss: loss * 1e4,
}


def spoiled(kind: str, *numbers: int) -> Points:
    return Points(lambda number, loss: SPOILS[kind](loss) if number in numbers else loss)


def interrupted(work: Points, moment: int, act: Callable[[int], None]) -> Points:
    """The same work, with ``act`` called at the draw of this number."""
    work.on_draw = lambda number: act(number) if len(work.drawn) == moment else None
    return work


def config(policy: str, steps: int = 24, **settings: Any) -> TrainingConfig:
    rules = {"policy": policy, "deviations": 200.0, "window": 8, **settings.pop("anomaly", {})}
    schedule = {"kind": "constant", "rate": 0.05}
    data = {"steps": steps, "log_every": 1, "evaluate_every": 4, "checkpoint_every": 5, "schedule": schedule}
    return TrainingConfig.from_data({**data, "anomaly": rules, **settings})


def weights(model: nn.Module) -> list[float]:
    return [value for parameter in model.parameters() for value in parameter.flatten().tolist()]


def timeless(run: Path) -> list[dict[str, Any]]:
    times = {"seconds", "tokens_per_s"}
    return [{name: value for name, value in record.items() if name not in times} for record in read_metrics(run)]


def refused(run: Path) -> list[dict[str, Any]]:
    return [record["anomaly"] for record in read_metrics(run) if "anomaly" in record]


def end(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and place of the last checkpoint."""
    last = max((run / "checkpoints").glob("step-*"))
    place = json.loads((last / "checkpoint.json").read_text())["place"]
    return load_file(last / "state.safetensors"), {name: value for name, value in place.items() if name != "seconds"}


def same(run: Path, other: Path) -> bool:
    (tensors, place), (others, other_place) = end(run), end(other)
    equal = tensors.keys() == others.keys() and all(torch.equal(tensors[name], others[name]) for name in tensors)
    return equal and place == other_place and timeless(run) == timeless(other)


# ---- stop ----


@pytest.mark.parametrize("kind", SPOILS)
def test_a_broken_batch_never_reaches_the_weights(kind: str, tmp_path: Path) -> None:
    train(sound := Line(), Points(), config("stop", 13), tmp_path / "sound", IDENTITY)
    with pytest.raises(NonFiniteError, match=r"^epoch 2, batch 3, step 14: the .*; the weights are those of step 13; "):
        train(model := Line(), spoiled(kind, 13), config("stop"), tmp_path / "run", IDENTITY)
    assert weights(model) == weights(sound)
    (found,) = refused(tmp_path / "run")
    assert (found["done"], found["epoch"], found["batch"], found["sequences"]) == ("stop", 2, 3, ["sequence 13"])
    assert torch.equal(
        end(tmp_path / "run")[0]["optimizer.layer.weight.exp_avg"],
        end(tmp_path / "sound")[0]["optimizer.layer.weight.exp_avg"],
    )
    assert end(tmp_path / "run")[1]["step"] == 13, "no finished step is lost"


def test_after_a_stop_the_batch_can_be_left_out(tmp_path: Path) -> None:
    train(skipping := Line(), spoiled("NaN loss", 13), config("skip"), tmp_path / "skip", IDENTITY)
    with pytest.raises(NonFiniteError, match=r"go on with --resume --training\.anomaly\.policy skip"):
        train(Line(), spoiled("NaN loss", 13), config("stop"), tmp_path / "run", IDENTITY)
    train(again := Line(), spoiled("NaN loss", 13), config("skip"), tmp_path / "run", IDENTITY)
    assert weights(again) == weights(skipping)


def test_spikes_are_looked_for_only_when_asked(tmp_path: Path) -> None:
    outcome = train(Line(), spoiled("huge loss", 13), config("stop", anomaly={"deviations": 0.0}), tmp_path, IDENTITY)
    assert outcome.place.step == 24
    assert (outcome.place.losses, outcome.place.norms) == ([], []), "and nothing is kept for it"


# ---- skip ----


@pytest.mark.parametrize("kind", SPOILS)
def test_a_skipped_batch_is_as_if_it_did_not_exist(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = train(Line(), work := spoiled(kind, 13), config("skip"), tmp_path / "run", IDENTITY)
    assert (outcome.place.step, outcome.place.skipped) == (24, 1)
    assert work.drawn == list(range(25)), "one batch more is drawn for as many updates"
    (found,) = refused(tmp_path / "run")
    assert (found["done"], found["at_step"], found["batch"], found["sequences"]) == ("skip", 14, 3, ["sequence 13"])
    json.loads(json.dumps(found), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch 2, batch 3, step 14: the ")]
    assert len(said) == 1
    assert said[0].endswith("it is left out (1 batches left out so far)")

    class Without(Points):
        """The same batches without number 13."""

        def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> list[Micro]:
            number = 5 * epoch + batch
            number += number >= 13
            return super().micro_batches(*divmod(number, 5), rank, world)

    train(Line(), Without(), config("skip"), tmp_path / "without", IDENTITY)
    assert all(
        torch.equal(a, b)
        for a, b in zip(end(tmp_path / "run")[0].values(), end(tmp_path / "without")[0].values(), strict=True)
    )


def test_patience_ends(tmp_path: Path) -> None:
    work = spoiled("NaN loss", *range(7, 99))
    with pytest.raises(
        NonFiniteError, match=r"batch 0, step 8: .* left out 3 times in a row; lower the learning rate$"
    ):
        train(model := Line(), work, config("skip", anomaly={"patience": 3}), tmp_path / "run", IDENTITY)
    train(sound := Line(), Points(), config("skip", 7), tmp_path / "sound", IDENTITY)
    assert weights(model) == weights(sound)
    assert [one["done"] for one in refused(tmp_path / "run")] == ["skip"] * 3 + ["stop"]
    apart = spoiled("NaN loss", *range(3, 99, 2))
    outcome = train(Line(), apart, config("skip", anomaly={"patience": 1}), tmp_path / "apart", IDENTITY)
    assert outcome.place.skipped == 21, "in a row means without an update between"


# ---- roll-back ----


def test_a_roll_back_goes_to_the_checkpoint_and_on_behind_the_batch(tmp_path: Path) -> None:
    work = spoiled("NaN loss", 13)
    outcome = train(Line(), work, config("roll-back"), tmp_path / "run", IDENTITY)
    assert work.drawn == list(range(28)), "10 updates, 3 that are lost, the bad one, 14 more"
    assert (outcome.place.step, outcome.place.skipped) == (24, 4)
    steps = [record["step"] for record in read_metrics(tmp_path / "run") if "loss" in record]
    assert steps == list(range(1, 25)), "what was rolled back is not told of as if it had counted"
    (found,) = refused(tmp_path / "run")
    assert (found["done"], found["at_step"]) == ("roll-back", 14)

    class Without(Points):
        def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> list[Micro]:
            number = 5 * epoch + batch
            number += 4 * (number >= 10)
            return super().micro_batches(*divmod(number, 5), rank, world)

    train(Line(), Without(), config("roll-back"), tmp_path / "without", IDENTITY)
    pairs = zip(end(tmp_path / "run")[0].values(), end(tmp_path / "without")[0].values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_roll_back_before_the_first_checkpoint(tmp_path: Path) -> None:
    outcome = train(Line(), work := spoiled("NaN gradient", 2), config("roll-back"), tmp_path, IDENTITY)
    assert (outcome.place.step, outcome.place.skipped) == (24, 3)
    assert work.drawn == list(range(27))


def test_roll_backs_end_too(tmp_path: Path) -> None:
    work = spoiled("NaN loss", *range(12, 99, 2))
    with pytest.raises(NonFiniteError, match="the run went back 4 times in a row"):
        train(Line(), work, config("roll-back", anomaly={"patience": 4}), tmp_path, IDENTITY)
    assert max((tmp_path / "checkpoints").glob("step-*")).name == "step-00000011", "the last finished step"


# ---- and interrupted ----


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["skip", "roll-back"])
@pytest.mark.parametrize("kind", ["NaN loss", "huge loss"])
def test_interrupted_at_every_batch_it_is_the_same_run(policy: str, kind: str, tmp_path: Path) -> None:
    """Stopped by SIGTERM, or killed as by a power failure, at every batch that it draws, before and after a refusal."""
    settings, bad = config(policy), (9, 13, 17)
    train(Line(), whole := spoiled(kind, *bad), settings, tmp_path / "whole", IDENTITY)
    assert len(refused(tmp_path / "whole")) == 3

    class PowerFailure(Exception):  # noqa: N818
        pass

    def fail(number: int) -> None:
        raise PowerFailure

    for moment in range(1, len(whole.drawn), 4):
        for act in (lambda number: os.kill(os.getpid(), signal.SIGTERM), fail):
            run = tmp_path / f"{moment} {act.__name__}"
            with pytest.raises((StoppedError, PowerFailure)):
                train(Line(), interrupted(spoiled(kind, *bad), moment, act), settings, run, IDENTITY)
            train(Line(), spoiled(kind, *bad), settings, run, IDENTITY)
            assert same(run, tmp_path / "whole"), f"interrupted at draw {moment}"


# ---- what a spike is ----


@given(st.lists(st.floats(0.1, 10), min_size=8, max_size=8), st.floats(0.1, 100))
def test_a_spike_is_what_statistics_says(past: list[float], value: float) -> None:
    rules = AnomalyConfig(deviations=3.0, window=8)
    spread = max(statistics.pstdev(past), 1e-3 * statistics.fmean(past))
    far = (value - statistics.fmean(past)) / spread
    if abs(far - 3.0) > 1e-6:
        assert (History(past, [1.0] * 8).oddity(value, 1.0, rules) is not None) == (far > 3.0)


def test_the_window_slides_and_begins_half_full() -> None:
    rules, history = AnomalyConfig(deviations=3.0, window=8), History([], [])
    for number in range(12):
        assert (history.oddity(1e9, 1.0, rules) is None) == (number < 4)
        assert (history.oddity(1.0, 1e9, rules) is None) == (number < 4)
        history.add(float(number), 1.0, rules)
    assert history.losses == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    assert "gradient norm is 1e+09" in str(history.oddity(7.0, 1e9, rules))


def test_the_policy_is_a_key_of_the_recipe() -> None:
    given_rules = load_config(TrainingConfig, None, {"anomaly.policy": "skip", "anomaly.deviations": 6})
    assert given_rules.anomaly == AnomalyConfig(policy="skip", deviations=6.0)
    with pytest.raises(InputError, match=r"anomaly\.policy: Input should be 'stop', 'skip' or 'roll-back'"):
        load_config(TrainingConfig, None, {"anomaly.policy": "ignore"})
