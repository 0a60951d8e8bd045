from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

import nuclex
from made import letters, small_pieces
from nuclex.bundle import Bundle, Record, load
from nuclex.core.errors import DiskError, InputError
from nuclex.core.progress import quiet
from nuclex.inference import embed as module
from nuclex.inference.embed import embed, embed_sequences
from nuclex.inference.vectors import WRITERS
from nuclex.models import Gpt2Config, LanguageModel, Layout, RobertaConfig
from nuclex.tokenizers import CodonConfig

SEQUENCES = [("a", b"ACGU"), ("b", b"G"), ("c", b"ACGTACGTTTGACA" * 5), ("a", b"ACGU"), ("d", b"TTGNACC")]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load(tiny_bundle)


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    (tmp_path / "in.fa").write_bytes(b"".join(b">%s x y\n%s\n" % (name.encode(), text) for name, text in SEQUENCES))
    return tmp_path / "in.fa"


def read_back(path: Path) -> list[tuple[str, int, np.ndarray]]:
    """Id, length and vectors (rows, width) of each sequence of a file."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        return [
            (row["id"], row["length"], np.array(row["embedding"]).reshape(row["tokens"], row["width"])) for row in rows
        ]
    if path.suffix == ".h5ad":
        table = anndata.read_h5ad(path)
        names = [re.sub(r"-\d+$", "", name.partition(":")[0]) for name in table.obs_names]
        assert names == table.obs["id"].tolist()
        starts = [0, *(n for n in range(1, len(names)) if new_row(table.obs, n)), len(names)]
        return [
            (table.obs["id"].iloc[first], table.obs["length"].iloc[first], table.X[first:last])
            for first, last in pairwise(starts)
        ]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        names = found["ids"].tolist()
    else:
        found = load_file(path)
        names = bytes(found["ids"]).decode().split()
    cuts = pairwise(found["offsets"].tolist())
    vectors = [found["embeddings"][first:last] for first, last in cuts]
    return list(zip(names, found["lengths"].tolist(), vectors, strict=True))


def new_row(obs: Any, number: int) -> bool:
    """Whether another sequence begins in this row of AnnData's table."""
    return "token" not in obs or obs["token"].iloc[number] == 0


def alone(bundle: Bundle, text: bytes, layer: int | None = None) -> np.ndarray:
    """One sequence through the model by itself: (L + 2, D)."""
    tokens = torch.from_numpy(bundle.tokenizer.encode(text))
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
        assert [(item.id, item.length) for item in found] == [(name, len(text)) for name, text in SEQUENCES]
        for item, (_, text) in zip(found, SEQUENCES, strict=True):
            assert np.allclose(item.vectors, wanted(alone(bundle, text, layer)), atol=1e-5), (pool, item.id)
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


def test_means_and_maxima_are_those_of_all_tokens(bundle: Bundle) -> None:
    found = {pool: next(embed_sequences(bundle, SEQUENCES[2:3], pool=pool)).vectors for pool in ("none", "mean", "max")}  # type: ignore[arg-type]
    assert np.allclose(found["mean"], found["none"].astype(np.float64).mean(0), atol=1e-7)
    assert np.array_equal(found["max"], found["none"].max(0))


# ---- longer than the model reads at once ----


def windowed(bundle: Bundle, letters: bytes, window: int, layer: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The rule written down: every window alone through the model, every token from the one where it is farthest in."""
    ids, room = bundle.tokenizer.encode(letters, start=False, end=False), window - 2
    firsts = [*range(0, len(ids) - room, room // 2), len(ids) - room]
    hidden: dict[int, np.ndarray] = {}
    for first in firsts:
        before = [bundle.tokenizer.cls_id] if first == 0 else []
        behind = [bundle.tokenizer.eos_id] if first + room == len(ids) else []
        tokens = torch.tensor([*before, *ids[first : first + room].tolist(), *behind])
        with torch.no_grad():
            found = bundle.model.encode(tokens, Layout.of([len(tokens)]), layer=layer).numpy()
        if first == 0:
            cls = found[0]
        hidden[first] = found[len(before) : len(before) + room]
    rows = []
    for token in range(len(ids)):
        deep = {
            first: min(
                np.inf if first == 0 else token - first,
                np.inf if first + room == len(ids) or bundle.model.config.causal else first + room - 1 - token,
            )
            for first in firsts
            if first <= token < first + room
        }
        first = max(deep, key=lambda first: (deep[first], -first))
        rows.append(hidden[first][token - first])
    return np.stack(rows), cls


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("layer", [None, 1])
def test_long_sequences_are_read_in_windows(causal: bool, layer: int | None, bundle: Bundle) -> None:
    torch.manual_seed(3)
    config = Gpt2Config(depth=2, width=16, heads=2, inner=24, positions="rotary", causal=causal).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()
    reader = replace(bundle, model=model)
    long = [(f"s{length}", letters(length, length).encode()) for length in (23, 24, 25, 26, 61, 200)]
    pools = {
        "none": lambda rows, cls: rows,
        "mean": lambda rows, cls: rows.mean(0),
        "max": lambda rows, cls: rows.max(0),
    }
    if not causal:  # its first token has seen nothing
        pools["cls"] = lambda rows, cls: cls
    short = list(embed_sequences(reader, SEQUENCES[:2], pool="none", layer=layer))
    for pool, wanted in pools.items():
        found = list(embed_sequences(reader, [*SEQUENCES[:2], *long], pool=pool, layer=layer, window=24))  # type: ignore[arg-type]
        for item, (_, text) in zip(found[2:], long, strict=True):
            if len(text) > 22:
                assert np.allclose(item.vectors, wanted(*windowed(reader, text, 24, layer)), atol=1e-5), (pool, item.id)
        if pool == "none":
            for item, alike in zip(found, short, strict=False):
                assert np.allclose(item.vectors, alike.vectors, atol=1e-6), "what fits is not cut"


def test_a_model_with_a_table_of_positions_reads_any_length(bundle: Bundle) -> None:
    torch.manual_seed(4)
    config = RobertaConfig(depth=1, width=8, heads=2, inner=8, max_positions=40).backbone()
    model = LanguageModel(config, vocabulary_size=22, pad_id=1, mask_id=4).eval()
    short = replace(bundle, model=model)
    found = next(embed_sequences(short, SEQUENCES[2:3], pool="none"))
    assert np.allclose(found.vectors, windowed(short, SEQUENCES[2][1], 38)[0], atol=1e-5)
    cut = next(embed_sequences(short, SEQUENCES[2:3], pool="none", window=20))
    assert np.allclose(cut.vectors, windowed(short, SEQUENCES[2][1], 20)[0], atol=1e-5)
    assert not np.allclose(cut.vectors, found.vectors, atol=1e-3)
    with pytest.raises(InputError, match=r"window: found 39 tokens; this model takes 4 to 38"):
        next(embed_sequences(short, SEQUENCES, window=39))


# ---- files ----


@pytest.mark.parametrize("pool", ["mean", "none"])
@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_holds_the_vectors(ending: str, pool: str, bundle: Bundle, fasta: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{ending}"
    with quiet():
        done = embed(bundle, fasta, out, pool=pool)
    rows = 5 if pool == "mean" else 86
    assert done == {"out": str(out), "sequences": 5, "width": 16, "pool": pool, "vectors": rows}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", out.name]
    found = read_back(out)
    assert [(name, length) for name, length, _ in found] == [(name, len(text)) for name, text in SEQUENCES]
    for (_, _, vectors), (_, text) in zip(found, SEQUENCES, strict=True):
        wanted = alone(bundle, text)[1:-1]
        assert np.allclose(vectors, wanted if pool == "none" else wanted.mean(0, keepdims=True), atol=1e-5)


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
    allowed = r"\.parquet, \.npz, \.safetensors, \.h5ad"
    with pytest.raises(InputError, match=rf"out\.csv: the ending says how to write; allowed: {allowed}"):
        embed(bundle, fasta, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"pool: Input should be 'mean', 'cls', 'max' or 'none', found 'median'"):
        embed(bundle, fasta, tmp_path / "out.npz", pool="median")
    with pytest.raises(
        InputError, match=r"pol: unknown key \(did you mean 'pool'\?\); allowed: layer, pool, precision, window"
    ):
        embed(bundle, fasta, tmp_path / "out.npz", pol="mean")
    (tmp_path / "old.npz").mkdir()
    with pytest.raises(InputError, match=r"old\.npz: is a folder"):
        embed(bundle, fasta, tmp_path / "old.npz")
    with pytest.raises(InputError, match=r"none\.fa: no such file"):
        embed(bundle, tmp_path / "none.fa", tmp_path / "out.npz")
    with pytest.raises(DiskError, match=r"out\.npz: cannot be written: Not a directory"):
        embed(bundle, fasta, fasta / "out.npz")
    with pytest.raises(InputError, match="is not a bundle"):
        embed(tmp_path, fasta, tmp_path / "out.npz")


def test_a_sequence_without_a_token(bundle: Bundle, tmp_path: Path) -> None:
    tokenizer = CodonConfig(frame=0, remainder="trim").build()
    model = LanguageModel(bundle.model.config, vocabulary_size=70, pad_id=1, mask_id=68).eval()
    codons = Bundle(model, tokenizer, Record({}, {}, {}, None, "codons"), None, tmp_path)
    (found,) = embed_sequences(codons, [("x", b"AC")], pool="none")
    assert found.vectors.shape == (0, 16)
    assert next(embed_sequences(codons, [("x", b"AC")], pool="cls")).vectors.shape == (16,)
    with pytest.raises(InputError, match=r"^x: has no token of its own, so no mean or max"):
        next(embed_sequences(codons, [("x", b"AC")]))


# ---- as much memory for many as for few; killed and taken up again ----


def test_no_more_is_read_than_is_embedded_together(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 10)
    pulled = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal pulled
        while True:
            pulled += 1
            yield f"s{pulled}", b"ACGTACG"

    for number, item in zip(range(1, 36), embed_sequences(bundle, endless()), strict=False):
        assert item.id == f"s{number}"
        assert pulled <= number + 10
    monkeypatch.setattr(module, "LETTERS", 21)
    pulled = 0
    for _, _ in zip(range(3), embed_sequences(bundle, endless()), strict=False):
        assert pulled == 4, "three fit into 21 letters, the fourth says so"


@pytest.mark.slow
@pytest.mark.parametrize("ending", WRITERS)
def test_memory_does_not_grow_with_the_number_of_sequences(
    ending: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 64)
    small_pieces(monkeypatch)
    peaks = {}
    for count in (64, 256, 1280):
        (tmp_path / "in.fa").write_text("".join(f">s{n}\n{'ACGU' * 20}\n" for n in range(count)))
        tracemalloc.start()
        with quiet():
            embed(bundle, tmp_path / "in.fa", tmp_path / f"out{ending}", pool="none")
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1280] < 1.3 * peaks[256] + 200_000, peaks
    assert 3 * peaks[1280] < 1280 * 80 * 16 * 4, "the vectors alone are more than that"


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("ending", WRITERS)
def test_a_killed_embedding_goes_on_and_is_the_same_to_the_bit(
    ending: str, bundle: Bundle, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    compute, calls = module._embedded, 0

    def counted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return compute(*given)

    out = tmp_path / f"out{ending}"
    monkeypatch.setattr(module, "_embedded", counted)
    with quiet():
        with pytest.raises(Killed):
            embed(bundle, fasta, out, pool="none")
        assert not out.exists()
        embed(bundle, fasta, out, pool="none", resume=True)
        assert calls == 6, "three parts were there, two were made"
        embed(bundle, fasta, tmp_path / f"whole{ending}", pool="none", resume=True)
    assert calls == 11
    assert out.read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", out.name, f"whole{ending}"]


def test_half_precision_is_close_and_leaves_the_model_as_it_is(bundle: Bundle) -> None:
    exact = np.stack([item.vectors for item in embed_sequences(bundle, SEQUENCES)])
    half = np.stack([item.vectors for item in embed_sequences(bundle, SEQUENCES, precision="bf16")])
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.03 * np.abs(exact).max()
    assert {value.dtype for value in bundle.model.parameters()} == {torch.float32}


def test_the_first_token_of_a_causal_model_says_nothing(bundle: Bundle) -> None:
    config = Gpt2Config(depth=1, width=16, heads=2, inner=24).backbone()
    model = LanguageModel(config, vocabulary_size=len(bundle.tokenizer), pad_id=1, mask_id=4).eval()
    with pytest.raises(InputError, match="pool: 'cls' is the first token"):
        next(embed_sequences(replace(bundle, model=model), SEQUENCES, pool="cls"))
