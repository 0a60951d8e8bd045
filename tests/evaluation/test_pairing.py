from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nuclex.bio.secondary_structure import parse_dot_bracket, to_partners
from nuclex.bundle import Bundle, Record, load
from nuclex.core.errors import InputError
from nuclex.data.simulate import SimulationConfig, simulate
from nuclex.evaluation.pairing import pairing
from nuclex.models import BackboneConfig, Layout
from nuclex.tokenizers import BpeConfig, NucleotideConfig

TOKENIZER = NucleotideConfig().build()
MASK = TOKENIZER.mask_id
RNAS = list(simulate(SimulationConfig(families=4, members=12, shortest=40, longest=70)))
SEQUENCES = [rna.sequence.encode() for rna in RNAS]
PAIRS = [parse_dot_bracket(rna.structure) for rna in RNAS]
FAMILIES = [int(rna.family[3:]) for rna in RNAS]
IDS = [tuple(TOKENIZER.encode(sequence, start=False, end=False).tolist()) for sequence in SEQUENCES]
COMPLEMENT = {5: 8, 6: 7, 7: 6, 8: 5}
Guess = Callable[[list[int], int, NDArray[np.int32]], int]


class Oracle(nn.Module):
    """A model that knows every molecule's structure and answers as ``guess`` says; notes what it was asked."""

    def __init__(self, guess: Guess) -> None:
        super().__init__()
        self.guess, self.seen = guess, list[tuple[list[int], list[int]]]()
        self.anything = nn.Parameter(torch.zeros(1))
        self.config = BackboneConfig(depth=1, width=4, heads=1, inner=4)

    def forward(self, inputs_T: Tensor, layout: Layout, selected_M: Tensor) -> Tensor:
        inputs, selected = inputs_T.tolist(), selected_M.tolist()
        self.seen.append((inputs, selected))
        bounds = layout.boundaries_N1.tolist()
        logits = torch.zeros(len(selected), len(TOKENIZER))
        for row, place in enumerate(selected):
            number = next(n for n in range(len(bounds)) if bounds[n + 1] > place)
            inside = inputs[bounds[number] + 1 : bounds[number + 1] - 1]
            partners = to_partners(PAIRS[which(inside)], len(inside))
            logits[row, self.guess(inside, place - bounds[number] - 1, partners)] = 1.0
        return logits


def which(letters: list[int]) -> int:
    """The molecule of which some letters are hidden."""
    for index, ids in enumerate(IDS):
        if len(ids) == len(letters) and all(a in (b, MASK) for a, b in zip(letters, ids, strict=True)):
            return index
    raise AssertionError("something else than <mask> was put in")


def knows_pairing(letters: list[int], place: int, partners: NDArray[np.int32]) -> int:
    return COMPLEMENT.get(letters[partners[place]], 5)


def knows_composition(letters: list[int], place: int, partners: NDArray[np.int32]) -> int:
    """The letter whose complement is most in excess among what is in sight."""
    counts = {letter: letters.count(COMPLEMENT[letter]) - letters.count(letter) for letter in COMPLEMENT}
    return max(counts, key=lambda letter: (counts[letter], letter))


def bundle_of(model: nn.Module) -> Bundle:
    return Bundle(model, TOKENIZER, Record({}, {}, {}, None, "oracle"), None, Path())  # type: ignore[arg-type]


def test_a_model_that_knows_pairing_is_found_out() -> None:
    found = pairing(bundle_of(Oracle(knows_pairing)), SEQUENCES, PAIRS, FAMILIES)
    wobble = np.concatenate(
        [[{*pair} == {"G", "U"} for pair in zip(*letters, strict=True)] for letters in paired_letters()]
    )
    assert found.visible.value == pytest.approx(1 - wobble.mean(), abs=0.03), "all but the wobble pairs"
    assert found.hidden.value < 0.5
    assert found.learned
    assert found.difference.difference.value == pytest.approx(found.visible.value - found.hidden.value)
    assert found.difference.difference.low > 0.3


def paired_letters() -> list[tuple[list[str], list[str]]]:
    return [
        ([rna.sequence[i] for i, _ in pairs], [rna.sequence[j] for _, j in pairs])
        for rna, pairs in zip(RNAS, PAIRS, strict=True)
    ]


def test_composition_alone_gives_exactly_nothing() -> None:
    found = pairing(bundle_of(Oracle(knows_composition)), SEQUENCES, PAIRS, FAMILIES)
    assert found.visible.value == found.hidden.value
    assert found.difference.difference.value == 0
    assert not found.learned


def test_a_constant_guess_gives_exactly_nothing() -> None:
    found = pairing(bundle_of(Oracle(lambda letters, place, partners: 7)), SEQUENCES, PAIRS, FAMILIES)
    assert found.visible.value == found.hidden.value > 0.2
    assert not found.learned


def test_both_conditions_hide_the_same_questions_and_the_same_letters_besides() -> None:
    oracle = Oracle(knows_pairing)
    found = pairing(bundle_of(oracle), SEQUENCES, PAIRS, FAMILIES)
    asked = 0
    assert len(oracle.seen) % 2 == 0
    for (shown, selected), (covered, again) in zip(oracle.seen[::2], oracle.seen[1::2], strict=True):
        assert selected == again
        asked += len(selected)
        for inputs in (shown, covered):
            assert all(inputs[place] == MASK for place in selected)
            assert inputs.count(MASK) == 2 * len(selected)
            assert inputs.count(TOKENIZER.cls_id) == inputs.count(TOKENIZER.eos_id)
        for first, second in zip(molecules(shown), molecules(covered), strict=True):
            assert sorted(first) == sorted(second), "what is left in sight has the same letters"
    assert found.positions == asked
    paired = sum(2 * len(pairs) for pairs in PAIRS)
    assert 0.8 * paired < asked <= paired, "nearly every paired base is asked once"


def molecules(inputs: list[int]) -> list[list[int]]:
    starts = [place for place, token in enumerate(inputs) if token == TOKENIZER.cls_id]
    return [inputs[start:stop] for start, stop in zip(starts, [*starts[1:], len(inputs)], strict=True)]


def test_the_partner_is_visible_in_one_condition_and_hidden_in_the_other() -> None:
    partner_hidden: list[bool] = []

    def look(letters: list[int], place: int, partners: NDArray[np.int32]) -> int:
        assert partners[place] >= 0, "only paired bases are asked"
        partner_hidden.append(letters[partners[place]] == MASK)
        return 5

    oracle = Oracle(look)
    pairing(bundle_of(oracle), SEQUENCES, PAIRS)
    sizes = [len(selected) for _, selected in oracle.seen]
    expected = [bool(call % 2) for call, size in enumerate(sizes) for _ in range(size)]
    assert partner_hidden == expected


def test_the_result_does_not_depend_on_order(tiny_bundle: Path) -> None:
    bundle = load(tiny_bundle)
    first, again = (pairing(bundle, SEQUENCES, PAIRS, FAMILIES) for _ in range(2))
    assert first == again
    assert first.positions > 500


def test_what_cannot_be_measured_is_refused(tiny_bundle: Path) -> None:
    bundle = load(tiny_bundle)
    with pytest.raises(InputError, match="none of the structures has a base pair"):
        pairing(bundle, [b"ACGUACGU"], [np.zeros((0, 2), dtype=np.int64)])
    tokenizer = BpeConfig(vocab_size=60).train(SEQUENCES)
    with pytest.raises(InputError, match="where every token is one nucleotide"):
        pairing(Bundle(bundle.model, tokenizer, bundle.record, None, Path()), SEQUENCES, PAIRS)


def test_a_gain_that_is_sure_but_tiny_is_a_trace() -> None:
    whole = pairing(bundle_of(Oracle(knows_pairing)), SEQUENCES, PAIRS, FAMILIES)
    sure = whole.difference.difference
    tiny = dataclasses.replace(sure, value=0.006, low=0.002, high=0.009)
    trace = dataclasses.replace(whole, difference=dataclasses.replace(whole.difference, difference=tiny))
    assert not trace.learned
    enough = dataclasses.replace(tiny, value=0.03, high=0.04)
    assert dataclasses.replace(whole, difference=dataclasses.replace(whole.difference, difference=enough)).learned
