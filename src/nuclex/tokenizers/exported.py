"""The text of a Hugging Face ``tokenizer.json``, written here so that it never changes with a library's version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nuclex.core.errors import CorruptError

Part = dict[str, Any]


def letter_rules(fold: bytes, letters: str) -> list[Part]:
    """One rule for each letter that ``fold`` (256 bytes) reads as one of ``letters``."""
    return [
        text_rule(chr(byte), chr(fold[byte]))
        for byte in range(128)
        if fold[byte] != byte and chr(fold[byte]) in letters
    ]


def text_rule(text: str, content: str) -> Part:
    """A rule that writes ``content`` for every place where ``text`` stands."""
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


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


def longest_match_model(vocabulary: Sequence[str], unknown: str, longest: int) -> Part:
    """WordPiece without a prefix for what stands inside a word: at each place the longest token that fits."""
    return {
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": "",
        "max_input_chars_per_word": longest,
        "vocab": {token: index for index, token in enumerate(vocabulary)},
    }


def unigram_model(scores: Sequence[tuple[str, float]], unknown: int) -> Part:
    """Unigram: tokens with the logarithms of their probabilities; the most probable way to cut a text is taken."""
    return {"type": "Unigram", "unk_id": unknown, "vocab": [list(score) for score in scores], "byte_fallback": False}


def vocabulary_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """The tokens of a model part in the order of their ids; CorruptError unless these are 0, 1, 2, …"""
    stored = model["vocab"]
    if isinstance(stored, list):
        return tuple(str(token) for token, _ in stored)
    if sorted(stored.values()) != list(range(len(stored))):
        raise CorruptError("its token ids are not 0, 1, 2, …")
    return tuple(sorted(stored, key=stored.__getitem__))


def split_at(pattern: str, *, keep: bool = True) -> Part:
    """Cut the text into words at the matches of a regular expression; ``keep`` makes each match a word, too."""
    behavior = "Isolated" if keep else "Removed"
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}


def joined(*repairs: Part) -> Part:
    """The decoder that joins tokens with nothing between them, and then applies rules to the text."""
    fuse = {"type": "Fuse"}
    return {"type": "Sequence", "decoders": [fuse, *repairs]} if repairs else fuse


def tokenizer_json(
    model: Part,
    *,
    rules: Sequence[Part],
    added: Sequence[Part],
    split: Part | None,
    ends: tuple[str, str],
    decoder: Part | None = None,
) -> str:
    """The whole file: letter rules, added tokens, an optional split into words, the model, start and end tokens.

    Without a ``decoder`` the tokens are joined with nothing between them.
    """
    vocabulary = vocabulary_of(model)
    start, end = ends
    value = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added),
        "normalizer": {"type": "Sequence", "normalizers": list(rules)} if rules else None,
        "pre_tokenizer": split,
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [end, vocabulary.index(end)],
            "cls": [start, vocabulary.index(start)],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": decoder if decoder is not None else joined(),
        "model": model,
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
