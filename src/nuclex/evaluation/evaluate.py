"""How well a language model knows unseen sequences: every position asked for once, next to two honest baselines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nuclex.bundle import Bundle, load
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.core.randomness import key, permutation
from nuclex.data.store import Corpus
from nuclex.evaluation.baselines import (
    MarkovBaseline,
    NgramCounts,
    OrderChoice,
    OrderScore,
    SequenceScores,
    choose_order,
    count_ngrams,
)
from nuclex.evaluation.symbols import LETTERS, Codons, Symbols
from nuclex.metrics.statistics import Interval, PairedDifference, Ratio, bootstrap, paired_difference
from nuclex.tokenizers import CodonConfig, KmerConfig, NucleotideConfig, Tokenizer
from nuclex.training.device import within_memory
from nuclex.training.pretrain import table_of
from nuclex.training.validation import Scores, longest_piece, score

LENGTH_EDGES = (0, 50, 100, 200, 400, 800, 1600, 1 << 30)


@dataclass(frozen=True)
class Baselines:
    """The two baselines, fitted on the train split, with their scores on the evaluated sequences."""

    unigram: SequenceScores
    markov: SequenceScores
    order: int
    orders: tuple[OrderScore, ...]
    """What each order reached on the sequences on which the order was chosen."""
    markov_loss: SequenceScores
    loss_order: int
    """The same baseline with order and smoothing chosen for its loss instead of its accuracy."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on N sequences of one split, sequence by sequence, and of the baselines on the same tokens."""

    split: str
    rows_N: NDArray[np.int64]
    lengths_N: NDArray[np.int64]
    clusters_N: NDArray[np.int64]
    sources_N: tuple[str, ...]
    model: Scores
    baselines: Baselines | None
    same_corpus: bool | None = None
    """Whether the model was trained on this very corpus; None where its bundle does not say."""
    causal: bool = False
    """Whether tokens were foretold from those before them, the end of a sequence included, instead of hidden."""

    def accuracy(self) -> Interval:
        """Accuracy with an interval over homology clusters."""
        return bootstrap(Ratio(self.model.hits_N, self.model.tokens_N), clusters=self.clusters_N)

    def gain(self) -> PairedDifference | None:
        """Accuracy of the model minus that of the Markov baseline, paired by sequence, over clusters."""
        if self.baselines is None:
            return None
        markov = self.baselines.markov
        model = Ratio(self.model.hits_N, self.model.tokens_N)
        return paired_difference(model, Ratio(markov.hits, markov.n), clusters=self.clusters_N)

    def verdict(self) -> tuple[bool | None, str]:
        """Whether the model beats the Markov baseline (None: cannot be told), and the sentence that says so."""
        gain = self.gain()
        if gain is None:
            return None, "The baselines count nucleotides or codons and cannot be compared with this tokenizer."
        assert self.baselines is not None
        if not np.isfinite(gain.difference.low):
            return (
                None,
                "Whether the model beats the Markov baseline cannot be told from a single cluster of sequences.",
            )
        found = f"{gain.difference.value:+.3f} [{gain.difference.low:+.3f}, {gain.difference.high:+.3f}]"
        what = "accuracy of next tokens" if self.causal else "masked accuracy"
        where = f"{what} against the order-{self.baselines.order} Markov baseline: {found}"
        if gain.difference.low > 0:
            return True, f"The model beats the Markov baseline ({where})."
        if gain.difference.high < 0:
            return False, f"The model does NOT beat the Markov baseline; it is worse ({where})."
        return False, f"The model does NOT beat the Markov baseline: the interval includes zero ({where})."

    def groups(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Sequences, tokens, loss and accuracy (and the Markov baseline's) of the sequences of each name."""
        names_N, table = np.array(list(names), dtype=object), []
        for name in dict.fromkeys(names_N.tolist()):
            inside = names_N == name
            row: dict[str, Any] = {"group": name, "sequences": int(inside.sum())}
            part = Scores(self.model.tokens_N[inside], self.model.hits_N[inside], self.model.nll_N[inside])
            row |= {"tokens": int(part.tokens_N.sum()), "loss": part.loss, "accuracy": part.accuracy}
            if self.baselines is not None:
                markov = self.baselines.markov
                row["markov_accuracy"] = float(markov.hits[inside].sum() / max(markov.n[inside].sum(), 1))
            table.append(row)
        return table

    def length_names(self) -> list[str]:
        """The length bin of each sequence, in nucleotides."""
        bins = np.digitize(self.lengths_N, LENGTH_EDGES[1:-1])
        return [length_name(int(place)) for place in bins]

    def to_data(self) -> dict[str, Any]:
        """The whole result as plain data (what ``nuclex evaluate --json`` prints)."""
        accuracy, gain = self.accuracy(), self.gain()
        asked = "next" if self.causal else "hidden"
        result: dict[str, Any] = {"split": self.split, "sequences": len(self.rows_N), "asked": asked}
        result |= self.model.summary()
        result["accuracy_interval"] = [accuracy.low, accuracy.high]
        if self.baselines is not None and gain is not None:
            base = self.baselines
            result["unigram"] = {"accuracy": base.unigram.accuracy, "loss": base.unigram.nll}
            result["markov"] = {
                "order": base.order,
                "accuracy": base.markov.accuracy,
                "loss": base.markov_loss.nll,
                "loss_order": base.loss_order,
            }
            if self.model.kin_N is not None:
                result["unigram"] |= base.unigram.codon_summary()
                result["markov"] |= base.markov.codon_summary()
            result["gain_over_markov"] = [gain.difference.value, gain.difference.low, gain.difference.high]
            result["gain_p_value"] = gain.p_value
        result["beats_markov"], result["verdict"] = self.verdict()
        result["same_corpus"] = self.same_corpus
        result["by_source"] = self.groups(self.sources_N)
        by_length = self.groups(self.length_names())
        result["by_length"] = sorted(by_length, key=lambda row: int(row["group"].strip("≥").split("–")[0]))
        return result


def length_name(place: int) -> str:
    """The name of a length bin.

    >>> length_name(1), length_name(6)
    ('50–99', '≥1600')
    """
    low, high = LENGTH_EDGES[place], LENGTH_EDGES[place + 1]
    return f"≥{low}" if place == len(LENGTH_EDGES) - 2 else f"{low}–{high - 1}"


def evaluate(
    bundle: Bundle | str | Path,
    corpus: Corpus | str | Path,
    *,
    split: str = "validation",
    limit: int | None = None,
    max_tokens: int | None = None,
    device: str = "cpu",
) -> Evaluation:
    """Score every position of a split (or of a fixed random ``limit`` of its sequences), and the baselines on it.

    A model that sees both sides is asked for each position as it is hidden, a causal one for each next token and the
    end; so are the baselines. They are counted on the train split; the Markov order and smoothing are chosen on the
    validation split, which flatters the baseline where that is also the split reported. Sequences longer than
    ``max_tokens`` (default: what the model was trained on) are scored in windows (``training.validation.score``).
    Of codons it also tells whether amino acids are right, by the genetic code of the loss the model was trained with
    (else the standard one), and the baselines are of codons, too. InputError for an empty split, a limit below 1,
    windows below 3 tokens (4 for a causal model) or beyond what the model reads.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit: found {limit}; 1 or more sequences are needed")
    bundle = bundle if isinstance(bundle, Bundle) else load(bundle, device=device)
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    rows = corpus.indices(split)
    if not len(rows):
        raise InputError(f"split: the corpus has no sequences in {split!r}")
    if limit is not None:
        rows = np.sort(rows[permutation(key(0, "evaluate"), len(rows))[:limit]])
    sequences = [corpus.sequence(int(row)) for row in rows]
    table = table_of(corpus, bundle.tokenizer, rows)
    causal, longest = bundle.model.config.causal, _window(bundle, max_tokens)
    code = bundle.record.recipe.get("objective", {}).get("criterion", {}).get("code", 1)
    with within_memory():
        model = score(bundle.model, bundle.tokenizer, table, longest, code=code)
    codes, names = corpus.sources
    trained_on = (bundle.record.corpus or {}).get("fingerprint")
    if trained_on is not None and trained_on != corpus.fingerprint:
        say("the model was trained on another corpus: sequences of this split may be among those it was trained on")
    of = _symbols(bundle.tokenizer, code)
    return Evaluation(
        split=split,
        rows_N=rows,
        lengths_N=np.asarray(corpus.lengths[rows]),
        clusters_N=np.asarray(corpus.clusters[rows]),
        sources_N=tuple(names[code] for code in codes[rows]),
        model=model,
        baselines=None if of is None else fit_baselines(corpus, sequences, causal=causal, of=of),
        same_corpus=None if trained_on is None else trained_on == corpus.fingerprint,
        causal=causal,
    )


def _symbols(tokenizer: Tokenizer, code: int) -> Symbols | None:
    """What the baselines count beside a tokenizer: its letters or codons; None where a token is neither."""
    config = tokenizer.config
    if isinstance(config, NucleotideConfig):
        return LETTERS
    if isinstance(config, CodonConfig):
        return Codons(config.frame, code)
    return Codons(0, code) if isinstance(config, KmerConfig) and (config.k, config.stride) == (3, 3) else None


def fit_baselines(
    corpus: Corpus,
    sequences: list[bytes],
    *,
    max_order: int | None = None,
    causal: bool = False,
    of: Symbols = LETTERS,
) -> Baselines:
    """Count on train, choose the order on validation, score ``sequences``, guessing from both sides unless ``causal``.

    Without a validation split the order is chosen, for all of train, as the best one on a tenth of train that was
    left out of the count; never on ``sequences``. They count letters, or codons where ``of`` says so.
    """
    train, validation = corpus.indices("train"), corpus.indices("validation")
    counts = count_ngrams((corpus.sequence(int(row)) for row in train), max_order, of=of)
    validation = validation[permutation(key(0, "order"), len(validation))[:2000]]
    if len(validation):
        chosen_on = [corpus.sequence(int(row)) for row in validation]
        choice = choose_order(counts, chosen_on, causal=causal)
        by_loss = choose_order(counts, chosen_on, by="nll", causal=causal).baseline
    else:
        choice, by_loss = _chosen_within(corpus, train, counts, causal)
    best = choice.baseline
    scores = counts.unigram(causal=causal).score(sequences), best.score(sequences)
    return Baselines(*scores, best.order, choice.table, by_loss.score(sequences), by_loss.order)


def _chosen_within(
    corpus: Corpus, train: NDArray[np.int64], counts: NgramCounts, causal: bool
) -> tuple[OrderChoice, MarkovBaseline]:
    """Orders and smoothing chosen on a tenth of train, for the counts of all of it."""
    mixed = [corpus.sequence(int(row)) for row in train[permutation(key(0, "order"), len(train))]]
    tenth = max(len(mixed) // 10, 1)
    part = count_ngrams(mixed[tenth:] or mixed, counts.max_order, of=counts.of)
    by_accuracy, by_loss = (choose_order(part, mixed[:tenth], by=merit, causal=causal) for merit in ("accuracy", "nll"))
    chosen = by_accuracy.baseline, by_loss.baseline
    final = [counts.markov(found.order, found.strengths, causal=causal) for found in chosen]
    return OrderChoice(final[0], by_accuracy.table), final[1]


def _window(bundle: Bundle, max_tokens: int | None) -> int:
    room = bundle.model.config.longest
    if max_tokens is None:
        return longest_piece(bundle)
    least = 4 if bundle.model.config.causal else 3
    if max_tokens < least or (room is not None and max_tokens > room):
        allowed = f"{least} or more" if room is None else f"{least} to {room}"
        raise InputError(f"max_tokens: found {max_tokens}; this model takes {allowed}")
    return max_tokens
