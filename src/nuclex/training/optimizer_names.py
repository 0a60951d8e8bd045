"""Optimizers by name: those of PyTorch and of pytorch-optimizer, and the names that timm (and so HELM) calls them by.

timm 1.0 is followed where its name stands for settings too: ``sgd`` has Nesterov momentum, ``rmsprop`` forgets with
0.9, ``adafactor`` has no first moment and takes its rate from the schedule.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from nuclex.core.errors import InputError, missing_extra, shown

LOOKAHEAD = "lookahead_"


@dataclass(frozen=True)
class Named:
    """What a name stands for: a class of one of the two libraries, and settings that differ from its own."""

    library: str
    name: str
    settings: Mapping[str, Any]


def _torch(name: str, settings: Mapping[str, Any] = MappingProxyType({})) -> Named:
    return Named("torch", name, settings)


def _more(name: str, settings: Mapping[str, Any] = MappingProxyType({})) -> Named:
    return Named("pytorch_optimizer", name, settings)


NAMED: Mapping[str, Named] = {
    "adamw": _torch("AdamW", {"fused": True}),
    "adam": _torch("Adam"),
    "sgd": _torch("SGD", {"momentum": 0.9, "nesterov": True}),
    "nesterov": _torch("SGD", {"momentum": 0.9, "nesterov": True}),
    "momentum": _torch("SGD", {"momentum": 0.9}),
    "sgdp": _more("SGDP", {"momentum": 0.9, "nesterov": True}),
    "sgdw": _more("SGDW", {"momentum": 0.9, "nesterov": True}),
    "adamp": _more("AdamP", {"wd_ratio": 0.01, "nesterov": True}),
    "nadam": _torch("NAdam"),
    "nadamw": _torch("NAdam", {"decoupled_weight_decay": True}),
    "radam": _torch("RAdam"),
    "radamw": _torch("RAdam", {"decoupled_weight_decay": True}),
    "adamax": _torch("Adamax"),
    "adadelta": _torch("Adadelta"),
    "adagrad": _torch("Adagrad", {"eps": 1e-8}),
    "adabelief": _more("AdaBelief", {"rectify": False}),
    "radabelief": _more("AdaBelief", {"rectify": True}),
    "adafactor": _more("AdaFactor", {"betas": (None, 0.999), "relative_step": False}),
    "adan": _more("Adan", {"weight_decouple": False}),
    "adanp": _more("Adan", {"weight_decouple": False}),
    "adanw": _more("Adan", {"weight_decouple": True}),
    "adopt": _more("ADOPT"),
    "adoptw": _more("ADOPT", {"weight_decouple": True}),
    "lamb": _more("Lamb"),
    "laprop": _more("LaProp"),
    "lars": _more("LARS"),
    "nlars": _more("LARS", {"nesterov": True}),
    "lion": _more("Lion"),
    "madgrad": _more("MADGRAD"),
    "madgradw": _more("MADGRAD", {"weight_decouple": True}),
    "mars": _more("MARS", {"lr_1d": 1e-3}),
    "muon": _more("Muon", {"use_adjusted_lr": True}),
    "novograd": _more("NovoGrad"),
    "nvnovograd": _more("NovoGrad"),
    "rmsprop": _torch("RMSprop", {"alpha": 0.9, "momentum": 0.9}),
}
"""timm's names. ``muon`` scales its steps to the size of AdamW's, so that one learning rate fits all groups; ``mars``
gives vectors the rate of matrices."""

_TORCH_ONE, _CLIPPED = "PyTorch's own of today is {!r}", "no library here clips its trust ratio; {!r} is the unclipped"
REFUSED: Mapping[str, str] = {
    "adamwlegacy": _TORCH_ONE.format("adamw"),
    "nadamlegacy": _TORCH_ONE.format("nadam"),
    "radamlegacy": _TORCH_ONE.format("radam"),
    "lambc": _CLIPPED.format("lamb"),
    "larc": _CLIPPED.format("lars"),
    "nlarc": _CLIPPED.format("nlars"),
    "rmsproptf": "its epsilon inside the root is in no library here; 'rmsprop' has it outside",
    "adafactorbv": "no library here has it; 'adafactor' is near",
    "adafactorbigvision": "no library here has it; 'adafactor' is near",
    "adahessian": "it needs second derivatives, which the training loop does not compute",
}
"""timm's names without a counterpart, and why."""


def chosen(name: str) -> tuple[type[torch.optim.Optimizer], dict[str, Any], bool]:
    """Class, settings, and whether Lookahead is laid over it; InputError where the name says nothing.

    >>> chosen("lookahead_momentum")
    (<class 'torch.optim.sgd.SGD'>, {'momentum': 0.9}, True)
    """
    asked = name.lower()
    lookahead, bare = asked.startswith(LOOKAHEAD), asked.removeprefix(LOOKAHEAD)
    if why := REFUSED.get(bare):
        raise InputError(f"training.optimizer.name: {name!r} is not to be had: {why}")
    if bare.startswith(("bnb", "fused")):
        raise InputError(f"training.optimizer.name: {name!r} is of bitsandbytes or apex; take the one without prefix")
    known = NAMED.get(bare)
    if known is None:
        return _class(name, bare), {}, lookahead
    source = torch.optim if known.library == "torch" else _library(name)
    return getattr(source, known.name), dict(known.settings), lookahead


def _class(name: str, bare: str) -> type[torch.optim.Optimizer]:
    """A class of ``torch.optim``, by its name in any case (``torch.`` in front says that it is to be that one)."""
    own = {key.lower(): value for key, value in vars(torch.optim).items() if isinstance(value, type)}
    del own["optimizer"]
    if found := own.get(bare.removeprefix("torch.")):
        return found
    library = _library(name)
    more = list(library.get_supported_optimizers())
    if bare in more:
        found = library.load_optimizer(bare)
        if getattr(found, "eval", None) is not None:
            raise InputError(
                f"training.optimizer.name: {name!r} wants other weights to be looked at than to be trained"
            )
        return found
    near = difflib.get_close_matches(bare, sorted({*NAMED, *own, *more}), n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise InputError(
        f"training.optimizer.name: found {shown(name)}; the names are those of torch.optim, pytorch-optimizer and timm"
        f"{hint}"
    )


def _library(name: str) -> Any:
    try:
        import pytorch_optimizer
    except ImportError:
        raise missing_extra(
            "pytorch_optimizer", "optimizers", f"training.optimizer.name: {shown(name)} is no optimizer of PyTorch and"
        ) from None
    return pytorch_optimizer
