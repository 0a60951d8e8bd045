"""What surrounds a model, against its peers: tokenizing, masking with packing, decoding of pair probabilities."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from side_by_side import Row, interleaved, rows

from nuclex.bio.folding import greedy_pairs
from nuclex.data.pack import pack
from nuclex.data.sample import windows
from nuclex.data.tokens import tokenize
from nuclex.objectives import MaskedConfig
from nuclex.tokenizers import NucleotideConfig, save_tokenizer

BATCH, LONGEST = 64, 510
PAIRS = {frozenset("AU"), frozenset("GC"), frozenset("GU")}


def measure(sequences: list[bytes], rounds: int) -> list[Row]:
    """All three parts."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    chosen = [sequence[:LONGEST].upper().replace(b"U", b"T").decode() for sequence in sequences[:BATCH]]
    return [*_tokenizing(chosen, rounds), *_masking(chosen, rounds), *_decoding(rounds)]


def _tokenizing(sequences: list[str], rounds: int) -> list[Row]:
    from transformers import RobertaTokenizerFast

    tokenizer = NucleotideConfig().build()
    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(tokenizer, folder)
        theirs = RobertaTokenizerFast.from_pretrained(folder, trust_remote_code=False)
    inside = [ids[1:-1] for ids in theirs(sequences)["input_ids"]]
    assert np.concatenate(inside).tolist() == tokenize(sequences, tokenizer).ids.tolist()
    times = interleaved(
        {"RobertaTokenizerFast": lambda: theirs(sequences), "nuclex": lambda: tokenize(sequences, tokenizer)}, rounds
    )
    return rows(f"tokenizing {len(sequences)} ncRNAs", times, "RobertaTokenizerFast", {"nuclex": 50})


def _masking(sequences: list[str], rounds: int) -> list[Row]:
    from training_step import _opened
    from transformers import DataCollatorForLanguageModeling

    tokenizer = NucleotideConfig().build()
    collate = DataCollatorForLanguageModeling(_opened(), mlm_probability=0.15)
    examples = [tokenizer.encode(sequence).tolist() for sequence in sequences]
    table, objective = tokenize(sequences, tokenizer), MaskedConfig()
    pieces = windows(table, LONGEST + 2)
    times = interleaved(
        {
            "DataCollatorForLanguageModeling": lambda: collate([{"input_ids": ids} for ids in examples]),
            "nuclex": lambda: objective.ask(pack(table, pieces, tokenizer), tokenizer, 0, 0),
        },
        rounds,
    )
    part = f"masking and laying out {len(sequences)} ncRNAs"
    return rows(part, times, "DataCollatorForLanguageModeling", {"nuclex": 300})


def _decoding(rounds: int, length: int = 1000) -> list[Row]:
    rng = np.random.default_rng(0)
    sequence = "".join(rng.choice(list("ACGU"), length))
    probability_LL = _probabilities(rng, length)
    threshold = 0.5
    assert straightforward(probability_LL, sequence, threshold) == greedy_pairs(
        probability_LL, sequence, threshold=threshold
    ).tolist()  # fmt: skip
    contestants: dict[str, Callable[[], object]] = {
        "a straightforward loop": lambda: straightforward(probability_LL, sequence, threshold),
        "nuclex": lambda: greedy_pairs(probability_LL, sequence, threshold=threshold),
    }
    return rows(
        f"greedy decoding, L = {length}", interleaved(contestants, rounds), "a straightforward loop", {"nuclex": 80}
    )


def _probabilities(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Some 700 pairs that may form lie above one half, as many as in a trained model's map of this length."""
    upper_LL = np.triu(rng.random((length, length)) ** 190, 1)
    return upper_LL + upper_LL.T


def straightforward(probability_LL: NDArray[np.floating], sequence: str, threshold: float) -> list[list[int]]:
    """RiNALMo's rule written down: forbid, threshold, take the largest, delete its rows and columns, again."""
    left_LL, length = np.triu(probability_LL).copy(), len(sequence)
    for i in range(length):
        for j in range(length):
            if abs(i - j) < 4 or frozenset((sequence[i], sequence[j])) not in PAIRS:
                left_LL[i, j] = 0
    left_LL[left_LL <= threshold] = 0
    found = []
    while left_LL.max() > 0:
        i, j = (int(place) for place in np.unravel_index(left_LL.argmax(), left_LL.shape))
        found.append([i, j])
        left_LL[[i, j], :] = 0
        left_LL[:, [i, j]] = 0
    return sorted(found)
