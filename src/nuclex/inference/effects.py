"""By how much a variant changes how likely a model finds a stretch of a reference: ln p(alt) - ln p(ref), in nats.

**What is read.** ``around`` letters of the reference with the variant in the middle (a letter to the left where that
does not come out even), clipped where the contig ends, and the same window with the alternative. Where an indel changes
the length, the window of the alternative goes on to the right as much more or less, so that both are of one length and
none is likelier for being shorter (but for a contig that ends before). For tokens of several letters side by side, the
window begins in the contig's own frame. Each window is read as a sequence of its own, between ``<cls>`` and ``<eos>``.

**What is compared**, and stands beside each result as its convention:

===================================== =================================================================================
``masked-marginal``                   SNV and MNV (as many letters as before): in the window of the reference, all
                                      tokens that the variant changes are hidden at once; the sum over them of
                                      ln p(alt token) - ln p(ref token) (doi:10.1101/2021.07.09.450648)
``wild-type-marginal``                the same with nothing hidden (method ``one-pass``; same source)
``pseudo-log-likelihood-difference``  indels, and all variants where tokens are learned, since the variant may change
                                      where tokens end: the difference of the windows' sums of ln p, each token hidden
                                      alone
``one-pass-difference``               the same with nothing hidden (method ``one-pass``)
``log-likelihood-difference``         all variants, by a model that reads from left to right
===================================== =================================================================================

With both strands a result is the mean of the window's and of its reverse complement's. What is no change of letters
(symbolic alternatives, ``*``), does not fit into the window, does not show in it (a letter less in a run as long as the
window) or is refused by the tokenizer is counted, not scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nuclex.bio.alphabet import DNA_IUPAC, to_dna
from nuclex.bundle import Bundle
from nuclex.core.errors import InputError, shown
from nuclex.data.reference import Reference
from nuclex.data.tokens import TokenTable
from nuclex.data.variants import Variant
from nuclex.inference.likelihood import Method, log_likelihoods, log_p
from nuclex.inference.parts import Part
from nuclex.inference.reading import MICRO_TOKENS
from nuclex.inference.windows import Ints, windows_of
from nuclex.objectives import Question
from nuclex.tokenizers import AminoAcidConfig, CodonConfig, KmerConfig, LearnedConfig, Tokenizer

COLUMNS: dict[str, type] = {
    "variant": str, "contig": str, "start": int, "ref": str, "alt": str, "score": float, "convention": str,
    "window_start": int, "window_end": int,
}  # fmt: skip
STRANDS: dict[str, type] = {"score_forward": float, "score_reverse": float}
_MARGINAL: dict[Method, str] = {"exact": "masked-marginal", "one-pass": "wild-type-marginal"}
_DIFFERENCE: dict[Method, str] = {
    "exact": "pseudo-log-likelihood-difference",
    "one-pass": "one-pass-difference",
    "causal": "log-likelihood-difference",
}
_CONCRETE = bytes.maketrans(  # VCF 4.3, 1.6.1: REF has, for an ambiguous letter of the reference, its first base
    DNA_IUPAC.ambiguous.replace(b"N", b""),
    "".join(min(DNA_IUPAC.expand(letter)) for letter in DNA_IUPAC.ambiguous.decode() if letter != "N").encode(),
)


@dataclass(frozen=True)
class Manner:
    """How variants are scored: the method, the letters of a window, and whether the other strand is asked too."""

    method: Method
    around: int
    both_strands: bool


class Pair(NamedTuple):
    """A variant's windows: letters [start, end) of the contig, and the same with the alternative."""

    variant: Variant
    start: int
    end: int
    ref: bytes
    alt: bytes


class _Asked(NamedTuple):
    """The tokens of both windows on one strand, and which of them differ where tokens stand for tokens."""

    row: int
    ref: Ints
    alt: Ints
    marginal: bool


def effects(bundle: Bundle, reference: Reference, chunk: Sequence[Variant], manner: Manner) -> Part:
    """Score some variants, in their order; the part's text ``skipped`` has a reason for each that was not.

    InputError with the variant's place: no such contig, a position beyond its end, a REF that the reference does not
    have, a window of more tokens than the model reads.
    """
    pairs, asked, skipped = list[Pair](), list[_Asked](), list[str]()
    for variant in chunk:
        found = variant.other or window_pair(reference, variant, manner.around, bundle.tokenizer)
        strands = found if isinstance(found, str) else _strands(bundle, found, manner, len(pairs))
        if isinstance(found, str) or isinstance(strands, str):
            skipped.append(str(strands))
            continue
        pairs.append(found)
        asked += strands
    score_NS = _scores(bundle, asked, manner.method).reshape(len(pairs), 2 if manner.both_strands else 1)
    learned = isinstance(bundle.tokenizer.config, LearnedConfig)
    names = [_convention(pair.variant, manner.method, learned) for pair in pairs]
    texts = {
        "variant": [pair.variant.name for pair in pairs],
        "contig": [pair.variant.contig for pair in pairs],
        "ref": [pair.variant.ref for pair in pairs],
        "alt": [pair.variant.alt for pair in pairs],
        "convention": names,
        "skipped": skipped,
    }
    places_N3 = np.array([(pair.variant.start, pair.start, pair.end) for pair in pairs], dtype=np.int64).reshape(-1, 3)
    return Part(texts, {"places": places_N3, "scores": score_NS})


def effect_rows(part: Part) -> Iterator[list[object]]:
    """The rows of a part under ``COLUMNS`` (and ``STRANDS``)."""
    texts = (part.texts[name] for name in ("variant", "contig", "ref", "alt", "convention"))
    numbers = zip(part.arrays["places"].tolist(), part.arrays["scores"].tolist(), strict=True)
    for name, contig, ref, alt, convention, ((start, first, last), scores) in zip(*texts, numbers, strict=True):
        both = scores if len(scores) > 1 else []
        yield [name, contig, start, ref, alt or "-", sum(scores) / len(scores), convention, first, last, *both]


def window_pair(reference: Reference, variant: Variant, around: int, tokenizer: Tokenizer) -> Pair | str:
    """Both windows of a variant, or why it has none; InputError where it is not one of this reference."""
    contig, start, stop = variant.contig, variant.start, variant.start + len(variant.ref)
    _refuse_stranger(reference, variant)
    if variant.ref == variant.alt:
        return "no change"
    unit, frame = _grain(tokenizer)
    longest = max(len(variant.ref), len(variant.alt))
    first = start - (around - longest) // 2
    first -= first % unit
    size = around - (around - frame) % unit
    if longest + 2 > around or start - first + longest > size:
        return "longer than the window"
    left, right = reference.letters(contig, first, start), first + size
    ref = left + reference.letters(contig, start, right)
    alt = left + variant.alt.encode() + reference.letters(contig, stop, right + len(variant.ref) - len(variant.alt))
    return Pair(variant, max(first, 0), max(first, 0) + len(ref), ref, alt)


def _refuse_stranger(reference: Reference, variant: Variant) -> None:
    contig, start, stop = variant.contig, variant.start, variant.start + len(variant.ref)
    length = reference.length(contig)
    if length is None:
        known = ", ".join(shown(name, 30) for _, name in zip(range(5), reference, strict=False))
        raise InputError(
            f"{variant.place}: {shown(contig)} is no sequence of {reference.label}, which begins with {known}"
        )
    if start < 0 or stop > length:
        raise InputError(
            f"{variant.place}: REF is letters {start + 1} to {stop} (1-based) of {shown(contig)}, which has {length}"
        )
    found = reference.letters(contig, start, stop)
    if to_dna(found.upper()).translate(_CONCRETE) != variant.ref.encode().translate(_CONCRETE):
        raise InputError(
            f"{variant.place}: REF is {shown(variant.ref)}, but {reference.label} has {shown(found.decode())} there, "
            f"at letter {start + 1} (1-based) of {shown(contig)}"
        )


def _grain(tokenizer: Tokenizer) -> tuple[int, int]:
    """Letters from one token to the next, and letters before the first; a window fits in with them."""
    config = tokenizer.config
    if isinstance(config, CodonConfig | AminoAcidConfig | LearnedConfig) and config.frame is not None:
        return 3, config.frame
    return (config.stride, 0) if isinstance(config, KmerConfig) else (1, 0)


def _strands(bundle: Bundle, pair: Pair, manner: Manner, row: int) -> list[_Asked] | str:
    """The tokens of a pair on each strand that is asked, or why they are not."""
    marginal = _is_marginal(pair.variant, manner.method, isinstance(bundle.tokenizer.config, LearnedConfig))
    found = []
    for turned in (False, True)[: 1 + manner.both_strands]:
        texts = [_turned(text, pair) if turned else text for text in (pair.ref, pair.alt)]
        try:
            ref, alt = (bundle.tokenizer.encode(text, start=False, end=False) for text in texts)
        except InputError:
            return "refused by the tokenizer"
        _refuse_long(bundle, pair, max(len(ref), len(alt)))
        if np.array_equal(ref, alt):
            return "no change within the window"
        found.append(_Asked(row, ref, alt, marginal))
    return found


def _turned(text: bytes, pair: Pair) -> bytes:
    try:
        return DNA_IUPAC.reverse_complement(to_dna(text))
    except InputError as error:
        raise InputError(f"{pair.variant.place}: the window of {shown(pair.variant.contig)}: {error}") from None


def _refuse_long(bundle: Bundle, pair: Pair, tokens: int) -> None:
    longest = bundle.model.config.longest
    if longest is not None and tokens + 2 > longest:
        raise InputError(
            f"{pair.variant.place}: its window has {tokens} tokens, this model reads at most {longest - 2}; give a "
            "smaller --around"
        )


def _is_marginal(variant: Variant, method: Method, learned: bool) -> bool:
    return method in _MARGINAL and not learned and len(variant.ref) == len(variant.alt)


def _convention(variant: Variant, method: Method, learned: bool) -> str:
    return (_MARGINAL if _is_marginal(variant, method, learned) else _DIFFERENCE)[method]


def _scores(bundle: Bundle, asked: Sequence[_Asked], method: Method) -> NDArray[np.float64]:
    """ln p(alt) - ln p(ref) of every pair of windows, in nats: (J,)."""
    found_J = np.zeros(len(asked))
    where = np.array([one.marginal for one in asked], dtype=bool)
    alike, others = ([one for one in asked if one.marginal is kind] for kind in (True, False))
    if alike:
        found_J[where] = _marginals(bundle, alike, hide=method == "exact")
    if others:
        table = _table([one.ref for one in others] + [one.alt for one in others])
        windows = windows_of(table.lengths_N, None, causal=bundle.model.config.causal)
        ref_J, alt_J = log_likelihoods(bundle, table, windows, method).reshape(2, -1)
        found_J[~where] = alt_J - ref_J
    return found_J


def _marginals(bundle: Bundle, asked: Sequence[_Asked], *, hide: bool) -> NDArray[np.float64]:
    """The windows of the reference, with the tokens that differ hidden or seen; what is put there in their place."""
    table = _table([one.ref for one in asked])
    differ = [np.flatnonzero(one.ref != one.alt) for one in asked]
    found_J = np.zeros(len(asked))
    for part, batch in windows_of(table.lengths_N, None, causal=False).batches(table, bundle.tokenizer, MICRO_TOKENS):
        index_P, first_P = part.pieces.index_P, np.cumsum(batch.lengths_N) - batch.lengths_N + 1  # behind <cls>
        place_M = np.concatenate([first + differ[index] for first, index in zip(first_P, index_P, strict=True)])
        alt_M = np.concatenate([asked[index].alt[differ[index]] for index in index_P])
        ref_M, inputs_T = batch.tokens_T[place_M], batch.tokens_T.copy()
        if hide:
            inputs_T[place_M] = bundle.tokenizer.mask_id
        wanted_M2 = np.stack([ref_M, alt_M], axis=1)
        log_p_M2 = log_p(bundle.model, Question(inputs_T, place_M, ref_M), batch.lengths_N, wanted_M2)
        index_M = np.repeat(index_P, [len(differ[index]) for index in index_P])
        found_J += np.bincount(index_M, weights=log_p_M2[:, 1] - log_p_M2[:, 0], minlength=len(asked))
    return found_J


def _table(ids: Sequence[Ints]) -> TokenTable:
    """Token ids of several windows as one table."""
    offsets, rows_N = np.cumsum([0, *map(len, ids)]), np.arange(len(ids))
    return TokenTable(np.concatenate(ids), offsets, rows_N, rows_N)
