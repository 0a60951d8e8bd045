"""The verb that compares models: a suite of questions, tables, one report.

It reads its arguments, calls the Python function of the same name and returns its plain result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nuclex.cli.values import Device, Settings


def benchmark(
    recipe: Path, *bundles: Path, out: Path, resume: bool = False, device: Device = "auto", set: Settings = ()
) -> dict[str, Any]:
    """Ask models the questions of a suite, side by side. Example: nuclex benchmark smoke bundle --out benchmark

    Every model is fine-tuned on every question, beside the head alone on the frozen model, the same network from random
    weights and baselines without a model. Flags: --seeds N; --leaks CORPUS looks for the test sequences in a
    pre-training corpus (also without a bundle), with --identity 0.9 for relatives, too. What lacks its data is not run,
    and the reason is said.

    Parameters
    ----------
    recipe:
        A suite: smoke, laptop, rinalmo, nucleotide-transformer, gue, helm, variants, or a TOML file.
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
