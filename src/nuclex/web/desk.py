"""Where questions arrive: checked against the limits and the bundle, then put in the queue as jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from nuclex import __version__
from nuclex.bio.genetic_code import GeneticCode
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError
from nuclex.inference.reading import tokens_of
from nuclex.web import coding, foretelling, maps, messages, structures
from nuclex.web.examples import examples
from nuclex.web.jobs import Answer, File, Job, Jobs
from nuclex.web.pasted import Pasted, read_pasted
from nuclex.web.served import KINDS, Served
from nuclex.web.settings import ServeConfig

Work = Callable[[Job], Answer]
MEDIA_TYPES = ("text/csv", "text/plain", "image/svg+xml")


class Desk:
    """The bundles that are served, their limits and their jobs."""

    media_types = MEDIA_TYPES

    def __init__(self, bundles: list[Bundle], config: ServeConfig) -> None:
        self.served, self._config = Served.of(bundles), config
        self._atlas = maps.Atlas.read(config)
        self.jobs = Jobs(config)
        self._drawing = threading.Lock()  # matplotlib draws one picture at a time

    @property
    def about(self) -> dict[str, Any]:
        """What is served here, as ``/about`` says it."""
        names = messages.Limits.model_fields
        return {
            "version": __version__,
            "bundles": [served.about() for served in self.served],
            "limits": {name: getattr(self._config, name) for name in names},
            "reference": self._atlas.about(),
            "examples": examples(),
        }

    def described(self, kind: messages.Kind) -> str:
        """What a question gives, and for which bundles it makes no sense."""
        functions = {
            "predict": foretelling.predict,
            "fold": structures.fold,
            "embed": maps.embed,
            "mutate": foretelling.mutate,
            "codons": coding.codons,
            "compare": foretelling.compare,
        }
        text = "\n".join(line.strip() for line in (functions[kind].__doc__ or "").splitlines())
        reasons = {served.can[kind] for served in self.served}
        missing = [f"Not answered here for bundle {one.id}: {one.can[kind]}." for one in self.served if one.can[kind]]
        return "\n\n".join([text.strip(), *(missing if reasons != {None} else [])])

    def ask(self, kind: messages.Kind, question: messages.Request) -> Job:
        """Put a question in the queue. InputError where it is wrong, ``FullError`` where no more may wait."""
        assert kind in KINDS
        return self.jobs.add(kind, self._work(kind, question))

    def drawn(self, file: File) -> bytes:
        """The bytes of a file; pictures are drawn one at a time."""
        with self._drawing:
            return file.make()

    def _work(self, kind: messages.Kind, question: messages.Request) -> Work:
        served = self._bundle(question)
        if reason := served.can[kind]:
            raise InputError(f"{kind}: not answered for this bundle: {reason}")
        dna = served.bundle.tokenizer.config.alphabet == "dna"
        pasted = read_pasted(question.fasta, self._config, dna=dna)
        if isinstance(question, messages.OneQuestion):
            pasted = pasted.only(question.sequence)
        if isinstance(question, messages.CodonQuestion):
            cds = coding.read_cds(pasted, GeneticCode.ncbi(question.code))
            coding.check(served, cds)
            return partial(coding.codons, served, cds)
        if kind == "fold":
            structures.check(served, pasted, self._config)
            return partial(structures.fold, served, pasted)
        if kind == "compare":
            for one in self.served:
                _check_tokens(one, pasted)
            return partial(foretelling.compare, self.served, pasted)
        _check_tokens(served, pasted)
        if kind == "embed":
            return partial(maps.embed, served, pasted, self._atlas)
        return partial(foretelling.predict if kind == "predict" else foretelling.mutate, served, pasted)

    def _bundle(self, question: messages.Request) -> Served:
        wanted = question.bundle if isinstance(question, messages.Question) else None
        for served in self.served:
            if wanted in (None, served.id):
                return served
        raise InputError(f"bundle: found {wanted!r}; served are: {', '.join(served.id for served in self.served)}")


def _check_tokens(served: Served, pasted: Pasted) -> None:
    """InputError with the record for a sequence that the tokenizer refuses or that gives no token."""
    named = pasted.named()
    table = tokens_of(named, served.bundle.tokenizer)
    for item, tokens in zip(named, table.lengths_N.tolist(), strict=True):
        if not tokens:
            raise InputError(f"{item.place}: is too short for a single token of this bundle")
