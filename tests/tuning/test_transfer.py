"""What is written for the full model, and what the search has saved, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from nuclex.core.config import load_config
from nuclex.training.pretrain import PretrainConfig, plan
from nuclex.tuning.asked import Asked
from nuclex.tuning.question import RATE, WARMUP, read_search
from nuclex.tuning.transfer import saving, write_transferred
from nuclex.tuning.trial import Record, best_of, costs


def record(number: int, score: float | None, flops: float, full: float, state: str = "complete") -> Record:
    settings = {RATE: 6.3e-4, WARMUP: 765}
    given = {"number": number, "state": state, "score": score, "values": {}, "settings": settings}
    return Record.from_data({**given, "flops": flops, "flops_full": full})


def test_rnabertas_transfer_by_hand(tmp_path: Path) -> None:
    """The best trial had 6.3e-4 and 765 steps of 5 000; the full recipe has both, and 38 114 steps (facts, 3.4)."""
    asked = Asked.of(read_search("search/rnaberta", {"factors": [0.5, 1.0]}))
    path = write_transferred(tmp_path, asked, record(7, 1.0, 1.0, 1.0))
    found = load_config(PretrainConfig, path)
    shipped = load_config(PretrainConfig, Path("pretrain/rnaberta"), {RATE: 6.3e-4, WARMUP: 765})
    assert found == shipped, "the rate itself, whatever the factors are; of the proxy nothing"
    assert "trial 7" in path.read_text()


def test_the_saving_by_hand() -> None:
    """Two trials of 100 and 60 that would have been 450 and 270; 720 / 160 = 4.5."""
    asked = Asked.of(read_search("search/rnaberta"))
    records = [record(0, 2.0, 100.0, 450.0), record(1, None, 60.0, 270.0, "pruned")]
    found = saving(records, asked, None)
    assert found == {"flops": 160.0, "flops_at_full_width": 720.0, "times": 4.5}
    one = 38114 * 131072 * plan(load_config(PretrainConfig, Path("pretrain/rnaberta")))["flops_per_token"]
    found = saving(records, asked, records[0])
    assert found is not None
    assert found["flops_full_run"] == one
    assert found["times_with_final"] == pytest.approx((720 + one) / (160 + one))


def test_flops_are_updates_times_tokens_times_those_of_a_token() -> None:
    asked = Asked.of(read_search("search/rnaberta"))
    settings = asked.settings({RATE: 6.3e-4, WARMUP: 0.153})
    (_, _, full), *_ = asked.finals(settings)
    found = costs(5000, asked.trial(settings), full)
    narrow = plan(load_config(PretrainConfig, Path("pretrain/rnaberta-proxy")))["flops_per_token"]
    assert found["flops"] == 5000 * 131072 * narrow
    assert found["flops_full"] / found["flops"] == plan(full)["flops_per_token"] / narrow


def test_the_best_came_to_its_end() -> None:
    asked = Asked.of(read_search("search/rnaberta"))
    records = [
        record(0, 2.0, 1, 1),
        record(1, 0.5, 1, 1, "pruned"),
        record(2, 1.0, 1, 1),
        record(3, 1.0, 1, 1),
        record(4, None, 1, 1, "diverged"),
    ]
    found = best_of(records, asked)
    assert found is not None
    assert found.number == 2
    assert best_of(records[1:2], asked) is None
