"""Verbs that make things: corpora, tokenizers, models.

Each verb reads its arguments, calls the Python function of the same name and returns its plain result. Nothing heavy is
imported until one runs, so that help and mistakes answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from nuclex.cli.values import Device, Files, Prices, Settings, Whole, prices_of


def quickstart(
    *,
    out: Path = Path("quickstart"),
    data: Literal["simulated", "ncrna"] = "simulated",
    seed: Whole = 0,
    resume: bool = False,
) -> dict[str, Any]:
    """From sequences to a measured, fine-tuned model and a report, in minutes, on a CPU.

    Example: nuclex quickstart --out first

    Parameters
    ----------
    out:
        A new folder for the corpus, the runs, the bundle and report.html.
    data:
        simulated: RNA families made by nuclex; ncrna: real ncRNA of the catalogue.
    seed:
        The seed of everything random.
    resume:
        Go on with a quickstart that was stopped.
    """
    import nuclex

    return nuclex.quickstart(out, data=data, seed=seed, resume=resume)


def doctor() -> dict[str, Any]:
    """What is installed, where models can compute, and which way each part of a model takes there.

    Example: nuclex doctor
    """
    import nuclex

    return nuclex.doctor()


def data_list() -> dict[str, Any]:
    """The data sets nuclex knows: what they are, their licence, and whether they are at hand.

    Example: nuclex data list
    """
    import nuclex

    return {"datasets": nuclex.data_list()}


def data_fetch(
    name: str, *, out: Path | None = None, unpack: bool = False, trust_first: bool = False
) -> dict[str, Any]:
    """Bring a data set here and check its sums.

    Example: nuclex data fetch archiveii --out archiveii

    Parameters
    ----------
    name:
        A name from `nuclex data list`, or of a collection there.
    out:
        Copy the files to this folder.
    unpack:
        Make a folder of each archive (.tar.xz and the like).
    trust_first:
        Of a file whose sum was published nowhere, take the first copy as it is; its sum is demanded from then on.
    """
    import nuclex

    found = nuclex.data_fetch(name, out, unpack=unpack, trust_first=trust_first)
    return {"files": [str(path) for path in found]}


def corpus_build(
    *inputs: str,
    out: Path,
    config: Path | None = None,
    exclude: Files = (),
    engine: Literal["here", "ray"] = "here",
    set: Settings = (),
) -> dict[str, Any]:
    """Clean, deduplicate, cluster and split sequences into a corpus.

    Example: nuclex corpus build a.fa.gz --out corpus

    Parameters
    ----------
    inputs:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow, plain or packed; - is standard input.
    out:
        A new folder.
    config:
        A TOML file with the settings; flags such as --cluster.method none lie over it.
    exclude:
        Files of sequences for evaluation or fine-tuning: what equals, holds or lies in one of them, on either strand,
        is left out; what is alike too, with --decontaminate.min_identity 0.9 or the like (found by 12 equal letters in
        a row, which a few short relatives lack). Of a genome cut into pieces, what overlaps one goes. Inputs first.
    engine:
        Where the inputs are read: here, one after the other, or by Ray, a file for each worker of the cluster of
        RAY_ADDRESS (else of one on this machine). The corpus is the same.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.core.errors import InputError
    from nuclex.data.corpus import CorpusConfig

    if not inputs:
        hint = "; the inputs come before --exclude" if exclude else ""
        raise InputError(f"command line: corpus build needs at least one input file; - is standard input{hint}")
    settings = load_config(CorpusConfig, config, parse_settings(set))
    return {"corpus": str(out), **nuclex.corpus_build(list(inputs), out, settings, exclude=exclude, engine=engine)}


def corpus_info(corpus: Path) -> dict[str, Any]:
    """What a corpus holds: sources, filters with counts in and out, clusters, splits.

    Example: nuclex corpus info corpus

    Parameters
    ----------
    corpus:
        A folder made by `nuclex corpus build`.
    """
    import nuclex

    return nuclex.corpus_info(corpus)


def tokenizer_train(
    corpus: Path,
    *,
    out: Path,
    recipe: Path | None = None,
    kind: Literal["nucleotide", "codon", "amino-acid", "kmer", "bpe", "wordpiece", "unigram"] | None = None,
    set: Settings = (),
) -> dict[str, Any]:
    """Train a tokenizer on the train split of a corpus.

    Example: nuclex tokenizer train corpus --out bpe

    Parameters
    ----------
    corpus:
        A folder made by `nuclex corpus build`.
    out:
        A new folder with tokenizer.json and tokenizer_config.json.
    recipe:
        A TOML or YAML file, or tokenizer/tinydnabert, tokenizer/rnaberta; any key of it is a flag: --vocab-size 4096.
    kind:
        The kind of tokenizer; bpe where no recipe says another.
    """
    import nuclex
    from nuclex.core.config import parse_settings
    from nuclex.training.tokenize import read_tokenizer

    chosen = kind if kind is not None else "bpe" if recipe is None else None
    settings = {**({"kind": chosen} if chosen is not None else {}), **parse_settings(set)}
    return nuclex.tokenizer_train(corpus, out, read_tokenizer(recipe, settings))


def plan(recipe: Path, *, utilisation: float = 0.4, price: Prices = None, set: Settings = ()) -> dict[str, Any]:
    """What a recipe means: parameters, arithmetic, memory, compute-optimal tokens, hours and cost on named GPUs.

    Example: nuclex plan pretrain/rinalmo-nano --model.depth 8 --price h100=2.5

    Parameters
    ----------
    recipe:
        A TOML or YAML file; any key of it is a flag: --model.depth 6, --corpus DIR (then epochs, too).
    utilisation:
        The share of its peak that a GPU reaches.
    price:
        What an hour of a GPU costs, in any currency: --price h100=2.5 a100=1.5.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.training.pretrain import PretrainConfig

    config = load_config(PretrainConfig, recipe, parse_settings(set))
    return nuclex.plan(config, utilisation=utilisation, price=prices_of(price))


def pretrain(
    recipe: Path,
    *,
    out: Path,
    resume: bool = False,
    dry_run: bool = False,
    device: Device = "auto",
    set: Settings = (),
) -> dict[str, Any] | None:
    """Train a language model.

    Example: nuclex pretrain pretrain/rinalmo-nano --corpus corpus --out run

    On several devices: torchrun --nproc-per-node 4 -m nuclex pretrain … (docs/many-devices.md).

    Parameters
    ----------
    recipe:
        A TOML or YAML file; any key of it is a flag: --corpus DIR, --model.depth 6.
    out:
        The run folder: new, or with --resume an unfinished one.
    resume:
        Continue from the newest sound checkpoint.
    dry_run:
        Print the plan and stop.
    device:
        Where to compute.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.training.device import choose_device
    from nuclex.training.pretrain import PretrainConfig

    config = load_config(PretrainConfig, recipe, parse_settings(set))
    if dry_run:
        return nuclex.plan(config)
    return nuclex.pretrain(config, out, resume=resume, device=choose_device(device)) or None  # the first process tells


def finetune(
    recipe: Path,
    *,
    out: Path = Path("finetuned"),
    resume: bool = False,
    dry_run: bool = False,
    device: Device = "auto",
    set: Settings = (),
) -> dict[str, Any]:
    """Train a pre-trained model on a question with answers, beside controls: frozen, and from random weights.

    Example: nuclex finetune finetune/own-class --bundle run/bundle --data.path answers.csv --out finetuned

    Parameters
    ----------
    recipe:
        A TOML or YAML file; any key of it is a flag: --bundle DIR, --data.path FILE.
    out:
        The run folder: new, or with --resume an unfinished one.
    resume:
        Continue from the newest sound checkpoint.
    dry_run:
        Print the checked config and stop.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.training.device import choose_device
    from nuclex.training.finetune import FinetuneConfig

    config = load_config(FinetuneConfig, recipe, parse_settings(set))
    if dry_run:
        return config.to_data()
    return nuclex.finetune(config, out, resume=resume, device=choose_device(device))
