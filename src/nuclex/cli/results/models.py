"""What the verbs print that train models: from the first look to the search for settings."""

from __future__ import annotations

from typing import Any, Literal

from nuclex.cli.results.answer import Answer, Number, Plain, sometimes


class Quickstart(Answer):
    """The chief numbers of the whole story."""

    masked_accuracy: float
    """Share of hidden nucleotides of the test split that the model guesses right."""
    markov_accuracy: float
    """The same of a Markov chain fitted on the train split."""
    unigram_accuracy: float
    """The same of guessing the commonest nucleotide."""
    beats_markov: bool | None
    """Whether the model's lead over the Markov chain is significant; null where it cannot be told."""
    pairing_gain: Number
    """How much more accurate guesses of paired nucleotides are with the partner in sight than with it hidden."""
    pairing_learned: bool
    """Whether that gain is more than a trace, and its interval above zero."""
    structure_f1: float
    """Mean F1 of base pairs on test, fine-tuned from the pre-trained model."""
    structure_f1_scratch: float
    """The same from random weights."""
    seconds: dict[str, float]
    """Seconds of each chapter."""
    simulated: bool
    """Whether the sequences were made up by nuclex."""
    report: str
    """The page to open."""
    bundle: str
    """The pre-trained model."""


class Pretrain(Answer):
    """A model that was trained."""

    run: str
    """The run folder."""
    bundle: str
    """The model."""
    steps: int
    """Updates made."""
    metrics: dict[str, Number]
    """Last numbers on validation (`validation_loss` in nats a token, …), `best_step`, `skipped` updates, `seconds`."""


class Finetune(Answer):
    """A model that was fine-tuned."""

    run: str
    """The run folder; `results.json` there has all that was measured."""
    bundle: str
    """The model."""
    steps: int
    """Updates of the chief run."""
    metrics: dict[str, Number]
    """Test scores as ARM_METRIC with `_low`, `_high`; the difference from random weights, its `p_value`; rows, `n`."""
    grid: list[dict[str, Plain]] = sometimes()
    """With a grid: settings and validation scores of each combination; `chosen` is "yes" for the best."""


class FinetuneConfig(Answer):
    """The checked recipe, every key filled in."""

    bundle: str | None
    """The model to begin with; null where it begins from random weights."""
    model: dict[str, Any] | None
    """The network, where there is no bundle."""
    tokenizer: dict[str, Any] | None
    """The tokenizer, where there is no bundle."""
    task: dict[str, Any]
    """The question and its data."""
    head: dict[str, Any] | None
    """What answers it; null is the usual one for its shape."""
    decoding: dict[str, Any] | None
    """How pairs are chosen from probabilities."""
    regression: dict[str, Any] | None
    """How numbers are learned."""
    thaw: list[dict[str, Any]]
    """When blocks begin to learn."""
    adapter: dict[str, Any] | None
    """Low-rank changes of the weights (LoRA)."""
    batching: dict[str, Any]
    """What is read at once."""
    training: dict[str, Any]
    """Steps, rates, precision."""
    controls: list[Any]
    """What is trained beside it."""
    control_rates: dict[str, Any]
    """Learning rates of the controls."""
    grid: dict[str, list[Any]]
    """Values to try, by key."""
    seeds: int
    """How many runs."""
    seed: int
    """The first run's seed."""


class Final(Answer):
    """A full run with what a search found."""

    name: str
    """Its name among the full runs."""
    factor: float | None
    """By what the best learning rate was multiplied; null with the recipe's own settings."""
    rate: float
    """Its learning rate."""
    warmup: int
    """Its updates of warm-up."""
    steps: int
    """Updates made."""
    state: Literal["complete", "diverged"]
    """How it ended."""
    score: Number
    """Its score, of the metric that the search is for; null where it diverged."""
    bundle: str | None
    """The model; null where it diverged."""
    why: str
    """Why it diverged; empty where it did not."""
    chosen: Literal["yes", ""]
    """"yes" for the one that is best on validation."""


class Saving(Answer):
    """What a search on a narrow proxy cost, in FLOPs as planned."""

    flops: float
    """What the trials took."""
    flops_at_full_width: float
    """What they would have taken at the full model's width."""
    times: float
    """The second over the first."""
    flops_full_run: float = sometimes()
    """What one full run takes."""
    times_with_final: float = sometimes()
    """The ratio with one full run on both sides."""


class Search(Answer):
    """What a search found; `results.json` in its folder has all of it."""

    out: str
    """The folder of the search."""
    best: dict[str, Plain]
    """The best trial: `number`, its settings by key, and its score under the metric's name."""
    trials: list[dict[str, Plain]]
    """Every trial: `number`, `state`, its settings, its score."""
    transferred: str
    """The full model's recipe with the best settings, a TOML file."""
    chosen: str = sometimes()
    """The recipe of the full run that was best on validation, a TOML file."""
    importance: dict[str, float] = sometimes()
    """Share of the scores' variance that each key explains (fANOVA)."""
    saving: Saving = sometimes()
    """What was saved by searching on a proxy."""
    finals: list[Final] = sometimes()
    """The full runs that are done (`--finals`)."""
    report: str = sometimes()
    """The page to open; absent where matplotlib is not installed."""
