"""What a Space shows of a bundle: probabilities of hidden letters, sequences gone on with, or a fine-tuned answer.

All but ``page`` is plain functions from text to text and tables; gradio draws them.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nuclex.bundle import Bundle, load
from nuclex.bundle.markdown import line
from nuclex.core.errors import InputError, NuclexError
from nuclex.inference.fold import FoldConfig, folded
from nuclex.inference.generate import GenerateConfig, generate_sequences
from nuclex.inference.likelihood import log_p
from nuclex.inference.predict import predict
from nuclex.objectives import Question
from nuclex.tasks import Shape

if TYPE_CHECKING:
    from gradio import Blocks

LONGEST, AT_ONCE = 1000, 4096
"""Letters of a sequence, for a shared machine; tokens read together."""
EXAMPLE = "GGGAAACCCAUAGGGAAACCCAUA"
Table = tuple[list[str], list[list[Any]]]


def masked_table(bundle: Bundle, sequence: str) -> Table:
    """Of each token of a sequence, hidden alone, how probable the model thinks each possible token is.

    Columns: position (from 1), what stands there, its probability, and the five likeliest.
    """
    tokenizer, ids_L = bundle.tokenizer, bundle.tokenizer.encode(_read(sequence)).astype(np.int64)
    inside = np.flatnonzero(~np.isin(ids_L, tokenizer.special_ids))
    wanted_K = np.asarray(tokenizer.random_ids, dtype=np.int64)
    rows: list[list[Any]] = []
    names = [tokenizer.vocabulary[number] for number in wanted_K]
    step = max(AT_ONCE // len(ids_L), 1)
    for first in range(0, len(inside), step):
        places_M = inside[first : first + step]
        copies_ML = np.tile(ids_L, (len(places_M), 1))
        copies_ML[np.arange(len(places_M)), places_M] = tokenizer.mask_id
        asked_M = np.arange(len(places_M)) * len(ids_L) + places_M
        lengths_P = np.full(len(places_M), len(ids_L))
        found_MK = np.exp(
            log_p(
                bundle.model,
                Question(copies_ML.ravel(), asked_M, ids_L[places_M]),
                lengths_P,
                np.tile(wanted_K, (len(places_M), 1)),
            )
        )
        found_MK /= found_MK.sum(1, keepdims=True)  # among letters alone: the special tokens are no answer
        for place, p_K in zip(places_M.tolist(), found_MK, strict=True):
            best = np.argsort(-p_K, kind="stable")[:5]
            here = np.flatnonzero(wanted_K == ids_L[place])
            own = round(float(p_K[here[0]]), 4) if len(here) else None
            likely = ", ".join(f"{names[number]} {p_K[number]:.2f}" for number in best)
            rows.append([len(rows) + 1, tokenizer.vocabulary[ids_L[place]], own, likely])
    return ["position", "token", "probability", "likeliest"], rows


def continuation(bundle: Bundle, prompt: str, temperature: float = 1.0, seed: int = 0) -> str:
    """A sequence that a causal model draws behind a prompt, as FASTA."""
    config = GenerateConfig(prompt=_letters(prompt), temperature=temperature, seed=int(seed))
    (made,) = generate_sequences(bundle, config)
    end = "it ended by itself" if made.ended else "cut at the longest"
    return f">{made.tokens} tokens drawn, log-likelihood {made.log_likelihood:.2f}, {end}\n{made.sequence}"


def answer(bundle: Bundle, sequence: str) -> Table:
    """What a fine-tuned model answers of a sequence: the columns and rows of ``nuclex predict``; structures as text."""
    with tempfile.TemporaryDirectory(prefix="nuclex-page-") as name:
        asked, out = Path(name) / "asked.fa", Path(name) / "answer.csv"
        asked.write_text(f">sequence\n{_read(sequence)}\n", encoding="ascii")
        if shape_of(bundle) is Shape.PAIR_MAP:
            (found,) = folded(bundle, asked, FoldConfig())
            _, letters, structure = found.text(".dbn", 0.0).splitlines()
            return ["sequence", "structure", "pairs"], [[letters, structure, len(found.pairs)]]
        predict(bundle, asked, out)
        with out.open(encoding="utf-8", newline="") as file:
            columns, *rows = csv.reader(file)
        return columns, [list(row) for row in rows]


def shape_of(bundle: Bundle) -> Shape | None:
    """What a fine-tuned bundle answers; None for a language model."""
    return None if bundle.task is None else Shape(bundle.task.config["shape"])


def kind_of(bundle: Bundle) -> str:
    """Which of the three a page shows: ``answer``, ``continuation`` or ``masked``; InputError where it is none."""
    shape = shape_of(bundle)
    if shape in (Shape.VARIANT, Shape.PARTNER):
        raise InputError(f"space: {bundle.path} answers a {shape}, of more than a sequence; there is no page for it")
    if shape is not None:
        return "answer"
    if bundle.model.head is None:
        raise InputError(f"space: {bundle.path} is an encoder without a head; there is nothing to show of one sequence")
    return "continuation" if bundle.model.config.causal else "masked"


def page(place: str | Path) -> Blocks:
    """The page for the bundle at ``place`` (a folder, or ``org/name@commit``); InputError where gradio is missing."""
    try:
        import gradio as gr
    except ModuleNotFoundError:
        raise InputError("page: needs the package 'gradio', which is not installed; pip install gradio") from None
    bundle = load(place)
    kind = kind_of(bundle)

    def told(*given: Any) -> Any:
        try:
            if kind == "continuation":
                return continuation(bundle, *given)
            columns, rows = answer(bundle, *given) if kind == "answer" else masked_table(bundle, *given)
            return {"headers": columns, "data": rows}
        except NuclexError as error:
            raise gr.Error(str(error)) from None

    with gr.Blocks(title=bundle.record.name, analytics_enabled=False) as blocks:
        gr.Markdown(f"## {line(bundle.record.name)}\n\nRuns `{place}` with nuclex.")
        asked = [gr.Textbox(EXAMPLE, label="Sequence (letters, or FASTA)", lines=3)]
        if kind == "continuation":
            asked += [gr.Slider(0.0, 2.0, 1.0, label="Temperature"), gr.Number(0, label="Seed", precision=0)]
            shown: Any = gr.Textbox(label="Continuation", lines=6)
        else:
            shown = gr.Dataframe(label="Answer" if kind == "answer" else "Each token hidden alone", interactive=False)
        gr.Button("Run", variant="primary").click(told, asked, shown)
    return blocks


def _letters(text: str) -> str:
    """The letters of a pasted text; headers of FASTA and blanks are left out. InputError for more than LONGEST."""
    lines = [row.strip() for row in text.splitlines() if not row.startswith(">")]
    letters = "".join("".join(lines).split())
    if not letters.isascii() or len(letters) > LONGEST:
        raise InputError(
            f"sequence: {len(letters)} letters were found; this page takes ASCII letters, at most {LONGEST}"
        )
    return letters


def _read(text: str) -> str:
    letters = _letters(text)
    if not letters:
        raise InputError("sequence: is empty; paste one, as letters or FASTA")
    return letters
