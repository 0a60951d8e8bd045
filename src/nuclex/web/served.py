"""A bundle that is served: what the page is told of it, and which questions make sense for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from nuclex.bundle import Bundle
from nuclex.bundle.doubts import doubts
from nuclex.core.errors import InputError
from nuclex.inference.codon_reader import codon_ids
from nuclex.inference.likelihood import Method, method_for
from nuclex.tasks import Shape
from nuclex.tokenizers import AminoAcidConfig, CodonConfig, KmerConfig, NucleotideConfig
from nuclex.web.messages import Kind

LONGEST_WORD = 3
"""Letters of a word, up to which all words are shown: 64 of them."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, eq=False)
class Served:
    """A bundle under its letter, with the reasons why it does not answer some of the questions."""

    id: str
    bundle: Bundle
    can: dict[Kind, str | None]

    @classmethod
    def of(cls, bundles: list[Bundle]) -> list[Served]:
        """One bundle or two, as "a" and "b"."""
        found = []
        for letter, bundle in zip("ab", bundles, strict=False):
            can: dict[Kind, str | None] = {
                "predict": _predict(bundle),
                "fold": _fold(bundle),
                "embed": None,
                "mutate": _mutate(bundle),
                "codons": _codons(bundle),
                "compare": _compare(bundles),
            }
            found.append(cls(letter, bundle, can))
        return found

    @property
    def method(self) -> Method:
        """How the model is asked for a token."""
        return method_for(self.bundle.model.config, None)

    @property
    def way(self) -> str:
        """The same in a word for the page: the token is hidden, or foretold from those before it."""
        return "next" if self.bundle.model.config.causal else "masked"

    @property
    def folds_by_head(self) -> bool:
        """Whether the bundle was fine-tuned on structures."""
        return _has_pair_head(self.bundle)

    def about(self) -> dict[str, Any]:
        """What ``/about`` says of it."""
        bundle = self.bundle
        task = None
        if bundle.task is not None:
            config = bundle.task.config
            classes = config.get("classes")
            name = str(config.get("task", config.get("name", "")))
            task = {"shape": str(config.get("shape", "")), "name": name, "classes": classes}
        return {
            "id": self.id,
            "name": bundle.record.name,
            "architecture": _architecture(bundle),
            "parameters": sum(weight.numel() for weight in bundle.model.parameters()),
            "alphabet": bundle.tokenizer.config.alphabet,
            "tokenizer": bundle.tokenizer.config.kind,
            "causal": bundle.model.config.causal,
            "task": task,
            "can": self.can,
            "doubts": doubts(bundle.record, bundle.tokenizer, None if bundle.task is None else bundle.task.config),
        }


def words_of(bundle: Bundle) -> bool:
    """Whether each token is one letter or one word of a few letters side by side, so that all tokens can be shown."""
    rules = bundle.tokenizer.config
    if isinstance(rules, KmerConfig):
        return rules.stride == rules.k <= LONGEST_WORD
    return isinstance(rules, NucleotideConfig | CodonConfig | AminoAcidConfig)


def _architecture(bundle: Bundle) -> str:
    network = bundle.model.config
    mixers = " and ".join(dict.fromkeys(network.mixers))
    return f"{network.depth} layers of {mixers}, width {network.width}"


def _has_pair_head(bundle: Bundle) -> bool:
    return bundle.task is not None and bundle.task.config.get("shape") == Shape.PAIR_MAP


def _language(bundle: Bundle) -> str | None:
    if bundle.model.config.head == "none":
        return "this model is an encoder without a language head; it gives no likelihood"
    return None


def _predict(bundle: Bundle) -> str | None:
    rules = bundle.tokenizer.config
    if reason := _language(bundle):
        return reason
    if words_of(bundle):
        return None
    if isinstance(rules, KmerConfig) and rules.stride < rules.k:
        return (
            f"its tokens are words of {rules.k} letters that overlap, and a hidden one can be read off its neighbours"
        )
    if isinstance(rules, KmerConfig):
        return f"its tokens are words of {rules.k} letters: {4**rules.k} of them, too many to be shown at each place"
    return f"its tokens are learned ({rules.kind}) and of any length, so it says nothing of single letters"


def _mutate(bundle: Bundle) -> str | None:
    if isinstance(bundle.tokenizer.config, AminoAcidConfig):
        return "its tokens are amino acids, so it does not see which letters a codon has"
    if reason := _predict(bundle):
        return reason if _language(bundle) else f"{reason}; nuclex score --variants asks it for single variants"
    return None


def _fold(bundle: Bundle) -> str | None:
    if _has_pair_head(bundle):
        return None
    if reason := _language(bundle):
        return reason
    if bundle.model.config.causal:
        return "it reads from left to right and has no head for structures; couplings need a model that sees both sides"
    if not isinstance(bundle.tokenizer.config, NucleotideConfig):
        return "base pairs need one token a nucleotide, or a bundle fine-tuned on structures"
    return None


def _codons(bundle: Bundle) -> str | None:
    if reason := _language(bundle):
        return reason
    try:
        codon_ids(bundle.tokenizer)
    except InputError as error:
        return str(error)
    return None


def _compare(bundles: list[Bundle]) -> str | None:
    if len(bundles) < 2:
        return "only one bundle is served; start nuclex serve with two"
    for letter, bundle in zip("ab", bundles, strict=True):
        if reason := _predict(bundle):
            return f"bundle {letter}: {reason}"
    if bundles[0].model.config.causal != bundles[1].model.config.causal:
        return "one model sees both sides and the other reads from left to right, so their numbers are of another kind"
    return None
