from __future__ import annotations

import pytest

from nuclex.cli.main import app
from nuclex.cli.settings import rewrite_settings


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("pretrain r.toml --out x", "pretrain r.toml --out x"),
        ("pretrain r.toml --model.depth 6 --out x", "pretrain r.toml --set model.depth=6 --out x"),
        ("pretrain r.toml --model.depth=6", "pretrain r.toml --set model.depth=6"),
        ("pretrain r.toml --corpus dir --resume", "pretrain r.toml --set corpus=dir --resume"),
        ("pretrain r.toml --corpus=a=b", "pretrain r.toml --set corpus=a=b"),
        ("pretrain r.toml --model.tied --out x", "pretrain r.toml --set model.tied=true --out x"),
        ("pretrain r.toml --model.tied", "pretrain r.toml --set model.tied=true"),
        ("pretrain r.toml --model.tied false", "pretrain r.toml --set model.tied=false"),
        ("pretrain r.toml --training.schedule.rate -1", "pretrain r.toml --set training.schedule.rate=-1"),
        ("pretrain r.toml --tokenizer.vocab-size 9", "pretrain r.toml --set tokenizer.vocab_size=9"),
        ("pretrain r.toml --dry-run --no-resume", "pretrain r.toml --dry-run --no-resume"),
        ("pretrain r.toml --dry_run", "pretrain r.toml --dry_run"),
        ("pretrain r.toml --set seed=3 --seed 4", "pretrain r.toml --set seed=3 --set seed=4"),
        ("corpus build --seed 1 -- --odd.fa", "corpus build --set seed=1 -- --odd.fa"),
        ("pretrain --help", "pretrain --help"),
        ("corpus build a.fa --out x --split.by family", "corpus build a.fa --out x --set split.by=family"),
        ("tokenizer train c --out x --vocab-size 30", "tokenizer train c --out x --set vocab_size=30"),
        ("embed b a.fa --out x.npz --pool max", "embed b a.fa --out x.npz --set pool=max"),
        ("export b --out x --nonsense 3", "export b --out x --nonsense 3"),
        ("predict b a.csv --out x.csv --first 0", "predict b a.csv --out x.csv --set first=0"),
        ("corpus", "corpus"),
        ("", ""),
    ],
)
def test_flags_that_a_verb_does_not_declare_become_settings(given: str, wanted: str) -> None:
    assert rewrite_settings(app, given.split()) == wanted.split()


def test_values_with_blanks_stay_whole() -> None:
    assert rewrite_settings(app, ["plan", "r.toml", "--corpus", "my corpus"]) == [
        "plan",
        "r.toml",
        "--set",
        "corpus=my corpus",
    ]
