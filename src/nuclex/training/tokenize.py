"""Training a tokenizer on the train split of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_folder
from nuclex.core.config import load_config
from nuclex.core.errors import InputError
from nuclex.data.store import Corpus
from nuclex.tokenizers import TOKENIZERS, TokenizerConfig, save_tokenizer, tokenizer_hash


def tokenizer_train(
    corpus: Corpus | str | Path, out: str | Path, config: TokenizerConfig | Mapping[str, Any]
) -> dict[str, Any]:
    """Learn a vocabulary from the train split and write it to the new folder ``out``; only train is read."""
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    wanted = config if isinstance(config, TokenizerConfig) else _read(config)
    with atomic_folder(out) as folder:
        tokenizer = wanted.train(corpus.sequence(int(row)) for row in corpus.indices("train"))
        save_tokenizer(tokenizer, folder)
    return {"out": str(out), "kind": wanted.kind, "vocabulary": len(tokenizer), "sha256": tokenizer_hash(tokenizer)}


def _read(settings: Mapping[str, Any]) -> TokenizerConfig:
    """The config that a table stands for; InputError with key, what was found and what is allowed."""
    kind = settings.get("kind")
    if not isinstance(kind, str):
        raise InputError(f"kind: found {kind!r}; allowed: {', '.join(TOKENIZERS.names())}")
    found: TokenizerConfig = load_config(TOKENIZERS[kind], None, settings)
    return found
