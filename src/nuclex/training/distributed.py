"""Many devices, one run: the processes that torchrun starts make every update together; the first writes and speaks.

Batches do not know how many devices there are: an update is cut into forward passes by the recipe alone, and the passes
are dealt in turn. Each gradient is divided by the predictions of the whole update, so that the sum over the devices is
what one device would have found, up to the order in which numbers are added. The sums themselves are PyTorch's: DDP
(arXiv:2006.15704), or FSDP2 (``fully_shard``; arXiv:2304.11277), which also shares out weights and optimizer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from pydantic import Field

from nuclex.core.config import Config
from nuclex.core.errors import InputError, NuclexError, OutsideError
from nuclex.core.progress import quiet, say

Made = TypeVar("Made")
Kind = Literal["ddp", "fsdp"]
STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun (and Kubernetes' training operator) puts into the environment of every process of a run."""
_BROKEN = re.compile(
    r"gloo|NCCL|Connection (closed|reset)|Socket Timeout|Broken pipe|failed to (send|recv)|Timed out waiting", re.I
)
_BEAT_S = 0.5
"""How often a process says that it is there; who has not within four times as long is lost."""


class DistributedConfig(Config):
    """How several devices share a run that ``torchrun`` started; where it did not, there is one device."""

    kind: Kind = Field(
        default="ddp",
        description="ddp: every device holds the whole model and sums gradients; fsdp: weights, gradients and "
        "optimizer are shared out too (FSDP2), for models that one device cannot hold",
    )
    timeout_s: float = Field(
        default=1800.0, gt=0, description="seconds that a process waits for another before the run ends"
    )


@dataclass(frozen=True)
class Group:
    """The processes of a run: the number of this one (0 is the first), and how many there are."""

    rank: int = 0
    world: int = 1
    kind: Kind = "ddp"

    @property
    def first(self) -> bool:
        """Whether this process is the one that owns the run folder, writes and speaks."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of every weight only."""
        return self.kind == "fsdp"

    def gathered(self, numbers: Sequence[float]) -> list[list[float]]:
        """What each process gives, in the order of their numbers; as many from each."""
        if self.world == 1:
            return [list(numbers)]
        mine = torch.tensor(numbers, dtype=torch.float64)
        rows = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(rows, mine)
        return [row.tolist() for row in rows]

    def any(self, value: bool) -> bool:
        """Whether it holds for any process."""
        return any(row[0] for row in self.gathered([value]))

    def wait(self) -> None:
        """Until all have come here."""
        self.gathered([0])

    def shared(self, value: Any) -> Any:
        """The first process's value, plain data, for all; the others' is not looked at."""
        if self.world == 1:
            return value
        content = torch.tensor(list(json.dumps(value).encode() if self.first else b""), dtype=torch.uint8)
        size = torch.tensor([len(content)])
        dist.broadcast(size, 0)
        content = content if self.first else torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(content, 0)
        return json.loads(bytes(content.tolist()))

    def after_first(self, make: Callable[[], Made]) -> Made:
        """``make()`` in the first process and, when it is done there, in all others, who find what it left."""
        made = make() if self.first else None
        self.shared(None)
        return made if made is not None else make()


ALONE = Group()


def devices() -> int:
    """How many processes compute together with this one, itself among them."""
    return dist.get_world_size() if dist.is_initialized() else 1


def present(kind: Kind) -> Group:
    """The group that this process is in."""
    return Group(dist.get_rank() if dist.is_initialized() else 0, devices(), kind)


@contextlib.contextmanager
def joined(config: DistributedConfig, device: str) -> Iterator[Group]:
    """Meet the other processes of the run, and part from them when the block ends; ``ALONE`` outside torchrun.

    All but the first are quiet. An error is told by the process that meets it first; one that others have told of
    already is marked so. OutsideError where a process ends, or does not answer in time. InputError where ``fsdp`` is
    asked for outside torchrun, or a process has no GPU of its own.
    """
    if not os.environ.keys() >= set(STARTED):
        if config.kind == "fsdp":
            raise InputError(
                "training.distributed.kind: 'fsdp' shares a model out among processes, and there is one; start them "
                "with torchrun --nproc-per-node N -m nuclex …"
            )
        yield ALONE
        return
    group = Group(_number("RANK"), _number("WORLD_SIZE"), config.kind)
    store = _met(group, config, device)
    with _asked_to_end(store, group):
        try:
            with _beating(store, group), contextlib.nullcontext() if group.first else quiet():
                yield group
        except NuclexError as error:
            error.told = _told(store)
            raise
        except RuntimeError as error:
            if isinstance(error, dist.DistError) or _BROKEN.search(str(error)):
                raise _lost(store, group) from error
            raise
    dist.destroy_process_group()


@contextlib.contextmanager
def _asked_to_end(store: dist.Store, group: Group) -> Iterator[None]:
    """torchrun ends the others where one was lost, maybe before they have noticed: then they are lost, not ended."""
    try:
        yield
    except KeyboardInterrupt as error:
        if missing := _missing(store, group):
            raise _lost(store, group, missing) from error
        raise


def refuse_several(verb: str) -> None:
    """InputError where torchrun started several processes of something that one does."""
    if os.environ.keys() >= set(STARTED) and _number("WORLD_SIZE") > 1:
        raise InputError(
            f"{verb}: runs in one process on one device, and torchrun started {_number('WORLD_SIZE')}; start it without"
        )


def tell_idle(group: Group, batch_tokens: int, micro_tokens: int) -> None:
    """Say so where an update has fewer forward passes than there are devices."""
    passes = -(-batch_tokens // micro_tokens)
    if passes < group.world:
        say(
            f"an update is {passes} forward passes of sampling.micro_tokens = {micro_tokens} tokens, for {group.world} "
            f"devices: some compute nothing that counts; {batch_tokens // group.world} or fewer keep all of them busy"
        )


def _number(name: str) -> int:
    text = os.environ[name]
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{name}: found {text!r} in the environment; torchrun sets it to a number")
    return int(text)


def _met(group: Group, config: DistributedConfig, device: str) -> dist.Store:
    """Join the others; the store through which they know of each other."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        local, there = _number("LOCAL_RANK") if "LOCAL_RANK" in os.environ else 0, torch.cuda.device_count()
        if local >= there:
            raise InputError(f"device: process {group.rank} has no GPU, this machine has {there}; start fewer on it")
        torch.cuda.set_device(local)
    from torch.distributed.rendezvous import rendezvous

    wait = timedelta(seconds=config.timeout_s)
    try:
        store, _, _ = next(rendezvous("env://", group.rank, group.world, timeout=wait))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=dist.PrefixStore("devices", store),
            rank=group.rank,
            world_size=group.world,
            timeout=wait,
        )
    except (RuntimeError, ValueError) as error:
        raise OutsideError(
            f"process {group.rank} of {group.world} did not meet the others at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} within {config.timeout_s:g} s; start all of them, and see that they reach it"
        ) from error
    return dist.PrefixStore("told", store)


def _told(store: dist.Store) -> bool:
    """Whether another process has told already what went wrong."""
    with contextlib.suppress(RuntimeError):
        return store.add("errors", 1) > 1
    return False


def _lost(store: dist.Store, group: Group, missing: list[int] | None = None) -> OutsideError:
    """What a run ends with that has lost a process; the first to notice finds out which, and tells."""
    told = _told(store)
    if missing is None:
        missing = _missing(store, group, told=told)
    who = f"process {missing[0]}" if len(missing) == 1 else f"processes {', '.join(map(str, missing))}"
    who = f"{who} of {group.world} ended or does" if missing else f"one of {group.world} processes ended or does"
    error = OutsideError(f"{who} not answer; the run ended with it: start all again with --resume")
    error.told = told
    return error


def _missing(store: dist.Store, group: Group, *, told: bool = False) -> list[int]:
    """The processes that neither have noticed too nor are still there; none where that cannot be told, or is."""
    with contextlib.suppress(ValueError):  # torchrun now asks the others to end; they are about to, with a sentence
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(RuntimeError):
        store.set(f"here/{group.rank}", "yes")
        if told:
            return []
        before = _beats(store, group)
        time.sleep(4 * _BEAT_S)
        now = _beats(store, group)
        return [rank for rank in before if now[rank] == before[rank] and not store.check([f"here/{rank}"])]
    return []


def _beats(store: dist.Store, group: Group) -> dict[int, bytes]:
    return {rank: store.get(f"beat/{rank}") for rank in range(group.world) if store.check([f"beat/{rank}"])}


@contextlib.contextmanager
def _beating(store: dist.Store, group: Group) -> Iterator[None]:
    """Inside the block a thread says now and then that this process is there."""
    ended, own = threading.Event(), store.clone()  # type: ignore[attr-defined]

    def beat() -> None:
        number = 0
        with contextlib.suppress(RuntimeError):  # the store has gone: so have the others
            while not ended.wait(_BEAT_S if number else 0):
                own.set(f"beat/{group.rank}", str(number := number + 1))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_BEAT_S)
