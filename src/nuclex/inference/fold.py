"""Secondary structures of any sequences by a fine-tuned model: which bases pair, how probably, and as what text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nuclex.bio.secondary_structure import Pairs, Structure, as_dot_bracket, bpseq_lines, ct_lines, to_dot_bracket
from nuclex.bundle import Bundle
from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError
from nuclex.data.read import read_sequences
from nuclex.tasks import Example, Shape
from nuclex.training.pairs import DecodingConfig, check_one_token_a_nucleotide, pair_probabilities, stored_decoding
from nuclex.training.supervised import Reading, answering_model

ENDINGS = (".dbn", ".ct", ".bpseq", ".json")
"""How a structure can be written."""
_TUNING = {"lowest", "highest", "step", "tune"}


class FoldConfig(Config):
    """What differs from how the bundle folds by itself."""

    threshold: float | None = Field(
        default=None, ge=0, le=1, description="of pair probabilities; None = the one tuned on validation"
    )
    decoding: dict[str, Any] = Field(
        default={}, description="keys of the bundle's decoding, such as method, to replace"
    )
    cut: float = Field(default=0.01, ge=0, le=1, description="less probable pairs are not listed in .json, nor drawn")


@dataclass(frozen=True, eq=False)
class Folded:
    """One RNA as a model folds it: its pairs (P, 2), the probability of every pair i < j (L, L), and the threshold."""

    id: str
    sequence: str
    pairs: Pairs
    probability_LL: NDArray[np.float64]
    threshold: float
    method: str

    @property
    def probability_P(self) -> NDArray[np.float64]:
        """The probability of each pair."""
        return self.probability_LL[self.pairs[:, 0], self.pairs[:, 1]]

    def text(self, ending: str, cut: float) -> str:
        """The structure as it is written to a file with one of ``ENDINGS``; ``cut`` is for .json.

        InputError, which names the RNA, for what a format cannot hold: in .dbn more than 30 layers of crossing pairs
        (in .json ``dot_bracket`` is null then), in .ct a name that begins like an energy.
        """
        try:
            return self._text(ending, cut)
        except InputError as error:
            raise InputError(f"{self.id!r} as {ending}: {error}") from None

    def _text(self, ending: str, cut: float) -> str:
        if ending == ".dbn":
            return f">{self.id}\n{self.sequence}\n{to_dot_bracket(self.pairs, len(self.sequence))}\n"
        if ending in (".ct", ".bpseq"):
            structure = Structure(self.id, self.sequence, self.pairs)
            lines = ct_lines(structure) if ending == ".ct" else bpseq_lines(structure)
            return "\n".join(lines) + "\n"
        i_C, j_C = np.nonzero(np.triu(self.probability_LL >= cut, 1))
        told = {
            "id": self.id,
            "sequence": self.sequence,
            "dot_bracket": as_dot_bracket(self.pairs, len(self.sequence)),
            "positions": "from 0",
            "pairs": _listed(self.pairs[:, 0], self.pairs[:, 1], self.probability_P),
            "mean_pair_probability": round(float(self.probability_P.mean()), 6) if len(self.pairs) else None,
            "method": self.method,
            "threshold": self.threshold,
            "cut": cut,
            "probabilities": _listed(i_C, j_C, self.probability_LL[i_C, j_C]),
        }
        return json.dumps(told, ensure_ascii=False) + "\n"


def folded(bundle: Bundle, inputs: str | Path, config: FoldConfig) -> Iterator[Folded]:
    """Fold every sequence of a file (any format that is read), in its order, one at a time.

    InputError at once for a bundle without a head for pairs and for settings that do not fit, and when it is reached
    for a sequence that the model cannot read.
    """
    sequences = ((record.id, record.sequence.decode("ascii")) for record in read_sequences(inputs))
    return fold_sequences(bundle, sequences, config, str(inputs))


def fold_sequences(
    bundle: Bundle, sequences: Iterable[tuple[str, str]], config: FoldConfig, where: str = "fold"
) -> Iterator[Folded]:
    """Fold (id, sequence) pairs, in their order, one at a time; messages begin with ``where``. Errors as above."""
    threshold, decoding = _decoding(bundle, config)
    return _each(bundle, sequences, where, (threshold, decoding))


def _each(
    bundle: Bundle, sequences: Iterable[tuple[str, str]], where: str, how: tuple[float, DecodingConfig]
) -> Iterator[Folded]:
    model, (threshold, decoding) = answering_model(bundle), how
    for name, sequence in sequences:
        example = Example(sequence, "", name)
        try:
            reading = Reading.of([example], bundle.tokenizer, bundle.model.config.longest)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        check_one_token_a_nucleotide(reading, where)
        for _, probability_LL in pair_probabilities(model, reading):
            pairs = decoding.pairs(probability_LL, example.sequence, threshold)
            yield Folded(example.id, example.sequence, pairs, probability_LL, threshold, decoding.method)


def _decoding(bundle: Bundle, config: FoldConfig) -> tuple[float, DecodingConfig]:
    """The threshold and the decoding that the bundle stores, with what the config replaces."""
    answering_model(bundle)  # one sentence where it was not fine-tuned
    assert bundle.task is not None
    shape = bundle.task.config["shape"]
    if shape != Shape.PAIR_MAP:
        raise InputError(f"{bundle.path}: answers with a {shape}; folding needs a bundle fine-tuned on structures")
    if idle := sorted(_TUNING & config.decoding.keys()):
        allowed = ", ".join(sorted(DecodingConfig.model_fields.keys() - _TUNING))
        raise InputError(
            f"decoding.{idle[0]}: is for finding a threshold on validation, which is done; give --threshold; "
            f"allowed: {allowed}"
        )
    threshold, tuned = stored_decoding(bundle)
    stored = tuned.to_data()
    if config.decoding.get("method") == "greedy":
        stored["gamma"] = None
    try:
        decoding = load_config(DecodingConfig, None, {**stored, **config.decoding})
    except InputError as error:
        raise InputError(f"decoding.{error}") from None
    return threshold if config.threshold is None else config.threshold, decoding


def _listed(i_C: NDArray[Any], j_C: NDArray[Any], probability_C: NDArray[np.float64]) -> list[list[float]]:
    """Rows of i, j and p."""
    rows = zip(i_C.tolist(), j_C.tolist(), np.round(probability_C, 6).tolist(), strict=True)
    return [list(row) for row in rows]
