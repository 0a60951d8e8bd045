"""Training a tokenizer on the train split of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nuclex.core.artifact import atomic_folder
from nuclex.core.errors import InputError
from nuclex.data.store import Corpus
from nuclex.tokenizers import TOKENIZERS, TokenizerConfig, save_tokenizer, tokenizer_hash


def tokenizer_train(
    corpus: Corpus | str | Path, out: str | Path, config: TokenizerConfig | Mapping[str, Any]
) -> dict[str, Any]:
    """Learn a vocabulary from the train split and write it to the new folder ``out``; only train is read."""
    from pydantic import ValidationError

    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    try:
        wanted = TOKENIZERS.parse(config)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, found {first['input']!r}") from None
    tokenizer = wanted.train(corpus.sequence(int(row)) for row in corpus.indices("train"))
    with atomic_folder(out) as folder:
        save_tokenizer(tokenizer, folder)
    return {"out": str(out), "kind": wanted.kind, "vocabulary": len(tokenizer), "sha256": tokenizer_hash(tokenizer)}
