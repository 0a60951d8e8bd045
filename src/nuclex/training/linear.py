"""A linear model fitted rather than trained: ridge for numbers, logistic regression for classes, on shares of k-mers.

How much the weights are held back is chosen on validation. Both are in float64 and without randomness, so a run that
was stopped is fitted again to the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import nn

from nuclex.models import Layout
from nuclex.models.answering import AnsweringModel
from nuclex.models.motifs import KmerHead, kmer_shares
from nuclex.training.best import best_weights, save_weights
from nuclex.training.classes import ClassAnswers
from nuclex.training.scalars import ScalarAnswers
from nuclex.training.supervised import Reading

Floats = NDArray[np.float64]
PENALTIES: tuple[float, ...] = tuple(10.0**power for power in range(2, -7, -1))
"""Tried from the strongest to the weakest; on features of variance 1 and losses that are means over sequences."""


def fit(model: AnsweringModel, answers: ClassAnswers | ScalarAnswers, run: Path) -> dict[str, Any]:
    """Put the weights of the best penalty on validation into ``model`` and, as a run does, into ``run``.

    ``model`` has a ``KmerHead``. Returns the validation numbers and the ``penalty``.
    """
    head = model.head
    assert isinstance(head, KmerHead)
    features_NF = _standardised(head, shares_of(model, answers.readings["train"], answers.micro_tokens))
    best: dict[str, Any] | None = None
    for penalty, weights_CF, bias_C in _path(features_NF, answers):
        _fill(head.decoder, weights_CF, bias_C)
        numbers = {"penalty": penalty, **answers.validate(model)}
        if best is None or numbers["score"] > best["score"]:
            best, kept = numbers, (weights_CF, bias_C)
    assert best is not None
    _fill(head.decoder, *kept)
    save_weights(best_weights(run), model, best)
    return best


def ridge(features_NF: Floats, target_N: Floats) -> Callable[[float], tuple[Floats, float]]:
    """For a penalty c, the weights w (F,) and bias b with the least mean of (y - xw - b)² plus c |w|²."""
    centre_F, mean = features_NF.mean(0), target_N.mean()
    centred_NF = features_NF - centre_F
    values_F, vectors_FF = np.linalg.eigh(centred_NF.T @ centred_NF / len(target_N))
    along_F = vectors_FF.T @ (centred_NF.T @ (target_N - mean) / len(target_N))

    def solved(penalty: float) -> tuple[Floats, float]:
        weights_F = vectors_FF @ (along_F / (values_F.clip(min=0) + penalty))
        return weights_F, float(mean - centre_F @ weights_F)

    return solved


def logistic(
    features_NF: Floats, label_N: NDArray[np.int64], penalty: float, start_CG: Floats
) -> tuple[Floats, Floats, Floats]:
    """The weights (C, F) and biases (C,) with the least mean of -ln p(true class) plus penalty / 2 times |weights|².

    By L-BFGS from ``start_CG`` (C, F + 1), weights and biases side by side; these are returned, too, as the next start.
    """
    truth_NC = np.eye(len(start_CG))[label_N]
    extended_NG = np.hstack([features_NF, np.ones((len(features_NF), 1))])

    def loss_and_slope(flat: Floats) -> tuple[float, Floats]:
        weights_CG = flat.reshape(start_CG.shape)
        held_CG = weights_CG * ([1.0] * features_NF.shape[1] + [0.0])
        score_NC = extended_NG @ weights_CG.T
        score_NC -= score_NC.max(1, keepdims=True)
        total_N1 = np.exp(score_NC).sum(1, keepdims=True)
        loss = (np.log(total_N1[:, 0]) - (score_NC * truth_NC).sum(1)).mean() + penalty / 2 * np.square(held_CG).sum()
        slope_CG = (np.exp(score_NC) / total_N1 - truth_NC).T @ extended_NG / len(label_N) + penalty * held_CG
        return float(loss), slope_CG.ravel()

    options = {"maxiter": 500, "maxfun": 1000, "gtol": 1e-6, "ftol": 1e-12}
    found = minimize(loss_and_slope, start_CG.ravel(), jac=True, method="L-BFGS-B", options=options)
    weights_CG = found.x.reshape(start_CG.shape)
    return weights_CG[:, :-1], weights_CG[:, -1], weights_CG


def _path(features_NF: Floats, answers: ClassAnswers | ScalarAnswers) -> Iterator[tuple[float, Floats, Floats]]:
    """Every penalty with its weights (C, F) and biases (C,), the strongest first."""
    if isinstance(answers, ScalarAnswers):
        solved = ridge(features_NF, answers.scale.standardised(answers.truth["train"]))
        for penalty in PENALTIES:
            weights_F, bias = solved(penalty)
            yield penalty, weights_F[None], np.array([bias])
        return
    weights_CG = np.zeros((len(answers.task.classes), features_NF.shape[1] + 1))
    for penalty in PENALTIES:
        weights_CF, bias_C, weights_CG = logistic(features_NF, answers.labels["train"], penalty, weights_CG)
        yield penalty, weights_CF, bias_C


def shares_of(model: AnsweringModel, reading: Reading, micro_tokens: int) -> Floats:
    """Shares of k-mers (N, F) of all sequences, in their order; ``model`` reads letters one-hot."""
    device = next(model.parameters()).device
    count = len(reading.examples)
    found: Floats | None = None
    for index_N in reading.packs(np.arange(count), micro_tokens):
        batch = reading.batch(index_N)
        layout = Layout.of(batch.lengths_N, device)
        letters_T4 = model.model.encode(torch.from_numpy(batch.tokens_T).to(device), layout)
        part_NF = kmer_shares(letters_T4, layout).cpu().double().numpy()
        found = np.empty((count, part_NF.shape[1])) if found is None else found
        found[index_N] = part_NF
    assert found is not None
    return found


def _standardised(head: KmerHead, features_NF: Floats) -> Floats:
    """Each feature with mean 0 and variance 1 over the train split, and the head told how; a constant one is 0."""
    mean_F, deviation_F = features_NF.mean(0), features_NF.std(0)
    deviation_F[deviation_F < 1e-9] = 1
    for buffer, value_F in ((head.mean_K, mean_F), (head.deviation_K, deviation_F)):
        buffer.copy_(torch.from_numpy(value_F))
    return (features_NF - mean_F) / deviation_F


def _fill(decoder: nn.Linear, weights_CF: Floats, bias_C: Floats) -> None:
    with torch.no_grad():
        decoder.weight.copy_(torch.from_numpy(weights_CF))
        decoder.bias.copy_(torch.from_numpy(bias_C))
