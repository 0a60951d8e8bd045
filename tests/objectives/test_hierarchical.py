"""Losses on the tree of codons: the numbers of HELM's paper and code, and what must hold for any tree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from nuclex.bio import GeneticCode
from nuclex.bio.genetic_code import ncbi_tables
from nuclex.core.errors import InputError
from nuclex.objectives.amino_acid import (
    amino_acid_cross_entropy,
    meanings,
    released_cross_entropy,
)
from nuclex.objectives.hierarchical import HierarchicalLoss, Normalisation, edge_weights, hierarchical_cross_entropy
from nuclex.objectives.hierarchy import Hierarchy
from nuclex.objectives.soft_labels import released_labels, soft_label_cross_entropy, soft_labels
from nuclex.tokenizers import CodonConfig

CODONS = CodonConfig(frame=0).build()
TOKENS = list(CODONS.vocabulary)
TREE = Hierarchy.of_tokenizer(CODONS, GeneticCode.ncbi(1))


def ids(*codons: str) -> Tensor:
    return torch.tensor([TOKENS.index(codon.replace("U", "T")) for codon in codons])


def by_definition(logits_NV: Tensor, target_N: Tensor, tree: Hierarchy, weights: list[float]) -> Tensor:
    """Edge by edge from the root down, as the paper writes it, in float64."""
    p_NV, losses = logits_NV.double().softmax(1), []
    for p_V, target in zip(p_NV, target_N.tolist(), strict=True):
        path, loss, above = tree.paths[target], 0.0, 1.0
        for depth, name in enumerate(path):
            below = sum(
                float(p_V[token]) for token in range(len(tree)) if tree.paths[token][: depth + 1][-1:] == (name,)
            )
            loss -= weights[depth] * math.log(below / above)
            above = below
        losses.append(loss - weights[len(path)] * math.log(float(p_V[target]) / above))
    return torch.tensor(losses, dtype=torch.float64)


# ---- the tree ----


def test_the_tree_is_helms() -> None:
    assert (len(TREE), len(TREE.nodes) + len(TREE), TREE.height) == (70, 100, 4)
    assert TREE.edges_V[ids("GUU", "AUG", "UAA", "<pad>")].tolist() == [4, 3, 3, 2]
    below = {name: [t for t, path in zip(TREE.tokens, TREE.paths, strict=True) if name in path] for name in TREE.nodes}
    assert sorted(below["stop"]) == ["TAA", "TAG", "TGA"]
    assert below["start"] == ["ATG"]
    assert sorted(below["amino acid L"]) == ["CTA", "CTC", "CTG", "CTT", "TTA", "TTG"]
    assert len(below["amino acids"]) == 60
    assert len(below["codons"]) == 64


@pytest.mark.parametrize("table", ncbi_tables())
def test_every_genetic_code_has_a_tree(table: int) -> None:
    code = GeneticCode.ncbi(table)
    tree = Hierarchy.of_tokenizer(CODONS, code)
    for token, path in zip(tree.tokens, tree.paths, strict=True):
        if path[0] != "codons":
            assert path == (token,)
        elif token.replace("U", "T") in code.stop_codons:
            assert path[-1] == "stop"
        else:
            assert path[-1] == ("start" if code.amino_acid(token) == "M" else f"amino acid {code.amino_acid(token)}")


def test_dna_and_rna_letters_have_one_tree() -> None:
    assert Hierarchy.of_code([token.replace("T", "U") for token in TOKENS], GeneticCode.ncbi(1)).paths == TREE.paths


def test_random_trees_are_groups_of_one_to_six() -> None:
    trees = [Hierarchy.random(TOKENS, seed) for seed in range(3)]
    assert trees[0].paths == Hierarchy.random(TOKENS, 0).paths
    assert len({tree.paths for tree in trees}) == 3
    for tree in trees:
        sizes = [sum(path[-1] == name for path in tree.paths) for name in tree.nodes if name.startswith("group")]
        assert sum(sizes) == 64
        assert set(sizes) <= set(range(1, 7))
        assert tree.height == 3  # one level fewer than the true one
        assert [path for path in tree.paths if path[0] != "codons"] == [path for path in TREE.paths if len(path) == 1]


def test_a_vocabulary_without_codons_is_refused() -> None:
    with pytest.raises(InputError, match="needs tokens that are codons"):
        Hierarchy.of_code(["<pad>", "A", "C"], GeneticCode.ncbi(1))
    with pytest.raises(ValueError, match="stands below"):
        Hierarchy(("a", "b"), (("x", "y"), ("y",)))


# ---- hierarchical cross entropy ----


@pytest.mark.parametrize(
    ("alpha", "weights", "uniform"),
    [
        (0.2, [0.01564, 0.01281, 0.01048, 0.00858], 0.04384),
        (0.4, [0.02329, 0.01561, 0.01047, 0.00702], 0.04356),
        (0.6, [0.03267, 0.01793, 0.00984, 0.00540], 0.04130),
    ],
)
def test_the_released_numbers(alpha: float, weights: list[float], uniform: float) -> None:
    assert edge_weights(TREE, alpha, "released") == pytest.approx(weights, abs=5e-6)
    loss_N = hierarchical_cross_entropy(torch.zeros(2, 70), ids("GUU", "UGG"), TREE, alpha, "released")
    assert loss_N.mean().item() == pytest.approx(uniform, abs=5e-6)


def test_a_synonym_costs_less_than_another_amino_acid() -> None:
    logits_NV = torch.full((2, 70), -20.0)
    logits_NV[0, ids("GUC")] = logits_NV[1, ids("AAA")] = 20.0
    found = hierarchical_cross_entropy(logits_NV, ids("GUU", "GUU"), TREE, 0.6, "released").tolist()
    assert found == pytest.approx([0.2160, 0.3875], abs=5e-5)


def test_uniform_logits_by_hand() -> None:
    """GUU: 64 of 70 are codons, 60 of these amino acids, 4 of these valine, 1 of these itself."""
    weights = [
        w / np.mean([math.exp(-0.5 * d) for d in (1, 2, 3, 4)]) for w in [math.exp(-0.5 * d) for d in (1, 2, 3, 4)]
    ]
    wanted = sum(w * math.log(r) for w, r in zip(weights, (70 / 64, 64 / 60, 60 / 4, 4), strict=True))
    assert hierarchical_cross_entropy(torch.zeros(1, 70), ids("GUU"), TREE, 0.5).item() == pytest.approx(
        wanted, rel=1e-6
    )
    assert np.mean(edge_weights(TREE, 0.5)) == pytest.approx(1)


@pytest.mark.parametrize("normalisation", ["path", "released"])
@pytest.mark.parametrize("tree", [TREE, Hierarchy.random(TOKENS, 4), TREE.widened(80)], ids=["true", "random", "wide"])
def test_it_is_the_papers_sum_of_edges(tree: Hierarchy, normalisation: Normalisation) -> None:
    torch.manual_seed(0)
    logits_NV, target_N = torch.randn(70, len(tree)) * 3, torch.arange(70)
    wanted_N = by_definition(logits_NV, target_N, tree, edge_weights(tree, 0.4, normalisation))
    for dtype in (torch.float32, torch.float64):
        found_N = HierarchicalLoss.of(tree, 0.4, normalisation)(logits_NV.to(dtype), target_N)
        assert found_N.dtype is dtype
        torch.testing.assert_close(found_N.double(), wanted_N, rtol=2e-5, atol=2e-6)


@given(st.integers(0, 2**32), st.floats(0.1, 60))
@settings(max_examples=50, deadline=None)
def test_with_equal_weights_it_is_cross_entropy(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_NV = (torch.randn(9, 70, generator=generator) * spread).requires_grad_()
    target_N = torch.randint(0, 70, (9,), generator=generator)
    (found,) = torch.autograd.grad(hierarchical_cross_entropy(logits_NV, target_N, TREE, 0.0).sum(), logits_NV)
    loss = F.cross_entropy(logits_NV, target_N, reduction="sum")
    (wanted,) = torch.autograd.grad(loss, logits_NV)
    torch.testing.assert_close(
        hierarchical_cross_entropy(logits_NV, target_N, TREE, 0.0).sum(), loss, rtol=1e-5, atol=1e-4
    )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tree", [TREE, Hierarchy.random(TOKENS, 1)], ids=["true", "random"])
def test_both_ways_of_computing_are_one(tree: Hierarchy) -> None:
    """Float32 by masses of nodes with its own gradient, float64 level by level with autograd's."""
    torch.manual_seed(1)
    loss, target_N, weight_N = HierarchicalLoss.of(tree, 0.6), torch.arange(70).repeat(3), torch.rand(210)
    logits_NV = torch.randn(210, 70) * 4
    gradients = []
    for dtype in (torch.float32, torch.float64):
        asked_NV = logits_NV.to(dtype).requires_grad_()
        found_N = loss(asked_NV, target_N)
        gradients += [found_N.detach().double(), *torch.autograd.grad((found_N * weight_N.to(dtype)).sum(), asked_NV)]
    torch.testing.assert_close(gradients[0], gradients[2], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients[1].double(), gradients[3], rtol=1e-4, atol=1e-6)


def test_gradients_in_float64() -> None:
    torch.manual_seed(2)
    logits_NV, target_N = torch.randn(4, 70, dtype=torch.float64, requires_grad=True), ids("GUU", "AUG", "UAA", "<eos>")
    labels_N = target_N.clone()
    assert torch.autograd.gradcheck(lambda x: hierarchical_cross_entropy(x, target_N, TREE, 0.3), [logits_NV])
    assert torch.autograd.gradcheck(lambda x: soft_label_cross_entropy(x, labels_N, TREE, 3.0), [logits_NV])
    assert torch.autograd.gradcheck(lambda x: amino_acid_cross_entropy(x, target_N, TREE), [logits_NV])


@pytest.mark.parametrize("gap", [30.0, 90.0, 200.0, 1e4])
@pytest.mark.parametrize("instead", ["GUC", "AAA", "AUG", "UAA", "<pad>"])
def test_a_confident_mistake_costs_much_and_its_gradient_is_finite(gap: float, instead: str) -> None:
    """The loss grows with the gap as what is written down edge by edge; HELM's is 0 and its gradient not a number."""
    asked_NV = torch.zeros(1, 70)
    asked_NV[0, ids(instead)] = gap
    asked_NV.requires_grad_()
    loss = hierarchical_cross_entropy(asked_NV, ids("GUU"), TREE, 0.4)
    (gradient,) = torch.autograd.grad(loss.sum(), asked_NV)
    shared = int(TREE.common_VV[ids("GUU"), ids(instead)])
    first = edge_weights(TREE, 0.4)[shared]  # the edge at which truth and answer part pays the gap
    assert loss.item() == pytest.approx(first * gap, rel=0.1, abs=8)
    assert bool(gradient.isfinite().all())
    assert gradient[0, ids("GUU")].item() < -0.1


def test_half_precision_logits_are_computed_in_float32() -> None:
    logits_NV = (torch.randn(5, 70) * 3).bfloat16()
    found_N = hierarchical_cross_entropy(logits_NV, torch.arange(5) + 10, TREE, 0.2)
    assert found_N.dtype is torch.float32
    torch.testing.assert_close(found_N, hierarchical_cross_entropy(logits_NV.float(), torch.arange(5) + 10, TREE, 0.2))


# ---- soft labels, amino acids ----


def test_soft_labels_as_the_paper_means_them() -> None:
    labels_VV = soft_labels(TREE, 15.0)
    assert labels_VV.sum(1) == pytest.approx(1)
    own = labels_VV.diagonal()
    assert own[ids("GUU", "UGG", "AUG", "UAA")].tolist() == pytest.approx([0.908, 0.968, 0.9992, 0.9981], abs=5e-4)
    assert (labels_VV.argmax(1) == np.arange(70)).all()


def test_soft_labels_as_helm_released_them() -> None:
    """The true codon has the least; its column is the one of that alphabetical rank, not its own."""
    labels_VV = released_labels(TREE, 15.0)
    order = sorted(token.replace("U", "T") for token in TOKENS)
    guu = labels_VV[int(ids("GUU"))]
    assert guu[order.index("GTT")] == pytest.approx(3.0e-6, rel=0.01)
    assert [guu[order.index(codon)] for codon in ("GTA", "GTC", "GTG")] == pytest.approx([0.2315] * 3, abs=5e-5)
    assert labels_VV[int(ids("UGG")), order.index("TGG")] == pytest.approx(9e-6, rel=0.05)


def test_hard_labels_are_cross_entropy() -> None:
    torch.manual_seed(3)
    logits_NV, target_N = torch.randn(20, 70), torch.randint(0, 70, (20,))
    found_N = soft_label_cross_entropy(logits_NV, target_N, TREE, 1e4)
    torch.testing.assert_close(found_N, F.cross_entropy(logits_NV, target_N, reduction="none"))


def test_the_amino_acid_alone_and_as_released() -> None:
    logits_NV = torch.zeros(3, 70)
    target_N = ids("GUU", "AUG", "UAA")
    found = amino_acid_cross_entropy(logits_NV, target_N, TREE).tolist()
    assert found == pytest.approx([math.log(70 / 4), math.log(70), math.log(70 / 3)])
    logits_NV[0, ids("GUC")] = 200.0
    assert amino_acid_cross_entropy(logits_NV, target_N, TREE)[0].item() == pytest.approx(0, abs=1e-6)
    logits_NV[0, ids("GUC")], logits_NV[0, ids("AAA")] = 0.0, 200.0
    assert amino_acid_cross_entropy(logits_NV, target_N, TREE)[0].item() == pytest.approx(200 - math.log(4), rel=1e-5)
    means = meanings(TREE)
    assert len(means.unique()) == 27  # 19 amino acids, start, stop, six special tokens
    wanted = -F.log_softmax(torch.bincount(means).float() / 70, 0)[means[ids("GUU")]].item()
    assert released_cross_entropy(torch.zeros(1, 70), ids("GUU"), means).item() == pytest.approx(wanted)
