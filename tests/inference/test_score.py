"""Likelihoods against the plainest way: one sequence, one hidden token, one pass after the other."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import nuclex
from likelihoods import SMALL, causal, chances, exact, network_in, one_pass
from made import fasta, letters, small_pieces
from nuclex.bundle import Bundle, load
from nuclex.core.errors import InputError
from nuclex.core.progress import quiet
from nuclex.inference import likelihood, reading
from nuclex.inference import score as module
from nuclex.inference.score import Score, score, score_sequences
from nuclex.models import MambaConfig, RobertaConfig
from nuclex.tokenizers import CodonConfig, KmerConfig

SEQUENCES = [(f"s{length}", letters(length, length).encode()) for length in (4, 1, 30, 17, 30, 9)]
SEQUENCES[3] = ("with N", b"ACGUNNRACG")
METHODS = {"exact": False, "one-pass": False, "causal": True}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return network_in(load(tiny_bundle), SMALL)


@pytest.fixture(scope="module")
def reader(tiny_bundle: Path) -> Bundle:
    """A model that reads from left to right."""
    return network_in(load(tiny_bundle), SMALL.model_copy(update={"causal": True}))


PLAIN: dict[str, Callable[[Bundle, bytes], float]] = {"exact": exact, "one-pass": one_pass, "causal": causal}


@pytest.mark.parametrize("method", METHODS)
def test_likelihoods_are_those_of_the_plainest_way(method: str, bundle: Bundle, reader: Bundle) -> None:
    asked = reader if METHODS[method] else bundle
    found = list(score_sequences(asked, SEQUENCES, method=method))  # type: ignore[arg-type]
    assert [(one.id, one.length, one.tokens) for one in found] == [(n, len(text), len(text)) for n, text in SEQUENCES]
    wanted = [PLAIN[method](asked, text) for _, text in SEQUENCES]
    assert [one.log_likelihood for one in found] == pytest.approx(wanted, rel=1e-5)
    assert [one.mean for one in found] == pytest.approx(
        [w / len(t) for w, (_, t) in zip(wanted, SEQUENCES, strict=True)]
    )


def test_the_three_ways_differ(bundle: Bundle) -> None:
    first, second = (
        next(score_sequences(bundle, SEQUENCES, method=way)).log_likelihood for way in ("exact", "one-pass")
    )  # type: ignore[arg-type]
    assert abs(first - second) > 1e-2


def test_the_model_says_which_way(bundle: Bundle, reader: Bundle) -> None:
    for asked, method in ((bundle, "exact"), (reader, "causal")):
        assert list(score_sequences(asked, SEQUENCES)) == list(score_sequences(asked, SEQUENCES, method=method))  # type: ignore[arg-type]
    for asked, method, sentence in (
        (bundle, "causal", r"method: found 'causal'; this model sees both sides .*allowed: exact, one-pass$"),
        (reader, "exact", r"method: found 'exact'; this model reads from left to right, so allowed: causal$"),
        (reader, "one-pass", "method: found 'one-pass'"),
        (network_in(bundle, SMALL.model_copy(update={"head": "none"})), None, "encoder without a language head"),
        (bundle, "fast", r"method: Input should be 'exact', 'one-pass' or 'causal', found 'fast'"),
    ):
        with pytest.raises(InputError, match=sentence):
            next(score_sequences(asked, SEQUENCES, method=method))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_packing_order_and_company_change_nothing(
    method: str, bundle: Bundle, reader: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = reader if METHODS[method] else bundle

    def scored(order: list[int]) -> list[float]:
        found = score_sequences(asked, [SEQUENCES[place] for place in order], method=method)  # type: ignore[arg-type]
        return [one.log_likelihood for one in found]

    wanted = scored([0, 1, 2, 3, 4, 5])
    assert scored([5, 3, 1, 0, 4, 2]) == pytest.approx([wanted[place] for place in (5, 3, 1, 0, 4, 2)], rel=1e-5)
    for micro_tokens, at_once, numbers in ((1, 6, 1 << 26), (70, 2, 22), (10_000, 1, 60)):
        monkeypatch.setattr(likelihood, "MICRO_TOKENS", micro_tokens)
        monkeypatch.setattr(likelihood, "NUMBERS", numbers)
        monkeypatch.setattr(module, "AT_ONCE", at_once)
        assert scored([0, 1, 2, 3, 4, 5]) == pytest.approx(wanted, rel=1e-5)


def test_numbers_by_hand(bundle: Bundle) -> None:
    """A head that always says p(A) = 0.5, p(C) = 0.25 and shares the rest."""
    blank = network_in(bundle, SMALL)
    chance = np.full(22, 0.25 / 20)
    chance[bundle.tokenizer.encode("A", start=False, end=False)] = 0.5
    chance[bundle.tokenizer.encode("C", start=False, end=False)] = 0.25
    assert blank.model.head is not None
    with torch.no_grad():
        blank.model.head.decoder.weight.zero_()
        blank.model.head.decoder.bias.copy_(torch.from_numpy(np.log(chance)))
    for method in ("exact", "one-pass"):
        (found,) = score_sequences(blank, [("x", b"AACG")], method=method)  # type: ignore[arg-type]
        wanted = 2 * np.log(0.5) + np.log(0.25) + np.log(0.0125)
        assert found.log_likelihood == pytest.approx(wanted, rel=1e-6)
        assert found.mean == pytest.approx(wanted / 4, rel=1e-6)


def test_a_state_space_model_is_scored_too(bundle: Bundle) -> None:
    state = {"state_size": 4}
    asked = network_in(bundle, MambaConfig.from_data({"depth": 1, "width": 16, "state_space": state}).backbone())
    found = [one.log_likelihood for one in score_sequences(asked, SEQUENCES)]
    assert found == pytest.approx([causal(asked, text) for _, text in SEQUENCES], rel=1e-5)


def test_other_tokens_and_none_at_all(bundle: Bundle) -> None:
    for config, text, tokens in ((KmerConfig(k=3, stride=1), b"ACGTACGA", 6), (CodonConfig(frame=0), b"ATGAAATAA", 3)):
        asked = network_in(replace(bundle, tokenizer=config.build()), SMALL)
        (found,) = score_sequences(asked, [("x", text)])
        assert (found.length, found.tokens) == (len(text), tokens)
        assert found.log_likelihood == pytest.approx(exact(asked, text), rel=1e-5)
    trimming = network_in(replace(bundle, tokenizer=CodonConfig(frame=0, remainder="trim").build()), SMALL)
    (found,) = score_sequences(trimming, [("x", b"AC")])
    assert (found.tokens, found.log_likelihood) == (0, 0.0)
    assert np.isnan(found.mean)


# ---- longer than the model reads at once ----


def windowed(bundle: Bundle, text: bytes, window: int, *, hide: bool) -> float:
    """The rule written down for ways that see both sides: every token in the window where it is farthest from a cut."""
    ids, room, found = bundle.tokenizer.encode(text, start=False, end=False).tolist(), window - 2, 0.0
    firsts = [*range(0, len(ids) - room, room // 2), len(ids) - room]
    for token, wanted in enumerate(ids):

        def depth(first: int, token: int = token) -> float:
            left = np.inf if first == 0 else token - first
            return min(left, np.inf if first + room == len(ids) else first + room - 1 - token)

        first = max((f for f in firsts if f <= token < f + room), key=lambda f: (depth(f), -f))
        before = [bundle.tokenizer.cls_id] if first == 0 else []
        inside = [*before, *ids[first : first + room]]
        inside += [bundle.tokenizer.eos_id] if first + room == len(ids) else []
        place = len(before) + token - first
        if hide:
            inside[place] = bundle.tokenizer.mask_id
        found += np.log(chances(bundle, inside)[place, wanted])
    return found


@pytest.mark.parametrize("method", ["exact", "one-pass"])
def test_long_sequences_are_read_in_windows(method: str, bundle: Bundle) -> None:
    long = [("x", letters(1, 47).encode()), ("short", b"ACGTTACG"), ("y", letters(2, 19).encode())]
    found = [one.log_likelihood for one in score_sequences(bundle, long, method=method, window=14)]  # type: ignore[arg-type]
    hide = method == "exact"
    wanted = [windowed(bundle, long[0][1], 14, hide=hide), PLAIN[method](bundle, long[1][1])]
    assert found == pytest.approx([*wanted, windowed(bundle, long[2][1], 14, hide=hide)], rel=1e-5)


def test_a_causal_model_reads_on_with_half_a_window_before(bundle: Bundle) -> None:
    asked = network_in(bundle, SMALL.model_copy(update={"causal": True, "positions": "learned", "max_positions": 14}))
    text = letters(3, 40).encode()
    ids = asked.tokenizer.encode(text, start=False, end=False).tolist()
    wanted = sum(np.log(chances(asked, [0, *ids[:place]])[-1, ids[place]]) for place in range(12))
    firsts = [*range(0, 40 - 12, 6), 28]
    for place in range(12, 40):
        first = min(f for f in firsts if f + 12 > place)  # the earliest window that holds it
        assert place - first >= 6
        wanted += np.log(chances(asked, ids[first:place])[-1, ids[place]])
    (found,) = score_sequences(asked, [("x", text)])
    assert found.log_likelihood == pytest.approx(wanted, rel=1e-5)


# ---- files ----


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return fasta(tmp_path / "in.fa", [(name.replace(" ", "_"), text.decode()) for name, text in SEQUENCES])


def table(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    with path.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_file_becomes_a_table(ending: str, bundle: Bundle, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out.{ending}"
    with quiet():
        done = nuclex.score(bundle, inputs, out, method="one-pass")
    assert done == {"out": str(out), "sequences": 6, "method": "one-pass"}
    wanted = list(score_sequences(bundle, SEQUENCES, method="one-pass"))
    rows = table(out)
    assert list(rows[0]) == ["id", "length", "tokens", "log_likelihood", "mean_log_likelihood", "method"]
    for row, one in zip(rows, wanted, strict=True):
        assert (row["id"], int(row["length"]), int(row["tokens"])) == (one.id.replace(" ", "_"), one.length, one.tokens)
        assert float(row["log_likelihood"]) == pytest.approx(one.log_likelihood, rel=1e-8)
        assert float(row["mean_log_likelihood"]) == pytest.approx(one.mean, rel=1e-8)
        assert row["method"] == "one-pass"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", out.name]


def test_no_token_is_no_mean_in_the_table(bundle: Bundle, tmp_path: Path) -> None:
    trimming = network_in(replace(bundle, tokenizer=CodonConfig(frame=0, remainder="trim").build()), SMALL)
    path = fasta(tmp_path / "in.fa", [("x", "AC"), ("y", "ATG")])
    for ending, nothing in (("csv", ""), ("parquet", None)):
        with quiet():
            score(trimming, path, tmp_path / f"out.{ending}")
        first, second = table(tmp_path / f"out.{ending}")
        assert first["mean_log_likelihood"] == nothing
        assert float(second["mean_log_likelihood"]) < 0


@pytest.mark.parametrize(
    ("settings", "name", "sentence"),
    [
        ({}, "out.npz", r"out\.npz: a table is written to \.csv, \.tsv, \.parquet, found '\.npz'"),
        ({"method": "causal"}, "out.csv", "method: found 'causal'"),
        ({"window": 3}, "out.csv", "window: found 3 tokens; this model takes 4 or more"),
        ({"windows": 30}, "out.csv", r"windows: unknown key \(did you mean 'window'\?\)"),
        ({"strands": "both"}, "out.csv", "around and strands are for variants; give --variants FILE"),
        ({"window": 30, "variants": "v.vcf"}, "out.csv", "window is for whole sequences; around says how much"),
    ],
)
def test_wrong_requests_get_a_sentence_and_leave_nothing(
    settings: dict[str, Any], name: str, sentence: str, bundle: Bundle, inputs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        score(bundle, inputs, tmp_path / name, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]


def test_a_wrong_sequence_is_named(bundle: Bundle, tmp_path: Path) -> None:
    path = fasta(tmp_path / "in.fa", [("a", "ACGT"), ("b", "ACXXXX")])
    with pytest.raises(InputError, match=r"in\.fa:3: b: 'X' at position 2"):
        score(bundle, path, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]


# ---- as much memory for many as for few; killed and taken up again ----


def test_no_more_is_read_than_is_scored_together(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal pulled
        while True:
            pulled += 1
            yield f"s{pulled}", b"ACGTACG"

    monkeypatch.setattr(module, "AT_ONCE", 5)
    for number, one in zip(range(1, 16), score_sequences(bundle, endless(), method="one-pass"), strict=False):
        assert one.id == f"s{number}"
        assert pulled <= number + 5
    monkeypatch.setattr(module, "PAIRS", 150)  # three times seven times seven
    pulled = 0
    for _, _ in zip(range(3), score_sequences(bundle, endless()), strict=False):
        assert pulled == 4


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_sequences(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 50)
    small_pieces(monkeypatch)
    peaks = {}
    for count in (50, 200, 1000):
        path = fasta(tmp_path / "in.fa", [(f"s{number}", "ACGU" * 30) for number in range(count)])
        tracemalloc.start()
        with quiet():
            score(bundle, path, tmp_path / "out.parquet", method="one-pass")
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1000] < 1.3 * peaks[200] + 100_000, peaks


class Killed(BaseException):
    """Stands for a kill."""


def test_killed_scoring_goes_on_and_is_the_same_to_the_bit(
    bundle: Bundle, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    compute, calls = module._scored, 0

    def counted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Killed
        return compute(*given)

    monkeypatch.setattr(module, "_scored", counted)
    out = tmp_path / "out.csv"
    with quiet():
        with pytest.raises(Killed):
            score(bundle, inputs, out)
        with pytest.raises(InputError, match=r"begun\.json: .*method was 'exact', now it is 'one-pass'"):
            score(bundle, inputs, out, method="one-pass", resume=True)
        score(bundle, inputs, out, resume=True)
        assert calls == 4
        score(bundle, inputs, tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_model_in_training_is_not_asked(bundle: Bundle) -> None:
    bundle.model.train()
    with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
        next(score_sequences(bundle, SEQUENCES))
    bundle.model.eval()


def test_a_table_of_positions_sets_the_window(bundle: Bundle) -> None:
    short = network_in(bundle, RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=16).backbone())
    text = letters(5, 33).encode()
    (found,) = score_sequences(short, [("x", text)])
    assert found == Score("x", 33, 33, pytest.approx(windowed(short, text, 14, hide=True), rel=1e-5))
    assert reading.MICRO_TOKENS > 14
