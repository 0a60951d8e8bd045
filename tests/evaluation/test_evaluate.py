from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nuclex.bundle import Bundle, Record, load, write_bundle
from nuclex.core.errors import InputError
from nuclex.data.store import Corpus
from nuclex.evaluation.baselines import SequenceScores, count_ngrams
from nuclex.evaluation.evaluate import Baselines, Evaluation, evaluate, fit_baselines, length_name
from nuclex.models import Gpt2Config, LanguageModel
from nuclex.tokenizers import NucleotideConfig
from nuclex.training.pretrain import table_of
from nuclex.training.validation import Scores, longest_piece, score_masked, score_next


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load(tiny_bundle)


@pytest.fixture(scope="module")
def done(bundle: Bundle, tiny_corpus: Path) -> Evaluation:
    return evaluate(bundle, tiny_corpus)


def by_hand(model_hits: list[int], markov_hits: list[int], clusters: list[int] | None = None) -> Evaluation:
    """Sequences of 20 tokens each with these numbers of hits."""
    count = len(model_hits)
    tokens = np.full(count, 20)
    markov = SequenceScores(tokens, np.array(markov_hits), tokens * 1.3)
    unigram = SequenceScores(tokens, np.full(count, 5), tokens * 1.39)
    return Evaluation(
        split="test",
        rows_N=np.arange(count),
        lengths_N=np.array([20, 60, 60, 2000, 49, 50, 99, 100, 1599, 1600])[:count],
        clusters_N=np.arange(count) if clusters is None else np.array(clusters),
        sources_N=tuple("ab"[place % 2] for place in range(count)),
        model=Scores(tokens, np.array(model_hits), tokens * 1.0),
        baselines=Baselines(unigram, markov, 3, (), markov, 2),
    )


# ---- the numbers ----


def test_every_position_of_the_split_is_scored(done: Evaluation, bundle: Bundle, tiny_corpus: Path) -> None:
    corpus = Corpus.open(tiny_corpus)
    rows = corpus.indices("validation")
    assert done.rows_N.tolist() == rows.tolist()
    assert done.model.tokens_N.tolist() == corpus.lengths[rows].tolist()
    from nuclex.data.sample import windows

    table = table_of(corpus, bundle.tokenizer, rows)
    direct = score_masked(bundle.model, bundle.tokenizer, table, windows(table, 64))
    assert done.model.hits_N.tolist() == direct.hits_N.tolist()
    assert done.model.nll_N == pytest.approx(direct.nll_N)


def test_the_baselines_know_the_train_split_alone(done: Evaluation, tiny_corpus: Path) -> None:
    corpus = Corpus.open(tiny_corpus)
    train = [corpus.sequence(int(row)) for row in corpus.indices("train")]
    asked = [corpus.sequence(int(row)) for row in done.rows_N]
    counts = count_ngrams(train, 8)
    assert done.baselines is not None
    assert done.baselines.unigram.hits.tolist() == counts.unigram().score(asked).hits.tolist()
    letters = b"".join(train)
    commonest = max(b"ACGT", key=letters.count)
    assert done.baselines.unigram.hits.tolist() == [sequence.count(commonest) for sequence in asked]
    assert 0 <= done.baselines.order <= 8
    assert done.baselines.markov.n.tolist() == done.model.tokens_N.tolist(), "the same positions"


def test_plain_data_has_the_promised_names(done: Evaluation) -> None:
    data = done.to_data()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert {"loss", "perplexity", "accuracy", "tokens"} <= data.keys()
    assert data["perplexity"] == pytest.approx(np.exp(data["loss"]))
    assert data["accuracy_interval"][0] <= data["accuracy"] <= data["accuracy_interval"][1]
    for groups in (data["by_source"], data["by_length"]):
        assert sum(row["tokens"] for row in groups) == data["tokens"]
        assert sum(row["sequences"] for row in groups) == data["sequences"]
        mean = sum(row["loss"] * row["tokens"] for row in groups) / data["tokens"]
        assert mean == pytest.approx(data["loss"])


def test_a_limit_is_a_fixed_sample(
    bundle: Bundle, tiny_corpus: Path, done: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nuclex.evaluation.evaluate.fit_baselines", lambda corpus, sequences, causal, of: None)
    first, again = (evaluate(bundle, tiny_corpus, limit=4) for _ in range(2))
    assert first.rows_N.tolist() == again.rows_N.tolist()
    assert len(first.rows_N) == 4
    assert set(first.rows_N.tolist()) < set(done.rows_N.tolist())
    where = np.isin(done.rows_N, first.rows_N)
    assert first.model.nll_N == pytest.approx(done.model.nll_N[where], rel=1e-5), "whatever else is scored"
    assert len(evaluate(bundle, tiny_corpus, limit=10_000).rows_N) == len(done.rows_N)


def test_other_splits_and_windows(bundle: Bundle, tiny_corpus: Path) -> None:
    test = evaluate(bundle, tiny_corpus, split="test", max_tokens=12)
    assert test.split == "test"
    assert test.rows_N.tolist() == Corpus.open(tiny_corpus).indices("test").tolist()
    assert test.model.tokens_N.tolist() == test.lengths_N.tolist()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"split": "valid"}, r"split: found 'valid', allowed: train, validation, test"),
        ({"limit": 0}, r"limit: found 0; 1 or more sequences are needed"),
        ({"limit": -1}, r"limit: found -1; 1 or more sequences are needed"),
        ({"max_tokens": 2}, r"max_tokens: found 2; this model takes 3 or more"),
    ],
)
def test_wrong_requests_get_a_sentence(settings: dict, sentence: str, bundle: Bundle, tiny_corpus: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        evaluate(bundle, tiny_corpus, **settings)


def test_an_empty_split_is_refused(bundle: Bundle, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Corpus, "indices", lambda corpus, split: np.zeros(0, dtype=np.int64))
    with pytest.raises(InputError, match="split: the corpus has no sequences in 'validation'"):
        evaluate(bundle, tiny_corpus)


def test_the_window_is_what_the_model_was_trained_on(bundle: Bundle) -> None:
    assert longest_piece(bundle) == 64
    unknown = dataclasses.replace(bundle, record=dataclasses.replace(bundle.record, recipe={}))
    assert longest_piece(unknown) == 1024


# ---- a causal model ----


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    torch.manual_seed(0)
    tokenizer = NucleotideConfig().build()
    config = Gpt2Config(depth=1, width=16, heads=2, inner=32, max_positions=40).backbone()
    model = LanguageModel(config, vocabulary_size=len(tokenizer), pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id)
    folder = tmp_path_factory.mktemp("causal") / "bundle"
    write_bundle(folder, model.eval(), tokenizer, Record({"sampling": {"max_tokens": 64}}, {}, {}, None, "tiny"))
    return load(folder)


def test_a_causal_model_is_asked_for_what_comes_next(causal: Bundle, tiny_corpus: Path) -> None:
    found = evaluate(causal, tiny_corpus)
    assert longest_piece(causal) == 40, "the table of positions is shorter than the pieces of training"
    table = table_of(Corpus.open(tiny_corpus), causal.tokenizer, found.rows_N)
    direct = score_next(causal.model, causal.tokenizer, table, 40)
    assert found.model.nll_N.tolist() == direct.nll_N.tolist()
    assert found.model.tokens_N.tolist() == (found.lengths_N + 1).tolist()
    assert found.baselines is not None
    corpus = Corpus.open(tiny_corpus)
    counts = count_ngrams([corpus.sequence(int(row)) for row in corpus.indices("train")], 8)
    asked = [corpus.sequence(int(row)) for row in found.rows_N]
    assert found.baselines.unigram.nll == counts.unigram(causal=True).score(asked).nll
    assert found.baselines.markov.n.tolist() == found.model.tokens_N.tolist(), "the same positions, ends included"
    data = found.to_data()
    assert data["asked"] == "next"
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert "accuracy of next tokens against the order-" in data["verdict"]


def test_without_validation_a_causal_baseline_is_chosen_within_train(
    causal: Bundle, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, indices = Corpus.open(tiny_corpus), Corpus.indices
    sequences = [corpus.sequence(int(row)) for row in corpus.indices("test")]
    monkeypatch.setattr(Corpus, "indices", lambda corpus, split: indices(corpus, split)[: 0 if "v" in split else None])
    base = fit_baselines(corpus, sequences, causal=True)
    assert base.markov.n.tolist() == [len(sequence) + 1 for sequence in sequences]
    assert base.markov_loss.nll < base.unigram.nll


# ---- the verdict ----


def test_a_better_model_beats_the_baseline() -> None:
    better = by_hand([14, 15, 13, 16, 14, 15, 14, 13], [8, 9, 7, 8, 9, 8, 7, 8])
    beats, sentence = better.verdict()
    assert beats
    assert sentence.startswith("The model beats the Markov baseline (masked accuracy against the order-3 Markov")
    gain = better.gain()
    assert gain is not None
    assert gain.difference.value == pytest.approx((114 - 64) / 160)


def test_a_worse_model_is_called_worse() -> None:
    beats, sentence = by_hand([8, 9, 7, 8, 9, 8, 7, 8], [14, 15, 13, 16, 14, 15, 14, 13]).verdict()
    assert not beats
    assert "does NOT beat the Markov baseline; it is worse" in sentence


def test_a_tie_is_no_victory() -> None:
    tie = by_hand([8, 15, 7, 16, 9, 13, 7, 16], [9, 13, 8, 14, 8, 14, 8, 14])
    gain = tie.gain()
    assert gain is not None
    assert gain.difference.low < 0 < gain.difference.value, "a little better, which can be chance"
    beats, sentence = tie.verdict()
    assert beats is False
    assert "does NOT beat the Markov baseline: the interval includes zero" in sentence


def test_one_cluster_says_nothing() -> None:
    beats, sentence = by_hand([14, 15, 13, 16], [8, 9, 7, 8], clusters=[5, 5, 5, 5]).verdict()
    assert beats is None
    assert sentence == "Whether the model beats the Markov baseline cannot be told from a single cluster of sequences."


def test_clusters_widen_the_interval() -> None:
    hits = [18, 18, 18, 18, 4, 4, 4, 4]
    single, paired = by_hand(hits, hits).accuracy(), by_hand(hits, hits, [0, 0, 0, 0, 1, 1, 1, 1]).accuracy()
    assert single.value == paired.value == pytest.approx(0.55)
    assert paired.high - paired.low > single.high - single.low


def test_without_baselines_the_sentence_says_why() -> None:
    evaluation = dataclasses.replace(by_hand([3, 4, 5], [3, 4, 5]), baselines=None)
    assert evaluation.verdict() == (
        None,
        "The baselines count nucleotides or codons and cannot be compared with this tokenizer.",
    )
    data = evaluation.to_data()
    assert "markov" not in data
    assert "markov_accuracy" not in data["by_source"][0]


def test_groups_by_source_and_length() -> None:
    data = by_hand([2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [1] * 10).to_data()
    assert [(row["group"], row["accuracy"], row["markov_accuracy"]) for row in data["by_source"]] == [
        ("a", 0.5, 0.05),
        ("b", 0.6, 0.05),
    ]
    assert [(row["group"], row["sequences"]) for row in data["by_length"]] == [
        ("0–49", 2),
        ("50–99", 4),
        ("100–199", 1),
        ("800–1599", 1),
        ("≥1600", 2),
    ]
    assert [length_name(place) for place in range(7)][2:5] == ["100–199", "200–399", "400–799"]


# ---- codons ----


def codon_bundle(folder: Path, criterion: dict, kind: str = "bert") -> Bundle:
    from nuclex.models import BertConfig
    from nuclex.tokenizers import CodonConfig

    torch.manual_seed(0)
    tokenizer = CodonConfig(frame=0, remainder="trim").build()
    sizes = {"depth": 1, "width": 16, "heads": 2, "inner": 32, "max_positions": 40, "vocabulary_multiple": 8}
    config = (BertConfig(**sizes) if kind == "bert" else Gpt2Config(**sizes)).backbone()
    model = LanguageModel(
        config, vocabulary_size=config.rows(len(tokenizer)), pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id
    )
    recipe = {"sampling": {"max_tokens": 32}, "objective": {"criterion": criterion}}
    write_bundle(folder, model.eval(), tokenizer, Record(recipe, {}, {}, None, "tiny"))
    return load(folder)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_of_codons_amino_acids_are_told_and_counted_beside(kind: str, tiny_corpus: Path, tmp_path: Path) -> None:
    bundle = codon_bundle(tmp_path / "bundle", {}, kind)
    found = evaluate(bundle, tiny_corpus)
    ends = int(kind == "gpt2")
    assert found.model.tokens_N.tolist() == (found.lengths_N // 3 + ends).tolist()
    assert found.baselines is not None
    assert found.baselines.markov.n.tolist() == found.model.tokens_N.tolist()
    data = found.to_data()
    for numbers in (data, data["unigram"], data["markov"]):
        assert 0 <= numbers["accuracy"] <= numbers["amino_acid_accuracy"] <= 1
        wrong = 1 - numbers["accuracy"]
        assert numbers["synonymous_error_share"] == pytest.approx(
            (numbers["amino_acid_accuracy"] - numbers["accuracy"]) / wrong
        )


def test_what_codons_mean_is_said_by_the_code_of_the_loss(tmp_path: Path) -> None:
    """A model that always says CTG: leucine, in code 3 threonine; RNA whose codons are both."""
    fasta = tmp_path / "a.fa"
    fasta.write_text("".join(f">{n}\n{'ACGTTA' * 8}{'ACA' * n}\n" for n in range(1, 9)))
    from nuclex.data.corpus import CorpusConfig, build_corpus

    settings = {"cluster": {"method": "none"}, "split": {"by": "random", "validation": 0.5, "test": 0}}
    build_corpus([fasta], tmp_path / "corpus", CorpusConfig.from_data(settings))
    for code, share in ((1, "leucine"), (3, "threonine")):
        bundle = codon_bundle(tmp_path / f"bundle{code}", {"kind": "hierarchical", "code": code})
        with torch.no_grad():
            bundle.model.head.decoder.bias[bundle.tokenizer.vocabulary.index("CTG")] = 1e4  # type: ignore[union-attr]
        found = evaluate(bundle, tmp_path / "corpus").model
        assert found.hits_N.sum() == 0
        assert found.kin_N is not None
        codons = found.tokens_N.sum()
        leucine = 8 * len(found.tokens_N)
        assert found.kin_N.sum() == (leucine if share == "leucine" else codons - leucine)
