"""Learning numbers at each nucleotide, one or several: what was measured counts, and each sequence as any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nuclex.core.errors import InputError, shown
from nuclex.metrics.sums import correlated, mcrmse, mean_correlated, root_mean_square
from nuclex.models.answering import AnsweringModel
from nuclex.tasks import Task
from nuclex.training.majority import means
from nuclex.training.positions import Floats, all_positions, checked, position_logits, scored, weighed
from nuclex.training.scalars import RegressionConfig, Scale, interval_of
from nuclex.training.supervised import TIE, Answers, Measured, Reading


@dataclass(frozen=True)
class Scales:
    """A scale for each of the K columns that a head gives; ``targets`` are their names, none where there is but one."""

    of_each: tuple[Scale, ...]
    targets: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Scales:
        """What ``to_data`` wrote into a bundle; KeyError, TypeError or ValueError where it is not that."""
        if "targets" not in settings:
            return cls((Scale.from_settings(settings),))
        found = cls(tuple(map(Scale.from_settings, settings["scales"])), tuple(map(str, settings["targets"])))
        if len(set(found.targets)) != len(found.of_each):
            raise ValueError(f"{len(found.of_each)} scales for the targets {found.targets}")
        return found

    def to_data(self) -> dict[str, Any]:
        """Plain data for a bundle: of one column that of its scale."""
        each = [scale.to_data() for scale in self.of_each]
        return {"targets": list(self.targets), "scales": each} if self.targets else each[0]

    def standardised(self, values_XK: Floats) -> Floats:
        """Units of the data to what a head learns."""
        return np.stack([scale.standardised(values_XK[:, k]) for k, scale in enumerate(self.of_each)], axis=1)

    def undone(self, values_XK: Floats) -> Floats:
        """What a head gives, in units of the data."""
        return np.stack([scale.undone(values_XK[:, k]) for k, scale in enumerate(self.of_each)], axis=1)


class PositionNumberAnswers(Answers):
    """A number at each position, or one of each of the task's targets, which one head learns together.

    Tracks are (L, K) here, with K = 1 where the task names no targets. Errors of several targets are told as MCRMSE:
    the mean over the targets of each one's root mean square error over all its scored positions.
    """

    compared: ClassVar[tuple[str, ...]] = ("negative_squared_error",)
    """The mean squared error over a sequence's scored numbers, with a minus before it: more is better."""

    def __init__(self, task: Task, readings: dict[str, Reading], micro_tokens: int, config: RegressionConfig) -> None:
        self.task, self.readings, self.micro_tokens = task, checked(readings, task.name), micro_tokens
        self.config = config
        self.error, self.quoted = ("mcrmse", ("mcrmse",)) if task.targets else ("rmse", ())
        self.truth = {
            split: [columns_of(item.track) for item in reading.examples] for split, reading in readings.items()
        }
        names = [f"{task.name}, {shown(target)}" for target in task.targets] or [task.name]
        for split, tracks in self.truth.items():
            measured_K = np.any([scored(truth_LK).any(0) for truth_LK in tracks], axis=0)
            for name, measured in zip(names, measured_K.tolist(), strict=True):
                if not measured:
                    raise InputError(f"{name}: the {split} split has no number; every split needs one")
        train_PK = np.concatenate(self.truth["train"])
        columns = zip(names, train_PK.T, strict=True)
        of_each = (Scale.of(train_P[np.isfinite(train_P)], config, name) for name, train_P in columns)
        self.scales = Scales(tuple(of_each), task.targets)

    def loss(self, model: AnsweringModel, index_N: NDArray[np.int64]) -> Tensor:
        """Sum over sequences of the mean over scored numbers, each in squared standard deviations of its target."""
        truth_TK, weight_TK = weighed([self.truth["train"][index] for index in index_N.tolist()])
        guess_TK = position_logits(model, self.readings["train"], index_N)
        target_TK = torch.from_numpy(np.nan_to_num(self.scales.standardised(truth_TK))).to(guess_TK)
        return (self.config.of(guess_TK, target_TK) * weight_TK.to(guess_TK)).sum()

    def validate(self, model: AnsweringModel) -> dict[str, float]:
        """Loss, error and correlation over all scored positions; the score is minus the error.

        Of several targets the error is MCRMSE, and the correlation the mean of theirs.
        """
        losses, moments = [], []
        for index, logits_LK in all_positions(model, self.readings["validation"], self.micro_tokens):
            truth_LK = self.truth["validation"][index]
            where_LK = scored(truth_LK)
            target = torch.from_numpy(self.scales.standardised(truth_LK)[where_LK])
            losses.append(float(self.config.of(torch.from_numpy(logits_LK[where_LK]), target).mean()))
            moments.append(self._moments(truth_LK, self.scales.undone(logits_LK)))
        loss, total_K6 = float(np.mean(losses)), np.sum(moments, axis=0)
        error, correlation = float(mcrmse(total_K6)), float(mean_correlated(total_K6))
        found = {"validation_loss": loss, f"validation_{self.error}": error, "score": -error - TIE * loss}
        return {**found, "validation_pearson": correlation} if np.isfinite(correlation) else found

    def measure(self, model: AnsweringModel) -> Measured:
        """The numbers at every position of every test sequence, in units of the data."""
        found = dict(all_positions(model, self.readings["test"], self.micro_tokens))
        return self.measured([self.scales.undone(found[index]) for index in range(len(found))])

    def baselines(self) -> dict[str, Measured]:
        """What the mean of the train split says, and that of a position."""
        found = means(self.truth["train"], [len(truth_LK) for truth_LK in self.truth["test"]])
        return {name: self.measured(values) for name, values in found.items()}

    def measured(self, values: Sequence[Floats]) -> Measured:
        """What such numbers (L, K) for the test sequences, in units of the data, are worth."""
        rows, moments = [], []
        for example, truth_LK, value_LK in zip(self.task.examples("test"), self.truth["test"], values, strict=True):
            moments_K6 = self._moments(truth_LK, value_LK)
            rows.append(
                {
                    "id": example.id,
                    "sequence": example.sequence,
                    "truth": self._told(truth_LK),
                    "predicted": self._told(value_LK),
                    "moments": (moments_K6 if self.task.targets else moments_K6[0]).tolist(),
                }
            )
            moments.append(moments_K6)
        error_N = root_mean_square(np.array(moments).sum(1))
        return Measured(rows, {"negative_squared_error": -np.square(error_N)}, self.scales.to_data())

    def pooled(self, measured: Measured, which_N: NDArray[np.int64], clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        """Root mean square error and Pearson's correlation over all scored positions; sequences are what is drawn.

        Of several targets MCRMSE, and these of each.
        """
        moments_NK6 = np.array([measured.rows[row]["moments"] for row in which_N.tolist()])
        if not self.task.targets:
            return self._of_one(moments_NK6, clusters_N)
        columns = zip(self.task.targets, moments_NK6.swapaxes(0, 1), strict=True)
        return {
            "mcrmse": interval_of(lambda rows: float(mcrmse(rows.sum(0))), [moments_NK6], clusters_N, "mcrmse"),
            "targets": {name: self._of_one(moments_N6, clusters_N) for name, moments_N6 in columns},
        }

    def _of_one(self, moments_N6: Floats, clusters_N: NDArray[np.int64]) -> dict[str, Any]:
        return {
            "rmse": interval_of(lambda rows: float(root_mean_square(rows.sum(0))), [moments_N6], clusters_N, "rmse"),
            "pearson": interval_of(lambda rows: float(correlated(rows.sum(0))), [moments_N6], clusters_N, "pearson"),
            "positions": int(moments_N6[:, 0].sum()),
        }

    def _told(self, values_LK: Floats) -> Any:
        """Numbers as plain data (None where there is none): a list, or one by the name of each target."""
        lists = [[value if np.isfinite(value) else None for value in values_L] for values_L in values_LK.T.tolist()]
        return dict(zip(self.task.targets, lists, strict=True)) if self.task.targets else lists[0]

    def _moments(self, truth_LK: Floats, guess_LK: Floats) -> Floats:
        """Of the scored positions, (K, 6): n, and sums of x, y, x², y², xy, both less the mean of the train split."""
        found = []
        for scale, truth_L, guess_L in zip(self.scales.of_each, truth_LK.T, guess_LK.T, strict=True):
            x_L, y_L = ((values_L - scale.mean)[scored(truth_L)] for values_L in (truth_L, guess_L))
            found.append([len(x_L), x_L.sum(), y_L.sum(), x_L @ x_L, y_L @ y_L, x_L @ y_L])
        return np.array(found)


def columns_of(track: NDArray[Any]) -> Floats:
    """A track of numbers as columns (L, K)."""
    return np.asarray(track, dtype=np.float64).reshape(len(track), -1)
