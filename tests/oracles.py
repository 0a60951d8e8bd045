"""Independent implementations to hold nuclex against: the same weights in both, unequal lengths, values and gradients.

Tests and ``benchmarks/parity.py`` share what is here. Every comparison is a function that returns a ``Compared``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nuclex.bundle.foreign import Format, from_foreign
from nuclex.bundle.formats import format_of
from nuclex.bundle.multimolecule import MULTIMOLECULE, OURS, VOCABULARY, own_rows, pair_head_weights
from nuclex.models import (
    BackboneConfig,
    BertConfig,
    Gpt2Config,
    LanguageModel,
    Layout,
    MambaConfig,
    RinalmoConfig,
    RobertaConfig,
)
from nuclex.models.answering import AnsweringModel
from nuclex.models.blocks.state_space import StateSpaceConfig
from nuclex.models.heads import PairHeadConfig

TOKENS, CLS, PAD, EOS, MASK = 22, 0, 1, 2, 4
LENGTHS = (9, 2, 17, 9, 9, 1, 30, 5)
TOLERANCE, OF_GRADIENTS = 1e-5, 3e-5
"""The largest differences allowed, relative to the largest number of a tensor (absolute where that is below 1)."""

SMALL = {"depth": 3, "width": 32, "heads": 4, "inner": 48, "max_positions": 64}
PRESETS = {
    "RoBERTa": RobertaConfig(**SMALL),
    "RoBERTa, untied": RobertaConfig(**SMALL, tied=False),
    "BERT": BertConfig(**SMALL),
    "BERT, untied": BertConfig(**SMALL, tied=False),
    "GPT-2": Gpt2Config(**SMALL),
    "GPT-2, untied, rounded vocabulary": Gpt2Config(**SMALL, tied=False, vocabulary_multiple=16),
    "Mamba": MambaConfig(depth=3, width=32),
    "Mamba, untied, with biases": MambaConfig(
        depth=2,
        width=24,
        tied=False,
        state_space=StateSpaceConfig(bias=True, rank=5, expansion=3, kernel=3, state_size=5),
    ),
    "Mamba-2": MambaConfig(depth=3, width=32, version=2, state_space=StateSpaceConfig(head_size=16, state_size=8)),
    "Mamba-2, untied, groups": MambaConfig(
        depth=2,
        width=48,
        version=2,
        tied=False,
        norm_epsilon=1e-3,
        state_space=StateSpaceConfig(head_size=12, groups=2, chunk=5, bias=True, norm_epsilon=1e-3),
    ),
}
HEADLESS = ("RoBERTa", "BERT", "GPT-2", "Mamba", "Mamba-2")
RINALMOS = {
    "RiNALMo, 3 layers of 40": RinalmoConfig(depth=3, width=40, heads=4),
    "RiNALMo-micro": RinalmoConfig(depth=12, width=480, heads=20),
}


@dataclass(frozen=True)
class Compared:
    """What was compared with what, and the largest differences, each divided by the largest number (at least 1)."""

    reference: str
    what: str
    values: float
    gradients: float | None
    largest: float
    tensors: int


def config_of(name: str) -> BackboneConfig:
    """The network behind a name; "…, encoder alone" has no language head."""
    body = name.removesuffix(", encoder alone")
    config = (PRESETS | RINALMOS)[body].backbone()
    return config if body == name else config.model_copy(update={"head": "none"})


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The same module with weights that are all random and all matter: norms, biases, betas and decays included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim >= 2 and "A_log" not in name:
                value.copy_(noise / math.sqrt(value[0].numel()) if "embed" not in name.lower() else noise)
            else:
                value.copy_(0.3 * noise + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
    return module


def made(name: str, seed: int = 0) -> LanguageModel:
    """A network with random weights, in evaluation mode."""
    model = LanguageModel(config_of(name), vocabulary_size=TOKENS, pad_id=PAD, mask_id=MASK)
    randomised(model, seed)
    return model.eval()


def sentences(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[Tensor]:
    """Random nucleotides and some masks, never the padding; no sequence is of masks alone."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(MASK, TOKENS, (length,), generator=generator) for length in lengths]
    return [torch.cat([torch.tensor([5]), ids[1:]]) for ids in drawn]


def padded(sequences: list[Tensor], pad_id: int = PAD) -> tuple[Tensor, Tensor]:
    """Ids (B, L) with the padding behind, and the attention mask."""
    ids_BL = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=pad_id)
    lengths_B = torch.tensor([len(ids) for ids in sequences])
    return ids_BL, (torch.arange(ids_BL.shape[1]) < lengths_B[:, None]).long()


def farthest(names: Iterable[str], found: Iterable[Tensor], wanted: Iterable[Tensor]) -> tuple[float, str]:
    """The largest difference relative to the largest number of its tensor, however small that is, and which it is."""
    shares = []
    for name, one, other in zip(names, found, wanted, strict=True):
        assert one.shape == other.shape, name
        shares.append((float((one.double() - other).abs().max() / other.abs().max().clamp(min=1e-30)), name))
    return max(shares, key=lambda share: (math.isnan(share[0]), share))


def difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """The largest difference of two sets of tensors, each relative to its own largest number (at least 1)."""
    assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())[:5]
    return max(
        float((found[name] - value).detach().abs().max() / value.detach().abs().max().clamp(min=1))
        for name, value in wanted.items()
    )


def gradients_of(module: nn.Module) -> dict[str, Tensor]:
    """By name; 0 where nothing flowed."""
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in module.named_parameters()
    }


def ours(model: LanguageModel, sequences: list[Tensor]) -> Tensor:
    """Logits (T, V), or hidden vectors (T, D) where there is no head, from one packed batch."""
    layout = Layout.of([len(ids) for ids in sequences])
    return (model.encode if model.head is None else model)(torch.cat(sequences), layout)


def compared(
    what: tuple[str, str], model: LanguageModel, theirs_TX: Tensor, theirs: Callable[[], dict[str, Tensor]]
) -> Compared:
    """Hold one packed batch of nuclex against ``theirs_TX``; ``theirs`` gives their gradients in nuclex's names."""
    ours_TX = ours(model, sentences())
    weights_TX = torch.randn(ours_TX.shape, generator=torch.Generator().manual_seed(2)) / len(ours_TX)
    (ours_TX * weights_TX).sum().backward()
    (theirs_TX * weights_TX).sum().backward()
    own, others = gradients_of(model), theirs()
    assert sum(bool(value.any()) for value in own.values()) > 0.9 * len(own), "gradients that are 0 prove nothing"
    values, largest = difference({"": ours_TX}, {"": theirs_TX}), float(theirs_TX.detach().abs().max())
    return Compared(*what, values, difference(own, others), largest, len(own))


# ---- transformers ----


def against_transformers(name: str, direction: str) -> Compared:
    """``export``: nuclex's weights in their network; ``import``: their weights in nuclex's."""
    from nuclex import hub

    model = made(name)
    foreign: Any = hub.to_transformers(model)
    if direction == "import":  # weights that were never nuclex's own
        model = hub.from_transformers(randomised(foreign, seed=1), mask_id=MASK, pad_id=PAD)
    form = format_of(model)
    assert form is not None
    ids_BL, mask_BL = padded(sentences())
    output = foreign(ids_BL, attention_mask=mask_BL)
    theirs_BLX = output.last_hidden_state if model.head is None else output.logits
    what = (f"transformers {type(foreign).__name__}", f"{name}, {direction}")
    return compared(what, model, theirs_BLX[mask_BL.bool()], lambda: _native_gradients(foreign, form, model.config))


def _native_gradients(foreign: nn.Module, form: Format, config: BackboneConfig) -> dict[str, Tensor]:
    found, weights = gradients_of(foreign), form.weights(config)
    used = {weight.native: weight.foreign[0] for weight in weights}  # of a weight kept twice, the last
    for weight in weights:
        if len(weight.foreign) == 1:
            found[weight.foreign[0]] = found[used[weight.native]]
    return from_foreign(found, weights, Path("gradients"))


# ---- multimolecule (AGPL: a second opinion here, never part of nuclex) ----


def multimolecule() -> Any:
    """The library, without its own remarks; ImportError where it is not installed."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # it seeds torch when it is imported
        warnings.simplefilter("ignore")
        import multimolecule as library

        from_library = library.RiNALMoForMaskedLM, library.RiNALMoForSecondaryStructurePrediction
    assert all(from_library)
    return library


def theirs_of(ids: Tensor) -> Tensor:
    """nuclex's ids of RiNALMo's 22 tokens as multimolecule's of 28."""
    return torch.tensor([VOCABULARY.index(token) for token in OURS])[ids]


def random_multimolecule(name: str, folder: Path, *, pairs: bool = False) -> Any:
    """A model of theirs with random weights, saved into ``folder`` by themselves."""
    library, config = multimolecule(), config_of(name)
    sizes = library.RiNALMoConfig(
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.width,
    )
    cls = library.RiNALMoForSecondaryStructurePrediction if pairs else library.RiNALMoForMaskedLM
    with torch.random.fork_rng(devices=[]):
        model = randomised(cls(sizes), seed=3).eval()
    model.save_pretrained(folder)
    library.RnaTokenizer().save_pretrained(folder)
    return model


def against_multimolecule(name: str, model: LanguageModel, foreign: Any) -> Compared:
    """A network of nuclex and one of multimolecule with the same weights: logits of the 22 tokens that both have."""
    ids_BL, mask_BL = padded(sentences())
    theirs_BLV = foreign(theirs_of(ids_BL), attention_mask=mask_BL).logits
    columns = torch.tensor([VOCABULARY.index(token) for token in OURS])
    what = (f"multimolecule {type(foreign).__name__}", f"{name}, masks included")
    return compared(
        what, model, theirs_BLV[mask_BL.bool()][:, columns], lambda: _multimolecule_gradients(foreign, model)
    )


def _multimolecule_gradients(foreign: nn.Module, model: LanguageModel) -> dict[str, Tensor]:
    found = {name: value for name, value in gradients_of(foreign).items() if not name.startswith("ss_head.")}
    found["lm_head.decoder.bias"] = found["lm_head.bias"]  # the former is there in name only
    return own_rows(from_foreign(found, MULTIMOLECULE.weights(model.config), Path("gradients")))


def pairs_against_multimolecule(name: str, answering: AnsweringModel, foreign: Any) -> Compared:
    """The scores of base pairs, molecule by molecule, and the gradients of their head."""
    values, largest, total = 0.0, 0.0, torch.zeros(())
    own_total = torch.zeros(())
    for number, inner in enumerate(ids for ids in sentences(seed=5) if len(ids) > 4):
        ids = torch.cat([torch.tensor([CLS]), inner.masked_fill(inner == MASK, 5), torch.tensor([EOS])])
        ours_LL = answering.pair_logits(ids)
        theirs_LL = foreign(theirs_of(ids)[None], attention_mask=torch.ones(1, len(ids))).logits[0, :, :, 0]
        values = max(values, difference({"": ours_LL}, {"": theirs_LL}))
        largest = max(largest, float(theirs_LL.detach().abs().max()))
        weights_LL = torch.randn(ours_LL.shape, generator=torch.Generator().manual_seed(number)) / len(ids) ** 2
        own_total, total = own_total + (ours_LL * weights_LL).sum(), total + (theirs_LL * weights_LL).sum()
    own_total.backward()
    total.backward()
    kept = {name: value for name, value in gradients_of(foreign).items() if name.startswith("ss_head.")}
    blocks = PairHeadConfig().blocks
    theirs = from_foreign(kept, pair_head_weights(blocks), Path("gradients"))
    own = gradients_of(answering.head)
    what = (f"multimolecule {type(foreign).__name__}", f"{name} with the head for structures")
    return Compared(*what, values, difference(own, theirs), largest, len(own))
