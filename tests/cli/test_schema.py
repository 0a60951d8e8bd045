"""Every verb has a schema; what it prints is held to it in all tests (tests/conftest.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import nuclex
from nuclex.cli import main
from nuclex.cli.main import run
from nuclex.cli.schema import DIALECT, RESULTS, checked, kinds, schema
from nuclex.core.config import load_config
from nuclex.core.plain import plain
from nuclex.training.finetune import FinetuneConfig
from nuclex.training.pretrain import PretrainConfig


def parts(found: Any) -> Iterator[dict[str, Any]]:
    """Every object of a schema that has keys."""
    if isinstance(found, dict):
        if "properties" in found:
            yield found
        for inner in found.values():
            yield from parts(inner)
    if isinstance(found, list):
        for inner in found:
            yield from parts(inner)


def test_every_verb_has_a_schema_and_no_other() -> None:
    assert RESULTS.keys() == nuclex.VERBS.keys()


@pytest.mark.parametrize("verb", RESULTS)
def test_every_key_is_described_and_no_other_is_allowed(verb: str) -> None:
    found = schema(verb)
    assert found["$schema"] == DIALECT
    objects = list(parts(found))
    assert objects
    for part in objects:
        assert part["description"], part["title"]
        if part["title"] != "Filter":  # whose further keys are its settings
            assert part["additionalProperties"] is False, part["title"]
        for name, value in part["properties"].items():
            assert value.get("description"), (part["title"], name)
            assert {"type", "$ref", "anyOf", "const", "enum"} & value.keys(), f"{part['title']}.{name} is anything"


@pytest.mark.parametrize("verb", RESULTS)
def test_other_programs_take_it_for_a_schema(verb: str) -> None:
    validators = pytest.importorskip("jsonschema", reason="jsonschema is not installed").Draft202012Validator
    validators.check_schema(schema(verb))
    assert not validators(schema(verb)).is_valid({})


def test_other_programs_judge_as_nuclex_does() -> None:
    validators = pytest.importorskip("jsonschema", reason="jsonschema is not installed").Draft202012Validator
    plan = nuclex.plan(load_config(PretrainConfig, "pretrain/rinalmo-nano"))
    for verb, answer in (("plan", plan), ("pretrain", plan), ("doctor", nuclex.doctor())):
        assert validators(schema(verb)).is_valid(plain(answer))
        assert not validators(schema(verb)).is_valid({**answer, "more": 1})


def test_two_kinds_of_one_verb_cannot_be_confused() -> None:
    for verb in RESULTS:
        required = [{key for key, field in kind.model_fields.items() if field.is_required()} for kind in kinds(verb)]
        assert all(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds(verb))
        if len(required) == 2:
            assert required[0] - required[1], verb
            assert required[1] - required[0], verb


def test_the_same_thing_has_the_same_name() -> None:
    """Words for one thing are settled on: paths written, folders, sizes, seconds, licences."""
    names = {name for verb in RESULTS for part in parts(schema(verb)) for name in part["properties"]}
    assert not names & {"output", "path_out", "license", "size_bytes", "elapsed", "time", "duration", "count"}
    writing = {
        "tokenizer_train",
        "search",
        "benchmark",
        "predict",
        "embed",
        "score",
        "generate",
        "judge",
        "fold",
        "export",
    }
    for verb in writing:
        assert all("out" in part.model_fields for part in kinds(verb)), verb


def test_a_key_that_drifts_is_refused() -> None:
    good = {"out": "v.npz", "sequences": 3, "width": 16, "pool": "mean", "vectors": 3}
    assert checked("embed", json.dumps(good)) == good
    for wrong in (
        {**good, "seconds": 1.0},
        {name: value for name, value in good.items() if name != "width"},
        {**good, "width": "16"},
        {**good, "width": 16.5},
        {**good, "out": None},
    ):
        with pytest.raises(ValidationError):
            checked("embed", json.dumps(wrong))


def test_a_key_that_is_not_always_there_is_never_null() -> None:
    good = {"out": "s", "sequences": 1, "pairs": 0, "mean_pair_probability": None}
    assert checked("fold", json.dumps(good)) == good
    assert checked("fold", json.dumps({**good, "svg": "pictures"}))
    with pytest.raises(ValidationError):
        checked("fold", json.dumps({**good, "svg": None}))
    assert "svg" not in schema("fold")["required"]
    assert "default" not in schema("fold")["properties"]["svg"]


def test_the_recipe_of_a_dry_run_is_the_config() -> None:
    declared = kinds("finetune")[1]
    assert list(declared.model_fields) == list(FinetuneConfig.model_fields)


def test_the_tests_of_the_project_hold_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(nuclex), "corpus_info", lambda corpus: {"corpus": "x", "sequences": 3})
    assert main._one_object.__name__ == "held", "the fixture of tests/conftest.py is at work"
    assert run(["corpus", "info", "x"]) == 0, "what is shown to people is not held"
    assert run(["corpus", "info", "x", "--json"]) == 1
