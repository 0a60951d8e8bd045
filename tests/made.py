"""What several tests make for themselves: sequences, files of them, and files that are spoilt at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from nuclex.data import compression


def letters(seed: int, length: int) -> str:
    """A random DNA sequence."""
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def fasta(path: Path, records: Iterable[tuple[str, str]]) -> Path:
    """A FASTA file of these names and sequences."""
    path.write_text("".join(f">{name}\n{text}\n" for name, text in records))
    return path


def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be read 4 kB at a time, so that a small one shows whether memory grows with it."""
    monkeypatch.setattr(compression, "CHUNK", 4096)
    monkeypatch.setattr(compression, "_PEEK", 4096)


def spoilt(content: bytes, rng: random.Random, cases: Sequence[bytes], changes: Sequence[int]) -> bytes:
    """The content after as many changes as one of ``changes``: something put in, cut out, replaced, the end cut off."""
    for _ in range(rng.choice(changes)):
        place, kind = rng.randrange(len(content) + 1), rng.random()
        if kind < 0.55:
            content = content[:place] + rng.choice(cases) + content[place:]
        elif kind < 0.8:
            content = content[:place] + content[place + rng.randrange(1, 12) :]
        elif kind < 0.9:
            content = content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
        else:
            content = content[:place]
    return content


def accepted_share(sentences: Iterable[str], name: str) -> float:
    """How many of the answers are no refusal; each refusal is one sentence about the file of that name."""
    found = list(sentences)
    for sentence in found:
        assert sentence == "" or (sentence.startswith(f"{name}:") and "\n" not in sentence)
    return found.count("") / len(found)
