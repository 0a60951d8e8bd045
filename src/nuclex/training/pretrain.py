"""Pre-training: a corpus, a tokenizer, a model and an objective become a run folder with checkpoints and bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor, nn

from nuclex.bundle import Record
from nuclex.bundle.weights import restore
from nuclex.core.artifact import MANIFEST, atomic_folder, verify_folder
from nuclex.core.config import Config
from nuclex.core.errors import InputError
from nuclex.core.progress import say
from nuclex.core.provenance import provenance
from nuclex.core.randomness import key, permutation
from nuclex.data.pack import PackedBatch, pack
from nuclex.data.sample import Epoch, SamplingConfig, plan_epoch
from nuclex.data.store import Corpus
from nuclex.data.tokens import TokenTable, tokenize
from nuclex.models import AnyModelConfig, LanguageModel, Layout
from nuclex.objectives import AnyObjectiveConfig, MaskedConfig, ObjectiveConfig, Question
from nuclex.objectives.codons import is_of_codons
from nuclex.tokenizers import (
    TOKENIZERS,
    LearnedConfig,
    Tokenizer,
    TokenizerConfig,
    load_tokenizer,
    save_tokenizer,
    tokenizer_hash,
)
from nuclex.training.device import within_memory
from nuclex.training.distributed import Group, joined, tell_idle
from nuclex.training.duration import TrainingConfig
from nuclex.training.loop import Outcome, Work, train
from nuclex.training.plan import Asked, Terms, epoch_length, make_plan
from nuclex.training.run import finish_bundles, opened_run, run_digest, write_facts
from nuclex.training.spent import Clock
from nuclex.training.summing import whole_weights
from nuclex.training.validation import names_of_a_look, score

AnyTokenizerConfig = Annotated[SerializeAsAny[TokenizerConfig], BeforeValidator(TOKENIZERS.validator())]


class PretrainConfig(Config):
    """One pre-training run as one value; what ``recipes/pretrain/*.toml`` hold."""

    corpus: Path | None = Field(default=None, description="a folder made by `nuclex corpus build`")
    tokenizer: AnyTokenizerConfig
    tokenizer_folder: Path | None = Field(
        default=None, description="a trained tokenizer to take instead of training one"
    )
    model: AnyModelConfig
    objective: AnyObjectiveConfig = MaskedConfig()
    sampling: SamplingConfig = SamplingConfig()
    training: TrainingConfig = TrainingConfig()
    train_sequences: int | None = Field(
        default=None, ge=1, description="at most this many of the train split, drawn by the seed; None = all"
    )
    validation_sequences: int = Field(default=512, ge=1, description="at most this many are scored during the run")
    seed: int = 0

    @model_validator(mode="after")
    def _learns(self) -> Self:
        network, asks = self.model.backbone(), self.objective
        if network.head == "none":
            raise ValueError("model.head is 'none': an encoder without a language head cannot learn from sequences")
        if network.causal != asks.causal:
            sees = {True: "only looks back (causal)", False: "sees both sides"}
            needed, found = sees[asks.causal], sees[network.causal]
            raise ValueError(f"objective.kind {asks.kind!r} needs a model that {needed}, found one that {found}")
        if asks.causal and self.sampling.max_tokens < 4:
            raise ValueError("sampling.max_tokens is 3; a causal model needs 4 or more, so that windows can overlap")
        return self

    @model_validator(mode="after")
    def _knows_the_best(self) -> Self:
        maybe_codons = self.tokenizer_folder is not None or is_of_codons(self.tokenizer)
        names, metric = names_of_a_look(codons=maybe_codons), self.training.best_metric
        if metric not in names:
            raise ValueError(f"training.best_metric: found {metric!r}; a look gives {', '.join(names)}")
        return self


@dataclass(frozen=True)
class _Micro:
    batch: PackedBatch
    question: Question


class LanguageWork(Work[_Micro]):
    """Language modelling over the train split of a corpus, validated on its validation split."""

    def __init__(
        self, config: PretrainConfig, tokenizer: Tokenizer, train_table: TokenTable, validation_table: TokenTable
    ) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.table, self.validation = train_table, validation_table
        self.objective: ObjectiveConfig = config.objective
        self.objective.criterion.check(tokenizer)
        self._epoch = lru_cache(maxsize=2)(self._plan)

    def _plan(self, number: int) -> Epoch:
        return plan_epoch(self.table, self.config.sampling, self.config.seed, number)

    def batches(self, epoch: int) -> int:
        """Optimizer updates in this epoch."""
        return self._epoch(epoch).batches

    def micro_batches(self, epoch: int, batch: int, rank: int, world: int) -> Sequence[_Micro]:
        """Pack the pieces of one device, and what is asked about them."""
        made = []
        for pieces in self._epoch(epoch).micro_batches(batch, rank, world):
            packed = pack(self.table, pieces, self.tokenizer)
            made.append(_Micro(packed, self.objective.ask(packed, self.tokenizer, self.config.seed, epoch)))
        return made

    def targets(self, micro: _Micro) -> int:
        """Tokens that are asked for."""
        return len(micro.question.targets_M)

    def tokens(self, micro: _Micro) -> int:
        """Packed tokens, special ones included."""
        return len(micro.batch.tokens_T)

    def members(self, micro: _Micro) -> Sequence[int]:
        """Rows of the corpus."""
        return [int(row) for row in np.unique(micro.batch.rows_N)]

    def loss(self, model: nn.Module, micro: _Micro) -> Tensor:
        """Sum of the objective's losses over the tokens that are asked for."""
        device = next(model.parameters()).device
        inputs_T = torch.from_numpy(micro.question.inputs_T).to(device)
        selected_M = torch.from_numpy(micro.question.selected_M).to(device)
        logits_MV = model(inputs_T, Layout.of(micro.batch.lengths_N, device), selected_M)
        return self.objective.loss(logits_MV, micro.question, micro.batch, self.tokenizer)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Loss, perplexity and accuracy over the validation sequences, every position once; see ``score``."""
        if not len(self.validation):
            return {}
        assert isinstance(model, LanguageModel)
        sampling, code = self.config.sampling, getattr(self.objective.criterion, "code", 1)
        scores = score(model, self.tokenizer, self.validation, sampling.max_tokens, sampling.micro_tokens, code=code)
        return scores.look()


def pretrain(config: PretrainConfig, out: str | Path, *, resume: bool = False, device: str = "cpu") -> dict[str, Any]:
    """Train a language model; returns run, bundle, steps and metrics. ``resume`` continues a stopped run.

    Started by torchrun, its processes train together, and what is returned is empty in all but the first. Raises
    InputError (exit 2) where recipe and corpus do not fit, StoppedError after a signal, OutsideError where a process of
    several is lost.
    """
    with joined(config.training.distributed, device) as group:
        told = _pretrained(config, Path(out), device, group, resume=resume)
        return told if group.first else {}


def _pretrained(config: PretrainConfig, run: Path, device: str, group: Group, *, resume: bool) -> dict[str, Any]:
    if config.corpus is None:
        raise InputError("corpus: missing; give the folder of a corpus with --corpus DIR")
    clock, corpus = Clock(device), Corpus.open(config.corpus)
    check_lengths(config)
    tell_idle(group, config.sampling.batch_tokens, config.sampling.micro_tokens)
    with opened_run(run, config, resume=resume) if group.first else within_memory():
        tokenizer = group.after_first(lambda: _tokenizer(config, corpus, run))
        work = build_work(config, corpus, tokenizer)
        model = build_model(config, tokenizer).to(device)
        facts = {"seed": config.seed, "threads": torch.get_num_threads(), "device": device, "devices": group.world}
        lengths, training = work.table.lengths_N, config.training.counted(work.batches)
        share, mean = config.objective.expected_share(), float(lengths.mean()) + 2
        plan = make_plan(config.model, len(tokenizer), Asked(config.sampling, training, mean, share))
        plan = plan.model_copy(update={"epochs": config.training.epochs or None})
        if group.first:
            write_facts(run, plan=plan.to_data(), provenance=provenance(**facts))
        identity = {
            "config": run_digest(config),
            "corpus": corpus.fingerprint,
            "tokenizer": tokenizer_hash(tokenizer),
            "seed": config.seed,
        }
        outcome = train(model, work, config.training, run, identity, group)
        if group.sharded:
            weights, model = whole_weights(model, group), build_model(config, tokenizer)
        if not group.first:
            return {}
        if group.sharded:
            restore(model, weights, run)
        record = _record(config, corpus, outcome, clock.told())
        bundle = finish_bundles(run, model, tokenizer, record)
    place = outcome.place
    metrics = {**outcome.last, "best_step": place.best_step, "skipped": place.skipped, "seconds": place.seconds}
    return {"run": str(run), "bundle": str(bundle), "steps": place.step, "metrics": metrics}


def check_lengths(config: PretrainConfig) -> None:
    """InputError if the pieces are longer than the model's table of positions."""
    longest, room = config.sampling.max_tokens, config.model.backbone().longest
    if room is not None and longest > room:
        raise InputError(f"sampling.max_tokens: {longest} is more than the {room} positions of the model")


def plan(
    config: PretrainConfig, *, utilisation: float = 0.4, price: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What follows from a recipe, as plain data; nothing is trained. InputError where it cannot be trained.

    Of a corpus, where the recipe names one, some sequences are read to say how long an epoch is (not where a tokenizer
    is yet to be trained); arithmetic is for sequences of their mean length then, else of the longest that sampling
    allows; memory always is for the longest. ``utilisation`` is the share of its peak that a GPU reaches, above 0 and
    at most 1; ``price`` says what an hour of a GPU costs, by its name, in any currency.
    """
    if not 0 < utilisation <= 1:
        raise InputError(f"utilisation: found {utilisation}; a share above 0 and at most 1 is needed")
    check_lengths(config)
    share, (epoch, mean) = config.objective.expected_share(), _epoch_length(config)
    asked = Asked(config.sampling, config.training, mean, share, epoch)
    return make_plan(config.model, vocabulary_size(config), asked, Terms(utilisation, price)).to_data()


def _epoch_length(config: PretrainConfig) -> tuple[float | None, float | None]:
    """Tokens of one epoch of the corpus and of a piece; None without a corpus, or without a tokenizer."""
    trained = config.tokenizer_folder is not None
    if config.corpus is None or (isinstance(config.tokenizer, LearnedConfig) and not trained):
        return None, None
    tokenizer = load_tokenizer(config.tokenizer_folder) if config.tokenizer_folder else config.tokenizer.build()
    corpus = Corpus.open(config.corpus)
    return epoch_length(corpus, tokenizer, _learnt_rows(config, corpus), config.sampling)


def vocabulary_size(config: PretrainConfig) -> int:
    """Tokens of the recipe's tokenizer: known for fixed ones and trained ones, asked for where it is yet to train."""
    if config.tokenizer_folder is not None:
        return len(load_tokenizer(config.tokenizer_folder))
    if isinstance(config.tokenizer, LearnedConfig):
        return config.tokenizer.vocab_size
    return len(config.tokenizer.build())


def build_model(config: PretrainConfig, tokenizer: Tokenizer) -> LanguageModel:
    """The model of a config with the random weights that its seed gives."""
    backbone = config.model.backbone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "initialisation"))
        return LanguageModel(
            backbone, vocabulary_size=len(tokenizer), pad_id=tokenizer.pad_id, mask_id=tokenizer.mask_id
        )


def build_work(config: PretrainConfig, corpus: Corpus, tokenizer: Tokenizer) -> LanguageWork:
    """Tokenize the train split, or what is drawn from it, and a fixed sample of the validation split."""
    learnt, rows = _learnt_rows(config, corpus), corpus.indices("validation")
    chosen = rows[permutation(key(config.seed, "validation"), len(rows))[: config.validation_sequences]]
    if not len(rows):
        say("the corpus has no validation split: no best model can be chosen, the last one is kept")
    return LanguageWork(
        config,
        tokenizer,
        table_of(corpus, tokenizer, learnt),
        table_of(corpus, tokenizer, np.sort(chosen)),
    )


def _learnt_rows(config: PretrainConfig, corpus: Corpus) -> np.ndarray:
    """Rows of the train split, or of what is drawn from it; InputError where there are none."""
    learnt = corpus.indices("train")
    if not len(learnt):
        raise InputError(f"{corpus.path}: its train split holds no sequences; lower the validation and test shares")
    if config.train_sequences is None:
        return learnt
    return np.sort(learnt[permutation(key(config.seed, "train"), len(learnt))[: config.train_sequences]])


def table_of(corpus: Corpus, tokenizer: Tokenizer, rows: np.ndarray) -> TokenTable:
    """Token ids of these rows of a corpus."""
    sequences = (corpus.sequence(int(row)) for row in rows)
    return tokenize(
        sequences,
        tokenizer,
        rows,
        corpus.clusters[rows],
        lambda index: f"{corpus.path}: {corpus.ids(int(rows[index]))}",
    )


def _tokenizer(config: PretrainConfig, corpus: Corpus, run: Path) -> Tokenizer:
    """The run's own tokenizer, made or trained once and then read from the run folder.

    InputError where the recipe names another one by now.
    """
    folder, given = run / "tokenizer", config.tokenizer_folder
    if not folder.is_dir():
        if given is not None:
            tokenizer = _sound_tokenizer(given)
        else:
            rows = corpus.indices("train")
            tokenizer = config.tokenizer.train(corpus.sequence(int(row)) for row in rows)
        with atomic_folder(folder) as temporary:
            save_tokenizer(tokenizer, temporary)
    own = _sound_tokenizer(folder)
    if given is not None and tokenizer_hash(_sound_tokenizer(given)) != tokenizer_hash(own):
        raise InputError(f"tokenizer_folder: {given} holds another tokenizer than {folder}, with which the run began")
    return own


def _sound_tokenizer(folder: Path) -> Tokenizer:
    """A tokenizer from a folder that is as it was written, where that can be told."""
    if (folder / MANIFEST).is_file():
        verify_folder(folder)
    return load_tokenizer(folder)


def _published(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A corpus's manifest without what belongs to one machine: where its files lay and the command typed."""
    sources = [{name: value for name, value in source.items() if name != "path"} for source in manifest["sources"]]
    kept = {name: value for name, value in manifest.items() if name not in ("provenance", "files")}
    return {**kept, "sources": sources}


def _record(config: PretrainConfig, corpus: Corpus, outcome: Outcome, spent: dict[str, Any]) -> Record:
    place = outcome.place
    counted = {"steps": place.step, "tokens": place.tokens, "seconds": place.seconds}
    return Record(
        recipe=config.to_data(),
        provenance=provenance(seed=config.seed, **counted, spent=spent),
        metrics=dict(outcome.last),
        corpus=_published(corpus.manifest),
        name=config.model.kind,
        licence=None,
        notes=(),
    )
