from __future__ import annotations

import pytest
import torch

from nuclex.core.errors import InputError
from nuclex.training.device import choose_device, within_memory


@pytest.mark.parametrize(("cuda", "mps", "auto"), [(False, False, "cpu"), (True, False, "cuda"), (False, True, "cpu")])
def test_auto_takes_the_gpu_where_there_is_one(
    cuda: bool, mps: bool, auto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == choose_device("auto") == auto
    assert choose_device("cpu") == "cpu"
    for name, there in (("cuda", cuda), ("mps", mps)):
        if there:
            assert choose_device(name) == name
        else:
            with pytest.raises(InputError, match=f"device: '{name}' is not available here; available: cpu"):
                choose_device(name)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="device: 'tpu' is not available here; available: cpu"):
        choose_device("tpu")


def ask(error: BaseException | None, numbers: int = 0) -> None:
    with within_memory():
        torch.empty(numbers)
        if error is not None:
            raise error


def test_too_little_memory_is_said_with_what_to_make_smaller() -> None:
    with pytest.raises(
        InputError, match=r"^memory: .* \(4000000000000000000 bytes more were asked for\); take a smaller"
    ):
        ask(None, 10**18)
    cuda = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 1 GiB"
    )
    with pytest.raises(InputError, match=r"^memory: .* \(20\.00 MiB more were asked for\); .*micro_tokens"):
        ask(cuda)
    with pytest.raises(InputError, match=r"^memory: there is too little of it; take"):
        ask(MemoryError())


def test_other_trouble_is_not_taken_for_too_little_memory() -> None:
    for error in (RuntimeError("shapes differ"), ValueError("x"), InputError("y")):
        with pytest.raises(type(error)) as caught:
            ask(error)
        assert caught.value is error
