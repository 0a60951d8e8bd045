from __future__ import annotations

import pytest
import torch

from nuclex.core.errors import InputError
from nuclex.training.device import choose_device


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
