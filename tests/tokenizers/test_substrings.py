import random
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nuclex.tokenizers.substrings import frequent_words


@given(
    text=st.lists(st.sampled_from([0, 1, 1, 2, 3, 4]), max_size=120).map(bytes),
    longest=st.integers(2, 9),
    wanted=st.integers(0, 40),
)
@settings(max_examples=200, deadline=None)
def test_words_are_those_that_cover_most(text, longest, wanted):
    counts = Counter(
        text[begin : begin + length]
        for length in range(2, longest + 1)
        for begin in range(len(text) - length + 1)
        if 0 not in text[begin : begin + length]
    )
    words = [word for word, count in counts.items() if count > 1]
    words.sort(key=lambda word: (-counts[word] * len(word), len(word), word))
    assert frequent_words(np.frombuffer(text, dtype=np.uint8), longest, wanted) == words[:wanted]


def test_the_longest_words_keep_all_their_letters():
    word = bytes(random.Random(2).choices([1, 2, 3, 4], k=31))  # 62 bits
    text = word + b"\0" + word + b"\0"
    assert frequent_words(np.frombuffer(text, dtype=np.uint8), 31, 1) == [word]
