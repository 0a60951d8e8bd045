from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch

from nuclex.core.errors import InputError
from nuclex.training.optimizer_names import NAMED, REFUSED, chosen

TIMM = """adabelief adadelta adafactor adagrad adam adamax adamp adamw adan adanw adopt adoptw lamb laprop lars lion
madgrad madgradw mars momentum muon nadam nadamw nesterov nlars novograd nvnovograd radabelief radam radamw rmsprop sgd
sgdp sgdw adamwlegacy nadamlegacy radamlegacy lambc larc nlarc rmsproptf adafactorbv adahessian"""


@pytest.mark.parametrize("name", TIMM.split())
def test_every_name_of_timm_is_known_or_refused_with_a_reason(name: str) -> None:
    if name in NAMED:
        if NAMED[name].library != "torch":
            pytest.importorskip("pytorch_optimizer")
        assert issubclass(chosen(name.upper())[0], torch.optim.Optimizer)
    else:
        with pytest.raises(InputError, match=f"{name!r} is not to be had: .{{20}}"):
            chosen(name)
        assert name in REFUSED


def test_what_names_stand_for() -> None:
    assert chosen("sgd") == (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, False)
    assert chosen("Lookahead_AdamW") == (torch.optim.AdamW, {"fused": True}, True)
    assert chosen("rprop")[0] is torch.optim.Rprop
    assert chosen("torch.adafactor")[0] is torch.optim.Adafactor
    library = pytest.importorskip("pytorch_optimizer")
    assert chosen("adafactor")[0] is library.AdaFactor
    assert chosen("yogi")[0] is library.Yogi


@pytest.mark.parametrize("name", ["bnbadam8bit", "fusedlamb"])
def test_other_libraries_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="is of bitsandbytes or apex; take the one without prefix"):
        chosen(name)


def test_a_name_that_is_none() -> None:
    pytest.importorskip("pytorch_optimizer")
    with pytest.raises(InputError, match=r"found 'adamv'; the names are those .*; did you mean 'adam' or "):
        chosen("adamv")
    with pytest.raises(InputError, match="'schedulefreesgd' wants other weights to be looked at"):
        chosen("schedulefreesgd")
    with pytest.raises(InputError, match="optimizer"):
        chosen("optimizer")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "pytorch_optimizer":
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"'lamb'.*'pytorch_optimizer'.*not installed; pip install 'nuclex\[optimi"):
        chosen("lamb")
