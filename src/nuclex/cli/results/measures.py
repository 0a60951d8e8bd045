"""What the verbs print that measure: a model on a corpus, models on a suite, generated sequences beside real ones."""

from __future__ import annotations

from typing import Literal

from nuclex.cli.results.answer import Answer, Interval, Number, sometimes


class Unigram(Answer):
    """The commonest nucleotide or codon, whatever stands around it; fitted on the train split."""

    accuracy: float
    """Share of positions guessed right."""
    loss: float
    """Mean -ln p of the true symbol, in nats."""
    amino_acid_accuracy: float = sometimes()
    """Of codons: share of guesses that mean what is true."""
    synonymous_error_share: float = sometimes()
    """Of codons: share of the wrong guesses that mean what is true."""


class Markov(Unigram):
    """A Markov chain fitted on the train split."""

    order: int
    """Neighbours it looks at, of the order that guesses best."""
    loss_order: int
    """The order whose loss is given: the one with the least."""


class Group(Answer):
    """The sequences of one source or length."""

    group: str
    """The source, or the range of lengths in nucleotides."""
    sequences: int
    """How many."""
    tokens: int
    """Tokens scored."""
    loss: float
    """Mean -ln p, in nats a token."""
    accuracy: float
    """Share of tokens guessed right."""
    markov_accuracy: float = sometimes()
    """The same of the Markov chain."""


class Evaluate(Answer):
    """How well a model foretells a split, every position scored."""

    split: str
    """The split."""
    sequences: int
    """Sequences scored."""
    asked: Literal["next", "hidden"]
    """Whether next tokens were asked for (causal models) or hidden ones."""
    loss: float
    """Mean -ln p of the true token, in nats."""
    perplexity: Number
    """e to the loss; null where that is no finite number."""
    accuracy: float
    """Share of tokens whose most probable symbol is the true one."""
    tokens: int
    """Tokens scored."""
    amino_acid_accuracy: float = sometimes()
    """Of codons: share of answers that mean what is true."""
    synonymous_error_share: float = sometimes()
    """Of codons: share of the wrong answers that mean what is true."""
    accuracy_interval: tuple[Number, Number]
    """Ends of the accuracy's 95 % interval, by clusters."""
    unigram: Unigram = sometimes()
    """The simplest baseline; absent where the tokenizer allows no comparison."""
    markov: Markov = sometimes()
    """The stronger baseline."""
    gain_over_markov: tuple[Number, Number, Number] = sometimes()
    """How much more accurate the model is than the Markov chain, and the ends of the 95 % interval."""
    gain_p_value: Number = sometimes()
    """The p-value of that gain."""
    beats_markov: bool | None
    """Whether the gain is significant; null where it cannot be told."""
    verdict: str
    """The same as a sentence."""
    same_corpus: bool | None
    """Whether it is the corpus that the model learned from; null where that is not known."""
    by_source: list[Group]
    """The same by source."""
    by_length: list[Group]
    """The same by length, the shortest first."""


class Line(Answer):
    """A model's score on a question."""

    question: str
    """The entry of the suite."""
    model: str
    """The model, or the baseline."""
    start: str
    """What it began from: pretrained, scratch, frozen, …"""
    metric: str
    """What was measured."""
    value: Number
    """What was measured, all seeds together."""
    low: Number
    """Lower end of the interval."""
    high: Number
    """Upper end of the interval."""
    n: int
    """Rows, such as test sequences."""
    seeds: int
    """Runs."""


class Aggregate(Answer):
    """A model over all questions that are answered with a class."""

    model: str
    """The model."""
    questions: list[str]
    """The questions."""
    stand_ins: list[str]
    """Those that stand in for others."""
    pretrained: Number
    """Mean Matthews correlation of the fine-tuned model."""
    scratch: Number
    """The same from random weights."""
    gain: Interval
    """The share by which the first is more than the second."""
    quoted: list[str]
    """The questions of which a best number is known."""
    share: Interval | None
    """The share of those best numbers that is reached; null where there are none."""


class Leak(Answer):
    """Test sequences found in a pre-training corpus."""

    question: str
    """The entry of the suite."""
    test: int
    """Its test sequences."""
    leaked: int
    """Those that are in the corpus."""


class Left(Answer):
    """What was not run."""

    question: str
    """The entry of the suite."""
    model: str
    """The model; empty where it is about all."""
    reason: str
    """Why not."""


class Benchmark(Answer):
    """A suite: the chief metric of each question; the tables have the others."""

    out: str
    """The folder."""
    numbers: list[Line]
    """Scores by question, model and start."""
    aggregates: list[Aggregate]
    """Models over all questions."""
    leaks: list[Leak]
    """With `--leaks`: what the corpus holds of the test sequences."""
    not_run: list[Left]
    """What was not run, and why."""
    tables: str
    """The folder of tables (CSV, JSON, Markdown, LaTeX)."""
    report: str
    """The page to open."""


class JudgedSet(Answer):
    """What one set of coding sequences is like; null where it does not apply."""

    valid: Interval | None
    """Share of sequences that are whole open reading frames."""
    codons: Interval | None
    """Codons of a sequence."""
    gc: Interval | None
    """Share of G and C."""
    gc3: Interval | None
    """The same at the third places of codons."""
    cai: Interval | None
    """Codon adaptation index, 0 to 1."""
    diversity: Number
    """Mean edit distance of two sequences over the longer one's length, 0 to 1."""
    divergence: Number
    """Of its codon usage from the other real half's, in bits."""
    identity: Interval | None = sometimes()
    """With `--training`: 1 minus that distance to the nearest training sequence."""
    copies: Number = sometimes()
    """With `--training`: share of sequences that are in the training file."""
    criteria: tuple[float, float, float, float, float]
    """Shares with whole codons, a start codon first, a stop codon last, no stop inside, only A, C, G and T."""


class Cloud(Answer):
    """How the vectors of one set lie to those of the real one."""

    frechet: Number
    """Squared Fréchet distance, in squared units of the vectors."""
    precision: float
    """Share of its vectors that lie among the real ones."""
    recall: float
    """Share of the real vectors that lie among its own."""
    f1: float
    """Their harmonic mean."""


class Clouds(Answer):
    """Every set in the model's vectors, against the same real one."""

    sets: dict[str, Cloud]
    """By set."""
    size: int
    """Vectors of each set."""
    width: int
    """Numbers in a vector that were compared."""
    left_out: dict[str, int]
    """Sequences of a set that the model does not read."""


class Division(Answer):
    """How vectors fall into as many clusters as there are proteins."""

    rand: Number
    """Adjusted Rand index of clusters and proteins; 0 by chance."""
    information: Number
    """Normalised mutual information of clusters and proteins, 0 to 1."""
    silhouette: Number
    """Silhouette of the clusters."""
    davies_bouldin: Number
    """Davies-Bouldin index of the clusters; the less, the more compact."""
    calinski_harabasz: Number
    """Calinski-Harabasz index of the clusters."""
    proteins_silhouette: Number
    """Silhouette of the proteins."""


class Synonymous(Answer):
    """Whether synonymous sequences of a protein lie together."""

    proteins: int
    """Proteins."""
    sequences: int
    """Sequences."""
    model: Division
    """By the model's vectors."""
    composition: Division
    """By the composition in words of three letters."""


class Judge(Answer):
    """Generated coding sequences beside real ones; `judgement.json` in the folder has the config, too."""

    out: str
    """The folder."""
    sizes: dict[str, int]
    """Sequences of each set."""
    sets: dict[str, JudgedSet]
    """What each set is like."""
    vectors: Clouds
    """How they lie in the model's vectors."""
    synonymous: Synonymous | None
    """With `--synonymous.proteins`; else null."""
