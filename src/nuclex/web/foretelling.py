"""What a model expects at every place of a sequence: probabilities, every single substitution, two models compared.

Each token is asked for as `nuclex score` asks: hidden and foretold from all others (``masked``), or foretold from those
before it (``next``). The sums are its log-likelihoods, and substitutions are its masked marginals of whole sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA
from nuclex.data.tokens import TokenTable
from nuclex.inference.likelihood import foretold
from nuclex.inference.reading import tokens_of
from nuclex.inference.score import score_sequences
from nuclex.inference.windows import Ints, window_for, windows_of
from nuclex.tokenizers import AminoAcidConfig, NucleotideConfig, Tokenizer
from nuclex.web.jobs import Answer, Job
from nuclex.web.pasted import Pasted
from nuclex.web.served import Served
from nuclex.web.tables import csv_file, rounded

Floats = NDArray[np.float64]
TOKENS = 2048
"""Tokens in one pass: a step, behind which a job can be cancelled."""
CHUNK = 16
"""Mutants of a causal model asked for together."""


def symbols_of(tokenizer: Tokenizer) -> tuple[list[str], Ints]:
    """The words shown at each place, written with T, and their token ids (V,): letters, codons or amino acids."""
    if isinstance(tokenizer.config, AminoAcidConfig):
        ids_V = tokenizer.random_ids
        return [tokenizer.vocabulary[index] for index in ids_V.tolist()], ids_V
    letters = 1 if isinstance(tokenizer.config, NucleotideConfig) else int(np.diff(tokenizer.spans("ACG")[0])[0])
    words = ["".join(word) for word in product(DNA.symbols, repeat=letters)]
    ids = [tokenizer.encode(word, start=False, end=False) for word in words]
    return words, np.concatenate(ids).astype(np.int64)


def log_p_rows(served: Served, table: TokenTable, others_K: Ints, job: Job) -> list[Floats]:
    """For each sequence of T tokens ln p of the token itself and of K others at each place: (T, 1 + K), in nats."""
    network = served.bundle.model.config
    windows = windows_of(table.lengths_N, window_for(network, None), causal=network.causal)
    found_TK = np.zeros((len(table.ids), 1 + len(others_K)))
    asked = foretold(served.bundle, (table, windows), served.method, others_K, micro_tokens=TOKENS)
    for index_M, token_M, log_MK in asked:
        found_TK[table.offsets[index_M] + token_M] = log_MK
        job.step(len(index_M))
    return np.split(found_TK, table.offsets[1:-1])


def predict(served: Served, pasted: Pasted, job: Job) -> Answer:
    """The probabilities of all words at each place of each sequence.

    A row is among the words that are shown, so it sums to 1; ``other`` is what the model gave to all other tokens
    before. ``own`` is of all tokens, as in `nuclex score`; its logs sum to ``log_likelihood`` (nats).
    """
    tokenizer = served.bundle.tokenizer
    words, ids_V = symbols_of(tokenizer)
    table = tokens_of(pasted.named(), tokenizer)
    job.expect(len(table.ids))
    rows = log_p_rows(served, table, ids_V, job)
    amino = isinstance(tokenizer.config, AminoAcidConfig)
    symbols = words if amino else [pasted.spelled(word) for word in words]
    found, lines = [], list[list[object]]()
    for name, letters, log_TK in zip(pasted.names, pasted.letters, rows, strict=True):
        shown_TV = np.exp(log_TK[:, 1:])
        shared_T = shown_TV.sum(1)
        share_TV = shown_TV / shared_T[:, None]
        spans = tokenizer.spans(letters).tolist()
        tokens = [{"start": start, "end": end, "text": letters[start:end]} for start, end in spans]
        found.append(
            {
                "name": name,
                "letters": letters,
                "symbols": symbols,
                "tokens": tokens,
                "probabilities": rounded(share_TV),
                "own": rounded(np.exp(log_TK[:, 0])),
                "other": rounded(np.maximum(1 - shared_T, 0)),
                "information_bits": rounded(information(share_TV)),
                "log_likelihood": float(log_TK[:, 0].sum()),
            }
        )
        lines += _probability_lines(name, tokens, symbols, share_TV)
    columns = ("name", "start", "end", "text", "symbol", "probability")
    files = {"predict.csv": csv_file("the probability of each word at each place", columns, lines)}
    return Answer({"way": served.way, "sequences": found}, files)


def information(share_TV: Floats) -> Floats:
    """log2 V less the entropy of each row, in bits: (T,).

    >>> information(np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0]])).tolist()
    [0.0, 2.0]
    """
    logs_TV = np.log2(share_TV, out=np.zeros_like(share_TV), where=share_TV > 0)
    return np.log2(share_TV.shape[1]) + (share_TV * logs_TV).sum(1)


def _probability_lines(
    name: str, tokens: list[dict[str, object]], symbols: list[str], share_TV: Floats
) -> Iterator[list[object]]:
    for token, row in zip(tokens, rounded(share_TV), strict=True):
        for symbol, value in zip(symbols, row, strict=True):
            yield [name, token["start"], token["end"], token["text"], symbol, value]


def mutate(served: Served, pasted: Pasted, job: Job) -> Answer:
    """ln p of every single substitution of one sequence, less that of the letter that is there: (L, 4), in nats.

    A model that sees both sides is asked at the hidden token, one that reads from left to right for the whole mutant.
    None where the letter is itself, where it stands in no token, and where it is none of the four.
    """
    name, letters = pasted.names[0], pasted.letters[0]
    symbols = [pasted.spelled(letter) for letter in DNA.symbols]
    ways = _causal_changes if served.bundle.model.config.causal else _masked_changes
    delta_L4, total = ways(served, pasted, symbols, job)
    known_L = np.isin(list(letters), symbols)
    same_L4 = np.array(list(letters))[:, None] == np.array(symbols)
    delta_L4[~known_L] = np.nan
    delta_L4[same_L4] = np.nan
    rows = [[None if np.isnan(value) else value for value in row] for row in rounded(delta_L4)]
    lines = (
        [name, place, letters[place], symbol, value]
        for place, row in enumerate(rows)
        for symbol, value in zip(symbols, row, strict=True)
        if value is not None
    )
    about = "ln p(mutant) - ln p(given) of every single substitution, in nats; start is 0-based"
    files = {"mutations.csv": csv_file(about, ("name", "start", "ref", "alt", "delta"), lines)}
    result = {"name": name, "letters": letters, "symbols": symbols, "delta": rows, "log_likelihood": total}
    return Answer({**result, "way": served.way}, files)


def _masked_changes(served: Served, pasted: Pasted, symbols: list[str], job: Job) -> tuple[Floats, float]:
    tokenizer, letters = served.bundle.tokenizer, pasted.letters[0]
    words, ids_V = symbols_of(tokenizer)
    table = tokens_of(pasted.named(), tokenizer)
    job.expect(len(table.ids))
    [log_TK] = log_p_rows(served, table, ids_V, job)
    column = {pasted.spelled(word): 1 + place for place, word in enumerate(words)}
    delta_L4 = np.full((len(letters), len(symbols)), np.nan)
    for token, (start, end) in enumerate(tokenizer.spans(letters).tolist()):
        for place in range(start, end):
            for number, symbol in enumerate(symbols):
                word = letters[start:place] + symbol + letters[place + 1 : end]
                if word in column:
                    delta_L4[place, number] = log_TK[token, column[word]] - log_TK[token, 0]
    return delta_L4, float(log_TK[:, 0].sum())


def _causal_changes(served: Served, pasted: Pasted, symbols: list[str], job: Job) -> tuple[Floats, float]:
    letters, delta_L4 = pasted.letters[0], np.full((len(pasted.letters[0]), 4), np.nan)
    changes = [(place, number) for place in range(len(letters)) for number in range(4)]
    changes = [(place, number) for place, number in changes if letters[place] != symbols[number]]
    job.expect(len(changes) + 1)
    [given] = score_sequences(served.bundle, [("", letters.encode())])
    job.step()
    at_once = max(min(CHUNK, TOKENS // len(letters)), 1)
    for first in range(0, len(changes), at_once):
        some = changes[first : first + at_once]
        mutants = (letters[:place] + symbols[number] + letters[place + 1 :] for place, number in some)
        scores = score_sequences(served.bundle, [("", mutant.encode()) for mutant in mutants])
        for (place, number), score in zip(some, scores, strict=True):
            delta_L4[place, number] = score.log_likelihood - given.log_likelihood
        job.step(len(some))
    return delta_L4, given.log_likelihood


def compare(both: list[Served], pasted: Pasted, job: Job) -> Answer:
    """How probable two models find each letter: that of a longer token is spread evenly over its letters.

    ``own`` is the probability of each letter (the root of its token's, by the number of its letters), ``difference``
    ln own of the second model less that of the first, in nats; None where a letter stands in no token. ``per_letter``
    is the mean ln own of the letters that stand in tokens of both, of which there are ``shared``.
    """
    tables = [tokens_of(pasted.named(), served.bundle.tokenizer) for served in both]
    job.expect(sum(len(table.ids) for table in tables))
    rows = [log_p_rows(one, table, np.zeros(0, np.int64), job) for one, table in zip(both, tables, strict=True)]
    found, lines = [], list[list[object]]()
    for number, (name, letters) in enumerate(zip(pasted.names, pasted.letters, strict=True)):
        told: dict[str, Any] = {"name": name, "letters": letters}
        spread = []
        for served, of_bundle in zip(both, rows, strict=True):
            log_T = of_bundle[number][:, 0]
            log_L = spread_over(log_T, served.bundle.tokenizer.spans(letters), len(letters))
            spread.append(log_L)
            told[served.id] = {"own": _known(np.exp(log_L)), "log_likelihood": float(log_T.sum())}
        shared_L = ~np.isnan(spread[0] + spread[1])
        for served, log_L in zip(both, spread, strict=True):
            told[served.id] |= {"per_letter": float(log_L[shared_L].mean()) if shared_L.any() else None}
        own, difference = [_known(np.exp(log_L)) for log_L in spread], _known(spread[1] - spread[0])
        found.append({**told, "difference": difference, "shared": int(shared_L.sum())})
        places = enumerate(zip(letters, *own, difference, strict=True))
        lines += [[name, place, *values] for place, values in places]
    columns = ("name", "start", "letter", "own_a", "own_b", "difference")
    files = {"compare.csv": csv_file("each letter's probability under both bundles", columns, lines)}
    return Answer({"bundles": [served.id for served in both], "way": both[0].way, "sequences": found}, files)


def spread_over(log_T: Floats, spans_T2: Ints, length: int) -> Floats:
    """What a token has, in equal parts on each of its letters: (L,); not a number where there is no token.

    >>> spread_over(np.array([-3.0, -1.0]), np.array([[0, 3], [3, 4]]), 5).tolist()
    [-1.0, -1.0, -1.0, -1.0, nan]
    """
    log_L = np.full(length, np.nan)
    for value, (start, end) in zip(log_T.tolist(), spans_T2.tolist(), strict=True):
        log_L[start:end] = value / (end - start)
    return log_L


def _known(values_L: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in rounded(values_L)]
