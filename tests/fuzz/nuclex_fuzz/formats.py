"""Every kind of file that is fuzzed, and how many inputs each gets in the long run."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from nuclex_fuzz import recipes, sequences, structures
from nuclex_fuzz.judging import Format, scratch

COUNTS = {
    "fasta": 1000,
    "fastq": 800,
    "csv": 500,
    "tsv": 300,
    "airr": 200,
    "genbank": 500,
    "embl": 500,
    "told by content": 600,
    "ct": 700,
    "bpseq": 700,
    "st": 500,
    "dot-bracket": 700,
    "vienna": 600,
    "recipe.toml (pretrain)": 500,
    "recipe.toml (finetune)": 300,
    "recipe.toml (corpus)": 300,
    "recipe.yaml (pretrain)": 300,
    "recipe.yaml (corpus)": 300,
    "parquet": 300,
    "arrow": 400,
    "bundle/config.json": 300,
    "bundle/nuclex.json": 300,
    "bundle/tokenizer.json": 300,
    "bundle/tokenizer_config.json": 300,
    "bundle/model.safetensors": 300,
    "bundle/manifest.json": 300,
    "corpus/corpus.json": 300,
    "corpus/sequences-00000.arrow": 500,
    "checkpoint/checkpoint.json": 300,
    "checkpoint/state.safetensors": 300,
    "run/config.json": 200,
    "run/metrics.jsonl": 200,
}
"""Inputs in the long run; the command line's are ``COMMANDS`` more."""
COMMANDS = 200
BINARY = tuple(name for name in COUNTS if "/" in name or name in {"parquet", "arrow"})
"""Files whose readers are not Python alone: what breaks them may end the process; the long run has one of its own."""
TEXT = tuple(name for name in COUNTS if name not in BINARY)


@functools.cache
def text_formats() -> dict[str, Format]:
    """The formats of text files, by name."""
    return {format.name: format for module in (sequences, structures, recipes) for format in module.FORMATS}


@functools.cache
def binary_formats() -> tuple[tempfile.TemporaryDirectory[str], dict[str, Format]]:
    """The formats that are not of text, by name, and the folder that holds whole artefacts; made once."""
    from nuclex_fuzz.artefacts import artefact_formats

    home = tempfile.TemporaryDirectory(prefix="fuzz-", dir=scratch())
    made = (*artefact_formats(Path(home.name)), *sequences.binary_formats())
    return home, {format.name: format for format in made}


def format_named(name: str) -> Format:
    """The format of this name."""
    return binary_formats()[1][name] if name in BINARY else text_formats()[name]
