"""New sequences from a causal model, token by token: drawn with temperature, top-k, top-p and without repeats.

For coding sequences of given proteins see ``inference.design``. What is drawn is a pure function of (seed, number of
the sequence, position): neither the number of sequences drawn together nor which they are matters, up to the rounding
of a model's scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nuclex.bio.alphabet import to_dna, to_rna
from nuclex.bundle import Bundle, load
from nuclex.core.artifact import atomic_file
from nuclex.core.config import Config, load_config
from nuclex.core.errors import InputError, shown
from nuclex.core.progress import counted, say
from nuclex.core.randomness import key, uniform
from nuclex.data.read import read_sequences
from nuclex.inference.design import DesignConfig, design
from nuclex.inference.sampling import choose, forbid_repeats, keep_top_k, keep_top_p
from nuclex.models import Layout
from nuclex.tokenizers import KmerConfig, Tokenizer, TokenizerConfig
from nuclex.training.device import within_memory
from nuclex.training.validation import longest_piece


class GenerateConfig(Config):
    """How many sequences, from which beginning, and how their tokens are chosen."""

    count: int = Field(default=1, ge=1, description="sequences for each prompt")
    prompt: str = Field(default="", description="letters that every sequence begins with")
    max_tokens: int | None = Field(
        default=None, ge=2, description="longest sequence, prompt and special tokens included; as in training if unset"
    )
    temperature: float = Field(
        default=1.0, ge=0, description="below 1 the likely becomes likelier; 0 = always likeliest"
    )
    top_k: int = Field(default=0, ge=0, description="draw among so many of the likeliest tokens; 0 = all")
    top_p: float = Field(default=1.0, gt=0, le=1, description="draw among the likeliest with this probability together")
    no_repeat_ngram: int = Field(default=0, ge=0, description="no run of so many tokens comes twice; 0 = it may")
    batch: int = Field(default=64, ge=1, description="sequences drawn together")
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """One new sequence, its prompt included.

    ``log_likelihood`` is the sum of ln p, in nats, of the tokens drawn, each given all before it, by the model as it is
    (temperature 1, nothing ruled out). ``tokens`` were drawn, ``<eos>`` included; ``ended``: whether it was among them.
    """

    id: str
    sequence: str
    log_likelihood: float
    tokens: int
    ended: bool


@dataclass(frozen=True)
class _Begun:
    """A sequence to be gone on with: its number, its name, what is written of it, and its tokens."""

    number: int
    id: str
    letters: str
    ids: np.ndarray


def generate(
    bundle: Bundle | str | Path,
    out: str | Path,
    config: GenerateConfig | DesignConfig | Mapping[str, Any] | None = None,
    *,
    prompts: str | Path | None = None,
    protein: str | Path | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Draw ``config.count`` sequences into the FASTA file ``out``, or so many for each sequence of a file ``prompts``.

    A header has the log-likelihood, the number of tokens drawn, and whether the sequence ended by itself. The file is
    whole or not there. InputError for a model that sees both sides, a tokenizer whose tokens overlap, or a prompt that
    is not read wholly or leaves no room.

    With a file of proteins, ``protein``, coding sequences for each of them (``inference.design``); ``config`` then is a
    ``DesignConfig`` or its keys.
    """
    if protein is not None:
        if prompts is not None:
            raise InputError("protein: give either prompts or proteins, not both")
        asked = config if isinstance(config, DesignConfig) else load_config(DesignConfig, None, _keys(config))
        with within_memory():
            return design(_opened(bundle, device), Path(out), asked, protein)
    settings = config if isinstance(config, GenerateConfig) else load_config(GenerateConfig, None, _keys(config))
    if prompts is not None and settings.prompt:
        raise InputError("prompt: give either one prompt or a file of prompts, not both")
    opened = _opened(bundle, device)
    begun = None if prompts is None else ((record.id, record.sequence) for record in read_sequences(prompts))
    count = tokens = ended = 0
    made_so_far = generate_sequences(opened, settings, begun)
    results = counted("generating", made_so_far, settings.count if prompts is None else 0)
    with atomic_file(out) as temporary, within_memory(), temporary.open("w", encoding="utf-8") as handle:
        for made in results:
            end = "yes" if made.ended else "no"
            facts = f"log_likelihood={made.log_likelihood:.4f} tokens={made.tokens} ended={end}"
            handle.write(f">{made.id} {facts}\n{made.sequence}\n")
            count, tokens, ended = count + 1, tokens + made.tokens, ended + made.ended
    say(f"{out}: {count} sequences, {ended} of them ended by themselves")
    return {"out": str(out), "sequences": count, "tokens": tokens, "ended": ended}


def generate_sequences(
    bundle: Bundle, config: GenerateConfig, prompts: Iterable[tuple[str, bytes]] | None = None
) -> Iterator[Generated]:
    """Draw ``config.count`` sequences for each (id, prompt), or for ``config.prompt``; in order, a batch at a time.

    They are named as their prompt, or ``generated``, with ``_1``, ``_2``, … InputError as in ``generate``.
    """
    _refuse_unfit(bundle)
    longest = _longest(bundle, config.max_tokens)
    named = prompts if prompts is not None else [("generated", config.prompt.encode())]
    waiting = _begun(named, bundle.tokenizer, config.count, longest)
    while batch := list(islice(waiting, config.batch)):
        yield from _Drawing(bundle, batch, config, longest).results()


def _opened(bundle: Bundle | str | Path, device: str) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else load(bundle, device=device)


def _keys(config: Config | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if isinstance(config, Config):
        raise InputError(
            f"config: found a {type(config).__name__}; proteins are designed by a DesignConfig, and only they"
        )
    return config


class _Drawing:
    """A batch of sequences that grow together; those that are finished leave it."""

    def __init__(self, bundle: Bundle, batch: list[_Begun], config: GenerateConfig, longest: int) -> None:
        self.bundle, self.batch, self.config, self.longest = bundle, batch, config, longest
        self.device = next(bundle.model.parameters()).device
        self.eos_id = bundle.tokenizer.eos_id
        self.ruled_out_V = _ruled_out(bundle.tokenizer, bundle.model.vocabulary_size)
        self.stream = key(config.seed, "generate")
        self.numbers_N = np.array([begun.number for begun in batch])
        self.lengths_N = torch.tensor([len(begun.ids) for begun in batch])
        self.history_NL = torch.full((len(batch), longest), -1)
        for row, begun in enumerate(batch):
            self.history_NL[row, : len(begun.ids)] = torch.from_numpy(begun.ids)
        self.log_likelihood_N = torch.zeros(len(batch), dtype=torch.float64)

    def results(self) -> Iterator[Generated]:
        """Draw to the end; then each sequence."""
        with torch.no_grad():
            self._draw_all()
        for row, begun in enumerate(self.batch):
            ids = self.history_NL[row, len(begun.ids) : int(self.lengths_N[row])].numpy()
            letters = begun.letters + self.bundle.tokenizer.decode(ids)
            ended = bool(ids[-1] == self.eos_id)
            yield Generated(begun.id, letters, float(self.log_likelihood_N[row]), len(ids), ended)

    def _draw_all(self) -> None:
        tokens_T = torch.from_numpy(np.concatenate([begun.ids for begun in self.batch])).to(self.device)
        layout = Layout.of([len(begun.ids) for begun in self.batch], self.device)
        logits_NV, cache = self.bundle.model.prefill(tokens_T, layout)
        rows_N = torch.arange(len(self.batch))
        while True:
            chosen_N = self._draw(logits_NV.cpu().double(), rows_N)
            going_N = (chosen_N != self.eos_id) & (self.lengths_N[rows_N] < self.longest)
            if not going_N.any():
                return
            if not going_N.all():
                rows_N, chosen_N = rows_N[going_N], chosen_N[going_N]
                cache.keep(going_N.to(self.device))
            logits_NV = self.bundle.model.step(chosen_N.to(self.device), cache)

    def _draw(self, logits_NV: Tensor, rows_N: Tensor) -> Tensor:
        """One more token for each of these sequences, written down with its ln p."""
        lengths_N, config = self.lengths_N[rows_N], self.config
        allowed_NV = logits_NV.masked_fill(self.ruled_out_V, -torch.inf)
        allowed_NV[lengths_N == 1, self.eos_id] = -torch.inf  # no letter yet: an empty sequence is none
        allowed_NV = forbid_repeats(
            allowed_NV, self.history_NL[rows_N, : int(lengths_N.max())], lengths_N, config.no_repeat_ngram
        )
        if config.temperature:
            below_NV = allowed_NV - allowed_NV.amax(-1, keepdim=True)  # however small the temperature, the best is 0
            allowed_NV = keep_top_p(keep_top_k(below_NV / config.temperature, config.top_k), config.top_p)
        chances_N = uniform(self.stream, self.numbers_N[rows_N.numpy()], lengths_N.numpy())
        chosen_N = choose(allowed_NV, chances_N, greedy=not config.temperature)
        self.history_NL[rows_N, lengths_N] = chosen_N
        self.log_likelihood_N[rows_N] += logits_NV.log_softmax(-1).gather(1, chosen_N[:, None])[:, 0]
        self.lengths_N[rows_N] += 1
        return chosen_N


def _ruled_out(tokenizer: Tokenizer, rows: int) -> Tensor:
    """Which rows of the vocabulary (V,) are never drawn: special tokens but ``<eos>``, and those without a token."""
    ruled_out_V = torch.ones(rows, dtype=torch.bool)
    ruled_out_V[: len(tokenizer)] = False
    ruled_out_V[torch.from_numpy(tokenizer.special_ids)] = True
    ruled_out_V[tokenizer.eos_id] = False
    return ruled_out_V


def _begun(prompts: Iterable[tuple[str, bytes]], tokenizer: Tokenizer, count: int, longest: int) -> Iterator[_Begun]:
    """Each prompt ``count`` times, as tokens behind ``<cls>``; InputError for one that cannot be gone on from."""
    number = 0
    for name, prompt in prompts:
        try:
            ids = tokenizer.encode(prompt, end=False)
        except InputError as error:
            raise InputError(f"prompt {name!r}: {str(error).removeprefix('sequence: ')}") from None
        spans_L2 = tokenizer.spans(prompt)
        read = int(spans_L2[-1, 1]) if len(spans_L2) else 0
        if read < len(prompt) or (ids == tokenizer.unk_id).any():
            unknown_L = ids[len(ids) - len(spans_L2) :] == tokenizer.unk_id
            first = int(spans_L2[np.argmax(unknown_L), 0]) if unknown_L.any() else read
            raise InputError(
                f"prompt {name!r}: the tokenizer does not read all of its letters as tokens; "
                f"{shown(prompt[first : first + 3].decode('ascii', 'replace'))} at {first} is none"
            )
        if len(ids) >= longest:
            raise InputError(
                f"prompt {name!r}: has {len(ids)} tokens with <cls>, which of {longest} leaves none to draw"
            )
        passed_over = prompt[: int(spans_L2[0, 0])] if len(spans_L2) else b""  # letters before a codon's frame
        letters = _as_tokens_are(passed_over, tokenizer.config) + tokenizer.decode(ids)
        for turn in range(1, count + 1):
            yield _Begun(number, f"{name}_{turn}", letters, ids)
            number += 1


def _as_tokens_are(letters: bytes, rules: TokenizerConfig) -> str:
    """Letters in the case and alphabet of the tokenizer's own."""
    text = letters.decode("ascii")
    text = text.upper() if rules.case == "upper" else text
    return to_rna(text) if rules.alphabet == "rna" else to_dna(text)


def _refuse_unfit(bundle: Bundle) -> None:
    if not bundle.model.config.causal:
        raise InputError(f"{bundle.path}: this model sees both sides of every token; only a causal one can generate")
    rules = bundle.tokenizer.config
    if isinstance(rules, KmerConfig) and rules.stride < rules.k:
        raise InputError(f"{bundle.path}: its tokens overlap, so that one drawn token can contradict another")


def _longest(bundle: Bundle, wanted: int | None) -> int:
    """The longest sequence in tokens; InputError for more than the model has positions for."""
    room = bundle.model.config.longest
    if wanted is not None and room is not None and wanted > room:
        raise InputError(f"max_tokens: found {wanted}; this model has {room} positions")
    return longest_piece(bundle) if wanted is None else wanted
