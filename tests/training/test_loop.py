from __future__ import annotations

import json
import math
import os
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from learners import Line
from nuclex.core.artifact import sha256_file, verify_folder
from nuclex.core.errors import NonFiniteError, StoppedError
from nuclex.training.checkpoint import latest_checkpoint
from nuclex.training.duration import TrainingConfig
from nuclex.training.loop import Work, best_weights, train
from nuclex.training.tracking import read_metrics

IDENTITY = {"seed": 5}


class Points(Work[tuple[Tensor, Tensor]]):
    """Epochs of three batches of two parts of unequal size; notes what it is asked."""

    def __init__(self, scores: Sequence[float] = ()) -> None:
        self.asked: list[tuple[int, int, int, int]] = []
        self.prepared: list[int] = []
        self.scores = iter(scores)
        self.on_loss: Callable[[int], None] = lambda call: None
        self.calls = 0

    def batches(self, epoch: int) -> int:
        return 3

    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> list[tuple[Tensor, Tensor]]:
        self.asked.append((epoch, batch, rank, world))
        random = np.random.default_rng((epoch, batch))
        return [
            (torch.tensor(random.normal(size=(count, 3)), dtype=torch.float32), torch.ones(count)) for count in (5, 2)
        ]

    def targets(self, micro: tuple[Tensor, Tensor]) -> int:
        return len(micro[0])

    def tokens(self, micro: tuple[Tensor, Tensor]) -> int:
        return 10 * len(micro[0])

    def loss(self, model: nn.Module, micro: tuple[Tensor, Tensor]) -> Tensor:
        self.calls += 1
        self.on_loss(self.calls)
        return (model(micro[0]) - micro[1]).square().sum()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training
        score = next(self.scores, None)
        return {} if score is None else {"score": score, "number": 1.5}

    def prepare(self, model: nn.Module, step: int) -> None:
        self.prepared.append(step)


def config(**settings: Any) -> TrainingConfig:
    schedule = {"kind": "constant", "rate": 0.05}
    return TrainingConfig.from_data({"steps": 8, "log_every": 1, "schedule": schedule, **settings})


def weights(model: nn.Module) -> list[float]:
    return [value for parameter in model.parameters() for value in parameter.flatten().tolist()]


def losses(run: Path) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in read_metrics(run) if "loss" in record]


def timeless(run: Path) -> list[dict[str, Any]]:
    """All of metrics.jsonl but the times."""
    times = {"seconds", "tokens_per_s"}
    return [{name: value for name, value in record.items() if name not in times} for record in read_metrics(run)]


def steps_kept(run: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-*"))


# ---- the order of things ----


def test_batches_come_in_order_epoch_after_epoch(tmp_path: Path) -> None:
    work = Points()
    outcome = train(Line(), work, config(), tmp_path, IDENTITY)
    assert work.asked == [(epoch, batch, 0, 1) for epoch in range(3) for batch in range(3)][:8]
    assert work.prepared == [0, *range(8), 7]  # at the start, before each update, before the look at the end
    assert (outcome.place.step, outcome.place.epoch, outcome.place.batch) == (8, 2, 2)
    assert outcome.place.tokens == 8 * 70


def test_what_is_written_down(tmp_path: Path) -> None:
    settings = config(log_every=3, evaluate_every=4, schedule={"kind": "linear", "rate": 0.8})
    train(Line(), Points([-1.0, -2.0]), settings, tmp_path, IDENTITY)
    records = read_metrics(tmp_path)
    assert [(record["step"], "loss" in record) for record in records] == [
        (3, True),
        (4, False),
        (6, True),
        (8, True),
        (8, False),
    ]
    first = records[0]
    assert (first["epoch"], first["tokens"]) == (0, 210)
    assert first["rate"] == pytest.approx(0.8 * (1 - 2 / 8)), "the third update has number 2"
    assert first["tokens_per_s"] > 0
    assert records[1] == {"step": 4, "score": -1.0, "number": 1.5}


def test_the_loss_is_the_mean_over_the_whole_batch(tmp_path: Path) -> None:
    model, work = Line(), Points()
    model.dropout.p = 0.0
    micros = work.micro_batches(0, 0, 0, 1)
    expected = sum(float((model(points) - ones).square().sum().detach()) for points, ones in micros) / 7
    everything = torch.cat([points for points, _ in micros])
    (gradient,) = torch.autograd.grad((model(everything) - 1).square().mean(), [model.layer.weight])
    train(model, work, config(steps=1), tmp_path, IDENTITY)
    (record,) = [record for record in read_metrics(tmp_path) if "loss" in record]
    assert record["loss"] == pytest.approx(expected, rel=1e-6)
    assert record["gradient_norm"] == pytest.approx(float(gradient.norm()), rel=1e-6)


@pytest.mark.parametrize("clip", [0.01, 1e6, None, 0.0])
def test_gradients_are_clipped_by_the_norm_of_all(clip: float | None, tmp_path: Path) -> None:
    seen = {}

    model, work = Line(), Points()
    step = torch.optim.AdamW.step

    def spying(optimizer: torch.optim.Optimizer, *given: Any) -> Any:
        seen["norm"] = float(model.layer.weight.grad.norm())  # type: ignore[union-attr]
        return step(optimizer, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spying)
        train(model, work, config(steps=1, optimizer={"clip": clip}), tmp_path, IDENTITY)
    recorded = read_metrics(tmp_path)[0]["gradient_norm"]
    assert recorded > 0.01
    assert seen["norm"] == pytest.approx(0.01 if clip == 0.01 else recorded, rel=1e-4)


def test_training_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    model = Line()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(model, Points(), config(), tmp_path, IDENTITY)
    assert torch.equal(torch.rand(3), expected)


def test_the_callers_random_numbers_leave_training_alone(tmp_path: Path) -> None:
    first, second, other = Line(), Line(), Line()
    torch.manual_seed(1)
    train(first, Points(), config(), tmp_path / "a", IDENTITY)
    torch.manual_seed(2)
    train(second, Points(), config(), tmp_path / "b", IDENTITY)
    train(other, Points(), config(), tmp_path / "c", {"seed": 6})
    assert weights(first) == weights(second)
    assert weights(first) != weights(other), "the seed decides what dropout drops"


# ---- validation and the best weights ----


def test_the_best_weights_are_those_of_the_highest_score(tmp_path: Path) -> None:
    scores = [-3.0, -1.0, -2.0, -1.0]
    model, at_best = Line(), []
    work = Points(scores)
    work.on_loss = lambda call: (
        at_best.append(weights(model)) if call == 9 else None
    )  # the first call of the fifth step
    outcome = train(model, work, config(evaluate_every=2), tmp_path, IDENTITY)
    assert (outcome.place.best_step, outcome.place.best_score) == (4, -1.0), "the first of equals"
    assert outcome.last == {"score": -1.0, "number": 1.5}
    verify_folder(best_weights(tmp_path))
    assert load_file(best_weights(tmp_path) / "model.safetensors")["layer.weight"].flatten().tolist() == at_best[0]
    numbers = json.loads((best_weights(tmp_path) / "numbers.json").read_text())
    assert numbers == {"step": 4, "score": -1.0, "number": 1.5}


def test_a_score_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    outcome = train(Line(), Points([math.nan, -2.0, math.nan, -3.0]), config(evaluate_every=2), tmp_path, IDENTITY)
    assert (outcome.place.best_step, outcome.place.best_score) == (4, -2.0)


def test_without_validation_there_is_no_best(tmp_path: Path) -> None:
    outcome = train(Line(), Points(), config(), tmp_path, IDENTITY)
    assert outcome.place.best_step is None
    assert not best_weights(tmp_path).exists()


# ---- stop and go ----


def test_checkpoints_come_as_often_as_asked_and_old_ones_go(tmp_path: Path) -> None:
    train(Line(), Points(), config(steps=7, checkpoint_every=2, keep_checkpoints=2), tmp_path, IDENTITY)
    assert steps_kept(tmp_path) == [6, 7]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_writes_a_checkpoint_and_stops(number: signal.Signals, tmp_path: Path) -> None:
    def stop(call: int) -> None:
        if call == 6:  # the second part of the third update
            os.kill(os.getpid(), number)

    whole, model, work = Line(), Line(), Points([-1.0, -2.0])
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    train(whole, Points([-1.0, -2.0]), config(evaluate_every=4), tmp_path / "whole", IDENTITY)
    work.on_loss = stop
    with pytest.raises(StoppedError, match=f"{number.name}: stopped after step 3; continue with --resume") as error:
        train(model, work, config(evaluate_every=4), tmp_path / "cut", IDENTITY)
    assert error.value.exit_code == 128 + number
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert steps_kept(tmp_path / "cut") == [3]
    again = Line()
    work = Points([-1.0, -2.0])
    outcome = train(again, work, config(evaluate_every=4), tmp_path / "cut", IDENTITY)
    assert work.asked[0] == (1, 0, 0, 1), "it goes on with the batch that comes next"
    assert weights(again) == weights(whole)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert outcome.place.tokens == 8 * 70


def test_a_signal_in_the_last_step_is_not_swallowed(tmp_path: Path) -> None:
    """Another run may come behind this one, such as the control of a fine-tuning."""
    train(whole := Line(), Points([-1.0]), config(), tmp_path / "whole", IDENTITY)
    work = Points([-1.0])
    work.on_loss = lambda call: os.kill(os.getpid(), signal.SIGTERM) if call == 16 else None
    with pytest.raises(StoppedError, match="SIGTERM: stopped after step 8; continue with --resume"):
        train(Line(), work, config(), tmp_path / "cut", IDENTITY)
    outcome = train(again := Line(), Points([-1.0]), config(), tmp_path / "cut", IDENTITY)
    assert (outcome.place.step, outcome.place.best_step) == (8, 8), "only the last look was left to do"
    assert weights(again) == weights(whole)
    assert timeless(tmp_path / "cut") == timeless(tmp_path / "whole")


def test_a_finished_run_taken_up_again_still_knows_its_numbers(tmp_path: Path) -> None:
    first = train(model := Line(), Points([-1.0, -2.0]), config(evaluate_every=4), tmp_path, IDENTITY)
    again = train(other := Line(), work := Points(), config(evaluate_every=4), tmp_path, IDENTITY)
    assert work.calls == 0
    assert again.last == first.last == {"score": -2.0, "number": 1.5}
    assert again.place == first.place
    assert weights(other) == weights(model)


def test_the_damaged_newest_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(steps=6, checkpoint_every=2, keep_checkpoints=1)
    train(whole := Line(), Points(), settings, tmp_path / "whole", IDENTITY)

    def stop(call: int) -> None:
        if call == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    work = Points()
    work.on_loss = stop
    keeping = config(steps=6, checkpoint_every=2, keep_checkpoints=5)
    with pytest.raises(StoppedError):
        train(Line(), work, keeping, tmp_path / "cut", IDENTITY)
    assert steps_kept(tmp_path / "cut") == [2, 4, 5]
    for step in (4, 5):
        path = tmp_path / "cut" / "checkpoints" / f"step-{step:08d}" / "state.safetensors"
        path.write_bytes(path.read_bytes()[:-3])
    capsys.readouterr()
    train(again := Line(), Points(), settings, tmp_path / "cut", IDENTITY)
    assert capsys.readouterr().err.count("refused a damaged checkpoint") == 2
    assert weights(again) == weights(whole)
    assert steps_kept(tmp_path / "cut") == [6]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_second_ctrl_c_writes_no_checkpoint(tmp_path: Path) -> None:
    def twice(call: int) -> None:
        if call == 11:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    work = Points()
    work.on_loss = twice
    with pytest.raises(KeyboardInterrupt):
        train(Line(), work, config(checkpoint_every=2), tmp_path, IDENTITY)
    assert steps_kept(tmp_path) == [2, 4]


def test_an_evaluation_is_cut_short_and_done_again(tmp_path: Path) -> None:
    class Cutting(Points):
        def evaluate(self, model: nn.Module) -> dict[str, float]:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the evaluation went on")

    settings = config(evaluate_every=3, checkpoint_every=100)
    train(whole := Line(), Points([-3.0, -2.0, -1.0]), settings, tmp_path / "whole", IDENTITY)
    for _ in range(2):
        with pytest.raises(StoppedError, match="SIGTERM: stopped after step 3; continue with --resume"):
            train(Line(), Cutting(), settings, tmp_path / "run", IDENTITY)
        assert steps_kept(tmp_path / "run") == [3]
    outcome = train(again := Line(), Points([-3.0, -2.0, -1.0]), settings, tmp_path / "run", IDENTITY)
    assert weights(again) == weights(whole)
    assert timeless(tmp_path / "run") == timeless(tmp_path / "whole")
    assert outcome.place.best_step == 8


@pytest.mark.parametrize("damage", ["lost file", "lost folder", "flipped"])
@pytest.mark.parametrize("keep", [1, 9])
def test_damaged_best_weights_are_made_again_or_given_up_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, keep: int
) -> None:
    settings = config(evaluate_every=3, checkpoint_every=2, keep_checkpoints=keep)
    scores = [-2.0, -3.0, -4.0]
    train(whole := Line(), Points(scores), settings, tmp_path / "whole", IDENTITY)
    work = Points(scores)
    work.on_loss = lambda call: os.kill(os.getpid(), signal.SIGTERM) if call == 9 else None
    with pytest.raises(StoppedError):
        train(Line(), work, settings, tmp_path / "cut", IDENTITY)
    best = best_weights(tmp_path / "cut")
    if damage == "lost file":
        (best / "numbers.json").unlink()
    elif damage == "lost folder":
        shutil.rmtree(best)
    else:
        content = bytearray((best / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (best / "model.safetensors").write_bytes(content)
    capsys.readouterr()
    outcome = train(again := Line(), Points(scores if keep == 9 else scores[1:]), settings, tmp_path / "cut", IDENTITY)
    said = [line for line in capsys.readouterr().err.splitlines() if "damaged best weights" in line]
    assert len(said) == 1
    assert weights(again) == weights(whole)
    if keep == 9:  # step 2 is still there, and the best came at step 3
        assert "step-00000002" in said[0]
        assert outcome.place.best_step == 3
        assert timeless(tmp_path / "cut") == timeless(tmp_path / "whole")
        assert sha256_file(best / "model.safetensors") == sha256_file(
            best_weights(tmp_path / "whole") / "model.safetensors"
        )
    else:
        assert "lost" in said[0]
        assert outcome.place.best_step == 6
    verify_folder(best)


def test_in_a_thread_the_caller_keeps_its_signals(tmp_path: Path) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(train(Line(), Points(), config(), tmp_path, IDENTITY)))
    thread.start()
    thread.join()
    assert results[0].place.step == 8


# ---- numbers that are none ----


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run(bad: float, tmp_path: Path) -> None:
    class Broken(Points):
        def loss(self, model: nn.Module, micro: tuple[Tensor, Tensor]) -> Tensor:
            return super().loss(model, micro) * (bad if self.calls > 7 else 1.0)

    train(before := Line(), Points(), config(steps=3), tmp_path / "three", IDENTITY)
    with pytest.raises(
        NonFiniteError, match=r"epoch 1, batch 0, step 4: the loss is (nan|inf), .*lower the learning"
    ) as error:
        train(model := Line(), Broken(), config(checkpoint_every=2), tmp_path / "broken", IDENTITY)
    assert error.value.exit_code == 6
    assert weights(model) == weights(before), "the weights are those of the step before"
    assert [step for step, _ in losses(tmp_path / "broken")] == [1, 2, 3]
    found = latest_checkpoint(tmp_path / "broken" / "checkpoints")
    assert found is not None
    assert found.name == "step-00000003", "no finished step is lost"


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Steep(Points):
        def loss(self, model: nn.Module, micro: tuple[Tensor, Tensor]) -> Tensor:
            return torch.sqrt(0 * model(micro[0]).square().sum())  # 0, with a slope of 0 / 0

    with pytest.raises(NonFiniteError, match=r"step 1: the loss is 0\.0, the gradient norm nan"):
        train(Line(), Steep(), config(), tmp_path, IDENTITY)


def test_a_batch_that_asks_nothing_moves_nothing(tmp_path: Path) -> None:
    class Empty(Points):
        def targets(self, micro: tuple[Tensor, Tensor]) -> int:
            return 0

        def loss(self, model: nn.Module, micro: tuple[Tensor, Tensor]) -> Tensor:
            return torch.zeros(())

    model = Line()
    train(model, Empty(), config(steps=2, optimizer={"weight_decay": 0.0}), tmp_path, IDENTITY)
    assert weights(model) == [0.5, 0.5, 0.5]


# ---- what validation decides: a lower rate, an early end ----


def test_a_plateau_lowers_the_rate_when_looks_bring_nothing(tmp_path: Path) -> None:
    """A look a step; 0.4 is not better than 0.5, so after two looks without a better score the rate is halved."""
    schedule = {"kind": "plateau", "rate": 0.05, "factor": 0.5, "patience": 2}
    work = Points(scores=[0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.9, 0.1])
    train(Line(), work, config(schedule=schedule, evaluate_every=1), tmp_path, IDENTITY)
    rates = [record["rate"] for record in read_metrics(tmp_path) if "rate" in record]
    assert rates == pytest.approx([0.05] * 4 + [0.025] * 2 + [0.0125] * 2)


def test_a_run_ends_early_with_its_best_weights(tmp_path: Path) -> None:
    work = Points(scores=[0.1, 0.5, 0.4, 0.5, 0.9])
    outcome = train(Line(), work, config(evaluate_every=1, stop_after=2), tmp_path, IDENTITY)
    assert (outcome.place.step, outcome.place.best_step) == (4, 2)
    assert steps_kept(tmp_path)[-1] == 4
    again = train(Line(), Points(), config(evaluate_every=1, stop_after=2), tmp_path, IDENTITY)
    assert again.place.step == 4, "it is over, also when it is taken up"


@pytest.mark.parametrize("stopped", [3, 5])
def test_taken_up_it_waits_as_long_as_the_run_that_went_on(tmp_path: Path, stopped: int) -> None:
    schedule = {"kind": "plateau", "rate": 0.05, "factor": 0.5, "patience": 2}
    scores = [0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.9, 0.1]
    settings = config(schedule=schedule, evaluate_every=1, checkpoint_every=1)
    whole, cut = Line(), Line()
    train(whole, Points(scores=scores), settings, tmp_path / "whole", IDENTITY)

    class Failing(Points):
        def loss(self, model: nn.Module, micro: tuple[Tensor, Tensor]) -> Tensor:
            if self.calls == 2 * stopped:
                raise RuntimeError("the power failed")
            return super().loss(model, micro)

    with pytest.raises(RuntimeError):
        train(cut, Failing(scores=scores), settings, tmp_path / "cut", IDENTITY)
    train(cut, Points(scores=scores[stopped:]), settings, tmp_path / "cut", IDENTITY)
    assert weights(cut) == weights(whole)
    assert timeless(tmp_path / "cut") == timeless(tmp_path / "whole")
