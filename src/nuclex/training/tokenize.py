"""Training a tokenizer on the train split of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nuclex.core.artifact import atomic_folder
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.core.recipe import read_recipe
from nuclex.data.store import Corpus
from nuclex.tokenizers import TOKENIZERS, Tokenizer, TokenizerConfig, census, save_tokenizer, tokenizer_hash

MEASURED_SEQUENCES, MEASURED_NUCLEOTIDES = 1000, 5_000_000


def tokenizer_train(
    corpus: Corpus | str | Path, out: str | Path, config: TokenizerConfig | Mapping[str, Any]
) -> dict[str, Any]:
    """Learn a vocabulary from the train split and write it to the new folder ``out``; only train is read.

    Says also what the tokenizer makes of a sample of the train split: nucleotides a token, the shares of unknown tokens
    and of nucleotides left out, sequences refused.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    wanted = config if isinstance(config, TokenizerConfig) else read_tokenizer(None, config)
    with atomic_folder(out) as folder:
        sequences = _Train(corpus)
        try:
            tokenizer = wanted.train(sequences)
        except InputError as error:
            raise InputError(sequences.located(str(error))) from None
        save_tokenizer(tokenizer, folder)
        measured = _measured(tokenizer, corpus)
    return {
        "out": str(out),
        "kind": wanted.kind,
        "vocabulary": len(tokenizer),
        "sha256": tokenizer_hash(tokenizer),
        "measured": measured,
    }


def read_tokenizer(recipe: str | Path | None, settings: Mapping[str, Any]) -> TokenizerConfig:
    """The config in a recipe (a file, or the name of one of nuclex: ``tokenizer/tinydnabert``) with settings laid over.

    InputError with key, what was found and what is allowed.
    """
    stored = read_recipe(Path(recipe)).data if recipe is not None else {}
    kind = settings.get("kind", stored.get("kind"))
    if not isinstance(kind, str):
        where = f"{recipe}: " if recipe is not None and "kind" not in settings else ""
        raise InputError(f"{where}kind: found {kind!r}; allowed: {', '.join(TOKENIZERS.names())}")
    found: TokenizerConfig = load_config(TOKENIZERS[kind], recipe, settings)
    return found


class _Train:
    """The sequences of the train split, one after the other; remembers which one is being read."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus, self._row = corpus, -1

    def __iter__(self) -> Iterator[bytes]:
        for row in self._corpus.indices("train"):
            self._row = int(row)
            yield self._corpus.sequence(self._row)
        self._row = -1

    def located(self, sentence: str) -> str:
        """A sentence about the sequence that is being read, with its id in front."""
        if self._row < 0:
            return sentence
        name = self._corpus.ids(self._row)
        return f"{self._corpus.path}: sequence {name!r}: {sentence.removeprefix('sequence: ')}"


def _measured(tokenizer: Tokenizer, corpus: Corpus) -> dict[str, Any]:
    rows_N = corpus.indices("train")
    rows_N = rows_N[:: max(1, -(-len(rows_N) // MEASURED_SEQUENCES))]
    rows_N = rows_N[np.cumsum(corpus.lengths[rows_N]) <= MEASURED_NUCLEOTIDES]
    counted = census(tokenizer, (corpus.sequence(int(row)) for row in rows_N))
    if counted.refusal is not None:
        say(f"tokenizer: refuses {counted.refused} of {len(rows_N)} sequences; the first: {counted.refusal}")
    if counted.left_out:
        say(f"tokenizer: leaves out {counted.left_out} of {counted.nucleotides} nucleotides, as its config says")
    return {
        "sequences": counted.sequences,
        "refused": counted.refused,
        "nucleotides_per_token": round(counted.nucleotides_per_token, 4),
        "unknown_share": counted.unknown / max(1, counted.tokens),
        "left_out_share": counted.left_out / max(1, counted.nucleotides),
    }
