"""The text of a Hugging Face ``tokenizer.json``, written here so that it never changes with a library's version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

Part = dict[str, Any]


def letter_rules(fold: bytes, letters: str) -> list[Part]:
    """One rule for each letter that ``fold`` (256 bytes) reads as one of ``letters``."""
    return [
        {"type": "Replace", "pattern": {"String": chr(byte)}, "content": chr(fold[byte])}
        for byte in range(128)
        if fold[byte] != byte and chr(fold[byte]) in letters
    ]


def pattern_rule(pattern: str, content: str) -> Part:
    """A rule that writes ``content`` for every match of an (Oniguruma) regular expression."""
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def added_token(token: str, index: int, *, special: bool) -> Part:
    """A token that is looked for in the text itself; a special one before any rule for letters is applied."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return {"id": index, "content": token, **flags}


def merging_model(vocabulary: Sequence[str], merges: Iterable[tuple[str, str]], unknown: str) -> Part:
    """Byte-pair encoding; without merges every letter is a token."""
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: index for index, token in enumerate(vocabulary)},
        "merges": [list(merge) for merge in merges],
    }


def word_model(vocabulary: Sequence[str], unknown: str) -> Part:
    """Whole words: a piece of text is a token or it is unknown."""
    vocab = {token: index for index, token in enumerate(vocabulary)}
    return {"type": "WordLevel", "vocab": vocab, "unk_token": unknown}


def tokenizer_json(
    model: Part,
    *,
    rules: Sequence[Part],
    added: Sequence[Part],
    split: str | None,
    start: str,
    end: str,
) -> str:
    """The whole file: letter rules, added tokens, an optional split into words, the model, start and end tokens.

    The decoder joins the tokens with nothing between them.
    """
    vocab: dict[str, int] = model["vocab"]
    pre_tokenizer = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
    value = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added),
        "normalizer": {"type": "Sequence", "normalizers": list(rules)} if rules else None,
        "pre_tokenizer": pre_tokenizer if split is not None else None,
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [end, vocab[end]],
            "cls": [start, vocab[start]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {"type": "Fuse"},
        "model": model,
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
