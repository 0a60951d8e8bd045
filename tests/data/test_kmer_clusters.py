from hypothesis import given
from hypothesis import strategies as st

from nuclex.data.kmer_clusters import FEWEST_SHARED, K, kmer_clusters, kmer_codes


@given(st.text("ACGTUN", max_size=60), st.integers(1, 12))
def test_codes_are_the_kmers_read_in_base_four(text, k):
    text = text.replace("U", "T")
    plain = {text[at : at + k] for at in range(len(text) - k + 1)} - {
        text[at : at + k] for at in range(len(text)) if "N" in text[at : at + k]
    }
    expected = sorted(int("".join(str("ACGT".index(letter)) for letter in kmer), 4) for kmer in plain)
    assert kmer_codes(text.encode(), k).tolist() == expected
    assert kmer_codes(text.replace("T", "U").encode(), k).tolist() == expected


def test_identity_estimate_and_length_ratio_decide():
    base = b"ACGGTTACCATGGATCAAGCTTGCCGATTACGTCAGGTCCAATGCGTTAACCGGATATCGC"
    labels, record = kmer_clusters([base, base[:50], base[:40]], min_identity=0.7, coverage=0.8)
    assert labels.tolist() == [0, 0, 2]  # 50/60 covers enough, 40/60 does not
    assert record["k"] == K
    half = base[:30] + bytes(reversed(base[:30]))
    shared = len(set(kmer_codes(base).tolist()) & set(kmer_codes(half).tolist()))
    estimate = (shared / len(kmer_codes(half))) ** (1 / K)
    assert shared >= FEWEST_SHARED
    for threshold, expected in ((estimate - 0.01, [0, 0]), (estimate + 0.01, [0, 1])):
        assert kmer_clusters([base, half], threshold, 0.8)[0].tolist() == expected


def test_few_shared_kmers_are_chance():
    one = b"ACGGTTACCATGGATCAAGCTTGCCGATTACGTCAGG"
    other = one[:17] + b"TTTTGGGGAAAACCCCTTTT"
    assert kmer_clusters([one, other], 0.1, 0.8)[0].tolist() == [0, 1]
    other = one[:18] + b"TTTTGGGGAAAACCCCTTT"
    assert kmer_clusters([one, other], 0.1, 0.8)[0].tolist() == [0, 0]
