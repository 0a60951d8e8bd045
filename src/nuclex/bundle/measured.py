"""What a model was measured to do, as its card says it: scores with intervals beside controls, and for the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nuclex.bundle.markdown import flat, line, table
from nuclex.bundle.record import Record

NOT_RECORDED = "Not recorded."
ITSELF = ("pretrained", "scratch")
"""The arm that is the bundle: fine-tuned, or, where it began from random weights, trained from scratch."""
ARMS = {
    "pretrained": "this model",
    "scratch": "the same network from random weights",
    "frozen": "the pre-trained weights left as they were, a new head alone",
    "one-hot": "a head on the letters themselves, no network",
    "cnn": "a small convolutional network",
    "k-mers": "a linear model of k-mer counts",
}
TASK_TYPES = {"class": "text-classification", "label per position": "token-classification"}
"""The hub's words for the shapes of questions that it has a word for."""
OWN_METRICS = {
    "validation_loss": "loss",
    "validation_perplexity": "perplexity",
    "validation_accuracy": "accuracy",
}


def told_measures(record: Record) -> Iterator[str]:
    """The paragraphs and tables of the section about evaluation."""
    finetuned = record.finetuned or {}
    for subset, found in finetuned.get("test", {}).items():
        yield from _subset(subset, found)
    if finetuned.get("test"):
        yield f"Intervals: {line(str(finetuned.get('unit', 'not stated')))}."
    if seeds := finetuned.get("seeds"):
        yield "Several training seeds:"
        rows = [(name, found["mean"], found["deviation"], len(found["values"])) for name, found in seeds.items()]
        yield table(("measure", "mean", "standard deviation", "seeds"), rows)
    if not record.metrics:
        if not finetuned.get("test"):
            yield NOT_RECORDED
        return
    if finetuned.get("test"):
        yield "By these numbers, on validation, the weights were chosen:"
    elif any(name.startswith("validation_") for name in record.metrics):
        yield (
            "On the validation split, by which the weights were chosen too. No interval is recorded with a training "
            "run; `nuclex evaluate BUNDLE CORPUS --split test` scores every position of the test split beside two "
            "baselines."
        )
    told = [
        (name, value) for name, value in flat(record.metrics) if not (finetuned.get("test") and name[:5] == "test_")
    ]
    yield table(("measure", "value"), told)


def _subset(subset: str, found: Mapping[str, Any]) -> Iterator[str]:
    which = "all test sequences" if subset == "all" else "the test sequences that training has not seen"
    yield f"On {which}, n = {found['n']:,} ({found['distinct']:,} distinct):"
    arms, itself = found["arms"], _itself(found)
    names = list(arms[itself]) if itself else []
    rows = [(ARMS.get(arm, arm) if arm != itself else "this model",
             *(_interval(values.get(name)) for name in names)) for arm, values in arms.items()]  # fmt: skip
    yield table(("", *names), sorted(rows, key=lambda row: row[0] != "this model"))
    if found.get("differences"):
        yield "This model minus each control, on the same sequences (paired; p is not corrected for several tests):"
        yield table(
            ("control", "measure", "difference", "p"),
            [
                (ARMS.get(control, control), name, _interval(values["difference"]), values["p_value"])
                for control, measures in found["differences"].items()
                for name, values in measures.items()
            ],
        )


def _itself(found: Mapping[str, Any]) -> str | None:
    return next((arm for arm in ITSELF if arm in found["arms"]), None)


def _interval(value: Mapping[str, Any] | None) -> str:
    if value is None or value.get("value") is None:
        return "–"
    if value.get("low") is None or value.get("high") is None:
        return f"{value['value']:.3f}"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def model_index(record: Record, pipeline: str) -> list[dict[str, Any]]:
    """The results as the hub's front matter has them (``model-index``); empty where there are none."""
    finetuned = record.finetuned or {}
    test = finetuned.get("test", {}).get("all")
    if test is not None and (itself := _itself(test)) is not None:
        task = {"type": TASK_TYPES.get(str(finetuned.get("shape")), "other"), "name": str(finetuned.get("task"))}
        data = _dataset(str(finetuned.get("task")), "test")
        metrics = [
            {"type": name, "value": value["value"], "name": name, "args": {key: value[key] for key in ("low", "high")}}
            for name, value in test["arms"][itself].items()
            if value.get("value") is not None
        ]
    else:
        names = [str(source.get("name") or source.get("path")) for source in (record.corpus or {}).get("sources", ())]
        task, data = {"type": pipeline}, _dataset(", ".join(names) or "the corpus", "validation")
        metrics = [
            {"type": OWN_METRICS[name], "value": value, "name": name}
            for name, value in record.metrics.items()
            if name in OWN_METRICS and isinstance(value, int | float)
        ]
    if not metrics:
        return []
    return [{"name": record.name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}]


def _dataset(name: str, split: str) -> dict[str, str]:
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[:96] or "data"
    name = name.replace("<", "(").replace(">", ")")  # the front matter is shown as it is
    return {"name": name[:200], "type": short, "split": split}
