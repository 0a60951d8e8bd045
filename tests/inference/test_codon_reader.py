"""What is read of codons against a plain pass over the whole sequence, for tokens of one and of three letters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from designers import TOKENIZERS, bundle_of, plain_log_p
from nuclex.bio.genetic_code import CODONS
from nuclex.core.errors import InputError
from nuclex.inference.codon_reader import CausalReader, MaskedReader, as_codons, codon_ids
from nuclex.models import Layout
from nuclex.tokenizers import CodonConfig, KmerConfig


@pytest.mark.parametrize("tokens", TOKENIZERS)
@pytest.mark.parametrize("kind", ["gpt2", "mamba", "hyena"])
def test_the_next_codon(kind: str, tokens: str) -> None:
    bundle = bundle_of(kind, tokens)
    reader = CausalReader(bundle, 2)
    texts = [["ATG"], ["GCC"]]
    reader.go_on([0, 1], ["ATG", "GCC"])
    reader.go_on([1, 0, 1], ["AAA", "TTT", "CGT"])
    texts = [[*texts[row], codon] for row, codon in ((1, "AAA"), (0, "TTT"), (1, "CGT"))]
    options = ("CTG", "TTA", "TTG", "GGG")
    for _ in range(2):  # asking changes nothing
        found = reader.log_p(options)
        wanted = [[plain_log_p(bundle, text, codon) for codon in options] for text in texts]
        assert found == pytest.approx(np.array(wanted), abs=1e-4)
    reader.go_on([2], ["TTG"])
    assert reader.log_p(("TAA",))[0, 0] == pytest.approx(plain_log_p(bundle, [*texts[2], "TTG"], "TAA"), abs=1e-4)


@pytest.mark.parametrize("tokens", TOKENIZERS)
def test_a_hidden_codon(tokens: str) -> None:
    bundle = bundle_of("roberta", tokens)
    texts = [as_codons("ATGGCCAAATAA"), as_codons("ATGGGCTTTTAG")]
    found = MaskedReader(bundle).log_p(texts, 2, CODONS)
    assert found.shape == (2, 64)
    for row, text in enumerate(texts):
        ids = torch.from_numpy(bundle.tokenizer.encode("".join(text)))
        spelled = len(codon_ids(bundle.tokenizer)["ATG"])
        at = 1 + 2 * spelled + torch.arange(spelled)
        ids[at] = bundle.tokenizer.mask_id
        with torch.no_grad():
            log = bundle.model(ids, Layout.of([len(ids)]))[at].double().log_softmax(-1)
        for column, codon in enumerate(CODONS):
            own = bundle.tokenizer.encode(codon, start=False, end=False)
            assert found[row, column] == pytest.approx(sum(float(log[s, own[s]]) for s in range(spelled)), abs=1e-4)


def test_tokenizers_that_do_not_spell_codons_are_refused() -> None:
    with pytest.raises(
        InputError, match="the tokenizer is 'kmer'; to design codon by codon, its tokens must be codons"
    ):
        codon_ids(KmerConfig(k=6).build())
    with pytest.raises(InputError, match="'kmer'"):
        codon_ids(KmerConfig(k=3, stride=1).build())
    with pytest.raises(InputError, match="frame 0 is needed for design"):
        codon_ids(CodonConfig(frame=1).build())
