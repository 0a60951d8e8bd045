from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import nuclex
from nuclex.bundle import Bundle, Record, load
from nuclex.core.errors import DiskError, InputError
from nuclex.core.progress import quiet
from nuclex.inference import embed as module
from nuclex.inference.embed import embed, embed_sequences
from nuclex.models import LanguageModel, Layout, RobertaConfig
from nuclex.tokenizers import CodonConfig, NucleotideConfig

SEQUENCES = [("a", b"ACGU"), ("b", b"G"), ("c", b"ACGTACGTTTGACA" * 5), ("a", b"ACGU"), ("d", b"TTGNACC")]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load(tiny_bundle)


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    (tmp_path / "in.fa").write_bytes(
        b"".join(b">%s x y\n%s\n" % (name.encode(), letters) for name, letters in SEQUENCES)
    )
    return tmp_path / "in.fa"


def alone(bundle: Bundle, letters: bytes, layer: int | None = None) -> np.ndarray:
    """One sequence through the model by itself: (L + 2, D)."""
    tokens = torch.from_numpy(bundle.tokenizer.encode(letters))
    with torch.no_grad():
        return bundle.model.encode(tokens, Layout.of([len(tokens)]), layer=layer).numpy()


@pytest.mark.parametrize("layer", [None, 0, 1, 2])
def test_pools_by_hand(layer: int | None, bundle: Bundle) -> None:
    pools = {
        "mean": lambda hidden: hidden[1:-1].mean(0),
        "max": lambda hidden: hidden[1:-1].max(0),
        "cls": lambda hidden: hidden[0],
        "none": lambda hidden: hidden[1:-1],
    }
    for pool, wanted in pools.items():
        found = list(embed_sequences(bundle, SEQUENCES, pool=pool, layer=layer))  # type: ignore[arg-type]
        assert [(item.id, item.length) for item in found] == [(name, len(letters)) for name, letters in SEQUENCES]
        for item, (_, letters) in zip(found, SEQUENCES, strict=True):
            assert np.allclose(item.vectors, wanted(alone(bundle, letters, layer)), atol=1e-5), (pool, item.id)
            assert item.vectors.dtype == np.float32


def test_a_vector_does_not_depend_on_its_company(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    together = list(embed_sequences(bundle, SEQUENCES))
    monkeypatch.setattr(module, "AT_ONCE", 2)
    for order in (range(5), (4, 2, 0, 1, 3)):
        found = list(embed_sequences(bundle, [SEQUENCES[place] for place in order]))
        for item, place in zip(found, order, strict=True):
            assert np.allclose(item.vectors, together[place].vectors, atol=1e-6)
    assert np.array_equal(together[0].vectors, together[3].vectors)


def test_layers_differ_and_the_last_is_before_the_final_norm(bundle: Bundle) -> None:
    vectors = [next(embed_sequences(bundle, SEQUENCES, layer=layer)).vectors for layer in (0, 1, 2, None)]
    assert all(np.abs(one - other).max() > 1e-3 for one, other in pairwise(vectors))
    for layer in (-1, 3):
        with pytest.raises(InputError, match=rf"layer: found {layer}; this model has layers 0 to 2"):
            next(embed_sequences(bundle, SEQUENCES, layer=layer))


def test_parquet_holds_a_vector_a_sequence(bundle: Bundle, fasta: Path, tmp_path: Path) -> None:
    with quiet():
        done = embed(bundle, fasta, tmp_path / "out.parquet")
    assert done == {"out": str(tmp_path / "out.parquet"), "sequences": 5, "width": 16, "pool": "mean", "vectors": 5}
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["id"] == ["a", "b", "c", "a", "d"]
    assert table["length"] == [4, 1, 70, 4, 7]
    assert (table["tokens"], table["width"]) == ([1] * 5, [16] * 5)
    for found, (_, letters) in zip(table["embedding"], SEQUENCES, strict=True):
        assert np.allclose(found, alone(bundle, letters)[1:-1].mean(0), atol=1e-5)


def test_parquet_holds_a_vector_a_token(bundle: Bundle, fasta: Path, tmp_path: Path) -> None:
    with quiet():
        done = embed(bundle, fasta, tmp_path / "out.parquet", pool="none")
    assert done["vectors"] == 86
    for row, (_, letters) in zip(pq.read_table(tmp_path / "out.parquet").to_pylist(), SEQUENCES, strict=True):
        found = np.array(row["embedding"]).reshape(row["tokens"], row["width"])
        assert np.allclose(found, alone(bundle, letters)[1:-1], atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_npz_holds_the_same(pool: str, bundle: Bundle, fasta: Path, tmp_path: Path) -> None:
    with quiet():
        embed(bundle, fasta, tmp_path / "out.npz", pool=pool)  # type: ignore[arg-type]
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == ["a", "b", "c", "a", "d"]
        assert arrays["lengths"].tolist() == [4, 1, 70, 4, 7]
        assert len(arrays["offsets"]) == 6
        for place, (_, letters) in enumerate(SEQUENCES):
            found = arrays["embeddings"][arrays["offsets"][place] : arrays["offsets"][place + 1]]
            wanted = alone(bundle, letters)[1:-1]
            assert np.allclose(found, wanted if pool == "none" else wanted.mean(0, keepdims=True), atol=1e-5)


def test_the_verb_takes_a_folder(tiny_bundle: Path, fasta: Path, tmp_path: Path) -> None:
    with quiet():
        assert nuclex.embed(tiny_bundle, fasta, tmp_path / "out.npz")["sequences"] == 5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (">a\nACGT\n\n>b\nAC\nGTXXXX\n", r"in\.fa:4: b: 'X' at position 4 .* is unknown"),
        ("", r"in\.fa: is empty"),
        ("ACGT\n", r"in\.fa:1: found 'ACGT' before any header"),
    ],
)
def test_wrong_sequences_are_named_and_nothing_is_written(
    text: str, sentence: str, bundle: Bundle, fasta: Path, tmp_path: Path
) -> None:
    fasta.write_text(text)
    for name in ("out.npz", "out.parquet"):
        with pytest.raises(InputError, match=sentence):
            embed(bundle, fasta, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]


def test_wrong_requests_get_a_sentence(bundle: Bundle, fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"out\.csv: the ending says how to write; allowed: \.parquet, \.npz"):
        embed(bundle, fasta, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"pool: found 'median'; allowed: mean, cls, max, none"):
        embed(bundle, fasta, tmp_path / "out.npz", pool="median")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"none\.fa: no such file"):
        embed(bundle, tmp_path / "none.fa", tmp_path / "out.npz")
    with pytest.raises(DiskError, match=r"out\.npz: cannot be written: Not a directory"):
        embed(bundle, fasta, fasta / "out.npz")
    with pytest.raises(InputError, match="is not a bundle"):
        embed(tmp_path, fasta, tmp_path / "out.npz")


def test_a_model_with_a_table_of_positions_says_what_is_too_long(bundle: Bundle, fasta: Path, tmp_path: Path) -> None:
    config = RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=40).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()
    short = Bundle(model, NucleotideConfig().build(), Record({}, {}, {}, None, "short"), None, tmp_path)
    with pytest.raises(InputError, match=r"in\.fa:5: c: has 70 tokens; this model reads at most 36"):
        embed(short, fasta, tmp_path / "out.npz")


def test_a_sequence_without_a_token(bundle: Bundle, tmp_path: Path) -> None:
    tokenizer = CodonConfig(frame=0, remainder="trim").build()
    model = LanguageModel(bundle.model.config, vocabulary_size=70, pad_id=1, mask_id=68).eval()
    codons = Bundle(model, tokenizer, Record({}, {}, {}, None, "codons"), None, tmp_path)
    (found,) = embed_sequences(codons, [("x", b"AC")], pool="none")
    assert found.vectors.shape == (0, 16)
    assert next(embed_sequences(codons, [("x", b"AC")], pool="cls")).vectors.shape == (16,)
    with pytest.raises(InputError, match=r"^x: has no token of its own, so no mean or max"):
        next(embed_sequences(codons, [("x", b"AC")]))
