"""Verbs that use a model: score it, ask it, take vectors from it.

Each verb reads its arguments, calls the Python function of the same name and returns its plain result. Nothing heavy is
imported until one runs, so that help and mistakes answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from nuclex.cli.values import Device, Whole


def evaluate(
    bundle: Path,
    corpus: Path,
    *,
    split: Literal["train", "validation", "test"] = "validation",
    limit: Whole | None = None,
    max_tokens: Whole | None = None,
    device: Device = "auto",
) -> dict[str, Any]:
    """Masked loss, perplexity and accuracy over every position of a split, beside two baselines.

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    corpus:
        A folder made by `nuclex corpus build`.
    split:
        The split to score.
    limit:
        Score only a fixed random sample of this many sequences.
    max_tokens:
        Longer sequences are scored in windows; by default as long as those the model was trained on.
    """
    import nuclex
    from nuclex.training.device import choose_device

    where = choose_device(device)
    found = nuclex.evaluate(bundle, corpus, split=split, limit=limit, max_tokens=max_tokens, device=where)
    return found.to_data()


def predict(bundle: Path, inputs: Path, *, out: Path, device: Device = "auto") -> dict[str, Any]:
    """Answer a fine-tuned model's question for every sequence of a file.

    Parameters
    ----------
    bundle:
        A model made by `nuclex finetune`.
    inputs:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow; - is standard input.
    out:
        The ending says how to write: .csv .tsv .parquet for classes, .dbn for structures.
    """
    import nuclex
    from nuclex.training.device import choose_device

    return nuclex.predict(bundle, inputs, out, device=choose_device(device))


def embed(
    bundle: Path,
    inputs: Path,
    *,
    out: Path,
    pool: Literal["mean", "cls", "max", "none"] = "mean",
    layer: Whole | None = None,
    device: Device = "auto",
) -> dict[str, Any]:
    """Vectors for every sequence of a file. Example: nuclex embed bundle rna.fa --out vectors.parquet

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    inputs:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow; - is standard input.
    out:
        A .parquet or .npz file.
    pool:
        One vector a sequence (mean, cls, max) or one a token (none).
    layer:
        The block after which to read, 0 being the embedding; by default the last.
    """
    import nuclex
    from nuclex.training.device import choose_device

    return nuclex.embed(bundle, inputs, out, pool=pool, layer=layer, device=choose_device(device))
