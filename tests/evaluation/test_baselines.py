"""The Markov baseline against explicit enumeration and against a chain whose best possible accuracy is known."""

from __future__ import annotations

import gzip
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.core.errors import InputError
from nuclex.evaluation import baselines, symbols
from nuclex.evaluation.baselines import choose_order, count_ngrams

CLASSES = "ACGTo"
letters = st.lists(st.sampled_from([bytes([letter]) for letter in b"AACGTUacgtNR-"]), min_size=1, max_size=12)
sequences = st.lists(letters.map(b"".join), min_size=1, max_size=5)


def plain(sequence: bytes) -> str:
    upper = sequence.decode().upper().replace("U", "T")
    return "".join(letter if letter in "ACGT" else "o" for letter in upper)


class Reference:
    """The same model with dictionaries, one window at a time; ``^`` is the boundary."""

    def __init__(self, train: list[bytes], order: int, strengths: list[float]) -> None:
        self.order, self.strengths = order, strengths
        self.windows, self.contexts = Counter(), Counter()
        for sequence in map(plain, train):
            padded = "^" * order + sequence + "^"
            for end in range(order, len(padded)):
                for length in range(order + 1):
                    self.windows[padded[end - length : end + 1]] += 1
                    self.contexts[padded[end - length : end]] += 1

    def probability(self, symbol: str, context: str) -> float:
        shorter = self.probability(symbol, context[1:]) if context else 1 / 6
        strength = self.strengths[len(context)]
        if not context:
            return (self.windows[symbol] + strength / 6) / (self.contexts[""] + strength)
        return (self.windows[context + symbol] + strength * shorter) / (self.contexts[context] + strength)

    def joint(self, sequence: str) -> float:
        padded = "^" * self.order + sequence + "^"
        places = range(self.order, len(padded))
        return math.prod(self.probability(padded[end], padded[end - self.order : end]) for end in places)

    def foretell(self, sequence: bytes) -> np.ndarray:
        padded = "^" * self.order + plain(sequence) + "^"
        places = range(self.order, len(padded))
        return np.array(
            [[self.probability(s, padded[end - self.order : end]) for s in CLASSES + "^"] for end in places]
        )

    def predict(self, sequence: bytes) -> np.ndarray:
        text = plain(sequence)
        joint_L5 = np.array(
            [[self.joint(text[:i] + symbol + text[i + 1 :]) for symbol in CLASSES] for i in range(len(text))]
        )
        return joint_L5 / joint_L5.sum(axis=1, keepdims=True)


def chain(order: int, seed: int, number: int, length: int) -> tuple[list[bytes], np.ndarray]:
    """Sequences of a known chain over ACGT and its table P(next | ``order`` before), (4, …, 4, 4)."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(4, 0.4), size=(4,) * order)
    letters_NL = rng.integers(0, 4, size=(number, length))
    for at in range(order, length):
        context = tuple(letters_NL[:, at - back] for back in range(order, 0, -1))
        letters_NL[:, at] = (rng.random(number)[:, None] > table[context].cumsum(axis=-1)).sum(axis=1).clip(0, 3)
    return [bytes(b"ACGT"[letter] for letter in row) for row in letters_NL], table


def best_accuracy(sequences: list[bytes], table: np.ndarray, positions: range) -> float:
    """What someone who knows the chain gets, from the true table and all windows with the hidden letter."""
    order = table.ndim - 1
    letters_NL = np.array([[b"ACGT".index(letter) for letter in sequence] for sequence in sequences])
    hits = []
    for at in positions:
        joint_4N = np.ones((4, len(sequences)))
        for guess in range(4):
            trial_NL = letters_NL.copy()
            trial_NL[:, at] = guess
            for end in range(at, at + order + 1):
                joint_4N[guess] *= table[tuple(trial_NL[:, end - back] for back in range(order, -1, -1))]
        hits.append(joint_4N.argmax(axis=0) == letters_NL[:, at])
    return float(np.mean(hits))


@given(train=sequences, test=letters.map(b"".join), order=st.integers(0, 3), more=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_equal_to_enumeration(train: list[bytes], test: bytes, order: int, more: int) -> None:
    strengths = [0.5, 2.0, 3.0, 0.7][: order + 1]
    baseline = count_ngrams(train, max_order=order + more).markov(order, strengths)
    wanted_L5 = Reference(train, order, strengths).predict(test)
    np.testing.assert_allclose(np.exp(baseline.predict(test)), wanted_L5, rtol=1e-4)
    scores = baseline.score([test])
    truth_L = [CLASSES.index(letter) for letter in plain(test)]
    assert scores.n.tolist() == [len(test)]
    assert scores.nll_sum[0] == pytest.approx(-np.log(wanted_L5[np.arange(len(test)), truth_L]).sum(), rel=1e-4)
    # ties between letters may fall either way in float32; count only clear winners
    ranked = np.sort(wanted_L5, axis=1)
    clear_L = ranked[:, -1] > ranked[:, -2] * 1.001
    clear_hits = baseline.score([test], [np.flatnonzero(clear_L)]).hits[0]
    assert clear_hits == (wanted_L5.argmax(axis=1) == truth_L)[clear_L].sum()


@given(train=sequences, tests=st.lists(letters.map(b"".join), min_size=1, max_size=3), order=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_foretelling_equals_enumeration(train: list[bytes], tests: list[bytes], order: int) -> None:
    strengths = [0.5, 2.0, 3.0, 0.7][: order + 1]
    baseline = count_ngrams(train, max_order=3).markov(order, strengths, causal=True)
    scores = baseline.score(tests)
    assert scores.n.tolist() == [len(test) + 1 for test in tests], "the end is foretold too"
    reference = Reference(train, order, strengths)
    for place, test in enumerate(tests):
        wanted_L6 = reference.foretell(test)
        np.testing.assert_allclose(np.exp(baseline.predict(test)), wanted_L6, rtol=1e-4)
        truth_L = [*(CLASSES.index(letter) for letter in plain(test)), 5]
        cost = -np.log(wanted_L6[np.arange(len(test) + 1), truth_L]).sum()
        assert scores.nll_sum[place] == pytest.approx(cost, rel=1e-4)
        ranked = np.sort(wanted_L6, axis=1)
        clear_L = ranked[:, -1] > ranked[:, -2] * 1.001
        hits = baseline.score([test], [np.flatnonzero(clear_L)]).hits[0]
        assert hits == (wanted_L6.argmax(axis=1) == truth_L)[clear_L].sum()


def test_foretelling_sees_nothing_ahead_and_finds_the_order() -> None:
    sequences, table = chain(order=2, seed=0, number=400, length=150)
    train, test = sequences[:300], sequences[300:]
    choice = choose_order(count_ngrams(train, 6), test, by="nll", causal=True)
    assert (choice.baseline.order, choice.baseline.causal) == (2, True)
    best = np.mean([table[b"ACGT".index(s[i - 2]), b"ACGT".index(s[i - 1])].argmax() == b"ACGT".index(s[i])
                    for s in test for i in range(5, 145)])  # fmt: skip
    found = choice.baseline.score(test, [np.arange(5, 145)] * len(test)).accuracy
    assert found == pytest.approx(best, abs=0.006)
    changed = test[0][:70] + b"ACGT" * 20
    before, after = choice.baseline.predict(test[0]), choice.baseline.predict(changed)
    np.testing.assert_array_equal(before[:71], after[:71])
    assert before.shape == (151, 6)
    np.testing.assert_allclose(np.exp(before).sum(axis=1), 1, atol=1e-6)
    with pytest.raises(InputError, match=r"positions: found 151; allowed in this sequence: 0 to 150"):
        choice.baseline.score(test[:1], [np.array([151])])


def test_foretelling_unigram_is_the_rate_of_the_commonest_symbol() -> None:
    baseline = count_ngrams([b"GGGA", b"GCUN"], 4).unigram(causal=True)
    assert baseline.score([b"GGAA", b"CCCC", b""]).hits.tolist() == [2, 0, 0]
    exact = np.array([1, 1, 4, 1, 1, 2]) + 1 / 6
    np.testing.assert_allclose(np.exp(baseline.predict(b"")), [exact / exact.sum()], rtol=1e-5)


def test_order_one_by_hand() -> None:
    # train "AC": windows ^A, AC, C^, each seen once. Strength 1 at both orders; counts of A, C, ^ are 1 of 3.
    p0 = {"A": (1 + 1 / 6) / 4, "C": (1 + 1 / 6) / 4, "^": (1 + 1 / 6) / 4, "G": (1 / 6) / 4}

    def p1(symbol: str, seen: bool) -> float:
        return (seen + p0[symbol]) / 2

    # test "A": P(x) ~ P(x | ^) P(^ | x). G was never a context, so P(^ | G) = p0(^)
    a, c, g = p1("A", True) * p1("^", False), p1("C", False) * p1("^", True), p1("G", False) * p0["^"]
    total = a + c + 3 * g  # G, T and other are alike
    predicted = np.exp(count_ngrams([b"AC"], 1).markov(1, [1.0, 1.0]).predict(b"A"))[0]
    np.testing.assert_allclose(predicted, np.array([a, c, g, g, g]) / total, rtol=1e-5)


def test_known_chain_is_learned_and_its_order_found() -> None:
    sequences, table = chain(order=2, seed=0, number=400, length=150)
    train, test = sequences[:300], sequences[300:]
    choice = choose_order(count_ngrams(train, 6), test, by="nll")
    assert choice.baseline.order == 2
    inner = range(5, 145)
    best = best_accuracy(test, table, inner)
    found = choice.baseline.score(test, [np.array(inner)] * len(test)).accuracy
    assert found == pytest.approx(best, abs=0.006)
    assert [row.order for row in choice.table] == list(range(7))
    assert choice.table[2].accuracy > choice.table[1].accuracy + 0.02
    left_only = np.mean([table[b"ACGT".index(s[i - 2]), b"ACGT".index(s[i - 1])].argmax() == b"ACGT".index(s[i])
                         for s in test for i in inner])  # fmt: skip
    assert found > left_only + 0.03  # both sides are used
    by_accuracy = choose_order(count_ngrams(train, 6), test)
    assert by_accuracy.baseline.order in (2, 3)
    assert by_accuracy.baseline.score(test).accuracy == max(row.accuracy for row in by_accuracy.table)


def test_unigram_is_the_rate_of_the_commonest_letter() -> None:
    baseline = count_ngrams([b"GGGA", b"GCUN"], 4).unigram()
    scores = baseline.score([b"GGAA", b"CCCC", b"ACGUUGgN"])
    assert scores.hits.tolist() == [2, 0, 3]
    assert scores.accuracy == 5 / 16
    exact = np.array([1, 1, 4, 1, 1]) + 1 / 6
    np.testing.assert_allclose(np.exp(baseline.predict(b"A")[0]), exact / exact.sum(), rtol=1e-5)


def test_nothing_of_validation_enters_the_counts() -> None:
    train, validation = [b"ACGTACGGTCA" * 3], [b"TTTTTTTTGA" * 4]
    counts = count_ngrams(train, 3)
    before = [count.copy() for count in counts.counts]
    choice = choose_order(counts, validation)
    for count, earlier, anew in zip(counts.counts, before, count_ngrams(train, 3).counts, strict=True):
        np.testing.assert_array_equal(count, earlier)
        np.testing.assert_array_equal(count, anew)
    rebuilt = counts.markov(choice.baseline.order, choice.baseline.strengths)
    np.testing.assert_array_equal(choice.baseline.log_table, rebuilt.log_table)
    assert len(choice.baseline.strengths) == choice.baseline.order + 1
    row = choice.table[choice.baseline.order]
    scores = rebuilt.score(validation)
    assert (row.accuracy, row.nll, row.positions) == (scores.accuracy, scores.nll, 40)


def test_counts_are_plain_kmer_counts() -> None:
    counts = count_ngrams([b"ACAC", b"", b"G"], 1).counts
    assert counts[0].tolist() == [2, 2, 1, 0, 0, 2]  # two ends; an empty sequence has none
    pairs = counts[1].reshape(6, 6)
    found = {"ACGTo^"[i] + "ACGTo^"[j]: int(pairs[i, j]) for i, j in np.argwhere(pairs)}
    assert found == {"^A": 1, "AC": 2, "CA": 1, "C^": 1, "^G": 1, "G^": 1}


@given(sequence=letters.map(b"".join), order=st.integers(0, 4), data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_hidden_letter_is_not_looked_at(sequence: bytes, order: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(0)
    train = [bytes(rng.choice(list(b"ACGTN"), size=60).tolist()) for _ in range(10)]
    baseline = count_ngrams(train, 4).markov(order, [1.0] * (order + 1))
    at = data.draw(st.integers(0, len(sequence) - 1))
    changed = sequence[:at] + b"G" + sequence[at + 1 :]
    np.testing.assert_allclose(baseline.predict(sequence)[at], baseline.predict(changed)[at], atol=1e-9)
    np.testing.assert_allclose(np.exp(baseline.predict(sequence)).sum(axis=1), 1, atol=1e-6)


def test_ends_are_known() -> None:
    rng = np.random.default_rng(0)
    train = [bytes(rng.choice(list(b"ACGT"), size=30).tolist()) + b"CCA" for _ in range(300)]
    baseline = count_ngrams(train, 3).markov(3, [1.0] * 4)
    guess = baseline.predict(b"GATTGCATGGTTCCA").argmax(axis=1)
    assert "".join(CLASSES[letter] for letter in guess[-3:]) == "CCA"


def test_blocks_and_streams_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    many = [bytes(rng.choice(list(b"ACGTNacgu"), size=size).tolist()) for size in rng.integers(0, 90, size=40)]
    positions = [rng.permutation(len(sequence))[: len(sequence) // 2] for sequence in many]

    def everything() -> list[np.ndarray]:
        counts = count_ngrams(many, 5)
        baseline = counts.markov(5, [1.0] * 6)
        whole, part = baseline.score(many), baseline.score(iter(many), positions)
        return [*counts.counts, whole.n, whole.hits, whole.nll_sum, part.n, part.hits, part.nll_sum]

    at_once = everything()
    monkeypatch.setattr(symbols, "_STREAM_SYMBOLS", 64)
    monkeypatch.setattr(baselines, "_BLOCK_POSITIONS", 7)
    for small, large in zip(everything(), at_once, strict=True):
        np.testing.assert_allclose(small, large, rtol=1e-12)


def test_positions_pick_from_predict() -> None:
    sequence = b"ACGGNTACGGATTACA"
    baseline = count_ngrams([b"ACGGATTACAGGN", b"TTACG"], 2).markov(2, [1.0, 2.0, 4.0])
    predicted = baseline.predict(sequence)
    chosen = np.array([4, 0, 15])
    scores = baseline.score([b"ACG", sequence], [np.array([], dtype=np.int64), chosen])
    truth = [symbols.SYMBOLS.index("other"), symbols.SYMBOLS.index("A"), symbols.SYMBOLS.index("A")]
    assert scores.n.tolist() == [0, 3]
    assert scores.nll_sum[1] == pytest.approx(-predicted[chosen, truth].sum())
    assert scores.hits.tolist() == [0, (predicted[chosen].argmax(axis=1) == truth).sum()]


def test_case_and_u_do_not_matter() -> None:
    a, b = count_ngrams([b"ACGUNRy-"], 3), count_ngrams([b"acgtXX.n"], 3)
    for left, right in zip(a.counts, b.counts, strict=True):
        np.testing.assert_array_equal(left, right)


def test_nothing_to_score_is_nothing() -> None:
    baseline = count_ngrams([b"ACGT"], 2).markov(2, [1.0] * 3)
    assert baseline.score([]).n.tolist() == []
    assert baseline.score([b""]).n.tolist() == [0]
    assert baseline.predict(b"").shape == (0, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: count_ngrams([]), "no nucleotides"),
        (lambda: count_ngrams([b""]), "no nucleotides"),
        (lambda: count_ngrams([b"ACGT"], 9), "max_order: found 9; allowed: 0 to 8"),
        (lambda: count_ngrams([b"AC\nGT"], 2), "line break"),
        (lambda: count_ngrams([b"ACGT"], 2).markov(3, [1.0] * 4), "order: found 3"),
        (lambda: count_ngrams([b"ACGT"], 2).markov(2, [1.0]), "with 1 strengths"),
        (lambda: count_ngrams([b"ACGT"], 2).markov(0, [0.0]), "above 0"),
        (lambda: choose_order(count_ngrams([b"ACGT"], 2), []), "found 0 sequences"),
        (lambda: choose_order(count_ngrams([b"ACGT"], 2), [b"A"], max_order=3), "order 3"),
        (lambda: choose_order(count_ngrams([b"ACGT"], 2), [b"A"], by="loss"), "'nll'"),  # type: ignore[arg-type]
        (lambda: count_ngrams([b"ACGT"], 2).unigram().score([b"AC"], [np.array([2])]), "found 2; allowed"),
        (lambda: count_ngrams([b"ACGT"], 2).unigram().score([b"AC"], []), "one each"),
        (lambda: count_ngrams([b"ACGT"], 2).unigram().score([b"AC"], [np.array([0])] * 2), "found 2 arrays for 1"),
    ],
)
def test_refused_with_a_sentence(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.real
def test_on_real_trnas_context_helps() -> None:
    path = Path(os.environ.get("NUCLEX_MIRROR", "")) / "ncrna_pretrain" / "GtRNAdb.fa.gz"
    if "NUCLEX_MIRROR" not in os.environ or not path.is_file():
        pytest.skip("GtRNAdb: real data not available: set NUCLEX_MIRROR")
    records = gzip.decompress(path.read_bytes()).split(b">")[1:]
    unique = sorted({b"".join(record.split(b"\n")[1:]).strip().upper() for record in records})
    counts = count_ngrams(unique[::2], 6)
    choice = choose_order(counts, unique[1::4])
    held_out = unique[3::4]
    assert counts.unigram().score(held_out).accuracy < 0.4
    assert choice.baseline.score(held_out).accuracy > counts.unigram().score(held_out).accuracy + 0.1


# ---- codons ----


def test_codons_are_read_in_frame_and_what_is_left_is_passed_over() -> None:
    stream = symbols.Codons(frame=1).lay([b"CATGnnnTAAGg", b"", b"AC", b"gcuU"], 2)
    names = [*symbols.Codons().names, "^"]
    read = [names[number] for number in stream.symbols]
    assert read == ["^", "^", "ATG", "other", "TAA", "^", "^", "^", "^", "^", "^", "CTT", "^", "^"]
    assert stream.starts.tolist() == [2, 7, 9, 11]
    assert stream.lengths.tolist() == [3, 0, 0, 1]
    with pytest.raises(InputError, match="line break"):
        symbols.Codons().lay([b"ATG\nCC"], 1)


@pytest.mark.parametrize("causal", [False, True])
def test_codons_are_guessed_as_letters_are(causal: bool) -> None:
    """Four codons in place of four letters: the same chain, but for symbols that never occur."""
    codons = {ord("A"): "AAA", ord("C"): "AAC", ord("G"): "AAG", ord("T"): "AAT", ord("N"): "NNN"}
    rng = np.random.default_rng(1)
    plain_ones = [bytes(rng.choice(list(b"AACGTN"), size=size).tolist()) for size in (9, 20, 1, 0, 14)]
    spelled = [sequence.decode().translate(codons).encode() for sequence in plain_ones]
    by_letter = count_ngrams(plain_ones, 2)
    by_codon = count_ngrams(spelled, 2, of=symbols.Codons())
    common = np.array([0, 1, 2, 3, 64, 65])
    for letters_K, codons_K in zip(by_letter.counts, by_codon.counts, strict=True):
        order = int(np.log(len(letters_K)) / np.log(6) + 0.5)
        np.testing.assert_array_equal(codons_K.reshape((66,) * order)[np.ix_(*[common] * order)].ravel(), letters_K)
        assert codons_K.sum() == letters_K.sum()
    tiny = [1e-9, 1.0, 1.0]  # no smoothing towards all symbols alike: how many there are does not matter
    test = plain_ones[1]
    known = by_letter.markov(2, tiny, causal=causal).predict(test)
    found = by_codon.markov(2, tiny, causal=causal).predict(test.decode().translate(codons).encode())
    np.testing.assert_allclose(np.exp(found[:, common[: known.shape[1]]]), np.exp(known), atol=1e-5)


def test_a_guess_of_the_same_amino_acid_is_counted() -> None:
    baseline = count_ngrams([b"CTGCTGATGTAA"], 0, of=symbols.Codons()).unigram()  # Leu Leu Met stop
    scores = baseline.score([b"CTGTTAATG", b"CTNCTG"])
    assert scores.n.tolist() == [3, 2]
    assert scores.hits.tolist() == [1, 1]
    assert scores.kin_hits is not None
    assert scores.kin_hits.tolist() == [2, 1], "TTA is leucine, too"
    assert scores.codon_summary() == {"amino_acid_accuracy": 3 / 5, "synonymous_error_share": 1 / 3}
    mitochondria = count_ngrams([b"CTGCTGATGTAA"], 0, of=symbols.Codons(code=3)).unigram()  # there CTG is threonine
    assert mitochondria.score([b"CTGTTAACG"]).codon_summary()["amino_acid_accuracy"] == 2 / 3


def test_codons_have_a_highest_order() -> None:
    with pytest.raises(InputError, match="found 3; allowed: 0 to 2"):
        count_ngrams([b"ATGTAA"], 3, of=symbols.Codons())
