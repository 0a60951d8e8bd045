"""Blocks of the stage against a rule that goes row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuclex.data import stage
from nuclex.data.stage import Stage, Staged, rows_of
from nuclex.data.store import sequences_of

parts = st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=12)


def _blocks(lengths, rows, letters):
    """A block ends as soon as it has so many rows or so many letters."""
    blocks, held = [], []
    for length in lengths:
        held.append(length)
        if len(held) >= rows or sum(held) >= letters:
            blocks.append(held)
            held = []
    return [*blocks, held] if held else blocks


@given(parts, st.integers(1, 9), st.integers(1, 70))
def test_blocks_do_not_depend_on_how_sequences_come(tmp_path_factory, parts, rows, letters):
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("stage")
    expected = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "BATCH_ROWS", rows)
        patch.setattr(stage, "BATCH_BYTES", letters)
        staged = Stage(folder)
        for number, lengths in enumerate(parts):
            texts = [random.choice(list(b"ACGT"), length).astype(np.uint8).tobytes() for length in lengths]
            keys = [random.bytes(16) for _ in lengths]
            numbers = rows_of(keys, lengths)
            numbers["contig"] = np.arange(len(lengths)) + 100 * number
            ids = [f"{number}.{place}" for place in range(len(lengths))]
            families = [None if place % 3 else f"f{place}" for place in range(len(lengths))]
            staged.add(Staged(ids, b"".join(texts), [f"source{number}"] * len(ids), families, numbers))
            sources = [f"source{number}"] * len(ids)
            expected += zip(ids, texts, sources, families, keys, numbers["contig"].tolist(), strict=True)
        staged.close()
    found, sizes = [], []
    for batch, numbers in staged.batches():
        batch.validate(full=True)
        sizes.append(numbers["length"].tolist())
        columns = [batch.column(name).to_pylist() for name in ("id", "source", "family")]
        keys = [row["key"].tobytes() + row["key_end"].tobytes() for row in numbers]
        assert (numbers["kind"] == -1).all()
        texts = list(sequences_of(batch.column("sequence")))
        found += zip(columns[0], texts, *columns[1:], keys, numbers["contig"].tolist(), strict=True)
    assert found == expected
    assert sizes == _blocks([len(row[1]) for row in expected], rows, letters)
    assert (staged.rows, staged.bytes) == (len(expected), sum(len(row[1]) for row in expected))
