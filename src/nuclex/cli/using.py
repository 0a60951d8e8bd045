"""Verbs that use a model: score it, ask it, take vectors from it.

Each verb reads its arguments, calls the Python function of the same name and returns its plain result. Nothing heavy is
imported until one runs, so that help and mistakes answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from nuclex.cli.values import Device, Names, Settings, Whole, refuse_missing


def evaluate(
    bundle: Path,
    corpus: Path,
    *,
    split: Literal["train", "validation", "test"] = "validation",
    limit: Whole | None = None,
    max_tokens: Whole | None = None,
    device: Device = "auto",
) -> dict[str, Any]:
    """Loss, perplexity and accuracy over every position of a split, beside two baselines.

    Example: nuclex evaluate run/bundle corpus --split test

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


def predict(bundle: Path, inputs: Path, *, out: Path, device: Device = "auto", set: Settings = ()) -> dict[str, Any]:
    """Answer a fine-tuned model's question for every sequence of a file, or for every change or pair of a table.

    Example: nuclex predict finetuned/bundle rna.fa --out answers.csv

    Changes stand in CSV or TSV beside their sequence: the whole changed one (alternative), words such as A12G or
    12del (change), or position, ref, alt. Settings for columns of other names: --sequence-column, --id-column,
    --alternative-column, --change-column, --position-column, --ref-column, --alt-column; --first 0, where positions
    are counted from 0. By default all as the bundle was fine-tuned. Pairs stand there with the name of the partner
    (partner; --partner-column); --partners FILE has vectors of partners that fine-tuning did not know.

    Parameters
    ----------
    bundle:
        A model made by `nuclex finetune`.
    inputs:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow; - is standard input.
    out:
        The ending says how to write: .csv .tsv .parquet for classes and numbers, .dbn for structures, .airr.tsv for the
        regions of antibodies.
    """
    refuse_missing(inputs)
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.inference.changes import ChangeColumns
    from nuclex.inference.partners import PartnerColumns
    from nuclex.training.device import choose_device

    given = parse_settings(set)
    kind = PartnerColumns if given.keys() & {"partners", "partner_column"} else ChangeColumns
    settings = {key: value for key, value in load_config(kind, None, given).to_data().items() if value is not None}
    return nuclex.predict(bundle, inputs, out, device=choose_device(device), **settings)


def embed(
    bundle: Path, inputs: Path, *, out: Path, resume: bool = False, device: Device = "auto", set: Settings = ()
) -> dict[str, Any]:
    """Vectors for every sequence of a file.

    Example: nuclex embed bundle rna.fa --out vectors.parquet --pool max

    Settings: --pool mean|cls|max (one vector a sequence) or none (one a token); --layer N, the block after which to
    read, 0 being the embedding (by default the last); --window N, tokens read at once (by default all that the model
    reads); --precision bf16, half precision. What is longer is read in windows that overlap.

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    inputs:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow; - is standard input.
    out:
        A .parquet, .npz, .safetensors or .h5ad file.
    resume:
        Go on from the finished parts that a stopped process left beside the file.
    """
    refuse_missing(inputs)
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.inference.embed import EmbedConfig
    from nuclex.training.device import choose_device

    settings = load_config(EmbedConfig, None, parse_settings(set)).to_data()
    return nuclex.embed(bundle, inputs, out, resume=resume, device=choose_device(device), **settings)


def score(
    bundle: Path, inputs: Path, *, out: Path, resume: bool = False, device: Device = "auto", set: Settings = ()
) -> dict[str, Any]:
    """How likely sequences or variants are.

    Example: nuclex score bundle hg38.fa.gz --variants my.vcf.gz --out llr.tsv

    Settings for sequences: --method exact (each token hidden alone), one-pass (nothing hidden) or causal; --window N,
    tokens read at once; ends are not counted. For variants: --variants FILE, a VCF, or a table with the columns chrom,
    pos (1-based) or start (0-based), ref, alt; --around N, letters read around each (512); --strands both.

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    inputs:
        Sequences, or the reference of the variants: FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow.
    out:
        A .csv, .tsv or .parquet file: log-likelihoods, or ln p(alt) - ln p(ref), in nats.
    resume:
        Go on from the finished parts that a stopped process left beside the file.
    """
    refuse_missing(inputs)
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.inference.score import ScoreConfig
    from nuclex.training.device import choose_device

    settings = load_config(ScoreConfig, None, parse_settings(set)).to_data()
    return nuclex.score(bundle, inputs, out, resume=resume, device=choose_device(device), **settings)


def generate(
    bundle: Path,
    *,
    out: Path,
    prompts: Path | None = None,
    protein: Path | None = None,
    device: Device = "auto",
    set: Settings = (),
) -> dict[str, Any]:
    """New sequences from a causal model.

    Example: nuclex generate bundle --out new.fa --count 100 --top-p 0.95 --seed 1

    Flags: --count, --prompt ACG, --max-tokens, --temperature (0: always the likeliest), --top-k, --top-p,
    --no-repeat-ngram, --batch, --seed.

    With --protein FILE, coding sequences for proteins. Flags: --count, --method sample, exact or best, --temperature,
    --pool (drawn for each), --beam (paths kept), --sweeps (of models that see both sides), --genetic-code 1,
    --stop false, --avoid GGTCTC,AATAAA, --enzymes EcoRI,BsaI, --homopolymer 5, --gc-min 0.35, --gc-max 0.65,
    --gc-window 50, --natural FILE (to compare with), --usage FILE (for the CAI), --table numbers.csv, --batch,
    --seed.

    Parameters
    ----------
    bundle:
        A model made by nuclex that reads from left to right; for proteins, any whose tokens are codons or nucleotides.
    out:
        A FASTA file; headers say how likely a sequence is and whether it ended by itself.
    prompts:
        A file of sequences to go on from, --count times each; - is standard input.
    protein:
        A file of proteins to write coding sequences for, --count each.
    device:
        Where to compute.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.inference.generate import DesignConfig, GenerateConfig
    from nuclex.training.device import choose_device

    settings = load_config(GenerateConfig if protein is None else DesignConfig, None, parse_settings(set))
    return nuclex.generate(bundle, out, settings, prompts=prompts, protein=protein, device=choose_device(device))


def export(
    bundle: Path,
    *,
    format: Literal["roberta", "bert", "gpt2", "mamba", "mamba2", "rinalmo", "multimolecule", "onnx"],
    out: Path,
) -> dict[str, Any]:
    """Write a model as other programs read it.

    Example: nuclex export bundle --format onnx --out graph

    Parameters
    ----------
    bundle:
        A model made by nuclex.
    format:
        One that has such a network; where it has none, the message says why and what would fit.
    out:
        A folder that does not exist yet.
    """
    import nuclex

    return nuclex.export(bundle, format=format, out=out)


def convert(
    source: str,
    *,
    out: Path,
    tokenizer: Path | None = None,
    heads: Whole = 20,
    classes: Names = (),
    licence: str | None = None,
) -> dict[str, Any]:
    """Make a bundle of another program's model.

    Example: nuclex convert rinalmo_giga_pretrained.pt --out giga

    Every weight must find its place; nothing in a file is executed.

    Parameters
    ----------
    source:
        One of RiNALMo's .pt files, or a folder or an id on the Hugging Face hub (ORG/NAME, or ORG/NAME@REVISION):
        multimolecule's RiNALMo, or a RoBERTa, BERT, GPT-2, Mamba or Mamba-2 of transformers.
    out:
        A folder that does not exist yet.
    tokenizer:
        A folder with the tokenizer of nuclex that reads as the model's own does; for models of transformers.
    heads:
        Attention heads of a .pt file, which no weight tells.
    classes:
        Names of the classes of a fine-tuned .pt file, in their order.
    licence:
        What the model card says; without it, the licence that the card beside the weights names.
    """
    import nuclex
    from nuclex.tokenizers import load_tokenizer

    reads = None if tokenizer is None else load_tokenizer(tokenizer)
    bundle = nuclex.convert(source, out, tokenizer=reads, heads=heads, classes=classes, licence=licence)
    counted = sum(weight.numel() for weight in bundle.model.parameters())
    return {"bundle": str(out), "parameters": counted, "notes": list(bundle.record.notes)}


def fold(
    bundle: Path,
    inputs: Path,
    *,
    out: Path,
    svg: Path | None = None,
    device: Device = "auto",
    set: Settings = (),
) -> dict[str, Any]:
    """Secondary structures of every sequence of a file.

    Example: nuclex fold bundle rna.fa --out rna.dbn --svg pictures

    Settings: --threshold P, of pair probabilities (by default the one tuned on validation); --decoding.method greedy,
    mea (the best nested structure) or matching (the best with pseudoknots); --decoding.gamma, --decoding.min_loop,
    --decoding.canonical false; --cut P, less probable pairs are not listed or drawn (0.01).

    Parameters
    ----------
    bundle:
        A model made by `nuclex finetune` on structures.
    inputs:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow; - is standard input.
    out:
        A .dbn, .ct or .json file for all structures, a .bpseq file for one, or a folder for all four of each.
    svg:
        A folder for pictures of each: in the plane, as arcs, and a dot plot of the probabilities.
    """
    refuse_missing(inputs)
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.inference.fold import FoldConfig
    from nuclex.training.device import choose_device

    settings = load_config(FoldConfig, None, parse_settings(set))
    return nuclex.fold(bundle, inputs, out, svg=svg, settings=settings, device=choose_device(device))
