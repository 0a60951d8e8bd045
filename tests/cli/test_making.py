"""Verbs that make things, as recipes and pages say to type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learners import write_tiny_bundle
from nuclex.cli.main import run

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.slow
def test_a_table_of_ones_own_by_the_names_of_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the recipe's second line, word by word, and then a prediction with what it made."""
    (tmp_path / "recipes").symlink_to(RECIPES)
    write_tiny_bundle(tmp_path / "pretrained", depth=1, width=8)
    random = np.random.default_rng(0)
    rows = ["id,cds,expression"]
    for gene in range(40):
        codons = random.choice(["GCU", "GCC", "AAA", "AAG"], size=12)
        rows.append(f"g{gene},AUG{''.join(codons)}UAA,{(codons == 'GCC').sum() + random.normal():.3f}")
    (tmp_path / "my.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    typed = (RECIPES / "finetune" / "regression.toml").read_text().splitlines()[1].removeprefix("# nuclex ")
    flags = "--data.path my.csv --data.sequence cds --data.target expression"
    assert typed == f"finetune recipes/finetune/regression.toml {flags}"
    assert run([*typed.split(), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"]["train"] == "my.csv"
    assert run([*typed.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == "finetuned/bundle"
    tested = [json.loads(line) for line in (tmp_path / "finetuned" / "test.jsonl").read_text().splitlines()]
    truth = {name: float(value) for name, _, value in (row.split(",") for row in rows[1:])}
    assert len(tested) == 6  # 15 % of 40
    assert {row["id"]: row["truth"] for row in tested} == {row["id"]: truth[row["id"]] for row in tested}
    capsys.readouterr()
    assert run(["predict", "finetuned/bundle", "my.csv", "--out", "said.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sequences"] == 40
    assert len((tmp_path / "said.csv").read_text().splitlines()) == 41
