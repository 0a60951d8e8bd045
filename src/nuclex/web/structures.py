"""Secondary structures for the page: by a fine-tuned head, or else by what the model couples without any label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from nuclex.bio.secondary_structure import as_dot_bracket
from nuclex.core.errors import InputError, missing_extra
from nuclex.evaluation.arcs import probability_arcs
from nuclex.evaluation.colour_bar import SURE
from nuclex.evaluation.contacts import squeezed
from nuclex.evaluation.planar import planar_drawing, planar_layout
from nuclex.evaluation.report import Figure
from nuclex.evaluation.svg import inline
from nuclex.inference.contacts import jacobian_contacts
from nuclex.inference.fold import FoldConfig, Folded, fold_sequences
from nuclex.inference.reading import tokens_of
from nuclex.training.pairs import DecodingConfig
from nuclex.web.jobs import Answer, File, Job
from nuclex.web.pasted import Pasted
from nuclex.web.served import Served
from nuclex.web.settings import ServeConfig
from nuclex.web.tables import rounded
from nuclex.workflows.fold import file_name

Draw = Callable[..., Figure]
PROBABLE = 0.05
"""The probability from which a pair is shown."""
STRONG, CHOSEN = 0.5, 0.6
"""Couplings that are shown, and those that a structure is made of: 2 and 3 standard deviations above the mean."""
SCALES = {"head": SURE, "couplings": "strength of the coupling; unpaired: 1 less the strong ones; no probability"}
"""What the colours of a downloaded picture are."""
LONGEST = 1000
"""Letters that a fine-tuned head is given at most: it works on all pairs at once."""
NOTES = {
    "head": "Pairs by the head that was fine-tuned on structures; p is its probability of the pair. Pairs are taken "
    "from p = {threshold:.2f} on, which was best on validation.",
    "couplings": "No head for structures: pairs by how strongly the model couples two letters (its categorical "
    "Jacobian). p is that strength from 0 to 1, not a probability: 0.5 is 2 standard deviations above the molecule's "
    "mean, and 0.6, from which pairs are taken, is 3. No label chose these numbers, and where a model has learned no "
    "pairing some pairs reach them by chance.",
}


def check(served: Served, pasted: Pasted, config: ServeConfig) -> None:
    """InputError with the record for a sequence that is too long to be folded, or that the tokenizer refuses."""
    network = served.bundle.model.config
    by_head = served.folds_by_head
    most = min(LONGEST if by_head else config.letters_coupled, network.longest - 2 if network.longest else LONGEST)
    for item in pasted.named():
        if len(item.sequence) > most:
            how = "by a head for structures" if by_head else "by couplings"
            raise InputError(f"{item.place}: has {len(item.sequence)} letters; {how}, at most {most} are folded here")
    tokens_of(pasted.named(), served.bundle.tokenizer)


def fold(served: Served, pasted: Pasted, job: Job) -> Answer:
    """Base pairs of each sequence, where each letter lies in a drawing, and the probable pairs.

    ``way`` is "head" (the fine-tuned head, as `nuclex fold`) or "couplings"; ``note`` says what p is then. ``layout``
    has one point a letter, neighbours 1 apart or more, y upwards. ``dot_bracket`` is null where brackets do not do.
    """
    way, shown = ("head", PROBABLE) if served.folds_by_head else ("couplings", STRONG)
    found, files = [], dict[str, File]()
    for number, rna in enumerate(_by_head(served, pasted, job) if way == "head" else _coupled(served, pasted, job), 1):
        i_C, j_C = np.nonzero(np.triu(rna.probability_LL >= shown, 1))
        found.append(
            {
                "name": rna.id,
                "letters": rna.sequence,
                "dot_bracket": as_dot_bracket(rna.pairs, len(rna.sequence)),
                "pairs": _rows(rna, *rna.pairs.T),
                "probable": _rows(rna, i_C, j_C),
                "layout": rounded(planar_layout(rna.pairs, len(rna.sequence)).round(3)),
            }
        )
        job.step(0)
        files |= _files(number, rna, way)
    return Answer({"way": way, "note": NOTES[way].format(threshold=rna.threshold), "sequences": found}, files)


def _by_head(served: Served, pasted: Pasted, job: Job) -> Iterator[Folded]:
    sequences = zip(pasted.names, pasted.letters, strict=True)
    job.expect(len(pasted))
    for rna in fold_sequences(served.bundle, sequences, FoldConfig()):
        yield rna
        job.step()


def _coupled(served: Served, pasted: Pasted, job: Job) -> Iterator[Folded]:
    decoding = DecodingConfig()
    job.expect(sum(3 * len(letters) + 1 for letters in pasted.letters))
    for name, letters in zip(pasted.names, pasted.letters, strict=True):
        strength_LL = squeezed(jacobian_contacts(served.bundle, letters, job.step), decoding.min_loop)
        pairs = decoding.pairs(strength_LL, letters, CHOSEN)
        yield Folded(name, letters, pairs, strength_LL, CHOSEN, decoding.method)


def _rows(rna: Folded, i_C: np.ndarray, j_C: np.ndarray) -> list[list[float]]:
    p_C = rounded(rna.probability_LL[i_C, j_C])
    return [list(row) for row in zip(i_C.tolist(), j_C.tolist(), p_C, strict=True)]


def _files(number: int, rna: Folded, way: str) -> dict[str, File]:
    name = file_name(number, rna.id)
    found = {}
    for ending, about in (
        (".dbn", "the structure as dot-bracket text"),
        (".ct", "the structure as connectivity table"),
    ):
        try:
            content = rna.text(ending, 0.0).encode()
        except InputError:  # the format cannot hold it; the result says the pairs all the same
            continue
        found[f"{name}{ending}"] = File(
            f"{rna.id}: {about}", "text/plain; charset=utf-8", partial(bytes, content), len(content)
        )

    for ending, draw, about in ((".svg", planar_drawing, "in the plane"), (".arcs.svg", probability_arcs, "as arcs")):
        found[f"{name}{ending}"] = File(f"{rna.id}: drawn {about}", "image/svg+xml", partial(_picture, draw, rna, way))
    return found


def _picture(draw: Draw, rna: Folded, way: str) -> bytes:
    shown = rna.probability_LL
    if way == "couplings":  # of an unpaired letter the weak ones together say nothing
        shown = np.where(shown >= STRONG, shown, 0)
    try:
        figure = draw(rna.sequence, rna.pairs, shown, rna.id, SCALES[way])
    except ModuleNotFoundError:
        raise missing_extra("matplotlib", "plots", "drawing structures") from None
    return inline(figure.svg, figure.name, f"{rna.id}: {figure.alt}").encode()
