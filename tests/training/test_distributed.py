from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nuclex.bundle import load
from nuclex.core.artifact import verify_folder
from nuclex.core.config import parse_settings
from nuclex.core.errors import CorruptError, InputError, OutsideError
from nuclex.data.sample import SamplingConfig, plan_epoch
from nuclex.data.tokens import TokenTable
from nuclex.training.distributed import ALONE, DistributedConfig, Group, _asked_to_end, joined, refuse_several
from nuclex.training.duration import TrainingConfig
from nuclex.training.tracking import read_metrics
from processes import free_port, lines_in, started

RECIPE: dict[str, Any] = {
    "seed": 7,
    "tokenizer": {"kind": "nucleotide"},
    "model": {"kind": "rinalmo", "depth": 2, "width": 16, "heads": 2, "dropout": 0.1},
    "sampling": {"members": "all", "max_tokens": 40, "batch_tokens": 400, "micro_tokens": 80},
    "training": {
        "steps": 6,
        "evaluate_every": 3,
        "checkpoint_every": 3,
        "log_every": 1,
        "schedule": {"rate": 3e-3, "warmup": 2},
        "optimizer": {"clip": 0.5},
        "ema": {"decay": 0.9},
        "keep_best": 2,
    },
    "validation_sequences": 8,
}
SAME = 1e-5
"""How far losses of several devices may lie from those of one."""


class Runs:
    """A folder of runs, each made when it is first asked for."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder = folder
        (folder / "recipe.yaml").write_text(json.dumps({**RECIPE, "corpus": str(corpus)}))
        self.jobs: list[dict[str, Any]] = []

    def words(self, name: str, *more: str) -> list[str]:
        return [
            "pretrain",
            str(self.folder / "recipe.yaml"),
            "--out",
            str(self.folder / name),
            "--device",
            "cpu",
            *more,
        ]

    def job(self, name: str, world: int, *more: str, blow: dict[str, Any] | None = None) -> dict[str, Any]:
        """``world`` 0 is a run that no torchrun started."""
        return {"name": name, "world": world or 1, "plain": not world, "words": self.words(name, *more), "blow": blow}

    def half(self, origin: str, name: str) -> None:
        """A run as it was when its first half was done."""
        shutil.copytree(self.folder / origin, self.folder / name)
        shutil.rmtree(self.folder / name / "bundle")
        shutil.rmtree(self.folder / name / "checkpoints" / "step-00000006")


FSDP = ("--training.distributed.kind", "fsdp")
GROUPS = {f"{kind}-{world}": world for kind in ("ddp", "fsdp") for world in (1, 2, 4)}


def of(name: str) -> tuple[str, ...]:
    return FSDP if name.startswith("fsdp") else ()


@pytest.fixture(scope="module")
def runs(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("devices"), tiny_corpus)


@pytest.fixture(scope="module")
def whole(runs: Runs) -> dict[str, dict[str, Any]]:
    """One process, and groups of 1, 2 and 4 of both kinds, from beginning to end."""
    jobs = [runs.job("one", 0), *(runs.job(name, world, *of(name)) for name, world in GROUPS.items())]
    return started(jobs, runs.folder)


def curve(run: Path, name: str = "loss") -> list[float]:
    return [record[name] for record in read_metrics(run) if name in record]


def apart(run: Path, other: Path, name: str = "loss") -> float:
    found, wanted = curve(run, name), curve(other, name)
    assert len(found) == len(wanted) > 0
    return float(np.abs(np.subtract(found, wanted)).max())


def sound(done: dict[str, Any], world: int) -> bool:
    assert done["codes"] == [0] * world, done["said"]
    return True


# ---- the same run ----


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_several_devices_learn_what_one_learns(runs: Runs, whole: dict[str, Any], name: str) -> None:
    assert sound(whole["one"], 1)
    assert sound(whole[name], GROUPS[name])
    one, run = runs.folder / "one", runs.folder / name
    assert apart(run, one) < SAME
    for number in ("validation_loss", "gradient_norm", "rate"):
        assert apart(run, one, number) < SAME
    assert curve(run, "tokens") == curve(one, "tokens")
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in one.iterdir())
    for part in ("bundle", "bundle/best"):
        found, wanted = load(run / part).model, load(one / part).model
        for value, other in zip(found.parameters(), wanted.parameters(), strict=True):
            assert float((value - other).detach().abs().max()) < 1e-4
    assert whole[name]["said"].count("steps    6") == 1, "the first process tells, the others are silent"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_group_of_one_is_one_process_bit_for_bit(runs: Runs, whole: dict[str, Any], kind: str) -> None:
    def weights(name: str) -> str:
        return hashlib.sha256((runs.folder / name / "bundle" / "model.safetensors").read_bytes()).hexdigest()

    assert weights(f"{kind}-1") == weights("one")


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices(runs: Runs, whole: dict[str, Any]) -> None:
    cases = [
        ("ddp-4", 2, ()),
        ("ddp-2", 2, FSDP),
        ("fsdp-4", 2, FSDP),
        ("fsdp-2", 4, FSDP),
        ("fsdp-4", 3, ()),
        ("fsdp-2", 0, ()),
    ]
    jobs = []
    for number, (origin, world, more) in enumerate(cases):
        runs.half(origin, f"half-{number}")
        jobs.append(runs.job(f"half-{number}", world, "--resume", *more))
    done = started(jobs, runs.folder)
    for job in jobs:
        assert sound(done[job["name"]], job["world"])
        assert "devices" in done[job["name"]]["said"] or job is jobs[1], "what changed is said"
        assert apart(runs.folder / job["name"], runs.folder / "one") < SAME
        assert apart(runs.folder / job["name"], runs.folder / "one", "validation_loss") < SAME
        load(runs.folder / job["name"] / "bundle")


@pytest.mark.slow
def test_shards_are_checked_before_they_are_read(runs: Runs, whole: dict[str, Any]) -> None:
    runs.half("fsdp-2", "damaged")
    checkpoints = runs.folder / "damaged" / "checkpoints"
    shard = sorted((checkpoints / "step-00000003" / "shards").iterdir())[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptError, match="sha256 differs"):
        verify_folder(checkpoints / "step-00000003")
    done = started([runs.job("damaged", 2, "--resume", *FSDP)], runs.folder)["damaged"]
    assert done["codes"] == [4, 3] or done["codes"][0] == 4
    assert done["said"].count("nuclex: ") == 1
    assert "no checkpoint in it is whole" in done["said"]
    files = [path for path in (runs.folder / "fsdp-2" / "checkpoints").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}, "no pickle"


SPIKES = ("training.steps=14", "training.schedule={kind='constant', rate=0.05}")


def left_out(run: Path) -> list[tuple[int, int, list[int]]]:
    """Epoch, batch and sequences of what was refused."""
    found = [record["anomaly"] for record in read_metrics(run) if "anomaly" in record]
    return [(each["epoch"], each["batch"], each["sequences"]) for each in found]


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "most"),
    [
        (["training.precision=bf16"], 2e-3),
        (["training.precision=bf16-weights"], 2e-2),
        (["training.anomaly={policy='skip', deviations=1.5, window=8}", *SPIKES], SAME),
        (["training.anomaly={policy='roll-back', deviations=1.5, window=8}", *SPIKES], SAME),
        (["training.optimizer={name='sgd', clip=0.01, clip_mode='value'}"], SAME),
        (
            ["model={kind='gpt2', depth=2, width=16, heads=2, inner=32, max_positions=64}", "objective.kind=causal"],
            SAME,
        ),
        (["model={kind='mamba', depth=1, width=16}", "objective.kind=causal"], SAME),
        (["model={kind='hyena', depth=1, width=16}", "objective.kind=causal"], SAME),
        (["model.base_width=8"], SAME),
        (["model={kind='mamba', depth=1, width=16, base_width=8}", "objective.kind=causal"], SAME),
    ],
)
def test_precisions_anomalies_clipping_and_other_models(
    runs: Runs, tmp_path: Path, settings: list[str], most: float
) -> None:
    given = [f"--set={setting}" for setting in settings]
    assert parse_settings(settings)
    mine = Runs(tmp_path, Path(json.loads((runs.folder / "recipe.yaml").read_text())["corpus"]))
    jobs = [mine.job("one", 0, *given), mine.job("ddp-2", 2, *given), mine.job("fsdp-2", 2, *FSDP, *given)]
    done = started(jobs, tmp_path)
    for job in jobs:
        assert sound(done[job["name"]], job["world"])
        assert apart(tmp_path / job["name"], tmp_path / "one") <= most
        assert left_out(tmp_path / job["name"]) == left_out(tmp_path / "one")
    assert len(left_out(tmp_path / "one")) > 2 * ("anomaly" in settings[0]) - 1


# ---- stopped, killed ----


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_the_same_step(runs: Runs, whole: dict[str, Any]) -> None:
    metrics = str(runs.folder / "stopped" / "metrics.jsonl")
    blow = {"file": metrics, "lines": 4, "signal": int(signal.SIGTERM), "ranks": [1], "frozen": False}
    long = ("--training.steps", "5000")
    done = started([runs.job("stopped", 2, *long, blow=blow)], runs.folder)["stopped"]
    assert done["codes"] == [143, 143], done["said"]
    assert done["said"].count("nuclex: SIGTERM: stopped after step") == 1
    last = max((runs.folder / "stopped" / "checkpoints").glob("step-*"))
    verify_folder(last)
    assert json.loads((last / "checkpoint.json").read_text())["devices"] == 2
    assert not list((runs.folder / "stopped").rglob(".lock"))


@pytest.mark.parametrize(("noticed", "raised"), [(False, OutsideError), (True, KeyboardInterrupt)])
def test_who_is_asked_to_end_because_another_was_lost_says_that(noticed: bool, raised: type[BaseException]) -> None:
    """torchrun is sometimes quicker than the one who would notice; asked by a person, nobody is lost."""
    store, before = torch.distributed.HashStore(), signal.getsignal(signal.SIGTERM)
    for rank in range(2):
        store.set(f"beat/{rank}", "7")  # and never again
    if noticed:
        store.set("here/1", "yes")
    try:
        with pytest.raises(raised) as found, _asked_to_end(store, Group(0, 2, "ddp")):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGTERM, before)
    assert noticed or "process 1 of 2 ended or does not answer; the run ended with it" in str(found.value)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_with_one_sentence_and_the_run_resumes(
    runs: Runs, whole: dict[str, Any]
) -> None:
    run = runs.folder / "killed"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=3", f"--master-port={free_port()}"]
    words = [*torchrun, "-m", "nuclex", *runs.words("killed", "--training.checkpoint-every", "3")]
    log = runs.folder / "killed.log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    long = [*words, "--training.steps", "6", "--training.evaluate-every", "3", "--training.log-every", "1"]
    with log.open("w") as file:
        process = subprocess.Popen(long, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        began = time.monotonic()
        while lines_in(run / "metrics.jsonl") < 3 and time.monotonic() - began < 90:
            time.sleep(0.005)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 3
        os.kill(int(children[1]), signal.SIGKILL)
        began = time.monotonic()
        assert process.wait(30) != 0
        assert time.monotonic() - began < 20
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = [line for line in log.read_text().splitlines() if line.startswith("nuclex: ")]
    assert len(said) == 1, said
    assert "process 1 of 3 ended or does not answer; the run ended with it" in said[0]
    done = started([runs.job("killed", 2, "--resume")], runs.folder)["killed"]
    assert sound(done, 2)
    assert apart(run, runs.folder / "one") < SAME


@pytest.mark.slow
def test_lost_frozen_and_refused_processes_end_a_run_with_one_sentence(runs: Runs, whole: dict[str, Any]) -> None:
    def blow(name: str, number: int, rank: int) -> dict[str, Any]:
        file = str(runs.folder / name / "metrics.jsonl")
        return {"file": file, "lines": 4, "signal": number, "ranks": [rank], "frozen": number == signal.SIGSTOP}

    long, soon = ("--training.steps", "5000"), ("--training.distributed.timeout-s", "3")
    jobs = [
        runs.job("headless", 3, *long, blow=blow("headless", int(signal.SIGKILL), 0)),
        runs.job("apart", 4, *long, *FSDP, blow=blow("apart", int(signal.SIGKILL), 2)),
        runs.job("frozen", 2, *long, *soon, blow=blow("frozen", int(signal.SIGSTOP), 1)),
        runs.job("one", 2),
    ]
    done = started(jobs, runs.folder)
    said = {name: [line for line in each["said"].splitlines() if "nuclex: " in line] for name, each in done.items()}
    assert {name: len(lines) for name, lines in said.items()} == dict.fromkeys(done, 1), said
    assert done["headless"]["codes"] == [-signal.SIGKILL, 3, 3]
    assert done["apart"]["codes"] == [3, 3, -signal.SIGKILL, 3]
    assert done["frozen"]["codes"] == [3, -1000]
    assert done["one"]["codes"][0] == 2
    assert "process 0 of 3 ended or does not answer" in said["headless"][0]
    assert "process 2 of 4 ended or does not answer" in said["apart"][0]
    assert "process 1 of 2 ended or does not answer" in said["frozen"][0]
    assert "holds a run already; continue it with --resume" in said["one"][0]
    assert max(done[name]["seconds"] for name in ("headless", "apart", "frozen")) < 20


# ---- what each device gets ----


def table_of(lengths: list[int]) -> TokenTable:
    ends = np.cumsum([0, *lengths])
    rows = np.arange(len(lengths))
    return TokenTable(np.zeros(ends[-1], dtype=np.uint8), ends, rows, rows)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    seed=st.integers(0, 1000),
    batch=st.integers(30, 200),
    micro=st.integers(20, 90),
    pool=st.integers(1, 3),
)
def test_no_sequence_is_repeated_or_left_out_for_any_number_of_devices(
    lengths: list[int], seed: int, batch: int, micro: int, pool: int
) -> None:
    sampling = SamplingConfig(members="all", max_tokens=20, batch_tokens=batch, micro_tokens=micro, pool=pool)
    epoch = plan_epoch(table_of(lengths), sampling, seed, 0)
    seen: dict[int, list[list[tuple[int, ...]]]] = {}
    for world in (1, 2, 3, 4):
        batches = []
        for number in range(epoch.batches):
            dealt = [epoch.micro_batches(number, rank, world) for rank in range(world)]
            assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
            parts = [(part.index_P, part.first_P, part.last_P) for own in dealt for part in own]
            batches.append(sorted(tuple(map(int, row)) for part in parts for row in zip(*part, strict=True)))
        assert sorted(row[0] for rows in batches for row in rows) == list(range(len(lengths)))
        seen[world] = batches
    assert seen[1] == seen[2] == seen[3] == seen[4]


# ---- what is refused ----


def test_alone_everything_is_as_it_was() -> None:
    with joined(DistributedConfig(), "cpu") as group:
        assert group is ALONE
    assert ALONE.gathered([1.5, 2]) == [[1.5, 2]]
    assert ALONE.shared({"a": 1}) == {"a": 1}
    assert ALONE.after_first(lambda: 3) == 3


def test_sharing_a_model_out_needs_several_processes() -> None:
    with pytest.raises(InputError, match="start them with torchrun"), joined(DistributedConfig(kind="fsdp"), "cpu"):
        pass


def test_fine_tuning_in_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_several("finetune")
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="finetune: runs in one process on one device, and torchrun started 2"):
        refuse_several("finetune")


@pytest.mark.parametrize("optimizer", [{"name": "adafactor"}, {"clip_mode": "agc"}])
def test_what_parts_of_weights_cannot_do_is_refused(optimizer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"distributed\.kind 'fsdp'"):
        TrainingConfig.from_data({"distributed": {"kind": "fsdp"}, "optimizer": optimizer})
