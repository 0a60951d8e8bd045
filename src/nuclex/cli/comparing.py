"""The verbs that compare: settings, models on a suite, generated sequences with real ones; tables, one report.

Each reads its arguments, calls the Python function of the same name and returns its plain result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nuclex.cli.values import Device, Settings, Whole


def search(
    recipe: Path,
    *,
    out: Path,
    workers: Whole = 1,
    finals: bool = False,
    device: Device = "auto",
    set: Settings = (),
) -> dict[str, Any]:
    """Find the best settings on a cheap proxy.

    Example: nuclex search search/rnaberta --corpus corpus --out search

    The same command goes on with a search that was stopped or killed, and joins one that runs. The full model's recipe
    is written to transferred.toml.

    Parameters
    ----------
    recipe:
        A recipe of recipes/search, or a recipe of pre-training, which is searched as RNA-BERTa did. Any key is a flag:
        --trials 8, --proxy.training.steps 500, --space.training.schedule.rate.high 1e-2, --base.bundle DIR.
    out:
        A folder: new, or of this search.
    workers:
        Processes that train trials side by side.
    finals:
        Train the full model too, at 1, 0.875 and 0.75 of the best rate.
    device:
        Where to compute.
    """
    import nuclex
    from nuclex.core.config import parse_settings
    from nuclex.training.device import choose_device
    from nuclex.tuning.question import read_search

    config = read_search(recipe, parse_settings(set))
    return nuclex.search(config, out, workers=workers, finals=finals, device=choose_device(device))


def benchmark(
    recipe: Path, *bundles: Path, out: Path, resume: bool = False, device: Device = "auto", set: Settings = ()
) -> dict[str, Any]:
    """Ask models the questions of a suite, side by side.

    Example: nuclex benchmark smoke bundle --out benchmark

    Every model is fine-tuned on every question, beside the head alone on the frozen model, the same network from random
    weights and baselines without a model. Flags: --seeds N; --leaks CORPUS looks for the test sequences in a
    pre-training corpus (also without a bundle), with --identity 0.9 for relatives, too. What lacks its data is not run,
    and the reason is said.

    Parameters
    ----------
    recipe:
        A suite: smoke, laptop, rinalmo, nucleotide-transformer, gue, helm, variants, rnaberta-laptop,
        tinydnabert-laptop, or a TOML file.
    bundles:
        Models made by nuclex.
    out:
        A folder for runs, tables and report.html: new, or with --resume an unfinished one.
    resume:
        Go on where a stopped benchmark was.
    device:
        Where to compute.
    """
    import nuclex
    from nuclex.core.config import parse_settings
    from nuclex.evaluation.suite import load_suite
    from nuclex.training.device import choose_device

    config = load_suite(recipe, parse_settings(set))
    return nuclex.benchmark(config, bundles, out, resume=resume, device=choose_device(device))


def judge(
    bundle: Path, generated: Path, reference: Path, *, out: Path, device: Device = "auto", set: Settings = ()
) -> dict[str, Any]:
    """Generated coding sequences beside real ones.

    Example: nuclex judge bundle new.fa real.fa --out judged

    Open frame, start and stop, GC, codon usage (RSCU, CAI, a rose), diversity, Fréchet distance, precision and recall
    in the bundle's vectors, beside held-out real sequences, shuffled ones and noise. Flags: --training FILE (are there
    copies?), --usage FILE (genes or a table, for the CAI), --genetic-code 1, --clouds.components 4, --clouds.layer N,
    --synonymous.proteins 20 (do synonymous sequences of a protein lie together?), --most 1000, --seed.

    Parameters
    ----------
    bundle:
        A model made by nuclex, in whose vectors sequences are compared; not only the one that generated them.
    generated:
        FASTA, FASTQ, GenBank, EMBL, CSV, TSV, AIRR, Parquet or Arrow; - is standard input.
    reference:
        Real coding sequences, eight or more.
    out:
        A folder that does not exist yet: report.html, judgement.json, sequences.csv, codons.csv, codon-rose.svg.
    device:
        Where to compute.
    """
    import nuclex
    from nuclex.core.config import load_config, parse_settings
    from nuclex.evaluation.judge import JudgeConfig
    from nuclex.training.device import choose_device

    settings = load_config(JudgeConfig, None, parse_settings(set))
    return nuclex.judge(bundle, generated, reference, out, settings, device=choose_device(device))
