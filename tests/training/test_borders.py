"""Borders as HELM's code learns them: targets and loss by hand, and measured like labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.inference.predict import predict
from nuclex.models import LanguageModel, RinalmoConfig
from nuclex.models.answering import AnsweringModel
from nuclex.models.heads import BorderHeadConfig, build_head
from nuclex.tasks import Example, Shape, Task
from nuclex.tokenizers import CodonConfig
from nuclex.training.borders import BorderAnswers, border_scores, borders_in, columns_of
from nuclex.training.classes import class_logits
from nuclex.training.finetune import FinetuneConfig, finetune
from nuclex.training.positions import called
from nuclex.training.supervised import Reading

REGIONS, CLASSES = ("sp", "v", "dj", "c"), ("c", "dj", "sp", "v")


def example(codons: str, name: str) -> Example:
    """A sequence whose codons are in the regions of these letters."""
    names = {"s": "sp", "v": "v", "d": "dj", "c": "c"}
    letters = {"s": "AAA", "v": "CCC", "d": "GGG", "c": "TTT"}
    labels = np.array([names[letter] for letter in codons for _ in range(3)])
    return Example("".join(letters[letter] for letter in codons), labels, name, stratum="IGH")


EXAMPLES = (example("ssvvvddc", "a"), example("vvdddcc", "b"))


def answers_of(examples: tuple[Example, ...], positions: int = 20) -> BorderAnswers:
    task = Task(
        "toy", Shape.PER_POSITION, dict.fromkeys(("train", "validation", "test"), examples), CLASSES, regions=REGIONS
    )
    reading = Reading.of(examples, CodonConfig(frame=0).build(), None)
    return BorderAnswers(task, dict.fromkeys(("train", "validation", "test"), reading), 100, positions)


def model_of(positions: int = 20) -> AnsweringModel:
    network = RinalmoConfig(depth=1, width=8, heads=2).backbone()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LanguageModel(network, vocabulary_size=70, pad_id=1, mask_id=68)
    head = BorderHeadConfig(compatibility="helm-released", positions=positions)
    return AnsweringModel(model, build_head(head, 8, 4, 0)).eval()


def test_borders_are_counted_in_tokens() -> None:
    columns = columns_of(CLASSES, REGIONS)
    assert columns == [2, 3, 1, 0]
    answers = answers_of(EXAMPLES)
    assert answers.borders["train"].tolist() == [[2, 2, 5, 5, 7, 7, 8], [-1, 0, 2, 2, 5, 5, 7]]
    assert borders_in([np.array([-1, -1])], columns).tolist() == [[-1] * 7]


def test_the_loss_is_the_sum_over_the_borders_that_there_are() -> None:
    answers, model = answers_of(EXAMPLES), model_of()
    log_p_NBP = class_logits(model, answers.readings["train"], np.array([0, 1])).detach().log_softmax(-1)
    by_hand = -sum(
        float(log_p_NBP[row, border, place])
        for row, places in enumerate([[2, 2, 5, 5, 7, 7, 8], [-1, 0, 2, 2, 5, 5, 7]])
        for border, place in enumerate(places)
        if place >= 0
    )
    assert answers.loss(model, np.array([0, 1])).item() == pytest.approx(by_hand, rel=1e-5)
    assert answers.validate(model)["validation_loss"] == pytest.approx(by_hand / 2, rel=1e-5)


def test_borders_give_the_labels_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = answers_of(EXAMPLES)
    places = torch.tensor([[2, 2, 5, 5, 7, 7, 8], [1, 0, 4, 3, 9, 6, 2]])

    def said(model: Any, reading: Any, index_N: Any) -> torch.Tensor:
        return torch.nn.functional.one_hot(places[torch.from_numpy(index_N)], 20).float()

    monkeypatch.setattr("nuclex.training.borders.class_logits", said)
    reading, columns = answers.readings["test"], columns_of(CLASSES, REGIONS)
    found = dict(border_scores(model_of(), reading, 100, columns=columns))
    names = [[CLASSES[one] for one in called(found[row], CLASSES, REGIONS)] for row in range(2)]
    assert names[0] == ["sp"] * 2 + ["v"] * 3 + ["dj"] * 2 + ["c"]
    assert names[1] == ["sp", *["v"] * 3, *["dj"] * 3]  # of two that claim a token the first has it


def test_regions_with_letters_between_or_too_many_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="toy, train split: a sequence has 8 tokens; this head tells places up to 7"):
        answers_of(EXAMPLES, positions=8)
    task = Task("toy", Shape.PER_POSITION, dict.fromkeys(("train", "validation", "test"), EXAMPLES), CLASSES)
    with pytest.raises(InputError, match="'borders' needs regions that fill a sequence, and 'toy' has none"):
        BorderAnswers(task, {}, 100, 20)


def test_a_repertoire_is_learned_and_predicted(tmp_path: Path) -> None:
    random, columns = (
        np.random.default_rng(0),
        ["v_sequence_start", "v_sequence_end", "j_sequence_start", "j_sequence_end"],
    )
    with (tmp_path / "all.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t")
        writer.writerow(["sequence_id", "sequence", "junction", *columns])
        for row in range(90):
            sp, v, dj, c = (3 * int(random.integers(1, 3)) for _ in range(4))
            sequence = "A" * sp + "C" * v + "G" * dj + "T" * c
            writer.writerow(
                [f"s{row}", sequence, sequence[sp : sp + 3] + str(row), sp + 1, sp + v, sp + v + 1, sp + v + dj]
            )
    data = {
        "model": {"kind": "rinalmo", "depth": 1, "width": 16, "heads": 2},
        "tokenizer": {"kind": "codon", "frame": 0},
        "task": {"kind": "antibody-regions", "path": str(tmp_path / "all.tsv"), "labels": "helm"},
        "head": {"kind": "borders", "compatibility": "helm-released", "positions": 16},
        "training": {"steps": 60, "evaluate_every": 30, "checkpoint_every": 60, "schedule": {"rate": 1e-2}},
    }
    done = finetune(load_config(FinetuneConfig, None, data), tmp_path / "run")
    assert done["metrics"]["scratch_accuracy"] > 0.8
    predict(tmp_path / "run/bundle", tmp_path / "all.tsv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    letters = dict(zip("ACGT", REGIONS, strict=True))
    assert np.mean([row["class"] == letters[row["nucleotide"]] for row in rows]) > 0.8
