"""A loss on codons for every tokenizer that spells them: against sums over all words and products of letters."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio import GeneticCode
from nuclex.core.errors import InputError
from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import windows
from nuclex.data.tokens import tokenize
from nuclex.objectives import CRITERIA, CausalConfig, Hierarchy, MaskedConfig, Question, hierarchical_cross_entropy
from nuclex.objectives.codons import CodonView
from nuclex.tokenizers import TOKENIZERS, Tokenizer

SEQUENCES = ["ATGGCTGTTTGGAAATAA", "ATGCCCNCCTTTTAGTGA", "ATGAAACCCGGGTTTACGTAA"]
CODE = GeneticCode.ncbi(1)
EVERY: list[dict[str, Any]] = [
    {"kind": "hierarchical", "alpha": 0.4},
    {"kind": "hierarchical", "alpha": 0.6, "tree": "random", "compatibility": "helm-released"},
    {"kind": "soft-labels", "beta": 4.0},
    {"kind": "soft-labels", "compatibility": "helm-released"},
    {"kind": "amino-acid"},
    {"kind": "amino-acid", "add": True, "code": 2},
    {"kind": "amino-acid", "compatibility": "helm-released"},
    {"kind": "cross-entropy", "label_smoothing": 0.1},
]


def built(**keys: Any) -> Tokenizer:
    return TOKENIZERS.parse(keys).build()


def batch_of(tokenizer: Tokenizer, sequences: list[str] = SEQUENCES, longest: int = 64) -> PackedBatch:
    table = tokenize(sequences, tokenizer, name_of=str)
    return pack(table, windows(table, longest, np.arange(len(sequences))), tokenizer)


def scores(question: Question, tokenizer: Tokenizer, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(question.targets_M), len(tokenizer), generator=generator, dtype=torch.float64) * 2


def masked(batch: PackedBatch, tokenizer: Tokenizer, share: float = 0.5) -> Question:
    return MaskedConfig(share=share).ask(batch, tokenizer, 3, 0)


def total(criterion: dict[str, Any], logits: Tensor, question: Question, batch: PackedBatch, by: Tokenizer) -> Tensor:
    return CRITERIA.parse(criterion).total(logits, question, batch, by)


def test_codons_are_taken_as_they_are() -> None:
    tokenizer = built(kind="codon", frame=0, remainder="trim", max_unknown_share=0.5)
    batch = batch_of(tokenizer)
    question = masked(batch, tokenizer)
    logits = scores(question, tokenizer)
    tree = Hierarchy.of_code(tokenizer.vocabulary, CODE)
    wanted = hierarchical_cross_entropy(logits, torch.from_numpy(question.targets_M), tree, 0.4).sum()
    found = total({"kind": "hierarchical", "alpha": 0.4}, logits, question, batch, tokenizer)
    torch.testing.assert_close(found, wanted)


def test_words_of_three_letters_give_the_loss_of_codons() -> None:
    """Another order of ids, another set of special tokens: the same loss where the same is said of codons."""
    codons, words = built(kind="codon", frame=0), built(kind="kmer", k=3, stride=3, remainder="error")
    sequences = [SEQUENCES[0], SEQUENCES[2]]
    batches = {by: batch_of(by, sequences) for by in (codons, words)}
    asked = {by: CausalConfig().ask(batch, by, 0, 0) for by, batch in batches.items()}
    low = {by: torch.full((len(asked[by].targets_M), len(by)), -1e4, dtype=torch.float64) for by in batches}
    generator = torch.Generator().manual_seed(1)
    said = torch.randn(len(asked[codons].targets_M), 65, generator=generator, dtype=torch.float64)
    shared = [*("".join(letters) for letters in itertools.product("ACGT", repeat=3)), "<eos>"]
    for by in batches:
        low[by][:, [by.vocabulary.index(token) for token in shared]] = said
    found = [
        total({"kind": "hierarchical", "alpha": 0.6}, low[by], asked[by], batches[by], by) for by in (codons, words)
    ]
    assert abs(found[0] - found[1]) < 1e-6 * found[0]


@pytest.mark.parametrize("share", [0.3, 0.999])
@pytest.mark.parametrize("longest", [64, 11])
def test_letters_without_weights_are_cross_entropy(share: float, longest: int) -> None:
    """Also letters of codons that a window cuts, and of codons with an N: they count by themselves."""
    tokenizer = built(kind="nucleotide", max_unknown_share=0.5)
    batch = batch_of(tokenizer, longest=longest)
    for question in (masked(batch, tokenizer, share), CausalConfig().ask(batch, tokenizer, 0, 0)):
        logits = scores(question, tokenizer)
        wanted = F.cross_entropy(logits, torch.from_numpy(question.targets_M), reduction="sum")
        found = total({"kind": "hierarchical", "alpha": 0.0}, logits, question, batch, tokenizer)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_letters_are_multiplied_and_what_is_in_sight_is_certain() -> None:
    tokenizer = built(kind="nucleotide")
    batch = batch_of(tokenizer, ["ATGGCTGTT"])
    place = {int(batch.position_T[t]): t for t in range(len(batch.tokens_T)) if not batch.special_T[t]}
    selected = np.array([place[3], place[5], place[6], place[7], place[8]])
    question = Question(batch.tokens_T, selected, batch.tokens_T[selected])
    logits = scores(question, tokenizer)
    p = logits.softmax(1)
    letter = [tokenizer.vocabulary.index(x) for x in "ACGT"]
    expected = []
    for known, asked in (({1: "C"}, {0: 0, 2: 1}), ({}, {0: 2, 1: 3, 2: 4})):
        for codon in itertools.product("ACGT", repeat=3):
            value = 1.0
            for turn, base in enumerate(codon):
                value *= float(p[asked[turn], letter["ACGT".index(base)]]) if turn in asked else known[turn] == base
            expected.append(value)
    said = CodonView(tokenizer).spoken(logits, question, batch)
    found = said.scores_NC.exp()
    assert found[:, :64].flatten().tolist() == pytest.approx(expected, abs=1e-12)
    assert found.sum(1).tolist() == pytest.approx([1, 1])
    assert ["".join(CodonView(tokenizer).tokens[c]) for c in said.target_N.tolist()] == ["GCT", "GTT"]


def test_longer_words_are_summed_over_the_words_that_agree() -> None:
    tokenizer = built(kind="kmer", k=6, stride=6, remainder="keep")
    batch = batch_of(tokenizer, ["ATGGCTGTTTGGAA"])
    question = CausalConfig().ask(batch, tokenizer, 0, 0)
    logits = scores(question, tokenizer)
    p, view = logits.softmax(1), CodonView(tokenizer)
    said = view.spoken(logits, question, batch)
    names = [view.tokens[column] for column in said.target_N.tolist()]
    assert names == ["ATG", "GTT", "A", "A", "<eos>", "GCT", "TGG"]
    for row, (token, codon) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        place = row if row < 2 else row + 3
        for name in ("AAA", "GCT", "TTT"):
            words = [
                v for v, w in enumerate(tokenizer.vocabulary) if len(w) == 6 and w[3 * codon : 3 * codon + 3] == name
            ]
            assert len(words) == 64
            assert said.scores_NC[place, view.tokens.index(name)].exp() == pytest.approx(float(p[token, words].sum()))
    assert said.scores_NC.exp().sum(1).tolist() == pytest.approx([1] * 7)


def test_of_overlapping_words_those_in_frame_are_codons() -> None:
    tokenizer = built(kind="kmer", k=3, stride=1)
    batch = batch_of(tokenizer, ["ATGGCTGTT"])
    question = masked(batch, tokenizer, 0.999)
    view = CodonView(tokenizer)
    said = view.spoken(scores(question, tokenizer), question, batch)
    assert [view.tokens[column] for column in said.target_N.tolist()] == ["ATG", "GCT", "GTT"]
    assert said.alone_M is not None
    assert int(said.alone_M.sum()) == len(question.targets_M) - 3
    shifted = CodonView(tokenizer, frame=1).spoken(scores(question, tokenizer), question, batch)
    assert [view.tokens[column] for column in shifted.target_N.tolist()] == ["TGG", "CTG"]


@pytest.mark.parametrize("keys", [{"k": 2, "stride": 2}, {"k": 4, "stride": 4}, {"k": 2, "stride": 1}])
def test_tokens_that_spell_no_codons_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"needs tokens that spell codons.*'kmer' with k ="):
        CRITERIA.parse({"kind": "hierarchical"}).check(built(kind="kmer", **keys))
    with pytest.raises(InputError, match="genetic code 99"):
        CRITERIA.parse({"kind": "amino-acid", "code": 99}).check(built(kind="codon", frame=0))


@pytest.mark.parametrize("criterion", EVERY, ids=lambda keys: "-".join(map(str, keys.values())))
@pytest.mark.parametrize(
    "tokens",
    [
        {"kind": "codon", "frame": 0, "max_unknown_share": 0.5},
        {"kind": "nucleotide"},
        {"kind": "kmer", "k": 6, "stride": 6, "max_unknown_share": 0.5},
        {"kind": "kmer", "k": 3, "stride": 1, "max_unknown_share": 0.5},
    ],
    ids=lambda keys: "-".join(map(str, keys.values())),
)
def test_every_criterion_in_every_spelling(criterion: dict[str, Any], tokens: dict[str, Any]) -> None:
    """Finite at a gap of 200, also its gradient; rows beyond the tokens change nothing when nothing is said of them."""
    tokenizer = built(**tokens)
    batch = batch_of(tokenizer)
    for question in (masked(batch, tokenizer), CausalConfig().ask(batch, tokenizer, 0, 0)):
        for spread in (1.0, 200.0):
            logits = (scores(question, tokenizer).float() * spread).requires_grad_()
            found = total(criterion, logits, question, batch, tokenizer)
            (gradient,) = torch.autograd.grad(found, logits)
            assert bool(found.isfinite())
            assert bool(gradient.isfinite().all())
            assert float(gradient.abs().sum()) > 0
        wide = F.pad(logits.detach(), (0, 3), value=-1e4)
        if criterion["kind"] != "cross-entropy" and "compatibility" not in criterion:
            torch.testing.assert_close(total(criterion, wide, question, batch, tokenizer), found.detach())
