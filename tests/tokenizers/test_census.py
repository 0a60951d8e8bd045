import pytest

from nuclex.tokenizers import BpeConfig, CodonConfig, KmerConfig, NucleotideConfig, census


def test_every_nucleotide_is_in_a_token_or_counted_as_left_out():
    sequences = ["ACGTACGT", b"ACG", "AC", ""]
    counted = census(KmerConfig(k=3, remainder="drop").build(), sequences)
    assert (counted.sequences, counted.nucleotides, counted.tokens, counted.left_out) == (4, 13, 3, 4)
    assert counted.nucleotides_per_token == 3
    kept = census(KmerConfig(k=3).build(), sequences)
    assert (kept.tokens, kept.left_out) == (3 + 4, 0)
    overlapping = census(KmerConfig(k=3, stride=1, remainder="drop").build(), sequences)
    assert (overlapping.tokens, overlapping.left_out) == (6 + 1, 2)
    frame = census(CodonConfig(frame=2, remainder="trim").build(), sequences)
    assert (frame.tokens, frame.left_out) == (2, 13 - 6)


def test_unknown_tokens_and_refused_sequences_are_counted():
    counted = census(NucleotideConfig(max_unknown_share=0.2).build(), ["ACGT?", "ACG??", "?", "ACGT"])
    assert (counted.sequences, counted.refused, counted.nucleotides, counted.unknown) == (2, 2, 9, 1)
    assert counted.refusal is not None
    assert "2 of 5 symbols (40.0%); at most 20.0% may be" in counted.refusal


def test_nothing_read():
    counted = census(BpeConfig(vocab_size=30).train(["ACGTACGT"]), [])
    assert counted.nucleotides_per_token == 0
    assert counted.sequences == counted.tokens == counted.left_out == 0


@pytest.mark.parametrize("config", [NucleotideConfig(), KmerConfig(k=2), BpeConfig(vocab_size=24)])
def test_nothing_is_left_out_where_nothing_is_dropped(config):
    counted = census(config.train(["ACGTACGT"]), ["ACGTACGTA", "G"])
    assert (counted.nucleotides, counted.left_out, counted.unknown, counted.refused) == (10, 0, 0, 0)
